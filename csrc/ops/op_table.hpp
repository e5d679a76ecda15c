// The op table: the one place that knows a gate.
//
// Every unitary gate is a product of factors exp(-i theta/2 G), G a real sum of Pauli strings and theta either one of
// the gate's angles or a fixed number. The generator is the whole definition: the unitary matrix, the Pauli transfer
// matrix, the parameter-shift rule and the question whether a gate is diagonal all follow from it (generator.hpp), and
// the Python builder, its type stubs, drawing and Qiskit conversion are made from this table. Adding a gate means
// adding one entry to op_table.inc.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace qrnn {

// One weighted Pauli string. The first letter acts on the first qubit handed to the gate.
struct PauliTerm {
    double weight;
    const char* paulis;
};

// exp(-i theta/2 sum(terms)); theta is the gate's angle number `angle`, or `fixed` (radians) where `angle` is -1.
struct Factor {
    int angle;
    double fixed;
    std::vector<PauliTerm> generator;
};

enum class OpKind { gate, measure, reset, channel };

struct OpInfo {
    std::string_view name;
    OpKind kind;
    int n_qubits;  // 0: any number, one after the other (measure, reset); for a channel, one or two
    int n_angles;
    std::string_view inverse;      // name of the inverse gate; a gate with angles is inverted by negating them
    std::string_view qiskit_name;  // key of qiskit's get_standard_gate_name_mapping()
    std::string_view help;         // one line, used as the builder method's docstring
    std::vector<Factor> factors;   // applied first to last; equal to the gate up to a global phase
};

std::span<const OpInfo> op_table();

// Throws std::invalid_argument naming the accepted ops.
const OpInfo& find_op(std::string_view name);

}  // namespace qrnn
