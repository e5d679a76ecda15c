#include "bindings/module.hpp"

PYBIND11_MODULE(_core, m) {
    m.doc() = "Engines of qrnn_fast; use the package's public functions instead.";
    qrnn::register_ops(m);
    qrnn::register_circuit(m);
    qrnn::register_engine(m);
    qrnn::register_sampling(m);
    qrnn::register_cuda(m);
}
