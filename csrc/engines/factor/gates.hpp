// A circuit's step as unitary gates on wires, nothing measured or reset in between.
//
// A wire is one qubit from its activation to its reset. A wire that is measured and then only reset is its own record;
// where it lives on, a CX copies its outcome to a fresh wire. What is left of the step: a unitary on all wires, of
// which those that are not carried are summed over at the end, separately for each outcome.
#pragma once

#include <cstdint>
#include <vector>

#include "circuit/circuit.hpp"
#include "ops/unitary.hpp"

namespace qrnn {

struct WireGate {
    std::vector<int> wires;
    const Factor* factor;  // null for a channel
    Angle angle;           // a constant where angle.slot is -1
    bool carried = false;  // belongs to the step before: its angles are that step's, and the first step goes without it
    std::shared_ptr<const Channel> channel = nullptr;
    int channel_number = -1;  // among the circuit's channels
};

struct WireCircuit {
    int n_wires = 0, n_channels = 0;
    std::vector<int> memory_in, memory_out;  // wires by memory qubit; memory_in are 0 .. m - 1
    std::vector<int> outcome;                // wires by outcome bit
    std::vector<WireGate> gates;
    std::vector<WireGate> carried;  // in the order in which they act; on memory qubits instead of wires
};

// By basis state of the memory at the end, its row, of which bit `bits[k]` is memory qubit k. A qubit of bit -1 is |0>:
// where it were 1 the row is -1.
std::vector<std::int64_t> memory_rows(const std::vector<int>& bits);

// A table's size or index, as the tables hold it.
inline std::int32_t count(size_t n) { return static_cast<std::int32_t>(n); }

// Gates on which neither outcomes nor the next memory depend are dropped: those that end on wires which are summed
// over, as far as they are diagonal in what was measured. Gates at the end that act on carried wires alone wait for the
// next step, where they act on the memory before other wires exist.
WireCircuit wire_circuit(const Circuit& circuit);

}  // namespace qrnn
