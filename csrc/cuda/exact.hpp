// What both exact engines' kernels are handed.
#pragma once

#include <cstdint>

namespace qrnn {
namespace cuda {

// Row-major arrays of the caller as in engines/run.hpp; memories are (B, 2^m, 2^m, 2), null for |0..0> or for a
// gradient of zero. `workspace` is null where shared memory holds it.
template <class Real>
struct ExactArguments {
    std::int64_t n_sequences, n_steps;
    const Real* angles;
    const Real* memory;
    Real* probabilities;
    Real* memory_out;
    const Real* grad_probabilities;
    const Real* grad_memory_out;
    Real* grad_angles;
    Real* grad_memory;
    Real* workspace;
    Real* kept;
};

}  // namespace cuda
}  // namespace qrnn
