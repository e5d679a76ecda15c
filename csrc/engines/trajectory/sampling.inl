// One element on the states of a vector of shots.
//
// Row r of a state stands at state[2 r] (real parts) and state[2 r + 1] (imaginary parts), lanes being shots. For a
// part of d columns on R rows, a draw takes 2 d^2 multiply-adds per group for the statistics and 4 d n_out for the
// branch that each lane has drawn.
namespace qrnn {
namespace QRNN_ISA {
namespace {

namespace trajectory {

template <class Real>
using BitsOf = typename Lanes<Real>::Bits;

// The next group's row: of the rows in which the element's own bits are 0, the one after `row`.
QRNN_INLINE int64_t next_row(int64_t row, int64_t own) { return ((row | own) + 1) & ~own; }

// The reduced density matrix of a part's rows, in the order of the effects (tables.inl): for each c the sums over the
// groups of conj(x_d) x_c for d < c, as two numbers, then of |x_c|^2.
template <class Real, int N, int n_vectors>
void part_statistics(const TrajectoryElement& e, const TrajectoryPart& part, const VectorOf<Real>* state,
                     int64_t stride, VectorOf<Real>* out, int64_t out_stride) {
    using V = VectorOf<Real>;
    V sum[n_vectors][N * N];
    for (int v = 0; v < n_vectors; ++v)
        for (int k = 0; k < N * N; ++k) sum[v][k] = V{};
    const V* in[N];
    for (int c = 0; c < N; ++c) in[c] = state + 2 * part.in[c];
    const int64_t n_groups = e.n_groups, own = e.own_in;
    int64_t row = 0;
    for (int64_t g = 0; g < n_groups; ++g, row = next_row(row, own)) {
        for (int v = 0; v < n_vectors; ++v) {
            V re[N], im[N];
            for (int c = 0; c < N; ++c) {
                re[c] = in[c][v * stride + 2 * row];
                im[c] = in[c][v * stride + 2 * row + 1];
            }
            for (int c = 0, k = 0; c < N; ++c) {
                for (int d = 0; d < c; ++d, k += 2) {
                    sum[v][k] += re[d] * re[c];
                    sum[v][k] += im[d] * im[c];
                    sum[v][k + 1] += re[d] * im[c];
                    sum[v][k + 1] -= im[d] * re[c];
                }
                sum[v][k] += re[c] * re[c];
                sum[v][k] += im[c] * im[c];
                ++k;
            }
        }
    }
    for (int v = 0; v < n_vectors; ++v)
        for (int k = 0; k < N * N; ++k) out[v * out_stride + k] = sum[v][k];
}

template <class Real, int n_vectors>
void statistics(const TrajectoryElement& e, const TrajectoryPart& part, const VectorOf<Real>* state, int64_t stride,
                VectorOf<Real>* out, int64_t out_stride) {
    constexpr int pair = n_vectors > 1 ? 2 : 1;  // what the registers hold
    for (int v = 0; v < n_vectors; v += pair) {
        const VectorOf<Real>* from = state + v * stride;
        VectorOf<Real>* to = out + v * out_stride;
        switch (part.n_in) {
            case 1:
                part_statistics<Real, 1, pair>(e, part, from, stride, to, out_stride);
                break;
            case 2:
                part_statistics<Real, 2, pair>(e, part, from, stride, to, out_stride);
                break;
            default:
                for (int k = 0; k < pair; ++k)
                    part_statistics<Real, 4, 1>(e, part, from + k * stride, stride, to + k * out_stride, out_stride);
        }
    }
}

// y = K x for all groups. Every lane has a matrix of its own, those of vector v at coefficients + v * stride; or
// (`shared`) all lanes have the one at `common`.
template <class Real, int N_IN, int N_OUT, int n_vectors, bool shared, FactorPass::Kind kind>
void apply_part(const TrajectoryElement& e, const TrajectoryPart& part, const VectorOf<Real>* coefficients,
                int64_t stride, const Real* common, const VectorOf<Real>* state, VectorOf<Real>* out_state,
                int64_t state_stride) {
    using V = VectorOf<Real>;
    V re[N_OUT * N_IN], im[N_OUT * N_IN];
    if (shared)
        for (int i = 0; i < N_OUT * N_IN; ++i) {
            re[i] = splat<Real>(common[2 * i]);
            im[i] = splat<Real>(common[2 * i + 1]);
        }
    const V* in[N_IN];
    V* out[N_OUT];
    for (int c = 0; c < N_IN; ++c) in[c] = state + 2 * part.in[c];
    for (int r = 0; r < N_OUT; ++r) out[r] = out_state + 2 * part.out[r];
    const int64_t n_groups = e.n_groups, own_in = e.own_in, own_out = e.own_out;
    for (int v = 0; v < n_vectors; ++v) {
        if (!shared)
            for (int i = 0; i < N_OUT * N_IN; ++i) {
                re[i] = coefficients[2 * i];
                im[i] = coefficients[2 * i + 1];
            }
        int64_t from = 0, to = 0;
        for (int64_t g = 0; g < n_groups; ++g) {
            V x_re[N_IN], x_im[N_IN], y_re[N_OUT], y_im[N_OUT];
            for (int c = 0; c < N_IN; ++c) {
                x_re[c] = in[c][2 * from];
                x_im[c] = in[c][2 * from + 1];
            }
            for (int r = 0; r < N_OUT; ++r) {
                y_re[r] = y_im[r] = V{};
                for (int c = 0; c < N_IN; ++c) {
                    const V a = re[r * N_IN + c], b = im[r * N_IN + c];
                    if (kind != FactorPass::cross || r == c) {
                        y_re[r] += a * x_re[c];
                        y_im[r] += a * x_im[c];
                    }
                    if (kind == FactorPass::general || (kind == FactorPass::cross && r != c)) {
                        y_re[r] -= b * x_im[c];
                        y_im[r] += b * x_re[c];
                    }
                }
            }
            for (int r = 0; r < N_OUT; ++r) {  // all are read before any is written
                out[r][2 * to] = y_re[r];
                out[r][2 * to + 1] = y_im[r];
            }
            from = next_row(from, own_in);
            to = next_row(to, own_out);
        }
        for (int c = 0; c < N_IN; ++c) in[c] += state_stride;
        for (int r = 0; r < N_OUT; ++r) out[r] += state_stride;
        coefficients += stride;
    }
}

template <class Real, int n_vectors, bool shared>
void apply(const TrajectoryElement& e, const TrajectoryPart& part, const VectorOf<Real>* c, int64_t stride,
           const Real* common, const VectorOf<Real>* state, VectorOf<Real>* out, int64_t state_stride) {
#define APPLY(N_IN, N_OUT, kind)                                                                               \
    apply_part<Real, N_IN, N_OUT, n_vectors, shared, FactorPass::kind>(e, part, c, stride, common, state, out, \
                                                                       state_stride)
    if constexpr (shared) {
        if (part.kind == FactorPass::real) return part.n_in == 4 ? APPLY(4, 4, real) : APPLY(2, 2, real);
        if (part.kind == FactorPass::cross) return APPLY(2, 2, cross);
    }
    switch (8 * part.n_in + part.n_out) {
        case 8 * 1 + 1:
            return APPLY(1, 1, general);
        case 8 * 1 + 2:
            return APPLY(1, 2, general);
        case 8 * 1 + 4:
            return APPLY(1, 4, general);
        case 8 * 2 + 1:
            return APPLY(2, 1, general);
        case 8 * 2 + 2:
            return APPLY(2, 2, general);
        case 8 * 2 + 4:
            return APPLY(2, 4, general);
        case 8 * 4 + 1:
            return APPLY(4, 1, general);
        case 8 * 4 + 2:
            return APPLY(4, 2, general);
        case 8 * 4 + 4:
            return APPLY(4, 4, general);
    }
#undef APPLY
}

template <class Real>
QRNN_INLINE VectorOf<Real> inverse_root(VectorOf<Real> x) {
    VectorOf<Real> root;
    for (int l = 0; l < Lanes<Real>::n; ++l)
        root[l] = sizeof(Real) == 4 ? static_cast<Real>(__builtin_sqrtf(static_cast<float>(x[l])))
                                    : static_cast<Real>(__builtin_sqrt(static_cast<double>(x[l])));
    return Real(1) / root;
}

// What a draw works with, for each vector `stride` vectors apart.
template <class Real>
struct DrawSpace {
    VectorOf<Real>*statistics, *coefficients, *cumulative;
    int64_t stride;
};

// |K psi|^2 of one branch, for each vector.
template <class Real, int n_vectors>
QRNN_INLINE void probabilities(const Real* effect, int n, const VectorOf<Real>* statistics, int64_t stride,
                               VectorOf<Real>* p) {
    for (int v = 0; v < n_vectors; ++v) p[v] = VectorOf<Real>{};
    for (int k = 0; k < n; ++k) {
        const VectorOf<Real> here = splat<Real>(effect[k]);
        for (int v = 0; v < n_vectors; ++v) p[v] += statistics[v * stride + k] * here;
    }
}

// Draws a branch for every lane by the uniform numbers u[v * u_stride], in the order of the branches; leaves the
// branch's Kraus operator, for elements that normalise divided by the norm of what it makes of the state, in the
// coefficients. `branch`: the branches' numbers. One of probability zero is never drawn: u < 1, and sums are taken in
// one order throughout.
template <class Real, int n_vectors>
void draw_two(const TrajectoryElement& e, const Real* table, const VectorOf<Real>* u, int64_t u_stride,
              const DrawSpace<Real>& s, BitsOf<Real>* branch) {
    using V = VectorOf<Real>;
    // Copies, which no store can change.
    const int n_statistics = e.n_statistics, n_coefficients = e.n_coefficients;
    const int64_t stride = s.stride;
    V* coefficients = s.coefficients;
    V p0[n_vectors], p1[n_vectors], scale[n_vectors];
    BitsOf<Real> second[n_vectors];
    probabilities<Real, n_vectors>(table, n_statistics, s.statistics, stride, p0);
    probabilities<Real, n_vectors>(table + n_statistics, n_statistics, s.statistics, stride, p1);
    for (int v = 0; v < n_vectors; ++v) {
        second[v] = u[v * u_stride] * (p0[v] + p1[v]) >= p0[v];
        scale[v] = e.normalises ? inverse_root<Real>(second[v] ? p1[v] : p0[v]) : V{} + Real(1);
        branch[v] = second[v] & 1;
    }
    const Real *zero = table + 2 * n_statistics, *one = zero + n_coefficients;
    for (int k = 0; k < n_coefficients; ++k) {
        const V a = splat<Real>(zero[k]), b = splat<Real>(one[k]);
        for (int v = 0; v < n_vectors; ++v) coefficients[v * stride + k] = (second[v] ? b : a) * scale[v];
    }
}

template <class Real, int n_vectors>
void draw_many(const TrajectoryElement& e, const Real* table, const VectorOf<Real>* u, int64_t u_stride,
               const DrawSpace<Real>& s, BitsOf<Real>* branch) {
    using V = VectorOf<Real>;
    V total[n_vectors];
    for (int v = 0; v < n_vectors; ++v) total[v] = V{};
    for (int j = 0; j < e.n_branches; ++j) {
        V p[n_vectors];
        probabilities<Real, n_vectors>(table + j * e.n_statistics, e.n_statistics, s.statistics, s.stride, p);
        for (int v = 0; v < n_vectors; ++v) s.cumulative[v * s.stride + j] = total[v] += p[v];
    }
    const Real* kraus = table + e.n_branches * e.n_statistics;
    for (int v = 0; v < n_vectors; ++v) {
        const V* cumulative = s.cumulative + v * s.stride;
        V* coefficients = s.coefficients + v * s.stride;
        const V threshold = u[v * u_stride] * total[v];
        branch[v] = BitsOf<Real>{};
        for (int j = 0; j + 1 < e.n_branches; ++j) branch[v] -= threshold >= cumulative[j];
        // Noise is rare: mostly, all lanes have drawn the same.
        const auto first = branch[v][0];
        bool same = true;
        for (int l = 1; l < Lanes<Real>::n; ++l) same = same && branch[v][l] == first;
        V p;
        for (int l = 0; l < Lanes<Real>::n; ++l) {
            const auto j = branch[v][l];
            p[l] = cumulative[j][l] - (j > 0 ? cumulative[j - 1][l] : Real(0));
        }
        const V scale = e.normalises ? inverse_root<Real>(p) : V{} + Real(1);
        for (int k = 0; k < e.n_coefficients; ++k) {
            V chosen;
            if (same)
                chosen = splat<Real>(kraus[first * e.n_coefficients + k]);
            else
                for (int l = 0; l < Lanes<Real>::n; ++l) chosen[l] = kraus[branch[v][l] * e.n_coefficients + k];
            coefficients[k] = chosen * scale;
        }
    }
}

}  // namespace trajectory
}  // namespace
}  // namespace QRNN_ISA
}  // namespace qrnn
