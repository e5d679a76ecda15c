// Some vectors of shots of one sequence through all steps.
namespace qrnn {
namespace QRNN_ISA {
namespace {

namespace trajectory {

// Vectors of shots that go through an element together, so that its description is read once for all. States that
// would not fit into the cache together go one by one.
constexpr int max_vectors = 4;
QRNN_INLINE int vectors_at_once(const TrajectoryProgram& p) { return p.rows <= 256 ? max_vectors : 1; }

template <class Real>
int shots_at_once(const TrajectoryProgram& p) {
    return vectors_at_once(p) * Lanes<Real>::n;
}

template <class Real>
struct ShotWorkspace {
    using V = VectorOf<Real>;
    using Bits = BitsOf<Real>;
    int64_t state_size, scratch_size;  // vectors from one shot vector's to the next one's
    V *state, *other, *uniforms, *scratch;
    Bits* outcome;
    int64_t size;

    ShotWorkspace(const TrajectoryProgram& p, Real* memory) : state_size(2 * p.rows) {
        int64_t used = 0;
        const auto vectors = [&](int64_t count) {
            V* place = reinterpret_cast<V*>(memory + used);
            used += count * Lanes<Real>::n;
            return place;
        };
        const int n = vectors_at_once(p);
        state = vectors(n * state_size);
        other = vectors(n * state_size);
        uniforms = vectors(n * (p.n_draws > 0 ? p.n_draws : 1));
        scratch_size = p.step.largest_table > p.finish.largest_table ? p.step.largest_table : p.finish.largest_table;
        scratch = vectors(n * scratch_size);
        outcome = reinterpret_cast<Bits*>(vectors(n));
        size = used;
    }
};

template <class Real>
int64_t workspace_size(const TrajectoryProgram& p) {
    return ShotWorkspace<Real>(p, nullptr).size;
}

template <class Real>
void exchange_states(ShotWorkspace<Real>& w) {
    VectorOf<Real>* state = w.state;
    w.state = w.other;
    w.other = state;
}

template <class Real, int n_vectors>
void run_elements(const TrajectoryProgram& p, const TrajectoryStage& stage, const Real* table, ShotWorkspace<Real>& w) {
    for (int i = 0; i < stage.n_elements; ++i) {
        const TrajectoryElement& e = stage.elements[i];
        const Real* numbers = table + e.table;
        const DrawSpace<Real> s{w.scratch, w.scratch + e.n_statistics, w.scratch + e.n_statistics + e.n_coefficients,
                                w.scratch_size};
        if (e.draw >= 0) {
            BitsOf<Real> branch[n_vectors];
            for (int k = 0; k < e.n_parts; ++k) {
                const TrajectoryPart& part = stage.parts[e.parts + k];
                statistics<Real, n_vectors>(e, part, w.state, w.state_size, s.statistics + part.statistics, s.stride);
            }
            const auto draw = e.n_branches == 2 ? draw_two<Real, n_vectors> : draw_many<Real, n_vectors>;
            draw(e, numbers, w.uniforms + e.draw, p.n_draws, s, branch);
            for (int v = 0; v < n_vectors; ++v) w.outcome[v] |= branch[v] * e.record;
        }
        VectorOf<Real>* out = e.in_place ? w.state : w.other;
        for (int k = 0; k < e.n_parts; ++k) {
            const TrajectoryPart& part = stage.parts[e.parts + k];
            if (e.draw >= 0)
                apply<Real, n_vectors, false>(e, part, s.coefficients + part.coefficients, s.stride, nullptr, w.state,
                                              out, w.state_size);
            else
                apply<Real, n_vectors, true>(e, part, nullptr, 0, numbers + part.coefficients, w.state, out,
                                             w.state_size);
        }
        if (!e.in_place) exchange_states(w);
    }
    if (stage.in_order) return;
    for (int v = 0; v < n_vectors; ++v)
        for (int64_t i = 0; i < int64_t{1} << p.n_memory; ++i)
            for (int k = 0; k < 2; ++k)
                w.other[v * w.state_size + 2 * i + k] = stage.memory_rows[i] < 0
                                                            ? VectorOf<Real>{}
                                                            : w.state[v * w.state_size + 2 * stage.memory_rows[i] + k];
    exchange_states(w);
}

// The state before the first step: |0..0>, or for each shot one of the memory's eigenvectors.
template <class Real>
void load_states(const ShotGroup<Real>& g, int n_vectors, const ShotWorkspace<Real>& w) {
    using V = VectorOf<Real>;
    const int64_t dim = int64_t{1} << g.program->n_memory;
    for (int v = 0; v < n_vectors; ++v) {
        V* state = w.state + v * w.state_size;
        for (int64_t i = 0; i < 2 * dim; ++i) state[i] = V{};
        if (!g.initial) {
            state[0] += Real(1);
            continue;
        }
        VectorOf<double> u[2];  // drawn in double, so that every precision takes the same vector
        for (int half = 0; half < Lanes<Real>::n / Lanes<double>::n; ++half)
            philox::fill<double, 1>(g.seed, g.sequence,
                                    g.first_shot + static_cast<uint32_t>(v * Lanes<Real>::n + half * Lanes<double>::n),
                                    0, initial_state_block, 1, u + half, 1);
        for (int l = 0; l < Lanes<Real>::n; ++l) {
            const double x = u[l / Lanes<double>::n][l % Lanes<double>::n] * g.initial_weights[g.n_initial - 1];
            int chosen = 0;
            while (chosen + 1 < g.n_initial && x >= g.initial_weights[chosen]) ++chosen;
            for (int64_t i = 0; i < 2 * dim; ++i) state[i][l] = g.initial[chosen * 2 * dim + i];
        }
    }
}

// The outcome as it is read.
QRNN_INLINE int32_t confused(const TrajectoryProgram& p, int32_t outcome, const double* uniform) {
    for (int i = 0; i < p.n_confusion; ++i) {
        const ConfusionTable& table = p.confusion[i];
        int actual = 0, observed = 0;
        for (int b = 0; b < table.n_bits; ++b) actual |= (outcome >> table.bits[b] & 1) << b;
        const double* cumulative = p.cumulative + table.cumulative + (actual << table.n_bits);
        const double x = uniform[i] * cumulative[(1 << table.n_bits) - 1];
        while (observed + 1 < 1 << table.n_bits && x >= cumulative[observed]) ++observed;
        for (int b = 0; b < table.n_bits; ++b)
            outcome = (outcome & ~(1 << table.bits[b])) | (observed >> b & 1) << table.bits[b];
    }
    return outcome;
}

template <class Real>
void record(const ShotGroup<Real>& g, int64_t t, int v, int n_shots, const ShotWorkspace<Real>& w) {
    const TrajectoryProgram& p = *g.program;
    for (int l = 0; l < n_shots; ++l) {
        int32_t outcome = static_cast<int32_t>(w.outcome[v][l]);
        if (p.n_confusion > 0) {
            double uniform[30];  // no more than there are bits
            for (int i = 0; i < p.n_confusion; ++i) uniform[i] = w.uniforms[v * p.n_draws + p.confusion[i].draw][l];
            outcome = confused(p, outcome, uniform);
        }
        if (g.counts) ++g.counts[t << p.n_outcome | outcome];
        if (g.outcomes) g.outcomes[(v * Lanes<Real>::n + l) * g.n_steps + t] = outcome;
    }
}

template <class Real, int n_vectors>
void run_vectors(const ShotGroup<Real>& g) {
    constexpr int lanes = Lanes<Real>::n;
    const TrajectoryProgram& p = *g.program;
    ShotWorkspace<Real> w(p, g.workspace);
    const auto shots_of = [&](int v) {
        const int left = g.n_shots - v * lanes;
        return left < 0 ? 0 : left < lanes ? left : lanes;
    };
    load_states<Real>(g, n_vectors, w);
    // Asked for every few million operations.
    const int64_t patience = (int64_t{1} << 16) / p.rows + 1;
    for (int64_t t = 0; t < g.n_steps; ++t) {
        if (t % patience == 0 && g.given_up(g.context)) return;
        constexpr int pair = n_vectors > 1 ? 2 : 1;  // what the registers hold
        for (int v = 0; v < n_vectors; v += pair)
            philox::fill<Real, pair>(g.seed, g.sequence, g.first_shot + static_cast<uint32_t>(v * lanes),
                                     static_cast<uint32_t>(t), 0, p.n_draws, w.uniforms + v * p.n_draws, p.n_draws);
        for (int v = 0; v < n_vectors; ++v) w.outcome[v] = BitsOf<Real>{};
        run_elements<Real, n_vectors>(p, p.step, g.tables + t * p.step.table_size, w);
        for (int v = 0; v < n_vectors; ++v) record<Real>(g, t, v, shots_of(v), w);
    }
    if (!g.states) return;
    if (g.n_steps > 0) run_elements<Real, n_vectors>(p, p.finish, g.finish_table, w);
    for (int v = 0; v < n_vectors; ++v) {
        Real* out = g.states + v * lanes;
        const int n_shots = shots_of(v);
        for (int64_t i = 0; i < int64_t{2} << p.n_memory; ++i, out += g.states_stride) {
            const VectorOf<Real> x = w.state[v * w.state_size + i];
            if (n_shots == lanes)
                store_unaligned(out, x);
            else
                for (int l = 0; l < n_shots; ++l) out[l] = x[l];
        }
    }
}

template <class Real>
void run(const ShotGroup<Real>& g) {
    if (vectors_at_once(*g.program) == 1)
        run_vectors<Real, 1>(g);
    else
        run_vectors<Real, max_vectors>(g);
}

template <class Real>
void add_density_row(const Real* states, int64_t stride, int64_t n_shots, int64_t dim, int64_t row, bool first,
                     Real* rho) {
    constexpr int lanes = Lanes<Real>::n;
    const Real *row_re = states + 2 * row * stride, *row_im = row_re + stride;
    for (int64_t col = 0; col <= row; ++col) {
        const Real *col_re = states + 2 * col * stride, *col_im = col_re + stride;
        VectorOf<Real> re{}, im{};
        int64_t shot = 0;
        for (; shot + lanes <= n_shots; shot += lanes) {
            const auto a = load_unaligned(row_re + shot), b = load_unaligned(row_im + shot);
            const auto c = load_unaligned(col_re + shot), d = load_unaligned(col_im + shot);
            re += a * c;
            re += b * d;
            im += b * c;
            im -= a * d;
        }
        Real sum_re = sum_of_lanes<Real>(re), sum_im = sum_of_lanes<Real>(im);
        for (; shot < n_shots; ++shot) {
            sum_re += row_re[shot] * col_re[shot] + row_im[shot] * col_im[shot];
            sum_im += row_im[shot] * col_re[shot] - row_re[shot] * col_im[shot];
        }
        Real* out = rho + 2 * (row * dim + col);
        out[0] = first ? sum_re : out[0] + sum_re;
        out[1] = first ? sum_im : out[1] + sum_im;
    }
}

inline void first_uniforms(uint64_t seed, uint32_t sequence, uint32_t step, int n, double* out) {
    for (int first = 0; first < n; first += Lanes<double>::n) {
        VectorOf<double> u;
        philox::fill<double, 1>(seed, sequence, static_cast<uint32_t>(first), step, 0, 1, &u, 1);
        for (int l = 0; l < Lanes<double>::n && first + l < n; ++l) out[first + l] = u[l];
    }
}

inline void philox_block(uint64_t key, const uint32_t* counter, uint32_t* out) {
    philox::Block c;
    for (int i = 0; i < 4; ++i) c.word[i] = philox::Wide{} + counter[i];
    philox::rounds<1>(&c, key);
    for (int i = 0; i < 4; ++i) out[i] = static_cast<uint32_t>(c.word[i][0]);
}

template <class Real>
constexpr TrajectoryKernel<Real> make_kernel() {
    return {shots_at_once<Real>,
            workspace_size<Real>,
            table_workspace_size<Real>,
            tables<Real>,
            run<Real>,
            add_density_row<Real>,
            first_uniforms,
            philox_block};
}

}  // namespace trajectory
}  // namespace
}  // namespace QRNN_ISA
}  // namespace qrnn
