// Whole batches of sequences, sampled.
#pragma once

#include <cstdint>

#include "engines/run.hpp"
#include "engines/trajectory/plan.hpp"

namespace qrnn {

// Row-major arrays of the caller: angles (B, T, A); initial states (B, K, 2^m, 2), the eigenvectors of the memories,
// with cumulative weights (B, K), both null for |0..0>; sequence ids (B,).
template <class Real>
struct SampledBatch {
    std::int64_t n_sequences, n_steps;
    const Real* angles;
    const Real* initial;
    const double* initial_weights;
    int n_initial;
    const std::uint32_t* sequence_ids;
    std::uint64_t seed;
    int shots;
};

// Null where something is not wanted. Outcomes (B, shots, T), frequencies (B, T, 2^r), the memory averaged over the
// shots (B, 2^m, 2^m, 2); the last two are NaN from the first step on at which an angle is not finite.
template <class Real>
struct Samples {
    std::int32_t* outcomes;
    Real *frequencies, *memory;
};

// The same for any number of threads. Throws std::invalid_argument, naming the bytes, where the work would not fit into
// the machine's memory.
template <class Real>
void run_sampling(const TrajectoryPlan& plan, const SampledBatch<Real>& batch, int threads, const Samples<Real>& out,
                  const Poll& poll);

// Outcomes (B, shots, T) drawn step by step from probabilities (B, T, n), each step by itself, with the random numbers
// of draw 0; or how often each was drawn, over the shots, (B, T, n).
template <class Real>
void sample_steps(const Real* probabilities, std::int64_t n_sequences, std::int64_t n_steps, std::int64_t n,
                  const std::uint32_t* sequence_ids, std::uint64_t seed, int shots, int threads, std::int32_t* outcomes,
                  Real* frequencies);

}  // namespace qrnn
