// What an engine hands to the driver (run.hpp): functions that take a group of sequences through all steps.
//
// A kernel runs a group of up to `lanes` sequences. A sequence's numbers do not depend on its lane, on its neighbours
// or on the number of threads.
#pragma once

#include <cstdint>

namespace qrnn {

// Runs task(context, i, worker) for i = 0 .. n - 1 on several threads, each with a worker number of its own below
// `workers`.
struct Team {
    using Task = void (*)(void* context, int i, int worker);
    int workers;
    void (*run)(const Team&, int n, Task task, void* context);
};

// Arrays of the caller are row-major: angles (sequence, step, slot), probabilities (sequence, step, outcome), memory
// (sequence, row, column, real and imaginary part).
template <class Program, class Real>
struct Group {
    const Program* program;
    Real* workspace;           // workspace_size() numbers, aligned to 64 bytes
    std::int64_t n_steps;      // T: steps between two sequences' first angles
    std::int32_t n_sequences;  // 1 .. lanes
    const Real* angles;
    Real* probabilities;  // may be null in the adjoint pass
    Real* kept;           // kept_size() numbers per step where an adjoint pass will follow, else null
    Team team;            // for kernels that can share a group's work; else of one worker
};

template <class Program, class Real>
struct Kernel {
    int lanes;
    bool takes_teams;
    std::int64_t (*workspace_size)(const Program&, bool adjoint, int workers);
    std::int64_t (*kept_size)(const Program&);

    // Sets the state from density matrices, or to |0..0> where `memory` is null.
    void (*begin)(const Group<Program, Real>&, const Real* memory);
    // Steps first .. last - 1.
    void (*forward)(const Group<Program, Real>&, std::int64_t first, std::int64_t last);
    // Writes the density matrices after the last step.
    void (*finish)(const Group<Program, Real>&, Real* memory);

    // After forward() with `kept`: the adjoint of finish(), `grad_memory` being null for zero; then of the steps, last
    // first; then of begin().
    void (*adjoint_begin)(const Group<Program, Real>&, const Real* grad_memory);
    void (*adjoint)(const Group<Program, Real>&, std::int64_t first, std::int64_t last, const Real* grad_probabilities,
                    Real* grad_angles);
    void (*adjoint_finish)(const Group<Program, Real>&, Real* grad_memory);
};

}  // namespace qrnn
