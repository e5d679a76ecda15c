// A step as pieces that one pass over the state takes: gates and at most one draw, merged where that is cheaper.
//
// A wire that is not carried over the step ends with a draw in the Z basis. A readout qubit whose life is merged into
// one element never becomes part of the state: it is a pair of Kraus operators on its neighbours.
#pragma once

#include <algorithm>
#include <memory>
#include <optional>
#include <vector>

#include "engines/factor/blocks.hpp"

namespace qrnn {

struct Draw {
    int number;                              // of the random number
    int wire;                                // that is read and ends, -1 for a channel
    std::vector<int> wires;                  // the channel's
    std::shared_ptr<const Channel> channel;  // null for a wire
    int record;                              // outcome bits that say what was read
};

struct Element {
    std::vector<int> in, out;  // wires before and after; an index has wire in[j] at bit j
    std::vector<int> local;    // all its wires, those of `in` first; the others are |0> at first
    std::vector<WireGate> before, after;
    std::optional<Draw> draw;

    // What follows from these.
    std::vector<Entry> pattern;  // [2^|in| * row + column]: what is known of the Kraus operators, all together
    std::vector<BlockPart> parts;
    double cost_per_group = 0, fixed_cost = 0;  // multiply-adds, for each setting of the other wires and for all

    bool touches(int wire) const { return std::find(local.begin(), local.end(), wire) != local.end(); }
    bool acts_diagonally(int wire) const;
    int n_branches() const { return !draw ? 1 : draw->channel ? static_cast<int>(draw->channel->kraus.size()) : 2; }
};

// The local basis state that basis state `out` of the wires after is, where `branch` was drawn.
int local_row(const Element& element, int out, int branch);

// The gates and, at the end, the draws of the wires that are not carried. Wires 0 .. n_memory - 1 exist from the start;
// the draw of channel number k is `first_channel_draw` + k.
std::vector<Element> trajectory_elements(const std::vector<WireGate>& gates, const std::vector<Draw>& draws,
                                         int n_wires, int n_memory, int first_channel_draw);

}  // namespace qrnn
