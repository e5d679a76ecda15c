// Stages: the coefficients that may exist between two ops, as a mixed-radix index over the live wires.
#pragma once

#include <cstdint>
#include <vector>

#include "engines/pauli/plan/lowering.hpp"

namespace qrnn {

struct Stage {
    std::vector<int> wires;
    std::vector<std::int64_t> strides;
    std::int64_t size = 1;
    std::vector<char> active;  // by index: not known to be zero, and needed by a query

    std::int64_t stride(int wire) const { return strides[position(wires, wire)]; }
};

// 4 Pauli digits for a qubit, I or Z for a bit.
inline int radix(const WireProgram& program, int wire) { return program.is_bit[wire] ? 2 : 4; }

Stage make_stage(const WireProgram& program, const std::vector<int>& wires);

// Offset of a local index (Pauli digits of `wires`) in a stage; -1 where a bit would have the digit X or Y.
std::vector<std::int64_t> local_offsets(const WireProgram& program, const Stage& stage, const std::vector<int>& wires);

// Calls f(base in `before`, base in `after`) for every setting of the wires that pass `op` by.
template <class F>
void for_each_context(const WireProgram& program, const Superop& op, const Stage& before, const Stage& after, F f) {
    struct Digit {
        std::int64_t before, after;
        int radix, value;
    };
    std::vector<Digit> digits;
    for (int w : before.wires)
        if (position(op.in, w) < 0) digits.push_back({before.stride(w), after.stride(w), radix(program, w), 0});
    std::int64_t b = 0, a = 0;
    while (true) {
        f(b, a);
        size_t j = 0;
        for (; j < digits.size(); ++j) {
            Digit& d = digits[j];
            b += d.before;
            a += d.after;
            if (++d.value < d.radix) break;
            b -= d.before * d.radix;
            a -= d.after * d.radix;
            d.value = 0;
        }
        if (j == digits.size()) return;
    }
}

}  // namespace qrnn
