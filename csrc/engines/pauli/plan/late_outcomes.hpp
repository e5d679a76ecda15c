// What a step does for its outcomes alone, told from what it does for the memory.
//
// A forward pass that only serves an adjoint pass leaves such blocks out. The kernel of a single sequence runs them
// later, since the next memory does not wait for them, for many steps side by side, a step in each lane. What they read
// of the state, the step saves.
#pragma once

#include <cstdint>
#include <vector>

#include "engines/pauli/plan/block_list.hpp"

namespace qrnn {

// step: blocks in order, followed by those of `restore`; together they bring the memory back to its places, the first
// n_memory of n_places, all but those of `cleared`.
struct StepBlocks {
    const std::vector<LaidOutBlock>&step, &restore;
    const std::vector<std::int32_t>& cleared;
    std::int32_t n_memory, n_places;
};

// What the next memory depends on: of the step's blocks, and, at its end, of the places. By number.
struct Needed {
    std::vector<char> blocks, places;
};

Needed needed_by_memory(const StepBlocks& blocks, const std::vector<std::int32_t>& offsets);

struct LateOutcomes {
    std::vector<LaidOutBlock> step;      // what the memory needs, and blocks that save
    std::int32_t first_saved, n_places;  // of the state; the last n_saved places of n_places are what is saved

    // Places of the late state: n_saved, in the order in which they were saved, and others.
    std::vector<LaidOutBlock> late;
    std::vector<std::int32_t> outcomes;  // by outcome; -1: zero
    std::int32_t n_saved, n_late_places;
};

// Columns of new blocks are appended to `offsets`.
LateOutcomes take_outcomes_out(const StepBlocks& blocks, const std::vector<std::int32_t>& outcomes,
                               std::vector<std::int32_t>& offsets);

}  // namespace qrnn
