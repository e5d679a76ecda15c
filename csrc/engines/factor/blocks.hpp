// Gates gathered into unitaries on one or two wires, in the order in which they run.
#pragma once

#include <algorithm>
#include <array>
#include <vector>

#include "engines/factor/gates.hpp"
#include "engines/factor/program.hpp"

namespace qrnn {

// What is known of a matrix entry before the angles are.
enum class Entry : unsigned char { zero = 0, real = 1, imaginary = 2, complex = 3, one = 4 };

using Entries = std::array<Entry, 16>;  // [4 * row + column]

Entry product(Entry a, Entry b);
Entry sum(Entry a, Entry b);

// Entries of a gate over its own wires.
Entries gate_entries(const WireGate& gate);

struct UnitaryBlock {
    std::vector<int> wires;       // one or two; local index bit j is wires[j]
    std::vector<WireGate> gates;  // in the order in which they act
    Entries entries;

    int dim() const { return 1 << wires.size(); }
    Entry at(int row, int col) const { return entries[4 * row + col]; }
    bool is_diagonal_in(int local) const;
};

// A part of a block that is applied by itself: the submatrix of the local indices `in` and `out`.
struct BlockPart {
    FactorPass::Kind kind;  // cross: 2 x 2, the diagonal real, the rest imaginary
    std::vector<int> in, out;
};

// The kind of a part of which entry(row, column) is known.
template <class F>
FactorPass::Kind part_kind(const BlockPart& part, F entry) {
    const size_t n = part.in.size();
    if (n != part.out.size() || n == 1) return FactorPass::general;
    bool real = true, cross = n == 2;
    for (size_t r = 0; r < n; ++r)
        for (size_t c = 0; c < n; ++c) {
            const Entry e = entry(part.out[r], part.in[c]);
            const bool is_real = e == Entry::zero || e == Entry::real || e == Entry::one;
            real = real && is_real;
            cross = cross && (r == c ? is_real : e == Entry::zero || e == Entry::imaginary);
        }
    return real ? FactorPass::real : cross ? FactorPass::cross : FactorPass::general;
}

// The parts that a block falls into; entries that are known to be 1 need none. `is_new`, by local wire: it is |0>.
std::vector<BlockPart> block_parts(const UnitaryBlock& block, const std::vector<char>& is_new);

// Real multiply-adds of a part for each setting of the other wires.
double multiply_adds(const BlockPart& part);

// A matrix over `wires` as one over `all`, which has them all: calls f(row, col, own row, own col) for the entries of
// the larger matrix that do not change the other wires.
template <class F>
void for_each_embedded(const std::vector<int>& wires, const std::vector<int>& all, F f) {
    int own = 0;
    std::vector<int> at;
    for (int w : wires) {
        at.push_back(static_cast<int>(std::find(all.begin(), all.end(), w) - all.begin()));
        own |= 1 << at.back();
    }
    const auto local = [&](int index) {
        int found = 0;
        for (size_t j = 0; j < at.size(); ++j) found |= (index >> at[j] & 1) << j;
        return found;
    };
    const int dim = 1 << all.size();
    for (int row = 0; row < dim; ++row)
        for (int col = 0; col < dim; ++col)
            if ((row & ~own) == (col & ~own)) f(row, col, local(row), local(col));
}

// The gates merged where that lowers the cost, then ordered so that wires are activated as late as they can be.
// The wires 0 .. n_memory - 1 exist from the start.
std::vector<UnitaryBlock> unitary_blocks(const std::vector<WireGate>& gates, int n_wires, int n_memory);

}  // namespace qrnn
