// From superoperators to blocks: which coefficients exist, where they lie, which dense blocks connect them.
#pragma once

#include <vector>

#include "engines/pauli/plan/block_list.hpp"
#include "engines/pauli/plan/lowering.hpp"
#include "engines/pauli/plan/program.hpp"

namespace qrnn {

struct Layout {
    std::vector<LaidOutBlock> step, restore;
    std::vector<LaidOutBlock> single_step;  // for a single sequence, where exchange.hpp finds a better way; else empty
    std::vector<std::int32_t> offsets, clear, adjoint_clear, outcomes;
    int n_places = 0;
    // For circuit.plan() and the tests: what the planner found.
    double multiply_adds = 0;  // per sequence and step
};

struct LayoutRequest {
    WireProgram* program;  // new expressions are added
    bool wants_outcomes;
    std::vector<std::int32_t> offsets;  // list to append to
};

Layout lay_out(LayoutRequest request);

}  // namespace qrnn
