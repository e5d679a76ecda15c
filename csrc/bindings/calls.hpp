// Checks that calls of several engines share.
#pragma once

#include <pybind11/pybind11.h>

#include <algorithm>
#include <string>

#include "bindings/tensors.hpp"

namespace qrnn {

// More threads than the system gives out would end the process, without an exception.
constexpr int max_threads = 1024;
// Sizes are multiplied as 64-bit numbers.
constexpr std::int64_t max_sequences_and_steps = 2147483647;

inline void check_threads(int threads) {
    if (threads < 1 || threads > max_threads)
        throw pybind11::value_error("threads must lie in 1.." + std::to_string(max_threads) + ", got " +
                                    std::to_string(threads));
}

// The first two dimensions of a tensor: B sequences of T steps.
inline void check_batch(const TensorView& tensor, const char* name) {
    if (std::max(tensor.size(0), tensor.size(1)) > max_sequences_and_steps)
        throw pybind11::value_error(std::string(name) + " may have at most " + std::to_string(max_sequences_and_steps) +
                                    " sequences and steps, got the shape " + shape_text(tensor.shape()));
}

struct Shapes {
    std::int64_t n_sequences, n_steps, n_angles, n_outcomes, dim;
    Shape angles() const { return {n_sequences, n_steps, n_angles}; }
    Shape probabilities() const { return {n_sequences, n_steps, n_outcomes}; }
    Shape memory() const { return {n_sequences, dim, dim}; }
};

template <class AnyPlan>
Shapes shapes_of(const AnyPlan& plan, std::int64_t n_sequences, std::int64_t n_steps) {
    return {n_sequences, n_steps, plan.n_angles(), std::int64_t{1} << plan.n_outcome(),
            std::int64_t{1} << plan.n_memory()};
}

template <class AnyPlan>
Shapes shapes_of(const AnyPlan& plan, const TensorView& angles, int threads) {
    if (angles.n_dimensions() != 3 || angles.size(2) != plan.n_angles())
        throw pybind11::value_error("angles must have the shape (B, T, " + std::to_string(plan.n_angles()) + "), got " +
                                    shape_text(angles.shape()));
    check_batch(angles, "angles");
    check_threads(threads);
    return shapes_of(plan, angles.size(0), angles.size(1));
}

// Ctrl-C is noticed between slices of the work: asked for on the calling thread, with the GIL.
inline void poll_signals() {
    pybind11::gil_scoped_acquire gil;
    if (PyErr_CheckSignals() != 0) throw pybind11::error_already_set();
}

}  // namespace qrnn
