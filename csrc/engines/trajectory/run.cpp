#include "engines/trajectory/run.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <exception>
#include <limits>
#include <vector>

#include "engines/budget.hpp"
#include "engines/threads.hpp"
#include "engines/trajectory/kernel.hpp"

namespace qrnn {
namespace {

// Asks on the calling thread, a few times a second, whether to go on; tells the others.
class Interruption {
  public:
    explicit Interruption(const Poll& poll) : poll_(poll), last_(Clock::now()) {}

    bool given_up(int slot) {
        if (slot == 0 && !stop_ && Clock::now() - last_ > std::chrono::milliseconds(100)) {
            try {
                poll_();
            } catch (...) {
                error_ = std::current_exception();
                stop_ = true;
            }
            last_ = Clock::now();
        }
        return stop_;
    }
    void rethrow() const {
        if (error_) std::rethrow_exception(error_);
    }

  private:
    using Clock = std::chrono::steady_clock;
    const Poll& poll_;
    Clock::time_point last_;
    std::atomic<bool> stop_{false};
    std::exception_ptr error_;
};

struct Asking {
    Interruption* interruption;
    int slot;
};

bool given_up(void* context) {
    const auto* asking = static_cast<const Asking*>(context);
    return asking->interruption->given_up(asking->slot);
}

// How the work is cut: sequences in rounds, a sequence's shots in slices, so that sums over shots are the same sums
// whatever the number of threads.
struct Cutting {
    static constexpr std::int64_t shots_per_slice = 256, slices_per_sum = 16, steps_per_task = 64;
    std::int64_t n_slices, sequences_at_once;
    int slots;

    Cutting(std::int64_t n_sequences, std::int64_t n_steps, int shots, int threads, double bytes_per_sequence)
        : n_slices((shots + shots_per_slice - 1) / shots_per_slice) {
        constexpr double comfortable = 64e6;  // bytes
        const auto room = static_cast<std::int64_t>(std::max(1.0, comfortable / std::max(1.0, bytes_per_sequence)));
        sequences_at_once = std::max<std::int64_t>(1, std::min({n_sequences, room, std::int64_t{4} * threads}));
        const std::int64_t tasks =
            sequences_at_once * std::max(n_slices, (n_steps + steps_per_task - 1) / steps_per_task);
        slots = static_cast<int>(std::clamp<std::int64_t>(tasks, 1, threads));
    }
};

template <class Real>
class Sampling {
  public:
    Sampling(const TrajectoryPlan& plan, const SampledBatch<Real>& batch, int threads, const Samples<Real>& out,
             const Poll& poll)
        : p_(plan.program()),
          kernel_(trajectory_kernel<Real>()),
          batch_(batch),
          out_(out),
          interruption_(poll),
          n_outcomes_(std::int64_t{1} << p_.n_outcome),
          dim_(std::int64_t{1} << p_.n_memory),
          table_size_(batch.n_steps * p_.step.table_size + p_.finish.table_size),
          shots_in_sum_(std::min<std::int64_t>(batch.shots, Cutting::shots_per_slice * Cutting::slices_per_sum)),
          states_size_(out.memory ? 2 * dim_ * shots_in_sum_ : 0),
          counts_size_(out.frequencies ? batch.n_steps * n_outcomes_ : 0),
          cutting_(batch.n_sequences, batch.n_steps, batch.shots, threads, bytes_per_sequence(threads)),
          workspace_(std::max(kernel_.workspace_size(p_), kernel_.table_workspace_size(p_))) {
        const double bytes = static_cast<double>(workspace_) * cutting_.slots * sizeof(Real) +
                             static_cast<double>(cutting_.sequences_at_once) * bytes_per_sequence(cutting_.slots);
        check_memory(bytes, "sampling this circuit",
                     "use fewer threads, fewer steps, float32, or a circuit with fewer active qubits");
    }

    void run() {
        const std::int64_t at_once = cutting_.sequences_at_once;
        AlignedArray<Real> workspaces(workspace_ * cutting_.slots), tables(table_size_ * at_once),
            states(states_size_ * at_once);
        std::vector<std::int32_t> counts(static_cast<size_t>(counts_size_ * at_once * cutting_.slots));
        for (std::int64_t first = 0; first < batch_.n_sequences; first += at_once) {
            const std::int64_t n = std::min(at_once, batch_.n_sequences - first);
            make_tables(first, n, workspaces.get(), tables.get());
            std::fill(counts.begin(), counts.end(), 0);
            for (std::int64_t slice = 0; slice < cutting_.n_slices; slice += Cutting::slices_per_sum) {
                const std::int64_t last = std::min(cutting_.n_slices, slice + Cutting::slices_per_sum);
                run_slices(first, n, slice, last, workspaces.get(), tables.get(), states.get(), counts.data());
                interruption_.rethrow();
                if (out_.memory) sum_states(first, n, slice, states.get());
            }
            if (out_.frequencies) divide_counts(first, n, counts.data());
            if (out_.memory) divide_memory(first, n);
            for (std::int64_t i = first; i < first + n; ++i) spoil(i);
        }
    }

