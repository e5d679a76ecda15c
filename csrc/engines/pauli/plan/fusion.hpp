// Which superoperators to multiply together before they meet the state.
#pragma once

#include <vector>

#include "engines/pauli/plan/lowering.hpp"

namespace qrnn {

// Ops on one wire in a row, the wire's start and end included, always become one: the product is never larger.
void merge_one_wire_runs(WireProgram& program);

// A one-wire superoperator at the end of a step that no outcome of the step depends on. It may wait and be merged into
// the first rotation of the next step.
struct Deferred {
    int memory_index;  // acts on wire memory_out[memory_index]
    Superop op;
};

// Takes out of the program what can be deferred.
std::vector<Deferred> defer_last_rotations(WireProgram& program);

// Merges ops where that lowers the estimated cost, and brings them into the order in which they run. Returns that cost:
// multiply-adds of a step, loads and stores counting half.
double fuse(WireProgram& program);

}  // namespace qrnn
