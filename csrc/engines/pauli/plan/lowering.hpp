// From a circuit's ops to superoperators on wires.
#pragma once

#include <vector>

#include "circuit/circuit.hpp"
#include "engines/pauli/plan/superop.hpp"

namespace qrnn {

struct WireProgram {
    Expressions expressions;
    std::vector<Superop> ops;     // in an order in which they may run
    std::vector<bool> is_bit;     // by wire
    std::vector<int> memory_in;   // wires at the start of the step, by memory qubit
    std::vector<int> memory_out;  // wires at its end, by memory qubit
    std::vector<int> outcome;     // bit wires, by outcome bit
};

// A qubit becomes a wire when an op first touches it after its reset, and the wire ends with the next reset.
WireProgram lower(const Circuit& circuit);

}  // namespace qrnn
