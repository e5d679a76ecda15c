// Device code for a circuit, and what a launch of it needs.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <memory>

#include "bindings/module.hpp"
#include "circuit/circuit.hpp"
#include "cuda/source.hpp"
#include "engines/budget.hpp"

namespace py = pybind11;

namespace qrnn {
namespace {

// A plan for the device: like those of the CPU, with offsets that count places.
std::unique_ptr<PauliPlan> pauli_plan(const Circuit& circuit) {
    circuit.check_measured();
    return std::make_unique<PauliPlan>(circuit, PauliDraft(circuit), 1);
}

std::unique_ptr<FactorPlan> factor_plan(const Circuit& circuit) {
    circuit.check_measured();
    FactorPlan::check_unitary(circuit);
    check_memory(FactorPlan::estimated_bytes(circuit, 1), "the tables of this circuit in the factor engine",
                 "use fewer qubits");
    return std::make_unique<FactorPlan>(circuit);
}

}  // namespace

void register_cuda(py::module_& m) {
    py::class_<PauliPlan>(m, "CudaPauliPlan")
        .def(py::init(&pauli_plan), py::arg("circuit"))
        .def("source", &pauli_source, py::arg("real"), py::arg("lanes"))
        .def(
            "workspace_size",
            [](const PauliPlan& plan, int lanes, int parts, bool adjoint) {
                return cuda::PauliLayout(pauli_sizes(plan), lanes, parts, adjoint).size;
            },
            py::arg("lanes"), py::arg("parts"), py::arg("adjoint"))
        .def("kept_size", [](const PauliPlan& plan) { return pauli_sizes(plan).kept_size(); });
    m.def("trajectory_source", &trajectory_source, py::arg("plan"), py::arg("real"));
    m.def(
        "trajectory_workspace_size", [](const TrajectoryPlan& plan) { return trajectory_sizes(plan).workspace_size(); },
        py::arg("plan"));
    m.def(
        "trajectory_table_size",
        [](const TrajectoryPlan& plan, std::int64_t n_steps) { return trajectory_sizes(plan).table_size(n_steps); },
        py::arg("plan"), py::arg("n_steps"));
    m.def("marginal_source", &marginal_source, py::arg("real"));
    py::class_<FactorPlan>(m, "CudaFactorPlan")
        .def(py::init(&factor_plan), py::arg("circuit"))
        .def("source", &factor_source, py::arg("real"), py::arg("width"))
        .def(
            "workspace_size",
            [](const FactorPlan& plan, int real_bytes, int width, int team_blocks, bool adjoint) {
                return cuda::FactorLayout(factor_sizes(plan), real_bytes, width, team_blocks, adjoint).size;
            },
            py::arg("real_bytes"), py::arg("width"), py::arg("team_blocks"), py::arg("adjoint"))
        .def(
            "scratch_bytes",
            [](const FactorPlan& plan, int real_bytes, int threads, bool adjoint) {
                return cuda::FactorScratch(factor_sizes(plan), real_bytes, threads, adjoint).size;
            },
            py::arg("real_bytes"), py::arg("threads"), py::arg("adjoint"))
        .def_property_readonly("rows", [](const FactorPlan& plan) { return factor_sizes(plan).rows(); })
        .def("kept_size", [](const FactorPlan& plan) { return factor_sizes(plan).kept_size(); });
    m.def("device_files", [] {
        py::dict files;
        for (const DeviceFile& file : device_files) files[file.name] = file.text;
        return files;
    });
}

}  // namespace qrnn