  private:
    double bytes_per_sequence(int slots) const {
        return static_cast<double>(table_size_ + states_size_) * sizeof(Real) +
               static_cast<double>(counts_size_) * slots * sizeof(std::int32_t);
    }

    template <class F>
    void for_each_task(std::int64_t n, F f) {
        for_each_slot(cutting_.slots, [&](int slot) {
            for (std::int64_t i = slot; i < n; i += cutting_.slots) f(i, slot);
        });
    }

    void make_tables(std::int64_t first, std::int64_t n, Real* workspaces, Real* tables) {
        const std::int64_t per_task = Cutting::steps_per_task, n_steps = batch_.n_steps;
        const std::int64_t chunks = (n_steps + per_task - 1) / per_task;
        for_each_task(n * chunks, [&](std::int64_t task, int slot) {
            const std::int64_t sequence = task / chunks, from = task % chunks * per_task;
            const Real* angles = batch_.angles + (first + sequence) * n_steps * p_.n_angles;
            Real *out = tables + sequence * table_size_, *space = workspaces + slot * workspace_;
            const std::int64_t to = std::min(n_steps, from + per_task);
            kernel_.tables(p_, false, angles, n_steps, from, to, space, out + from * p_.step.table_size);
            if (to == n_steps)
                kernel_.tables(p_, true, angles, n_steps, n_steps, n_steps + 1, space,
                               out + n_steps * p_.step.table_size);
        });
    }

    void run_slices(std::int64_t first, std::int64_t n, std::int64_t first_slice, std::int64_t last_slice,
                    Real* workspaces, const Real* tables, Real* states, std::int32_t* counts) {
        const std::int64_t n_slices = last_slice - first_slice;
        const int at_once = kernel_.shots_at_once(p_);
        for_each_task(n * n_slices, [&](std::int64_t task, int slot) {
            const std::int64_t index = task / n_slices, sequence = first + index;
            const std::int64_t slice = first_slice + task % n_slices;
            Asking asking{&interruption_, slot};
            ShotGroup<Real> g{};
            g.program = &p_;
            g.workspace = workspaces + slot * workspace_;
            g.n_steps = batch_.n_steps;
            g.tables = tables + index * table_size_;
            g.finish_table = g.tables + batch_.n_steps * p_.step.table_size;
            if (batch_.initial) {
                g.initial = batch_.initial + sequence * batch_.n_initial * 2 * dim_;
                g.initial_weights = batch_.initial_weights + sequence * batch_.n_initial;
                g.n_initial = batch_.n_initial;
            }
            g.seed = batch_.seed;
            g.sequence = batch_.sequence_ids[sequence];
            g.counts = out_.frequencies ? counts + (slot * cutting_.sequences_at_once + index) * counts_size_ : nullptr;
            g.states_stride = shots_in_sum_;
            g.given_up = given_up;
            g.context = &asking;
            const std::int64_t last_shot = std::min<std::int64_t>(batch_.shots, (slice + 1) * Cutting::shots_per_slice);
            for (std::int64_t shot = slice * Cutting::shots_per_slice; shot < last_shot; shot += at_once) {
                g.first_shot = static_cast<std::uint32_t>(shot);
                g.n_shots = static_cast<std::int32_t>(std::min<std::int64_t>(at_once, last_shot - shot));
                if (out_.outcomes) g.outcomes = out_.outcomes + (sequence * batch_.shots + shot) * batch_.n_steps;
                if (out_.memory)
                    g.states = states + index * states_size_ + shot - first_slice * Cutting::shots_per_slice;
                kernel_.run(g);
            }
        });
    }

    void sum_states(std::int64_t first, std::int64_t n, std::int64_t first_slice, const Real* states) {
        const std::int64_t before = first_slice * Cutting::shots_per_slice;
        const std::int64_t shots = std::min<std::int64_t>(shots_in_sum_, batch_.shots - before);
        for_each_task(n * dim_, [&](std::int64_t task, int) {
            const std::int64_t index = task / dim_, row = task % dim_;
            Real* out = out_.memory + (first + index) * 2 * dim_ * dim_;
            kernel_.add_density_row(states + index * states_size_, shots_in_sum_, shots, dim_, row, before == 0, out);
        });
    }

    void divide_counts(std::int64_t first, std::int64_t n, const std::int32_t* counts) {
        for (std::int64_t i = 0; i < n * counts_size_; ++i) {
            std::int64_t sum = 0;
            for (int slot = 0; slot < cutting_.slots; ++slot)
                sum += counts[slot * cutting_.sequences_at_once * counts_size_ + i];
            out_.frequencies[first * counts_size_ + i] = static_cast<Real>(static_cast<double>(sum) / batch_.shots);
        }
    }

