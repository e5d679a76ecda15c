#include "bindings/module.hpp"

#include <new>
#include <utility>

PYBIND11_MODULE(_core, m) {
    m.doc() = "Engines of qrnn_fast; use the package's public functions instead.";
    // What check_memory let through and the system has not got.
    pybind11::register_local_exception_translator([](std::exception_ptr error) {
        try {
            std::rethrow_exception(std::move(error));
        } catch (const std::bad_alloc&) {
            PyErr_SetString(PyExc_MemoryError,
                            "the system has no memory left for this call of an engine; ask for fewer sequences, steps "
                            "or shots at once, or use fewer threads");
        }
    });
    qrnn::register_ops(m);
    qrnn::register_circuit(m);
    qrnn::register_engine(m);
    qrnn::register_sampling(m);
    qrnn::register_cuda(m);
}
