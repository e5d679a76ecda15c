// Whole batches through an engine: groups over threads, in slices short enough to be interrupted.
#pragma once

#include <cstdint>
#include <functional>

namespace qrnn {

// Called between slices, outside of any parallel region; an exception it throws ends the run.
using Poll = std::function<void()>;

// Row-major arrays of the caller: angles (B, T, A), probabilities (B, T, 2^r), memories (B, 2^m, 2^m, 2). Null: |0..0>
// for `memory`, zero for `grad_memory_out`.
template <class Real>
struct Batch {
    std::int64_t n_sequences, n_steps;
    const Real* angles;
    const Real* memory;
};

// AnyPlan: PauliPlan or FactorPlan. Throws std::invalid_argument, naming the bytes, where the work would not fit into
// the machine's memory.
template <class AnyPlan, class Real>
void run_forward(const AnyPlan& plan, const Batch<Real>& batch, int threads, Real* probabilities, Real* memory_out,
                 const Poll& poll);

template <class AnyPlan, class Real>
void run_adjoint(const AnyPlan& plan, const Batch<Real>& batch, int threads, const Real* grad_probabilities,
                 const Real* grad_memory_out, Real* grad_angles, Real* grad_memory, const Poll& poll);

}  // namespace qrnn
