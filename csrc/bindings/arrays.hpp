// Checks of the arrays that Python hands over.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <algorithm>
#include <string>
#include <vector>

#include "engines/budget.hpp"

namespace qrnn {

// More threads than the system gives out would end the process, without an exception.
constexpr int max_threads = 1024;
// Sizes are multiplied as 64-bit numbers.
constexpr pybind11::ssize_t max_sequences_and_steps = 2147483647;

inline std::string shape_text(const std::vector<pybind11::ssize_t>& shape) {
    std::string text = "(";
    for (size_t i = 0; i < shape.size(); ++i) text += (i ? ", " : "") + std::to_string(shape[i]);
    return text + ")";
}

inline std::vector<pybind11::ssize_t> shape_of(const pybind11::array& a) { return {a.shape(), a.shape() + a.ndim()}; }

// Engines read rows of numbers where they lie.
inline void check_contiguous(const pybind11::array& array, const char* name) {
    constexpr int wanted = int{pybind11::array::c_style} | int{pybind11::detail::npy_api::NPY_ARRAY_ALIGNED_};
    if ((array.flags() & wanted) != wanted)
        throw pybind11::value_error(std::string(name) + " must be C-contiguous and aligned");
}

template <class Real>
const Real* checked(const pybind11::array& array, const char* name, const std::vector<pybind11::ssize_t>& shape) {
    if (!array.dtype().is(pybind11::dtype::of<Real>()))
        throw pybind11::type_error(std::string(name) + " must have the dtype of the angles, " +
                                   pybind11::str(pybind11::dtype::of<Real>()).cast<std::string>() + ", got " +
                                   pybind11::str(array.dtype()).cast<std::string>());
    if (shape_of(array) != shape)
        throw pybind11::value_error(std::string(name) + " must have the shape " + shape_text(shape) + ", got " +
                                    shape_text(shape_of(array)));
    check_contiguous(array, name);
    return static_cast<const Real*>(array.data());
}

inline bool is_float32(const pybind11::array& angles) {
    if (angles.dtype().is(pybind11::dtype::of<float>())) return true;
    if (angles.dtype().is(pybind11::dtype::of<double>())) return false;
    throw pybind11::type_error("angles must be float32 or float64, got " +
                               pybind11::str(angles.dtype()).cast<std::string>());
}

// A new array, where there is room for it; `what` names it if not.
template <class Number>
pybind11::array_t<Number> new_array(const std::vector<pybind11::ssize_t>& shape, const char* what) {
    double bytes = sizeof(Number);
    for (pybind11::ssize_t n : shape) bytes *= static_cast<double>(n);
    check_memory(bytes, what, "ask for fewer sequences, steps or shots, or carry and measure fewer qubits");
    return pybind11::array_t<Number>(shape);
}

inline void check_threads(int threads) {
    if (threads < 1 || threads > max_threads)
        throw pybind11::value_error("threads must lie in 1.." + std::to_string(max_threads) + ", got " +
                                    std::to_string(threads));
}

// The first two dimensions of an array: B sequences of T steps.
inline void check_batch(const pybind11::array& array, const char* name) {
    if (std::max(array.shape(0), array.shape(1)) > max_sequences_and_steps)
        throw pybind11::value_error(std::string(name) + " may have at most " + std::to_string(max_sequences_and_steps) +
                                    " sequences and steps, got the shape " + shape_text(shape_of(array)));
}

struct Shapes {
    pybind11::ssize_t n_sequences, n_steps, n_angles, n_outcomes, dim;
    std::vector<pybind11::ssize_t> angles() const { return {n_sequences, n_steps, n_angles}; }
    std::vector<pybind11::ssize_t> probabilities() const { return {n_sequences, n_steps, n_outcomes}; }
    std::vector<pybind11::ssize_t> memory() const { return {n_sequences, dim, dim, 2}; }
};

template <class AnyPlan>
Shapes shapes_of(const AnyPlan& plan, const pybind11::array& angles, int threads) {
    if (angles.ndim() != 3 || angles.shape(2) != plan.n_angles())
        throw pybind11::value_error("angles must have the shape (B, T, " + std::to_string(plan.n_angles()) + "), got " +
                                    shape_text(shape_of(angles)));
    check_batch(angles, "angles");
    check_threads(threads);
    return {angles.shape(0), angles.shape(1), plan.n_angles(), pybind11::ssize_t{1} << plan.n_outcome(),
            pybind11::ssize_t{1} << plan.n_memory()};
}

// Ctrl-C is noticed between slices of the work: asked for on the calling thread, with the GIL.
inline void poll_signals() {
    pybind11::gil_scoped_acquire gil;
    if (PyErr_CheckSignals() != 0) throw pybind11::error_already_set();
}

}  // namespace qrnn