    // The lower triangle stands there as a sum.
    void divide_memory(std::int64_t first, std::int64_t n) {
        const Real scale = static_cast<Real>(1.0 / batch_.shots);
        for (std::int64_t index = first; index < first + n; ++index) {
            Real* rho = out_.memory + index * 2 * dim_ * dim_;
            for (std::int64_t i = 0; i < dim_; ++i)
                for (std::int64_t j = 0; j <= i; ++j) {
                    Real *low = rho + 2 * (i * dim_ + j), *high = rho + 2 * (j * dim_ + i);
                    high[0] = low[0] *= scale;
                    low[1] *= scale;
                    high[1] = -low[1];
                    if (i == j) low[1] = 0;
                }
        }
    }

    void spoil(std::int64_t sequence) {
        const Real* angles = batch_.angles + sequence * batch_.n_steps * p_.n_angles;
        const std::int64_t n = batch_.n_steps * p_.n_angles;
        const Real* bad = std::find_if_not(angles, angles + n, [](Real x) { return std::isfinite(x); });
        if (bad == angles + n) return;
        const Real nan = std::numeric_limits<Real>::quiet_NaN();
        if (out_.frequencies)
            std::fill(out_.frequencies + sequence * counts_size_ + (bad - angles) / p_.n_angles * n_outcomes_,
                      out_.frequencies + (sequence + 1) * counts_size_, nan);
        if (out_.memory) std::fill_n(out_.memory + sequence * 2 * dim_ * dim_, 2 * dim_ * dim_, nan);
    }

    const TrajectoryProgram& p_;
    const TrajectoryKernel<Real>& kernel_;
    const SampledBatch<Real>& batch_;
    const Samples<Real>& out_;
    Interruption interruption_;
    std::int64_t n_outcomes_, dim_, table_size_, shots_in_sum_, states_size_, counts_size_;
    Cutting cutting_;
    std::int64_t workspace_;
};

}  // namespace

template <class Real>
void run_sampling(const TrajectoryPlan& plan, const SampledBatch<Real>& batch, int threads, const Samples<Real>& out,
                  const Poll& poll) {
    Sampling<Real>(plan, batch, threads, out, poll).run();
}

template <class Real>
void sample_steps(const Real* probabilities, std::int64_t n_sequences, std::int64_t n_steps, std::int64_t n,
                  const std::uint32_t* sequence_ids, std::uint64_t seed, int shots, int threads, std::int32_t* outcomes,
                  Real* frequencies) {
    const TrajectoryKernel<Real>& kernel = trajectory_kernel<Real>();
    struct Workspace {
        std::vector<double> cumulative, uniform;
        std::vector<std::int64_t> counts;
    };
    const int slots = static_cast<int>(std::clamp<std::int64_t>(n_sequences * n_steps, 1, threads));
    check_memory(8.0 * slots * (2.0 * static_cast<double>(n) + shots), "drawing the shots of a step",
                 "use fewer shots or threads");
    const auto size = static_cast<size_t>(n);
    std::vector<Workspace> workspaces(static_cast<size_t>(slots));
    for (Workspace& w : workspaces)
        w = {std::vector<double>(size), std::vector<double>(static_cast<size_t>(shots)),
             std::vector<std::int64_t>(size)};
    for_each_slot(slots, [&](int slot) {
        auto& [cumulative, uniform, counts] = workspaces[slot];
        for (std::int64_t task = slot; task < n_sequences * n_steps; task += slots) {
            const std::int64_t sequence = task / n_steps, t = task % n_steps;
            const Real* p = probabilities + task * n;
            double sum = 0;
            for (std::int64_t i = 0; i < n; ++i) cumulative[i] = sum += std::max(static_cast<double>(p[i]), 0.0);
            kernel.uniforms(seed, sequence_ids[sequence], static_cast<std::uint32_t>(t), shots, uniform.data());
            std::fill(counts.begin(), counts.end(), 0);
            for (int shot = 0; shot < shots; ++shot) {
                const auto at = std::upper_bound(cumulative.begin(), cumulative.end() - 1, uniform[shot] * sum);
                const std::int64_t outcome = at - cumulative.begin();
                if (outcomes) outcomes[(sequence * shots + shot) * n_steps + t] = static_cast<std::int32_t>(outcome);
                ++counts[outcome];
            }
            const bool finite = std::isfinite(sum);
            for (std::int64_t i = 0; frequencies && i < n; ++i)
                frequencies[task * n + i] = finite ? static_cast<Real>(static_cast<double>(counts[i]) / shots)
                                                   : std::numeric_limits<Real>::quiet_NaN();
        }
    });
}

#define QRNN_INSTANTIATE(Real)                                                                              \
    template void run_sampling(const TrajectoryPlan&, const SampledBatch<Real>&, int, const Samples<Real>&, \
                               const Poll&);                                                                \
    template void sample_steps(const Real*, std::int64_t, std::int64_t, std::int64_t, const std::uint32_t*, \
                               std::uint64_t, int, int, std::int32_t*, Real*);
QRNN_INSTANTIATE(float)
QRNN_INSTANTIATE(double)
#undef QRNN_INSTANTIATE

}  // namespace qrnn
