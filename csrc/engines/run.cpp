#include "engines/run.hpp"

#include <algorithm>
#include <atomic>

#include "engines/budget.hpp"
#include "engines/factor/kernel.hpp"
#include "engines/factor/plan.hpp"
#include "engines/pauli/kernel.hpp"
#include "engines/pauli/plan/plan.hpp"
#include "engines/threads.hpp"

namespace qrnn {
namespace {

void run_team(const Team& team, int n, Team::Task task, void* context) {
    for_each_slot(team.workers, [&](int worker) {
        for (int i = worker; i < n; i += team.workers) task(context, i, worker);
    });
}

// How the groups of a batch are handed out: batches of groups small enough that a slice lasts about a tenth of a
// second, and, where even one group per thread lasts longer, slices of steps.
struct Slicing {
    std::int64_t n_groups, groups_at_once, steps_at_once;
    int slots;    // groups that run at the same time
    int workers;  // threads that share a group's work

    template <class AnyPlan>
    Slicing(const AnyPlan& plan, std::int64_t n_sequences, std::int64_t n_steps, int lanes, bool takes_teams,
            int threads, double passes) {
        constexpr double slice_ns = 1e8, ns_per_operation = 1.0;  // of a lane vector, on the slow side
        n_groups = (n_sequences + lanes - 1) / lanes;
        const bool teams = takes_teams && 2 * n_groups <= threads;
        workers = teams ? threads : 1;
        slots = teams ? 1 : static_cast<int>(std::max<std::int64_t>(1, std::min<std::int64_t>(threads, n_groups)));
        const double step_ns = ns_per_operation * passes * (plan.operations() + 100);
        steps_at_once = std::max<std::int64_t>(1, static_cast<std::int64_t>(std::min(slice_ns / step_ns, 1e15)));
        const std::int64_t rounds = steps_at_once / std::max<std::int64_t>(1, n_steps);
        groups_at_once = slots * std::max<std::int64_t>(1, rounds);
    }
};

// A group of the batch kernel costs the same however few its sequences are.
template <class Real>
const PauliKernel<Real>& kernel_for(const PauliPlan&, std::int64_t n_sequences) {
    const PauliKernels<Real>& kernels = pauli_kernels<Real>();
    return 4 * n_sequences <= kernels.batch.lanes ? kernels.single : kernels.batch;
}

template <class Real>
const FactorKernel<Real>& kernel_for(const FactorPlan&, std::int64_t) {
    return factor_kernel<Real>();
}

template <class AnyPlan, class Real>
auto make_group(const AnyPlan& plan, const Batch<Real>& batch, int lanes, int workers, std::int64_t group) {
    Group<std::remove_cvref_t<decltype(plan.program())>, Real> g{};
    g.program = &plan.program();
    g.n_steps = batch.n_steps;
    g.team = {workers, run_team};
    g.n_sequences = static_cast<std::int32_t>(std::min<std::int64_t>(lanes, batch.n_sequences - group * lanes));
    g.angles = batch.angles + group * lanes * batch.n_steps * plan.n_angles();
    return g;
}

// Calls f(slot, group) for all groups from g0 to g1. Every slot has one of its own, whose state it holds where slices
// of steps follow each other, as there are no more than slots then; the others go to whichever slot is free.
template <class F>
void for_each_group(int slots, std::int64_t g0, std::int64_t g1, F f) {
    std::atomic<std::int64_t> next{g0 + slots};
    for_each_slot(slots, [&](int slot) {
        for (std::int64_t group = g0 + slot; group < g1; group = next.fetch_add(1, std::memory_order_relaxed))
            f(slot, group);
    });
}

}  // namespace

template <class AnyPlan, class Real>
void run_forward(const AnyPlan& plan, const Batch<Real>& batch, int threads, Real* probabilities, Real* memory_out,
                 const Poll& poll) {
    const auto& kernel = kernel_for<Real>(plan, batch.n_sequences);
    const Slicing slicing(plan, batch.n_sequences, batch.n_steps, kernel.lanes, kernel.takes_teams, threads, 1);
    const std::int64_t workspace = kernel.workspace_size(plan.program(), false, slicing.workers);
    check_memory(static_cast<double>(workspace) * slicing.slots * sizeof(Real), "the state of the sequences in flight",
                 "use fewer threads, or a circuit with fewer active qubits");
    AlignedArray<Real> workspaces(workspace * slicing.slots);
    const std::int64_t density = std::int64_t{2} << 2 * plan.n_memory(), outcomes = std::int64_t{1} << plan.n_outcome();

    for (std::int64_t g0 = 0; g0 < slicing.n_groups; g0 += slicing.groups_at_once) {
        const std::int64_t g1 = std::min(slicing.n_groups, g0 + slicing.groups_at_once);
        std::int64_t first = 0;
        do {
            const std::int64_t last = std::min(batch.n_steps, first + slicing.steps_at_once);
            for_each_group(slicing.slots, g0, g1, [&](int slot, std::int64_t index) {
                auto g = make_group(plan, batch, kernel.lanes, slicing.workers, index);
                const std::int64_t sequence = index * kernel.lanes;
                g.workspace = workspaces.get() + slot * workspace;
                g.probabilities = probabilities + sequence * batch.n_steps * outcomes;
                if (first == 0) kernel.begin(g, batch.memory ? batch.memory + sequence * density : nullptr);
                kernel.forward(g, first, last);
                if (last == batch.n_steps) kernel.finish(g, memory_out + sequence * density);
            });
            poll();
            first = last;
        } while (first < batch.n_steps);
    }
}

template <class AnyPlan, class Real>
void run_adjoint(const AnyPlan& plan, const Batch<Real>& batch, int threads, const Real* grad_probabilities,
                 const Real* grad_memory_out, Real* grad_angles, Real* grad_memory, const Poll& poll) {
    const auto& kernel = kernel_for<Real>(plan, batch.n_sequences);
    const Slicing slicing(plan, batch.n_sequences, batch.n_steps, kernel.lanes, kernel.takes_teams, threads, 4);
    const std::int64_t workspace = kernel.workspace_size(plan.program(), true, slicing.workers);
    const std::int64_t kept = kernel.kept_size(plan.program()) * std::max<std::int64_t>(1, batch.n_steps);
    check_memory(static_cast<double>(workspace + kept) * slicing.slots * sizeof(Real),
                 "the adjoint pass, which keeps the memory of every step,",
                 "cut the sequence into pieces and hand the memory on, use fewer threads, or float32");
    AlignedArray<Real> workspaces(workspace * slicing.slots), keeps(kept * slicing.slots);
    const std::int64_t density = std::int64_t{2} << 2 * plan.n_memory(), outcomes = std::int64_t{1} << plan.n_outcome();

    for (std::int64_t g0 = 0; g0 < slicing.n_groups; g0 += slicing.groups_at_once) {
        const std::int64_t g1 = std::min(slicing.n_groups, g0 + slicing.groups_at_once);
        // Forward slices, then the same slices backward; where a slice holds all steps, both in one go.
        const std::int64_t n_slices =
            std::max<std::int64_t>(1, (batch.n_steps + slicing.steps_at_once - 1) / slicing.steps_at_once);
        const auto run = [&](std::int64_t slice, bool forward, bool backward) {
            const std::int64_t first = slice * slicing.steps_at_once;
            const std::int64_t last = std::min(batch.n_steps, first + slicing.steps_at_once);
            for_each_group(slicing.slots, g0, g1, [&](int slot, std::int64_t index) {
                auto g = make_group(plan, batch, kernel.lanes, slicing.workers, index);
                const std::int64_t sequence = index * kernel.lanes;
                g.workspace = workspaces.get() + slot * workspace;
                g.kept = keeps.get() + slot * kept;
                if (forward) {
                    if (first == 0) kernel.begin(g, batch.memory ? batch.memory + sequence * density : nullptr);
                    kernel.forward(g, first, last);
                }
                if (backward) {
                    if (last == batch.n_steps)
                        kernel.adjoint_begin(g, grad_memory_out ? grad_memory_out + sequence * density : nullptr);
                    kernel.adjoint(g, first, last, grad_probabilities + sequence * batch.n_steps * outcomes,
                                   grad_angles + sequence * batch.n_steps * plan.n_angles());
                    if (first == 0) kernel.adjoint_finish(g, grad_memory + sequence * density);
                }
            });
            poll();
        };
        for (std::int64_t slice = 0; slice + 1 < n_slices; ++slice) run(slice, true, false);
        run(n_slices - 1, true, true);
        for (std::int64_t slice = n_slices - 1; slice-- > 0;) run(slice, false, true);
    }
}

#define QRNN_INSTANTIATE(AnyPlan, Real)                                                                        \
    template void run_forward(const AnyPlan&, const Batch<Real>&, int, Real*, Real*, const Poll&);             \
    template void run_adjoint(const AnyPlan&, const Batch<Real>&, int, const Real*, const Real*, Real*, Real*, \
                              const Poll&);
QRNN_INSTANTIATE(PauliPlan, float)
QRNN_INSTANTIATE(PauliPlan, double)
QRNN_INSTANTIATE(FactorPlan, float)
QRNN_INSTANTIATE(FactorPlan, double)
#undef QRNN_INSTANTIATE

}  // namespace qrnn
