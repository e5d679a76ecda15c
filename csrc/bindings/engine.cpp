// Plans and engines, as Python sees them: every check of a tensor stands here, none in the engines.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <cmath>
#include <complex>
#include <optional>

#include "bindings/calls.hpp"
#include "bindings/module.hpp"
#include "engines/planner.hpp"
#include "engines/run.hpp"
#include "simd/isa.hpp"

namespace py = pybind11;

namespace qrnn {
namespace {

// A memory must be a density matrix as far as a glance can tell: finite, Hermitian, of trace 1.
template <class Real>
void check_density(const Real* memory, std::int64_t n, std::int64_t dim) {
    const double tolerance = sizeof(Real) == 8 ? 1e-6 : 1e-4;
    for (std::int64_t b = 0; b < n; ++b) {
        const Real* rho = memory + 2 * b * dim * dim;
        const auto refuse = [&](const std::string& what) {
            throw py::value_error("memory " + std::to_string(b) + " of the batch is not a density matrix: " + what);
        };
        double trace = 0;
        for (std::int64_t i = 0; i < dim; ++i) {
            trace += rho[2 * (i * dim + i)];
            for (std::int64_t j = 0; j <= i; ++j) {
                const Real *x = rho + 2 * (i * dim + j), *y = rho + 2 * (j * dim + i);
                if (!std::isfinite(x[0]) || !std::isfinite(x[1]) || !std::isfinite(y[0]) || !std::isfinite(y[1]))
                    refuse("it holds a number that is not finite");
                if (std::abs(x[0] - y[0]) > tolerance || std::abs(x[1] + y[1]) > tolerance)
                    refuse("it is not Hermitian at (" + std::to_string(i) + ", " + std::to_string(j) + ")");
            }
        }
        if (std::abs(trace - 1) > tolerance) refuse("its trace is " + std::to_string(trace) + ", not 1");
    }
}

// Complex numbers in the tensors of Python are (real, imaginary) pairs in the engines.
template <class Real>
const Real* pairs(const std::optional<TensorView>& memory, const char* name, const Shapes& shapes) {
    return memory ? reinterpret_cast<const Real*>(memory->numbers<std::complex<Real>>(name, shapes.memory())) : nullptr;
}

template <class Real>
py::tuple outputs(const Plan& plan, const Shapes& shapes, const Batch<Real>& batch, int threads) {
    const NewTensor probabilities(shapes.probabilities(), data_type<Real>(), "the list of probabilities");
    const NewTensor memory_out(shapes.memory(), data_type<std::complex<Real>>(), "the memory of all sequences");
    Real *p = static_cast<Real*>(probabilities.data), *m = static_cast<Real*>(memory_out.data);
    {
        py::gil_scoped_release release;
        plan.with([&](const auto& engine) { run_forward(engine, batch, threads, p, m, poll_signals); });
    }
    return py::make_tuple(probabilities.object, memory_out.object);
}

template <class Real>
py::tuple forward(const Plan& plan, const TensorView& angles, const std::optional<TensorView>& memory, int threads) {
    const Shapes shapes = shapes_of(plan, angles, threads);
    const Batch<Real> batch{shapes.n_sequences, shapes.n_steps, angles.numbers<Real>("angles", shapes.angles()),
                            pairs<Real>(memory, "memory", shapes)};
    if (batch.memory) check_density(batch.memory, shapes.n_sequences, shapes.dim);
    return outputs(plan, shapes, batch, threads);
}

template <class Real>
py::tuple backward(const Plan& plan, const TensorView& angles, const std::optional<TensorView>& memory,
                   const TensorView& grad_probs, const std::optional<TensorView>& grad_memory, int threads) {
    const Shapes shapes = shapes_of(plan, angles, threads);
    const Batch<Real> batch{shapes.n_sequences, shapes.n_steps, angles.numbers<Real>("angles", shapes.angles()),
                            pairs<Real>(memory, "memory", shapes)};
    const Real* gp = grad_probs.numbers<Real>("grad_probs", shapes.probabilities());
    const Real* gm = pairs<Real>(grad_memory, "grad_memory", shapes);
    const NewTensor grad_angles(shapes.angles(), data_type<Real>(), "the gradient by the angles");
    const NewTensor grad_memory_in(shapes.memory(), data_type<std::complex<Real>>(), "the gradient by the memory");
    Real *ga = static_cast<Real*>(grad_angles.data), *gi = static_cast<Real*>(grad_memory_in.data);
    {
        py::gil_scoped_release release;
        plan.with([&](const auto& engine) { run_adjoint(engine, batch, threads, gp, gm, ga, gi, poll_signals); });
    }
    return py::make_tuple(grad_angles.object, grad_memory_in.object);
}

}  // namespace

void register_engine(py::module_& m) {
    py::class_<EngineCost>(m, "EngineCost")
        .def_property_readonly("engine", [](const EngineCost& cost) { return engine_name(cost.engine); })
        .def_readonly("operations", &EngineCost::operations)
        .def_readonly("bytes", &EngineCost::bytes)
        .def_readonly("seconds", &EngineCost::seconds)
        .def_readonly("active", &EngineCost::active);
    py::class_<Plan>(m, "Plan")
        .def(py::init([](const Circuit& circuit, const std::string& engine) {
                 std::optional<Engine> wish;
                 for (Engine e : {Engine::pauli, Engine::factor})
                     if (engine == engine_name(e)) wish = e;
                 if (!wish && engine != "auto")
                     throw py::value_error("unknown engine '" + engine + "'; accepted: 'auto', 'pauli', 'factor'");
                 return std::make_unique<Plan>(circuit, wish);
             }),
             py::arg("circuit"), py::arg("engine") = "auto")
        .def_property_readonly("engine", [](const Plan& plan) { return engine_name(plan.engine()); })
        .def_property_readonly("costs", &Plan::costs)
        .def_property_readonly("n_angles", &Plan::n_angles)
        .def_property_readonly("operations", &Plan::operations)
        .def("check_room",
             [](const Plan& plan) { outputs(plan, shapes_of(plan, 1, 0), Batch<double>{1, 0, nullptr, nullptr}, 1); });
    m.def(
        "forward",
        [](const Plan& plan, const TensorView& angles, const std::optional<TensorView>& memory, int threads) {
            return angles.is_float32("angles") ? forward<float>(plan, angles, memory, threads)
                                               : forward<double>(plan, angles, memory, threads);
        },
        py::arg("plan"), py::arg("angles"), py::arg("memory").none(true), py::arg("threads"));
    m.def(
        "backward",
        [](const Plan& plan, const TensorView& angles, const std::optional<TensorView>& memory,
           const TensorView& grad_probs, const std::optional<TensorView>& grad_memory, int threads) {
            return angles.is_float32("angles")
                       ? backward<float>(plan, angles, memory, grad_probs, grad_memory, threads)
                       : backward<double>(plan, angles, memory, grad_probs, grad_memory, threads);
        },
        py::arg("plan"), py::arg("angles"), py::arg("memory").none(true), py::arg("grad_probs"),
        py::arg("grad_memory").none(true), py::arg("threads"));
    m.attr("max_threads") = max_threads;
    m.def("instruction_set", [] { return isa_name(chosen_isa()); });
    m.def("available_instruction_sets", [] {
        std::vector<std::string> names;
        for (Isa isa : available_isas()) names.push_back(isa_name(isa));
        return names;
    });
    chosen_isa();  // a wrong QRNN_FAST_ISA is refused at import, not in the middle of a run
}

}  // namespace qrnn
