// The Pauli engine's kernels, one set per instruction set and precision.
//
// A kernel runs one group of up to `lanes` sequences. All arithmetic is vertical, so a sequence's numbers do not depend
// on its lane, on its neighbours or on the number of threads.
#pragma once

#include <cstdint>

#include "plan/program.hpp"

namespace qrnn {

// Arrays of the caller are row-major: angles (sequence, step, slot), probabilities (sequence, step, outcome), memory
// (sequence, row, column, real and imaginary part).
template <class Real>
struct PauliGroup {
    const PauliProgram* program;
    Real* workspace;           // workspace_size() numbers, aligned to 64 bytes
    std::int64_t n_steps;      // T: steps between two sequences' first angles
    std::int32_t n_sequences;  // 1 .. lanes
    const Real* angles;
    Real* probabilities;  // may be null in the adjoint pass
    Real* kept;           // kept_size() numbers per step where an adjoint pass will follow, else null
};

template <class Real>
struct PauliKernel {
    int lanes;
    std::int64_t (*workspace_size)(const PauliProgram&, bool adjoint);
    std::int64_t (*kept_size)(const PauliProgram&);

    // Sets the state from density matrices, or to |0..0> where `memory` is null.
    void (*begin)(const PauliGroup<Real>&, const Real* memory);
    // Steps first .. last - 1.
    void (*forward)(const PauliGroup<Real>&, std::int64_t first, std::int64_t last);
    // Writes the density matrices after the last step.
    void (*finish)(const PauliGroup<Real>&, Real* memory);

    // After forward() with `kept`: the adjoint of finish(), `grad_memory` being null for zero; then of the steps, last
    // first; then of begin().
    void (*adjoint_begin)(const PauliGroup<Real>&, const Real* grad_memory);
    void (*adjoint)(const PauliGroup<Real>&, std::int64_t first, std::int64_t last, const Real* grad_probabilities,
                    Real* grad_angles);
    void (*adjoint_finish)(const PauliGroup<Real>&, Real* grad_memory);
};

// `batch` runs one sequence per lane. `single` runs one sequence alone (its `lanes` is 1): coefficients of several
// steps side by side, since they do not depend on the state, and columns of the state four at a time.
template <class Real>
struct PauliKernels {
    PauliKernel<Real> batch, single;
};

// The kernels of the instruction set chosen when the module was loaded.
template <class Real>
const PauliKernels<Real>& pauli_kernels();

}  // namespace qrnn
