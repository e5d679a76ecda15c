// The trajectory engine on a GPU: a shot through all steps, and the average of the final states. Stands behind the
// tables of one plan (trajectory_source.cpp).
//
// Sums are taken in the order of the CPU's kernels (engines/trajectory/sampling.inl) wherever they decide what is
// drawn.
#pragma once

namespace qrnn {
namespace cuda {

// One thread's view of its shot: row r of a state at state[2 r * warp] (real part) and state[(2 r + 1) * warp].
struct Shot {
    Real *state, *other, *probabilities;
    Draws draws;

    QRNN_DEVICE void exchange_states() {
        Real* last = state;
        state = other;
        other = last;
    }
};

// The next group's row: of the rows in which the element's own bits are 0, the one after `row`.
QRNN_DEVICE int next_row(int row, int own) { return ((row | own) + 1) & ~own; }

// |K_j psi|^2 of every branch, as far as this part of the element's rows goes: the reduced density matrix of the part's
// rows, in the order of the effects (tables.inl), times the effects. The first part sets the numbers, others add.
template <int N>
QRNN_DEVICE void add_probabilities(const TrajectoryElement& e, const TrajectoryPart& part, const Real* effects,
                                   const Real* state, Real* probabilities) {
    const Real* in[N];
    Real sum[N * N];
    QRNN_UNROLL for (int c = 0; c < N; ++c) in[c] = state + 2 * warp * static_cast<int>(part.in[c]);
    QRNN_UNROLL for (int k = 0; k < N * N; ++k) sum[k] = 0;
    // Copies, which no store can change.
    const int n_groups = static_cast<int>(e.n_groups), own = static_cast<int>(e.own_in);
    const int n_branches = e.n_branches, n_statistics = e.n_statistics;
    for (int g = 0, row = 0; g < n_groups; ++g, row = next_row(row, own)) {
        Real re[N], im[N];
        QRNN_UNROLL for (int c = 0; c < N; ++c) {
            re[c] = in[c][2 * row * warp];
            im[c] = in[c][(2 * row + 1) * warp];
        }
        QRNN_UNROLL for (int c = 0; c < N; ++c) {
            QRNN_UNROLL for (int d = 0; d < c; ++d) {  // c * c numbers stand before those of c
                sum[c * c + 2 * d] += re[d] * re[c];
                sum[c * c + 2 * d] += im[d] * im[c];
                sum[c * c + 2 * d + 1] += re[d] * im[c];
                sum[c * c + 2 * d + 1] -= im[d] * re[c];
            }
            sum[c * c + 2 * c] += re[c] * re[c];
            sum[c * c + 2 * c] += im[c] * im[c];
        }
    }
    const bool first = part.statistics == 0;
    effects += part.statistics;
    QRNN_ONE_BY_ONE for (int j = 0; j < n_branches; ++j, effects += n_statistics) {
        Real p = first ? Real(0) : probabilities[j * warp];
        QRNN_UNROLL for (int k = 0; k < N * N; ++k) p += sum[k] * effects[k];
        probabilities[j * warp] = p;
    }
}

// y = scale * K x for all groups.
template <int N_IN, int N_OUT, FactorPass::Kind kind>
QRNN_DEVICE void apply_part(const TrajectoryElement& e, const TrajectoryPart& part, const Real* coefficients,
                            Real scale, const Real* state, Real* out_state) {
    const Real* in[N_IN];
    Real *out[N_OUT], re[N_OUT * N_IN], im[N_OUT * N_IN];
    QRNN_UNROLL for (int c = 0; c < N_IN; ++c) in[c] = state + 2 * warp * static_cast<int>(part.in[c]);
    QRNN_UNROLL for (int r = 0; r < N_OUT; ++r) out[r] = out_state + 2 * warp * static_cast<int>(part.out[r]);
    QRNN_UNROLL for (int i = 0; i < N_OUT * N_IN; ++i) {
        re[i] = coefficients[2 * i] * scale;
        im[i] = coefficients[2 * i + 1] * scale;
    }
    const int n_groups = static_cast<int>(e.n_groups);
    const int own_in = static_cast<int>(e.own_in), own_out = static_cast<int>(e.own_out);
    QRNN_ONE_BY_ONE for (int g = 0, from = 0, to = 0; g < n_groups; ++g) {
        Real x_re[N_IN], x_im[N_IN], y_re[N_OUT], y_im[N_OUT];
        QRNN_UNROLL for (int c = 0; c < N_IN; ++c) {
            x_re[c] = in[c][2 * from * warp];
            x_im[c] = in[c][(2 * from + 1) * warp];
        }
        QRNN_UNROLL for (int r = 0; r < N_OUT; ++r) {
            y_re[r] = y_im[r] = 0;
            QRNN_UNROLL for (int c = 0; c < N_IN; ++c) {
                const Real b_re = re[r * N_IN + c], b_im = im[r * N_IN + c];
                if (kind != FactorPass::cross || r == c) {
                    y_re[r] += b_re * x_re[c];
                    y_im[r] += b_re * x_im[c];
                }
                if (kind == FactorPass::general || (kind == FactorPass::cross && r != c)) {
                    y_re[r] -= b_im * x_im[c];
                    y_im[r] += b_im * x_re[c];
                }
            }
        }
        QRNN_UNROLL for (int r = 0; r < N_OUT; ++r) {  // all are read before any is written
            out[r][2 * to * warp] = y_re[r];
            out[r][(2 * to + 1) * warp] = y_im[r];
        }
        from = next_row(from, own_in);
        to = next_row(to, own_out);
    }
}

// Draws a branch by its probabilities, in their order; `scale` becomes what makes its state of norm 1, where the
// element does. A branch of probability zero is never drawn: u < 1, and sums are taken in one order throughout.
QRNN_DEVICE int draw_branch(const TrajectoryElement& e, Real u, const Real* probabilities, Real* scale) {
    const int n_branches = e.n_branches;
    Real total = 0, cumulative = 0;
    QRNN_ONE_BY_ONE for (int j = 0; j < n_branches; ++j) total += probabilities[j * warp];
    const Real threshold = u * total;
    int branch = 0;
    QRNN_ONE_BY_ONE for (int j = 0; j + 1 < n_branches; ++j) {
        cumulative += probabilities[j * warp];
        branch += threshold >= cumulative;
    }
    if (e.normalises) *scale = Real(1) / root(probabilities[branch * warp]);
    return branch;
}

// Of numbers of columns and of shapes, those alone that the plan has are compiled: QRNN_FOR_DRAWN and QRNN_FOR_APPLIED,
// in front of the tables, list them.
constexpr int shape_of(int n_in, int n_out, FactorPass::Kind kind) {
    return 64 * static_cast<int>(kind) + 8 * n_in + n_out;
}

// The outcome bits that are set.
QRNN_DEVICE int run_element(const TrajectoryElement& e, const TrajectoryPart* parts, const Real* table, Shot& s) {
    const int n_parts = e.n_parts;
    const Real* coefficients = table + e.n_branches * e.n_statistics;
    Real scale = 1;
    int outcome = 0;
    if (e.draw >= 0) {
        QRNN_ONE_BY_ONE for (int k = 0; k < n_parts; ++k) switch (parts[k].n_in) {
#define CASE(N)                                                             \
    case N:                                                                 \
        add_probabilities<N>(e, parts[k], table, s.state, s.probabilities); \
        break;
            QRNN_FOR_DRAWN(CASE)
#undef CASE
        }
        const int branch = draw_branch(e, s.draws.number<Real>(e.draw), s.probabilities, &scale);
        coefficients += branch * e.n_coefficients;
        outcome = branch * e.record;
    }
    Real* out = e.in_place ? s.state : s.other;
    QRNN_ONE_BY_ONE for (int k = 0; k < n_parts; ++k) {
        const TrajectoryPart& part = parts[k];
        switch (shape_of(part.n_in, part.n_out, part.kind)) {
#define CASE(n_in, n_out, kind)                                                                                    \
    case shape_of(n_in, n_out, FactorPass::kind):                                                                  \
        apply_part<n_in, n_out, FactorPass::kind>(e, part, coefficients + part.coefficients, scale, s.state, out); \
        break;
            QRNN_FOR_APPLIED(CASE)
#undef CASE
        }
    }
    if (!e.in_place) s.exchange_states();
    return outcome;
}

QRNN_DEVICE int run_stage(const TrajectoryStage stage, const Real* table, Shot& s) {
    int outcome = 0;
    QRNN_ONE_BY_ONE for (int i = 0; i < stage.n_elements; ++i) {
        const TrajectoryElement& e = stage.elements[i];
        outcome |= run_element(e, stage.parts + e.parts, table + e.table, s);
    }
    if (!stage.in_order) {
        QRNN_ONE_BY_ONE for (int i = 0; i < sizes.dim(); ++i) {
            const int row = static_cast<int>(stage.memory_rows[i]);
            s.other[2 * i * warp] = row < 0 ? Real(0) : s.state[2 * row * warp];
            s.other[(2 * i + 1) * warp] = row < 0 ? Real(0) : s.state[(2 * row + 1) * warp];
        }
        s.exchange_states();
    }
    return outcome;
}

// |0..0>, or one of the memory's eigenvectors, drawn in double, so that every precision takes the same.
QRNN_DEVICE void load_state(const TrajectoryArguments<Real>& a, std::int64_t sequence, std::uint32_t id,
                            std::uint32_t shot, Real* state) {
    const int size = 2 * static_cast<int>(sizes.dim());
    if (!a.initial) {
        QRNN_ONE_BY_ONE for (int i = 0; i < size; ++i) state[i * warp] = i == 0 ? Real(1) : Real(0);
        return;
    }
    const int n_initial = static_cast<int>(a.n_initial);
    const double* weights = a.initial_weights + sequence * n_initial;
    const double x =
        fraction<double>(philox(a.seed, {{id, shot, 0, initial_state_block}}).word[0]) * weights[n_initial - 1];
    int chosen = 0;
    while (chosen + 1 < n_initial && x >= weights[chosen]) ++chosen;
    const Real* from = a.initial + (sequence * n_initial + chosen) * size;
    QRNN_ONE_BY_ONE for (int i = 0; i < size; ++i) state[i * warp] = from[i];
}

// The outcome as it is read.
QRNN_DEVICE int confused(int outcome, Draws& draws) {
    QRNN_ONE_BY_ONE for (int i = 0; i < n_confusion; ++i) {
        const ConfusionTable& table = confusion[i];
        const int n_bits = table.n_bits;
        int actual = 0, observed = 0;
        QRNN_ONE_BY_ONE for (int b = 0; b < n_bits; ++b) actual |= (outcome >> table.bits[b] & 1) << b;
        const double* numbers = cumulative + table.cumulative + (actual << n_bits);
        const double x = static_cast<double>(draws.number<Real>(table.draw)) * numbers[(1 << n_bits) - 1];
        while (observed + 1 < 1 << n_bits && x >= numbers[observed]) ++observed;
        QRNN_ONE_BY_ONE for (int b = 0; b < n_bits; ++b) outcome =
            (outcome & ~(1 << table.bits[b])) | (observed >> b & 1) << table.bits[b];
    }
    return outcome;
}

QRNN_DEVICE void run_shot(const TrajectoryArguments<Real>& a, std::int64_t index, Real* numbers) {
    const std::int64_t sequence = index / a.n_shots;
    const std::uint32_t shot = static_cast<std::uint32_t>(a.first_shot + index % a.n_shots);
    const std::uint32_t id = static_cast<std::uint32_t>(a.sequence_ids[sequence]);
    constexpr std::int64_t state_size = sizes.state_size() * warp;
    Shot s{numbers, numbers + (sizes.n_states - 1) * state_size, numbers + sizes.n_states * state_size,
           Draws(a.seed, id, shot)};
    load_state(a, sequence, id, shot, s.state);
    const Real* tables = a.tables + sequence * sizes.table_size(a.n_steps);
    // The finish stands where the table of one more step would.
    const std::int64_t n_stages = a.n_steps + (a.states && a.n_steps > 0);
    for (std::int64_t t = 0; t < n_stages; ++t) {
        if (t > 0) s.draws.begin_step(static_cast<std::uint32_t>(t));
        int outcome = run_stage(stages[t == a.n_steps], tables + t * sizes.step_table, s);
        if (t == a.n_steps) break;
        outcome = confused(outcome, s.draws);
        if (a.counts) count_one(a.counts + ((sequence * a.n_steps + t) << sizes.n_outcome) + outcome);
        if (a.outcomes) a.outcomes[index * a.n_steps + t] = outcome;
    }
    if (!a.states) return;
    Real* out = a.states + index * 2 * sizes.dim();
    QRNN_ONE_BY_ONE for (int i = 0; i < 2 * sizes.dim(); ++i) out[i] = s.state[i * warp];
}

QRNN_KERNEL(trajectory_shots, TrajectoryArguments<Real>) {
    const std::int64_t thread = static_cast<std::int64_t>(block_index()) * block_size() + thread_index();
    const std::int64_t n_threads = static_cast<std::int64_t>(n_blocks()) * block_size();
    const std::int64_t of_warp = sizes.workspace_size() * warp;
    Real* numbers = a.workspace ? a.workspace + thread / warp * of_warp
                                : static_cast<Real*>(shared_memory()) + thread_index() / warp * of_warp;
    for (std::int64_t index = thread; index < a.n_sequences * a.n_shots; index += n_threads)
        run_shot(a, index, numbers + thread % warp);
}

// sum_shots |psi><psi|: a block takes a warp's worth of elements of a matrix at a time, and each of its warps every
// n-th shot; their sums are added in one order. The lower triangle is summed up, the upper one is its mirror image.
QRNN_KERNEL(trajectory_memory, TrajectoryArguments<Real>) {
    Real* sums = static_cast<Real*>(shared_memory());  // (2, threads)
    const int lane = thread_index() % warp, part = thread_index() / warp, parts = block_size() / warp;
    const std::int64_t dim = sizes.dim(), n_tiles = (dim * dim + warp - 1) / warp;
    for (std::int64_t tile = block_index(); tile < a.n_sequences * n_tiles; tile += n_blocks()) {
        const std::int64_t sequence = tile / n_tiles, element = tile % n_tiles * warp + lane;
        const std::int64_t row = element / dim, col = element % dim;
        const bool is_summed = row < dim && col <= row;
        const Real* states = a.states + sequence * a.n_shots * 2 * dim;
        Real re = 0, im = 0;
        for (std::int64_t shot = part; shot < a.n_shots && is_summed; shot += parts) {
            const Real *x = states + 2 * (shot * dim + row), *y = states + 2 * (shot * dim + col);
            re += x[0] * y[0];
            re += x[1] * y[1];
            im += x[1] * y[0];
            im -= x[0] * y[1];
        }
        sums[thread_index()] = re;
        sums[block_size() + thread_index()] = im;
        block_sync();
        if (part == 0 && is_summed) {
            Real* rho = a.memory + sequence * 2 * dim * dim;
            Real *low = rho + 2 * (row * dim + col), *high = rho + 2 * (col * dim + row);
            re = a.first_shot > 0 ? low[0] : Real(0);
            im = a.first_shot > 0 ? low[1] : Real(0);
            for (int i = 0; i < parts; ++i) {
                re += sums[i * warp + lane];
                im += sums[block_size() + i * warp + lane];
            }
            high[0] = low[0] = re;
            high[1] = -im;
            low[1] = row == col ? Real(0) : im;
            if (row == col) high[1] = 0;
        }
        block_sync();
    }
}

}  // namespace cuda
}  // namespace qrnn
