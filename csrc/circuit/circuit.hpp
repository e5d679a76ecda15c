// One time step of a recurrent circuit: a checked list of ops.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "ops/op_table.hpp"
#include "ops/unitary.hpp"

namespace qrnn {

// offset + scale * angles[slot], in radians; a constant where slot is -1.
struct Angle {
    int slot;
    double scale, offset;
};

// A noise channel rho -> sum_j K_j rho K_j^dagger on one or two qubits; bit j of an index is qubit j of the op.
struct Channel {
    int n_qubits;
    std::vector<Matrix4> kraus;
};

// What a reading device makes of outcome bits: confusion[2^k * observed + actual] is a conditional probability, bit j
// of both numbers being outcome bit bits[j].
struct ReadoutError {
    std::vector<int> bits;
    std::vector<double> confusion;
};

struct Operation {
    const OpInfo* info;
    std::vector<int> qubits;
    std::vector<Angle> angles;
    std::vector<int> bits;                   // classical bits written: measure writes bit i of the outcome index
    std::shared_ptr<const Channel> channel;  // of a channel op
};

class Circuit {
  public:
    // n_angles: the number of angle slots that exist from the start.
    Circuit(int n_qubits, int n_angles);

    int new_angle();

    // Checks everything and appends, or throws std::invalid_argument and leaves the circuit as it was. A measure takes
    // the next free outcome bits, in the order of `qubits`.
    void append(std::string_view name, const std::vector<int>& qubits, const std::vector<Angle>& angles);

    // Checks a channel on as many qubits as it is made for, and appends it. Its Kraus operators must be complete to
    // 1e-6; they are made so to rounding.
    void append_channel(const std::vector<int>& qubits, Channel channel);

    // `confusion` as in ReadoutError, bit j of its numbers being qubits[j], which must be measured; an outcome bit
    // stands in one error at most.
    void add_readout_error(const std::vector<int>& qubits, std::vector<double> confusion);

    int n_qubits() const { return n_qubits_; }
    int n_angles() const { return n_angles_; }
    const std::vector<Operation>& operations() const { return operations_; }

    // Outcome index bit i is qubit readout()[i].
    const std::vector<int>& readout() const { return readout_; }

    const std::vector<ReadoutError>& readout_errors() const { return readout_errors_; }

    // Throws std::invalid_argument where nothing is measured.
    void check_measured() const;

    // The qubits carried over the step, ascending: all whose last op is not a reset.
    std::vector<int> memory() const;

  private:
    void check_qubits(const std::string& op, const std::vector<int>& qubits) const;

    int n_qubits_, n_angles_;
    std::vector<Operation> operations_;
    std::vector<int> readout_;
    std::vector<ReadoutError> readout_errors_;
};

// Calls visitor.gate, visitor.measure, visitor.reset or visitor.channel for every op of the circuit in turn.
template <class Visitor>
void visit_operations(const Circuit& circuit, Visitor& visitor) {
    for (const Operation& op : circuit.operations()) switch (op.info->kind) {
            case OpKind::gate:
                visitor.gate(op);
                break;
            case OpKind::measure:
                visitor.measure(op);
                break;
            case OpKind::reset:
                visitor.reset(op);
                break;
            case OpKind::channel:
                visitor.channel(op);
                break;
        }
}

}  // namespace qrnn
