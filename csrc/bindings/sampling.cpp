// Sampling, as Python sees it.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <optional>

#include "bindings/arrays.hpp"
#include "bindings/module.hpp"
#include "engines/trajectory/kernel.hpp"
#include "engines/trajectory/run.hpp"

namespace py = pybind11;

namespace qrnn {
namespace {

using Ids = py::array_t<std::uint32_t, py::array::c_style>;

// A new array where it is wanted, else None.
template <class Number>
py::object array_of(bool wanted, const char* what, const std::vector<py::ssize_t>& shape, Number*& data) {
    if (!wanted) return py::none();
    py::array_t<Number> array = new_array<Number>(shape, what);
    data = array.mutable_data();
    return array;
}

void check_ids(const Ids& ids, py::ssize_t n_sequences) {
    if (shape_of(ids) != std::vector<py::ssize_t>{n_sequences})
        throw py::value_error("sequence_ids must have the shape " + shape_text({n_sequences}) + ", got " +
                              shape_text(shape_of(ids)));
    check_contiguous(ids, "sequence_ids");
}

void check_shots(int shots) {
    if (shots < 1) throw py::value_error("shots must be at least 1, got " + std::to_string(shots));
}

template <class Real>
py::object sample(const TrajectoryPlan& plan, const py::array& angles, const std::optional<py::array>& initial,
                  const std::optional<py::array>& initial_weights, const Ids& ids, std::uint64_t seed, int shots,
                  int threads, bool averages) {
    const Shapes shapes = shapes_of(plan, angles, threads);
    const py::ssize_t n = shapes.n_sequences, n_steps = shapes.n_steps;
    check_ids(ids, n);
    check_shots(shots);
    if (initial.has_value() != initial_weights.has_value())
        throw py::value_error("initial and initial_weights are given together or not at all");
    SampledBatch<Real> batch{};
    batch.n_sequences = n;
    batch.n_steps = n_steps;
    batch.angles = checked<Real>(angles, "angles", shapes.angles());
    if (initial) {
        const py::ssize_t k = initial->ndim() == 4 ? initial->shape(1) : 0;
        if (k < 1 || k > shapes.dim)
            throw py::value_error("initial must have the shape (B, k, 2^m, 2) with 1 <= k <= 2^m, got " +
                                  shape_text(shape_of(*initial)));
        batch.initial = checked<Real>(*initial, "initial", {n, k, shapes.dim, 2});
        batch.initial_weights = checked<double>(*initial_weights, "initial_weights", {n, k});
        batch.n_initial = static_cast<int>(k);
    }
    batch.sequence_ids = ids.data();
    batch.seed = seed;
    batch.shots = shots;
    Samples<Real> out{};
    const py::object outcomes = array_of(!averages, "the list of outcomes", {n, shots, n_steps}, out.outcomes);
    const py::object frequencies =
        array_of(averages, "the list of frequencies", shapes.probabilities(), out.frequencies);
    const py::object memory = array_of(averages, "the averaged memory", shapes.memory(), out.memory);
    {
        py::gil_scoped_release release;
        run_sampling(plan, batch, threads, out, poll_signals);
    }
    return averages ? py::object(py::make_tuple(frequencies, memory)) : outcomes;
}

template <class Real>
py::object steps(const py::array& probabilities, const Ids& ids, std::uint64_t seed, int shots, int threads,
                 bool averages) {
    const std::vector<py::ssize_t> shape = shape_of(probabilities);
    if (shape.size() != 3 || shape[2] < 1 || shape[2] > std::int64_t{1} << 30)
        throw py::value_error("probabilities must have the shape (B, T, n) with 1 <= n <= 2^30, got " +
                              shape_text(shape));
    check_batch(probabilities, "probabilities");
    check_ids(ids, shape[0]);
    check_shots(shots);
    check_threads(threads);
    const Real* p = checked<Real>(probabilities, "probabilities", shape);
    std::int32_t* outcomes = nullptr;
    Real* frequencies = nullptr;
    py::object result = averages ? array_of(true, "the list of frequencies", shape, frequencies)
                                 : array_of(true, "the list of outcomes", {shape[0], shots, shape[1]}, outcomes);
    {
        py::gil_scoped_release release;
        sample_steps(p, shape[0], shape[1], shape[2], ids.data(), seed, shots, threads, outcomes, frequencies);
    }
    return result;
}

}  // namespace

void register_sampling(py::module_& m) {
    py::class_<TrajectoryPlan>(m, "TrajectoryPlan")
        .def(py::init<const Circuit&>(), py::arg("circuit"))
        .def_property_readonly("operations", &TrajectoryPlan::operations)
        .def_property_readonly("active", &TrajectoryPlan::active)
        .def("workspace_bytes", &TrajectoryPlan::workspace_bytes, py::arg("bytes_per_number"));
    m.def(
        "sample",
        [](const TrajectoryPlan& plan, const py::array& angles, const std::optional<py::array>& initial,
           const std::optional<py::array>& initial_weights, const Ids& ids, std::uint64_t seed, int shots, int threads,
           bool averages) {
            const auto run = is_float32(angles) ? sample<float> : sample<double>;
            return run(plan, angles, initial, initial_weights, ids, seed, shots, threads, averages);
        },
        py::arg("plan"), py::arg("angles"), py::arg("initial").none(true), py::arg("initial_weights").none(true),
        py::arg("sequence_ids"), py::arg("seed"), py::arg("shots"), py::arg("threads"), py::arg("averages"));
    m.def(
        "sample_steps",
        [](const py::array& probabilities, const Ids& ids, std::uint64_t seed, int shots, int threads, bool averages) {
            const auto run = is_float32(probabilities) ? steps<float> : steps<double>;
            return run(probabilities, ids, seed, shots, threads, averages);
        },
        py::arg("probabilities"), py::arg("sequence_ids"), py::arg("seed"), py::arg("shots"), py::arg("threads"),
        py::arg("averages"));
    m.def(
        "philox",
        [](std::uint64_t key, const std::array<std::uint32_t, 4>& counter) {
            std::array<std::uint32_t, 4> out;
            trajectory_kernel<double>().philox(key, counter.data(), out.data());
            return out;
        },
        py::arg("key"), py::arg("counter"));
}

}  // namespace qrnn
