// The trajectory engine on a GPU: what host and device agree on.
//
// Three kernels: trajectory_tables makes the tables of all sequences and steps (engines/trajectory/tables.inl), a
// thread for each element of a step; trajectory_shots runs one shot on each thread, and no thread waits for another;
// trajectory_memory averages the final states.
//
// The threads of a warp have a workspace together, number `place` of lane l at place * warp + l, so that neighbouring
// threads read neighbouring words.
#pragma once

#include <cstdint>

namespace qrnn {
namespace cuda {

constexpr int warp = 32;

struct TrajectorySizes {
    std::int32_t n_angles, n_memory, n_outcome;
    std::int32_t rows;           // of a state, at most
    std::int32_t n_states;       // a second one where some element does not leave the state in its place
    std::int32_t most_branches;  // of a draw
    std::int32_t most_entries;   // of a matrix from the wires before to all wires of an element
    std::int32_t step_table, finish_table;

    static constexpr std::int64_t max_rows = std::int64_t{1} << 24;  // 2 * row * warp fits into 31 bits

    // Numbers of a shot's workspace, and of a sequence's tables.
    constexpr std::int64_t state_size() const { return 2 * std::int64_t{rows}; }
    constexpr std::int64_t workspace_size() const { return n_states * state_size() + most_branches; }
    constexpr std::int64_t table_size(std::int64_t n_steps) const { return n_steps * step_table + finish_table; }
    constexpr std::int64_t dim() const { return std::int64_t{1} << n_memory; }
};

// Row-major arrays as in engines/trajectory/run.hpp; `initial` null for |0..0>, outcomes, counts and states null where
// they are not wanted. The shots are first_shot .. first_shot + n_shots - 1.
template <class Real>
struct TrajectoryArguments {
    std::int64_t n_sequences, n_steps, first_shot, n_shots, n_initial;
    std::uint64_t seed;
    const Real* angles;                // (B, T, A)
    const Real* initial;               // (B, K, 2^m, 2)
    const double* initial_weights;     // (B, K)
    const std::int64_t* sequence_ids;  // (B,)
    Real* tables;                      // (B, table_size)
    std::int32_t* outcomes;            // (B, n_shots, T)
    std::int32_t* counts;              // (B, T, 2^r), added to
    Real* states;                      // (B, n_shots, 2^m, 2)
    Real* memory;                      // (B, 2^m, 2^m, 2), sums over the shots; added to where first_shot > 0
    Real* workspace;                   // workspace_size() numbers per thread, null where shared memory holds them
};

}  // namespace cuda
}  // namespace qrnn
