// The Pauli engine on a GPU: what host and device agree on.
//
// A block of threads runs a group of `lanes` sequences; it has `parts` threads for each of them, number part * lanes +
// lane. A number of the state stands in shared memory once for every lane, number `place` at place * lanes + lane, so
// that neighbouring threads read neighbouring words; the parts share the columns of every block of the plan
// (program.hpp), with a barrier where one block needs what another has written.
#pragma once

#include <cstdint>

#include "cuda/exact.hpp"

namespace qrnn {
namespace cuda {

// register[dst] = sum of sign * register[a] * register[b] over n terms from `begin` on. Sums of one round read nothing
// that is written in it. The adjoint gathers instead, every number once: gradient[dst] += sum of sign * gradient[a] *
// register[b].
struct Sum {
    std::int32_t dst, begin, n;
};
struct SumTerm {
    std::int32_t a, b, sign;
};

struct PauliSizes {
    std::int32_t n_angles, n_memory, n_outcome;
    std::int32_t n_constants, n_registers, n_carried, carried_in;
    std::int32_t n_places, tape_size;

    // Kept of every step for the adjoint: the memory, and the registers of sines, cosines and carried numbers.
    constexpr std::int64_t memory_size() const { return std::int64_t{1} << 2 * n_memory; }
    constexpr std::int64_t kept_registers() const { return carried_in + n_carried - n_constants; }
    constexpr std::int64_t kept_size() const { return memory_size() + kept_registers(); }
    constexpr std::int64_t n_outcomes() const { return std::int64_t{1} << n_outcome; }
};

// Places of a group's numbers in its workspace, which is in shared memory where there is room.
// Every block of the grid has one, and keeps (T + 1) * kept_size() * lanes numbers.
struct PauliLayout {
    std::int64_t state, registers, angles, outcome;                // forward
    std::int64_t adjoint, gradients, carried, partial_sums, tape;  // and adjoint
    std::int64_t size;

    // What is read or written row by row, a row for each sequence, has an odd stride, so that neither order meets the
    // same bank of shared memory again and again.
    static constexpr std::int64_t row_stride(std::int64_t lanes) { return lanes + 1; }
    static constexpr std::int64_t most_sums = 16;  // coefficients of a block

    constexpr PauliLayout(const PauliSizes& s, std::int64_t lanes, std::int64_t parts, bool with_adjoint)
        : state(0),
          registers(state + s.n_places * lanes),
          angles(registers + s.n_registers * lanes),
          outcome(angles + s.n_angles * row_stride(lanes)),
          adjoint(outcome + s.n_outcomes() * row_stride(lanes)),
          gradients(adjoint + (with_adjoint ? s.n_places * lanes : 0)),
          carried(gradients + (with_adjoint ? s.n_registers * lanes : 0)),
          partial_sums(carried + (with_adjoint ? s.n_carried * lanes : 0)),
          tape(partial_sums + (with_adjoint ? 2 * most_sums * parts * lanes : 0)),
          size(tape + (with_adjoint ? s.tape_size * lanes : 0)) {}
};

}  // namespace cuda
}  // namespace qrnn
