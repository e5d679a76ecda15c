// Sampling, as Python sees it.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <complex>
#include <limits>
#include <numeric>
#include <optional>
#include <vector>

#include "bindings/calls.hpp"
#include "bindings/module.hpp"
#include "engines/budget.hpp"
#include "engines/trajectory/kernel.hpp"
#include "engines/trajectory/run.hpp"

namespace py = pybind11;

namespace qrnn {
namespace {

// What sets the random numbers of sequences apart: int64 (B,), or their rows.
std::vector<std::uint32_t> ids_of(const std::optional<TensorView>& given, std::int64_t n_sequences) {
    check_memory(4.0 * static_cast<double>(n_sequences), "the ids of all sequences", "ask for fewer sequences");
    std::vector<std::uint32_t> ids(static_cast<std::size_t>(n_sequences));
    std::iota(ids.begin(), ids.end(), 0u);
    if (!given) return ids;
    const auto* numbers = given->numbers<std::int64_t>("sequence_ids", {n_sequences});
    for (std::size_t i = 0; i < ids.size(); ++i) {
        if (numbers[i] < 0 || numbers[i] > std::numeric_limits<std::uint32_t>::max())
            throw py::value_error("sequence_ids must lie between 0 and 2^32 - 1, got " + std::to_string(numbers[i]));
        ids[i] = static_cast<std::uint32_t>(numbers[i]);
    }
    return ids;
}

void check_shots(int shots) {
    if (shots < 1) throw py::value_error("shots must be at least 1, got " + std::to_string(shots));
}

template <class Real>
py::object samples(const TrajectoryPlan& plan, const Shapes& shapes, const SampledBatch<Real>& batch, int threads,
                   bool averages) {
    const auto run = [&](const Samples<Real>& out) {
        py::gil_scoped_release release;
        run_sampling(plan, batch, threads, out, poll_signals);
    };
    if (!averages) {
        const NewTensor outcomes({shapes.n_sequences, batch.shots, shapes.n_steps}, data_type<std::int32_t>(),
                                 "the list of outcomes");
        run({static_cast<std::int32_t*>(outcomes.data), nullptr, nullptr});
        return outcomes.object;
    }
    const NewTensor frequencies(shapes.probabilities(), data_type<Real>(), "the list of frequencies");
    const NewTensor memory(shapes.memory(), data_type<std::complex<Real>>(), "the averaged memory");
    run({nullptr, static_cast<Real*>(frequencies.data), static_cast<Real*>(memory.data)});
    return py::make_tuple(frequencies.object, memory.object);
}

template <class Real>
py::object sample(const TrajectoryPlan& plan, const TensorView& angles, const std::optional<TensorView>& initial,
                  const std::optional<TensorView>& initial_weights, const std::optional<TensorView>& sequence_ids,
                  std::uint64_t seed, int shots, int threads, bool averages) {
    const Shapes shapes = shapes_of(plan, angles, threads);
    const std::int64_t n = shapes.n_sequences;
    const std::vector<std::uint32_t> ids = ids_of(sequence_ids, n);
    check_shots(shots);
    if (initial.has_value() != initial_weights.has_value())
        throw py::value_error("initial and initial_weights are given together or not at all");
    SampledBatch<Real> batch{};
    batch.n_sequences = n;
    batch.n_steps = shapes.n_steps;
    batch.angles = angles.numbers<Real>("angles", shapes.angles());
    if (initial) {
        const std::int64_t k = initial->n_dimensions() == 3 ? initial->size(1) : 0;
        if (k < 1 || k > shapes.dim)
            throw py::value_error("initial must have the shape (B, k, 2^m) with 1 <= k <= 2^m, got " +
                                  shape_text(initial->shape()));
        batch.initial =
            reinterpret_cast<const Real*>(initial->numbers<std::complex<Real>>("initial", {n, k, shapes.dim}));
        batch.initial_weights = initial_weights->numbers<double>("initial_weights", {n, k});
        batch.n_initial = static_cast<int>(k);
    }
    batch.sequence_ids = ids.data();
    batch.seed = seed;
    batch.shots = shots;
    return samples(plan, shapes, batch, threads, averages);
}

template <class Real>
py::object steps(const TensorView& probabilities, const std::optional<TensorView>& sequence_ids, std::uint64_t seed,
                 int shots, int threads, bool averages) {
    const Shape shape = probabilities.shape();
    if (shape.size() != 3 || shape[2] < 1 || shape[2] > std::int64_t{1} << 30)
        throw py::value_error("probabilities must have the shape (B, T, n) with 1 <= n <= 2^30, got " +
                              shape_text(shape));
    check_batch(probabilities, "probabilities");
    check_shots(shots);
    check_threads(threads);
    const std::vector<std::uint32_t> ids = ids_of(sequence_ids, shape[0]);
    const Real* p = probabilities.numbers<Real>("probabilities", shape);
    const NewTensor told =
        averages ? NewTensor(shape, data_type<Real>(), "the list of frequencies")
                 : NewTensor({shape[0], shots, shape[1]}, data_type<std::int32_t>(), "the list of outcomes");
    {
        py::gil_scoped_release release;
        sample_steps(p, shape[0], shape[1], shape[2], ids.data(), seed, shots, threads,
                     averages ? nullptr : static_cast<std::int32_t*>(told.data),
                     averages ? static_cast<Real*>(told.data) : nullptr);
    }
    return told.object;
}

}  // namespace

void register_sampling(py::module_& m) {
    py::class_<TrajectoryPlan>(m, "TrajectoryPlan")
        .def(py::init<const Circuit&>(), py::arg("circuit"))
        .def_property_readonly("operations", &TrajectoryPlan::operations)
        .def_property_readonly("active", &TrajectoryPlan::active)
        .def("workspace_bytes", &TrajectoryPlan::workspace_bytes, py::arg("bytes_per_number"))
        .def(
            "check_room",
            [](const TrajectoryPlan& plan, int shots) {
                check_shots(shots);
                const std::uint32_t id = 0;
                samples(plan, shapes_of(plan, 1, 0),
                        SampledBatch<double>{1, 0, nullptr, nullptr, nullptr, 0, &id, 0, shots}, 1, true);
            },
            py::arg("shots"));
    m.def(
        "sample",
        [](const TrajectoryPlan& plan, const TensorView& angles, const std::optional<TensorView>& initial,
           const std::optional<TensorView>& initial_weights, const std::optional<TensorView>& sequence_ids,
           std::uint64_t seed, int shots, int threads, bool averages) {
            const auto run = angles.is_float32("angles") ? sample<float> : sample<double>;
            return run(plan, angles, initial, initial_weights, sequence_ids, seed, shots, threads, averages);
        },
        py::arg("plan"), py::arg("angles"), py::arg("initial").none(true), py::arg("initial_weights").none(true),
        py::arg("sequence_ids").none(true), py::arg("seed"), py::arg("shots"), py::arg("threads"), py::arg("averages"));
    m.def(
        "sample_steps",
        [](const TensorView& probabilities, const std::optional<TensorView>& sequence_ids, std::uint64_t seed,
           int shots, int threads, bool averages) {
            const auto run = probabilities.is_float32("probabilities") ? steps<float> : steps<double>;
            return run(probabilities, sequence_ids, seed, shots, threads, averages);
        },
        py::arg("probabilities"), py::arg("sequence_ids").none(true), py::arg("seed"), py::arg("shots"),
        py::arg("threads"), py::arg("averages"));
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
