// The trajectory engine's kernels, one per instruction set and precision.
//
// Lanes are shots of one sequence.
#pragma once

#include <cstdint>

#include "engines/trajectory/program.hpp"

namespace qrnn {

// Some shots of one sequence. Tables as made by TrajectoryKernel::tables.
template <class Real>
struct ShotGroup {
    const TrajectoryProgram* program;
    Real* workspace;  // workspace_size() numbers, aligned to 64 bytes
    std::int64_t n_steps;
    const Real *tables, *finish_table;  // (T, step.table_size), (finish.table_size)
    // Eigenvectors of the initial memory (n_initial, 2^m, 2) and their cumulative weights; null for |0..0>.
    const Real* initial;
    const double* initial_weights;
    std::int32_t n_initial;
    std::uint64_t seed;
    std::uint32_t sequence, first_shot;
    std::int32_t n_shots;    // 1 .. shots_at_once
    std::int32_t* outcomes;  // (n_shots, T), null where they are not wanted
    std::int32_t* counts;    // (T, 2^r), added to; null where they are not wanted
    Real* states;            // of the memory at the end, (2^m, 2, states_stride), from the first shot's on; may be null
    std::int64_t states_stride;
    bool (*given_up)(void* context);  // asked now and then; the work ends where the answer is yes
    void* context;
};

template <class Real>
struct TrajectoryKernel {
    int (*shots_at_once)(const TrajectoryProgram&);
    std::int64_t (*workspace_size)(const TrajectoryProgram&);
    std::int64_t (*table_workspace_size)(const TrajectoryProgram&);
    // Of the steps first .. last - 1 of a sequence; with `finish`, of the carried gates after the last step.
    void (*tables)(const TrajectoryProgram&, bool finish, const Real* angles, std::int64_t n_steps, std::int64_t first,
                   std::int64_t last, Real* workspace, Real* tables);
    void (*run)(const ShotGroup<Real>&);
    // Row `row` of the lower triangle of sum_shots |psi><psi| is added to rho (2^m, 2^m, 2), or set where `first`;
    // states (2^m, 2, stride).
    void (*add_density_row)(const Real* states, std::int64_t stride, std::int64_t n_shots, std::int64_t dim,
                            std::int64_t row, bool first, Real* rho);
    // The number of draw 0 for shots 0 .. n - 1, in [0, 1).
    void (*uniforms)(std::uint64_t seed, std::uint32_t sequence, std::uint32_t step, int n, double* out);
    // One block of Philox4x32-10.
    void (*philox)(std::uint64_t key, const std::uint32_t* counter, std::uint32_t* out);
};

// The kernel of the instruction set chosen when the module was loaded.
template <class Real>
const TrajectoryKernel<Real>& trajectory_kernel();

}  // namespace qrnn
