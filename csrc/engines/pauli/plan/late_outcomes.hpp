// For the kernel of a single sequence: what a step does for its outcomes alone, taken out of it.
//
// The next memory does not wait for such blocks, so they can run later for many steps side by side, a step in each
// lane. What they read of the state, the step saves.
#pragma once

#include <cstdint>
#include <vector>

#include "engines/pauli/plan/block_list.hpp"

namespace qrnn {

struct LateOutcomes {
    std::vector<LaidOutBlock> step;      // what the memory needs, and blocks that save
    std::int32_t first_saved, n_places;  // of the state; the last n_saved places of n_places are what is saved

    // Places of the late state: n_saved, in the order in which they were saved, and others.
    std::vector<LaidOutBlock> late;
    std::vector<std::int32_t> outcomes;  // by outcome; -1: zero
    std::int32_t n_saved, n_late_places;
};

// step: blocks in order, followed by those of `restore`; together they bring the memory back to its places, all but
// those of `cleared`. n_memory and n_places: of the state. Columns of new blocks are appended to `offsets`.
LateOutcomes take_outcomes_out(const std::vector<LaidOutBlock>& step, const std::vector<LaidOutBlock>& restore,
                               const std::vector<std::int32_t>& cleared, const std::vector<std::int32_t>& outcomes,
                               std::int32_t n_memory, std::int32_t n_places, std::vector<std::int32_t>& offsets);

}  // namespace qrnn
