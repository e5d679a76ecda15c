// The factor engine on a GPU: what host and device agree on.
//
// A team of blocks of threads runs one sequence at a time, and all its threads share the items of every phase: groups
// and columns of a pass, elements of a matrix. A team of one block waits at the block's barrier after each phase, a
// larger one at a counter in global memory. Columns go through the passes in chunks of up to `width`, a power of 2; a
// row of the state has the chunk's columns side by side, so that neighbouring threads read neighbouring numbers.
#pragma once

#include <cstdint>

#include "cuda/exact.hpp"

namespace qrnn {
namespace cuda {

// Of both stages of the program (engines/factor/program.hpp), what is larger.
struct FactorSizes {
    std::int32_t n_angles, n_memory, n_outcome, n_wires;
    std::int32_t n_trigs, n_entries, n_gates, n_environment;
    std::int32_t most_entries;  // of a pass

    constexpr std::int64_t dim() const { return std::int64_t{1} << n_memory; }
    constexpr std::int64_t rows() const { return std::int64_t{1} << n_wires; }
    constexpr std::int64_t n_outcomes() const { return std::int64_t{1} << n_outcome; }
    constexpr std::int64_t density_size() const { return 2 * dim() * dim(); }
    constexpr std::int64_t kept_size() const { return density_size(); }  // of a step, for the adjoint: rho before it
};

// The next memory is summed up in tiles of `side` x `side` elements of its lower half.
struct FactorTiles {
    std::int32_t side, per_row;
    constexpr explicit FactorTiles(const FactorSizes& s)
        : side(s.n_memory >= 5   ? 4
               : s.n_memory >= 1 ? 2
                                 : 1),
          per_row(static_cast<std::int32_t>(s.dim()) / side) {}
    constexpr std::int32_t count() const { return per_row * (per_row + 1) / 2; }
};

// Gates by angle (factor_source.cpp).
struct SlotGates {
    const std::int32_t *begin, *gates;
};

// Places of a team's numbers in its workspace, which is in shared memory where a team is one block and there is room.
// Complex numbers are pairs.
struct FactorLayout {
    std::int64_t trigs, matrices, status, rho, next, columns, cholesky, sums, norms, state;                 // forward
    std::int64_t other, lambda, next_lambda, weights, block_gradients, gradients, gate_gradients, waiting;  // adjoint
    std::int64_t size;

    // status[]: poison of even and of odd steps, whether rho is not positive.
    static constexpr std::int64_t n_status = 3;

    constexpr FactorLayout(const FactorSizes& s, std::int64_t real_bytes, std::int64_t width, std::int64_t team_blocks,
                           bool with_adjoint)
        : trigs(0),
          matrices(after(trigs, 2 * s.n_trigs)),
          status(after(matrices, 2 * s.n_entries)),
          rho(after(status, n_status)),
          next(after(rho, s.density_size())),
          columns(after(next, s.density_size())),
          cholesky(after(columns, s.density_size())),
          sums(after(cholesky, s.density_size() * 8 / real_bytes)),
          norms(after(sums, 2 * FactorTiles(s).count() * FactorTiles(s).side * FactorTiles(s).side * width)),
          state(after(norms, s.n_environment * width)),
          other(after(state, 2 * s.rows() * width)),
          lambda(after(other, with_adjoint ? 2 * s.rows() * width : 0)),
          next_lambda(after(lambda, with_adjoint ? s.density_size() : 0)),
          weights(after(next_lambda, with_adjoint ? s.density_size() : 0)),
          block_gradients(after(weights, with_adjoint ? s.n_outcomes() : 0)),
          gradients(after(block_gradients, with_adjoint ? 2 * s.n_entries * team_blocks : 0)),
          gate_gradients(after(gradients, with_adjoint ? 2 * s.n_entries : 0)),
          waiting(after(gate_gradients, with_adjoint ? s.n_gates : 0)),
          size(after(waiting, with_adjoint ? s.n_angles : 0)) {}

  private:
    static constexpr std::int64_t after(std::int64_t begin, std::int64_t n) { return (begin + n + 3) / 4 * 4; }
};

// Bytes of every block's own shared memory; the workspace stands behind them where it is in shared memory.
struct FactorScratch {
    static constexpr std::int64_t diagonal_parts = 32, gradient_parts = 16;
    std::int64_t values, places, phase, taken, matrix, room, parts, size;

    constexpr FactorScratch(const FactorSizes& s, std::int64_t real_bytes, std::int64_t threads, bool with_adjoint)
        : values(0),
          places(values + 8 * diagonal_parts),
          phase(places + 4 * diagonal_parts),
          taken(phase + 16),
          matrix((taken + 4 * s.dim() + 15) / 16 * 16),
          room(matrix + (with_adjoint ? 2 * real_bytes * s.most_entries : 0)),
          parts(room + (with_adjoint ? 2 * real_bytes * s.most_entries * threads : 0)),
          size((parts + (with_adjoint ? 2 * real_bytes * s.most_entries * gradient_parts : 0) + 15) / 16 * 16) {}
};

// `workspace`: for each team layout.size numbers; `kept`: for each T * kept_size(); `barriers`: for each team a counter
// that is zero, `barrier_stride` apart.
template <class Real>
struct FactorArguments : ExactArguments<Real> {
    static constexpr std::int64_t barrier_stride = 32;
    std::int64_t team_blocks;
    std::uint32_t* barriers;
};

}  // namespace cuda
}  // namespace qrnn
