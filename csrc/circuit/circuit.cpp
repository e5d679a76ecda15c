#include "circuit/circuit.hpp"

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <string>

namespace qrnn {
namespace {

// Pauli strings and outcome indices are held in 32-bit numbers with two bits a qubit.
constexpr int max_qubits = 30;

[[noreturn]] void refuse(const std::string& message) { throw std::invalid_argument(message); }

std::string count(int n, const char* noun) { return std::to_string(n) + " " + noun + (n == 1 ? "" : "s"); }

}  // namespace

Circuit::Circuit(int n_qubits, int n_angles) : n_qubits_(n_qubits), n_angles_(n_angles) {
    if (n_qubits < 1 || n_qubits > max_qubits)
        refuse("n_qubits must lie in 1.." + std::to_string(max_qubits) + ", not " + std::to_string(n_qubits));
    if (n_angles < 0) refuse("n_angles must not be negative, got " + std::to_string(n_angles));
}

void Circuit::append(std::string_view name, const std::vector<int>& qubits, const std::vector<Angle>& angles) {
    const OpInfo& info = find_op(name);
    const std::string op(info.name);
    const int n = static_cast<int>(qubits.size());
    if (info.n_qubits != 0 && n != info.n_qubits)
        refuse(op + " acts on " + count(info.n_qubits, "qubit") + ", got " + count(n, "qubit"));
    if (info.n_qubits == 0 && n == 0) refuse(op + " needs at least one qubit");
    for (int i = 0; i < n; ++i) {
        if (qubits[i] < 0 || qubits[i] >= n_qubits_)
            refuse(op + ": qubit " + std::to_string(qubits[i]) + " does not exist; the circuit has qubits 0.." +
                   std::to_string(n_qubits_ - 1));
        if (std::find(qubits.begin(), qubits.begin() + i, qubits[i]) != qubits.begin() + i)
            refuse(op + ": qubit " + std::to_string(qubits[i]) + " is named twice");
    }
    if (static_cast<int>(angles.size()) != info.n_angles)
        refuse(op + " takes " + count(info.n_angles, "angle") + ", got " + std::to_string(angles.size()));
    for (const Angle& a : angles) {
        if (a.slot < -1 || a.slot >= n_angles_)
            refuse(op + ": angle slot " + std::to_string(a.slot) + " does not exist; the circuit has " +
                   count(n_angles_, "slot"));
        if (!std::isfinite(a.scale) || !std::isfinite(a.offset))
            refuse(op + ": an angle's scale and offset must be finite numbers");
    }
    Operation operation{&info, qubits, angles, {}};
    if (info.kind == OpKind::measure) {
        for (int q : qubits)
            if (std::find(readout_.begin(), readout_.end(), q) != readout_.end())
                refuse("qubit " + std::to_string(q) +
                       " is measured already; a qubit is measured at most once in a time step");
        for (int q : qubits) {
            operation.bits.push_back(static_cast<int>(readout_.size()));
            readout_.push_back(q);
        }
    }
    operations_.push_back(std::move(operation));
}

std::vector<int> Circuit::memory() const {
    std::vector<bool> carried(n_qubits_, true);
    for (const Operation& op : operations_)
        for (int q : op.qubits) carried[q] = op.info->kind != OpKind::reset;
    std::vector<int> memory;
    for (int q = 0; q < n_qubits_; ++q)
        if (carried[q]) memory.push_back(q);
    return memory;
}

}  // namespace qrnn
