// The op table and the circuit, as Python sees them.
#include "circuit/circuit.hpp"

#include <pybind11/complex.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include "bindings/module.hpp"
#include "ops/generator.hpp"

namespace py = pybind11;

namespace qrnn {
namespace {

py::tuple angles_of(const Operation& op) {
    py::tuple out(op.angles.size());
    for (size_t i = 0; i < op.angles.size(); ++i)
        out[i] = py::make_tuple(op.angles[i].slot, op.angles[i].scale, op.angles[i].offset);
    return out;
}

// Kraus operators as nested lists (number, row, column); None for what is no channel.
using NestedKraus = std::vector<std::vector<std::vector<std::complex<double>>>>;

py::object kraus_of(const Operation& op) {
    if (!op.channel) return py::none();
    const int dim = 1 << op.channel->n_qubits;
    NestedKraus out;
    for (const Matrix4& k : op.channel->kraus) {
        out.emplace_back();
        for (int row = 0; row < dim; ++row) out.back().emplace_back(k.begin() + 4 * row, k.begin() + 4 * row + dim);
    }
    return py::cast(out);
}

void append_channel(Circuit& circuit, const std::vector<int>& qubits, const NestedKraus& kraus) {
    const size_t dim = kraus.empty() ? 2 : kraus[0].size();
    Channel channel{dim == 2 ? 1 : 2, {}};
    for (const auto& matrix : kraus) {
        channel.kraus.push_back({});
        bool is_square = matrix.size() == dim && (dim == 2 || dim == 4);
        for (size_t row = 0; row < matrix.size() && is_square; ++row) {
            is_square = matrix[row].size() == dim;
            if (is_square) std::copy(matrix[row].begin(), matrix[row].end(), channel.kraus.back().begin() + 4 * row);
        }
        if (!is_square) throw py::value_error("Kraus operators are all 2 x 2 or all 4 x 4 matrices");
    }
    circuit.append_channel(qubits, std::move(channel));
}

std::vector<std::pair<double, double>> shift_rule_of(const OpInfo& op, int angle) {
    for (const Factor& factor : op.factors) {
        if (factor.angle != angle) continue;
        std::vector<std::pair<double, double>> rule;
        for (const ShiftTerm& term : shift_rule(transfer_polynomial(factor)))
            rule.emplace_back(term.coefficient, term.shift);
        return rule;
    }
    throw std::invalid_argument(std::string(op.name) + " has no angle " + std::to_string(angle));
}

}  // namespace

void register_ops(py::module_& m) {
    py::class_<OpInfo>(m, "OpInfo")
        .def_readonly("name", &OpInfo::name)
        .def_property_readonly("is_gate", [](const OpInfo& op) { return op.kind == OpKind::gate; })
        .def_readonly("n_qubits", &OpInfo::n_qubits)
        .def_readonly("n_angles", &OpInfo::n_angles)
        .def_readonly("inverse", &OpInfo::inverse)
        .def_readonly("qiskit_name", &OpInfo::qiskit_name)
        .def_readonly("help", &OpInfo::help)
        .def_property_readonly("is_diagonal", &is_diagonal)
        .def("shift_rule", &shift_rule_of, py::arg("angle"));
    m.def("op_table", [] {
        py::list ops;
        for (const OpInfo& op : op_table())
            if (op.kind != OpKind::channel) ops.append(py::cast(&op, py::return_value_policy::reference));
        return ops;
    });
}

void register_circuit(py::module_& m) {
    py::class_<Circuit, std::shared_ptr<Circuit>>(m, "Circuit")
        .def(py::init<int, int>(), py::arg("n_qubits"), py::arg("n_angles"))
        .def("new_angle", &Circuit::new_angle)
        .def(
            "append",
            [](Circuit& circuit, const std::string& name, const std::vector<int>& qubits,
               const std::vector<std::tuple<int, double, double>>& angles) {
                std::vector<Angle> list;
                for (const auto& [slot, scale, offset] : angles) list.push_back({slot, scale, offset});
                circuit.append(name, qubits, list);
            },
            py::arg("name"), py::arg("qubits"), py::arg("angles"))
        .def("append_channel", &append_channel, py::arg("qubits"), py::arg("kraus"))
        .def("add_readout_error", &Circuit::add_readout_error, py::arg("qubits"), py::arg("confusion"))
        .def_property_readonly("n_qubits", &Circuit::n_qubits)
        .def_property_readonly("n_angles", &Circuit::n_angles)
        .def_property_readonly("readout", [](const Circuit& c) { return py::tuple(py::cast(c.readout())); })
        .def_property_readonly("memory", [](const Circuit& c) { return py::tuple(py::cast(c.memory())); })
        .def_property_readonly(
            "operations",
            [](const Circuit& c) {
                py::list out;
                for (const Operation& op : c.operations())
                    out.append(py::make_tuple(op.info->name, py::tuple(py::cast(op.qubits)), angles_of(op),
                                              py::tuple(py::cast(op.bits)), kraus_of(op)));
                return out;
            })
        .def_property_readonly("readout_errors", [](const Circuit& c) {
            py::list out;
            for (const ReadoutError& error : c.readout_errors()) {
                std::vector<int> qubits;
                for (int bit : error.bits) qubits.push_back(c.readout()[bit]);
                out.append(py::make_tuple(py::tuple(py::cast(qubits)), error.confusion));
            }
            return out;
        });
}

}  // namespace qrnn
