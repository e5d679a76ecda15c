// Unitaries applied to a block of columns, and their adjoint.
//
// A block is one vector of columns: row r stands at state[2 r] (real parts) and state[2 r + 1] (imaginary parts), and a
// pass works on all columns alike. Matrices are numbers here: one lane, that of the step, of matrices.inl. A block is
// small enough for the first or second level of the cache, where all passes of a step find it.
namespace qrnn {
namespace QRNN_ISA {
namespace {

namespace factor {

// Entry number i, as one step sees it.
template <class Real>
struct StepMatrices {
    const Complex<Real>* matrices;
    int lane;
    QRNN_INLINE Real re(int i) const { return reinterpret_cast<const Real*>(&matrices[i].re)[lane]; }
    QRNN_INLINE Real im(int i) const { return reinterpret_cast<const Real*>(&matrices[i].im)[lane]; }
};

// Group g's row: its number with the bits of `spread` set free.
QRNN_INLINE int64_t group_row(const FactorPass& pass, int64_t g) {
    for (int k = 0; k < 2; ++k) {
        const int64_t low = (int64_t{1} << pass.spread[k]) - 1;
        g = (g & ~low) << 1 | (g & low);
    }
    return g;
}

// y = M x, n_in * n_out complex multiply-adds a group; with `dagger` x = M^dagger y instead, M being n_out x n_in. With
// M's new wires in |0>, the rows of `in` are some of those of `out`: all are read before any is written.
template <class Real, int N_IN, int N_OUT, FactorPass::Kind kind, bool dagger>
void apply(const FactorPass& pass, const StepMatrices<Real> m, VectorOf<Real>* state) {
    using V = VectorOf<Real>;
    constexpr int cols = dagger ? N_OUT : N_IN, rows = dagger ? N_IN : N_OUT;
    V re[rows * cols], im[rows * cols];
    for (int r = 0; r < rows; ++r)
        for (int c = 0; c < cols; ++c) {
            const int entry = dagger ? pass.entry[N_IN * c + r] : pass.entry[N_IN * r + c];
            re[r * cols + c] = splat<Real>(m.re(entry));
            im[r * cols + c] = splat<Real>(dagger ? -m.im(entry) : m.im(entry));
        }
    const int64_t *from = dagger ? pass.out : pass.in, *to = dagger ? pass.in : pass.out;
    V *in[cols], *out[rows];
    for (int c = 0; c < cols; ++c) in[c] = state + 2 * from[c];
    for (int r = 0; r < rows; ++r) out[r] = state + 2 * to[r];
    for (int64_t g = 0; g < pass.n_groups; ++g) {
        const int64_t at = 2 * group_row(pass, g);
        V x_re[cols], x_im[cols];
        for (int c = 0; c < cols; ++c) {
            x_re[c] = in[c][at];
            x_im[c] = in[c][at + 1];
        }
        V y_re[rows], y_im[rows];
        for (int r = 0; r < rows; ++r) {
            y_re[r] = V{};
            y_im[r] = V{};
            for (int c = 0; c < cols; ++c) {
                const V a = re[r * cols + c], b = im[r * cols + c];
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
        for (int r = 0; r < rows; ++r) {
            out[r][at] = y_re[r];
            out[r][at + 1] = y_im[r];
        }
    }
}

// G[r][c] += sum over groups and columns of conj(adjoint_r) x_c.
template <class Real, int N_IN, int N_OUT>
void gradient(const FactorPass& pass, const VectorOf<Real>* adjoint, const VectorOf<Real>* state, int lane,
              Complex<Real>* grad_matrices) {
    using V = VectorOf<Real>;
    for (int r = 0; r < N_OUT; ++r) {
        V re[N_IN], im[N_IN];
        for (int c = 0; c < N_IN; ++c) re[c] = im[c] = V{};
        const V* left = adjoint + 2 * pass.out[r];
        for (int64_t g = 0; g < pass.n_groups; ++g) {
            const int64_t at = 2 * group_row(pass, g);
            const V a_re = left[at], a_im = left[at + 1];
            for (int c = 0; c < N_IN; ++c) {
                const V x_re = state[2 * pass.in[c] + at], x_im = state[2 * pass.in[c] + at + 1];
                re[c] += a_re * x_re;
                re[c] += a_im * x_im;
                im[c] += a_re * x_im;
                im[c] -= a_im * x_re;
            }
        }
        for (int c = 0; c < N_IN; ++c) {
            Complex<Real>& sum = grad_matrices[pass.entry[N_IN * r + c]];
            sum.re[lane] += sum_of_lanes<Real>(re[c]);
            sum.im[lane] += sum_of_lanes<Real>(im[c]);
        }
    }
}

// clang-format off
#define QRNN_FOR_PASSES(CASE) CASE(1, 1) CASE(2, 2) CASE(4, 4) CASE(1, 2) CASE(1, 4) CASE(2, 4)
// clang-format on

template <class Real, bool dagger>
void apply_pass(const FactorPass& pass, const StepMatrices<Real> m, VectorOf<Real>* state) {
    if (pass.kind == FactorPass::real)
        return pass.n_out == 4 ? apply<Real, 4, 4, FactorPass::real, dagger>(pass, m, state)
                               : apply<Real, 2, 2, FactorPass::real, dagger>(pass, m, state);
    if (pass.kind == FactorPass::cross) return apply<Real, 2, 2, FactorPass::cross, dagger>(pass, m, state);
    switch (8 * pass.n_in + pass.n_out) {
#define CASE(N_IN, N_OUT)  \
    case 8 * N_IN + N_OUT: \
        return apply<Real, N_IN, N_OUT, FactorPass::general, dagger>(pass, m, state);
        QRNN_FOR_PASSES(CASE)
#undef CASE
    }
}

template <class Real>
void pass_gradient(const FactorPass& pass, const VectorOf<Real>* adjoint, const VectorOf<Real>* state, int lane,
                   Complex<Real>* grad_matrices) {
    switch (8 * pass.n_in + pass.n_out) {
#define CASE(N_IN, N_OUT)  \
    case 8 * N_IN + N_OUT: \
        return gradient<Real, N_IN, N_OUT>(pass, adjoint, state, lane, grad_matrices);
        QRNN_FOR_PASSES(CASE)
#undef CASE
    }
}

#undef QRNN_FOR_PASSES

template <class Real>
void passes_forward(const FactorStage& stage, const StepMatrices<Real> m, VectorOf<Real>* state) {
    for (int i = 0; i < stage.n_passes; ++i) apply_pass<Real, false>(stage.passes[i], m, state);
}

// From the columns X and their adjoint A after the passes to those before, adding the matrices' gradient.
template <class Real>
void passes_adjoint(const FactorStage& stage, const StepMatrices<Real> m, VectorOf<Real>* state,
                    VectorOf<Real>* adjoint, Complex<Real>* grad_matrices) {
    for (int i = stage.n_passes; i-- > 0;) {
        const FactorPass& pass = stage.passes[i];
        apply_pass<Real, true>(pass, m, state);
        pass_gradient<Real>(pass, adjoint, state, m.lane, grad_matrices);
        apply_pass<Real, true>(pass, m, adjoint);
    }
}

}  // namespace factor
}  // namespace
}  // namespace QRNN_ISA
}  // namespace qrnn
