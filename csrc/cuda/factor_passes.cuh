// The factor engine on a GPU: unitaries applied to a chunk of columns, and their adjoint. Element (row, column) of a
// state stands at row * width + column; a chunk has 2^shift columns.
#pragma once

namespace qrnn {
namespace cuda {

// Group g's row: its number with the bits of `spread` set free.
struct GroupRows {
    int low[2];
    QRNN_DEVICE explicit GroupRows(const FactorPass& pass)
        : low{(1 << pass.spread[0]) - 1, (1 << pass.spread[1]) - 1} {}
    QRNN_DEVICE int operator()(int g) const {
        QRNN_UNROLL for (int k = 0; k < 2; ++k) g = (g & ~low[k]) << 1 | (g & low[k]);
        return g;
    }
};

// y = M x of R rows and C columns; of what is known to be zero nothing is multiplied.
template <int R, int C, FactorPass::Kind kind>
QRNN_DEVICE void multiply(const Complex* m, const Complex* x, Complex* y) {
    QRNN_UNROLL for (int r = 0; r < R; ++r) {
        y[r] = {0, 0};
        QRNN_UNROLL for (int c = 0; c < C; ++c) {
            const Complex a = m[r * C + c];
            if (kind != FactorPass::cross || r == c) {
                y[r].re += a.re * x[c].re;
                y[r].im += a.re * x[c].im;
            }
            if (kind == FactorPass::general || (kind == FactorPass::cross && r != c)) {
                y[r].re -= a.im * x[c].im;
                y[r].im += a.im * x[c].re;
            }
        }
    }
}

// With M's new wires in |0>, the rows of `in` are some of those of `out`: all are read before any is written.
template <int N_IN, int N_OUT, FactorPass::Kind kind>
QRNN_DEVICE void apply(const Team& team, const FactorPass& pass, const Complex* matrices, int shift, Complex* state) {
    Complex m[N_OUT * N_IN];
    QRNN_UNROLL for (int i = 0; i < N_OUT * N_IN; ++i) m[i] = matrices[pass.entry[i]];
    int in[N_IN], out[N_OUT];
    QRNN_UNROLL for (int c = 0; c < N_IN; ++c) in[c] = static_cast<int>(pass.in[c]) * width;
    QRNN_UNROLL for (int r = 0; r < N_OUT; ++r) out[r] = static_cast<int>(pass.out[r]) * width;
    const GroupRows row(pass);
    const int n = static_cast<int>(pass.n_groups) << shift, mask = (1 << shift) - 1;
    QRNN_ONE_BY_ONE for (int i = team.thread; i < n; i += team.n_threads) {
        Complex* at = state + (row(i >> shift) * width + (i & mask));
        Complex x[N_IN], y[N_OUT];
        QRNN_UNROLL for (int c = 0; c < N_IN; ++c) x[c] = at[in[c]];
        multiply<N_OUT, N_IN, kind>(m, x, y);
        QRNN_UNROLL for (int r = 0; r < N_OUT; ++r) at[out[r]] = y[r];
    }
}

// x = M^dagger y for the columns X and their adjoint A alike, and G[r][c] = sum over groups and columns of conj(a_r)
// x_c: a thread's own part of it, then in order those of its block, which are added to the block's gradients.
template <int N_IN, int N_OUT, FactorPass::Kind kind>
QRNN_DEVICE void apply_adjoint(const Team& team, const FactorPass& pass, const Complex* matrices, int shift,
                               Complex* state, Complex* adjoint, Complex* gradients) {
    constexpr int n_entries = N_IN * N_OUT;
    const FactorScratch scratch(sizes, sizeof(Real), block_size(), true);
    Complex *m = reinterpret_cast<Complex*>(team.own + scratch.matrix),  // for M^dagger and sums there are no registers
        *room = reinterpret_cast<Complex*>(team.own + scratch.room),
            *parts = reinterpret_cast<Complex*>(team.own + scratch.parts);
    for (int i = thread_index(); i < n_entries; i += block_size())
        m[i] = conjugate(matrices[pass.entry[i % N_OUT * N_IN + i / N_OUT]]);
    block_sync();
    Complex sums[n_entries];
    QRNN_UNROLL for (int i = 0; i < n_entries; ++i) sums[i] = {0, 0};
    int in[N_IN], out[N_OUT];
    QRNN_UNROLL for (int c = 0; c < N_IN; ++c) in[c] = static_cast<int>(pass.in[c]) * width;
    QRNN_UNROLL for (int r = 0; r < N_OUT; ++r) out[r] = static_cast<int>(pass.out[r]) * width;
    const GroupRows row(pass);
    const int n = static_cast<int>(pass.n_groups) << shift, mask = (1 << shift) - 1;
    QRNN_ONE_BY_ONE for (int i = team.thread; i < n; i += team.n_threads) {
        const int at = row(i >> shift) * width + (i & mask);
        Complex y[N_OUT], a[N_OUT], x[N_IN];
        QRNN_UNROLL for (int r = 0; r < N_OUT; ++r) y[r] = state[at + out[r]];
        multiply<N_IN, N_OUT, kind>(m, y, x);
        QRNN_UNROLL for (int c = 0; c < N_IN; ++c) state[at + in[c]] = x[c];
        QRNN_UNROLL for (int r = 0; r < N_OUT; ++r) {
            a[r] = adjoint[at + out[r]];
            QRNN_UNROLL for (int c = 0; c < N_IN; ++c) add_product(sums[r * N_IN + c], conjugate(a[r]), x[c]);
        }
        multiply<N_IN, N_OUT, kind>(m, a, x);
        QRNN_UNROLL for (int c = 0; c < N_IN; ++c) adjoint[at + in[c]] = x[c];
    }
    constexpr int n_parts = FactorScratch::gradient_parts;
    QRNN_UNROLL for (int i = 0; i < n_entries; ++i) room[i * block_size() + thread_index()] = sums[i];
    block_sync();
    QRNN_ONE_BY_ONE for (int i = thread_index(); i < n_entries * n_parts; i += block_size()) {
        Complex sum{0, 0};
        const Complex* of_entry = room + i / n_parts * block_size();
        QRNN_ONE_BY_ONE for (int k = i % n_parts; k < block_size(); k += n_parts) {
            sum.re += of_entry[k].re;
            sum.im += of_entry[k].im;
        }
        parts[i] = sum;
    }
    block_sync();
    for (int i = thread_index(); i < n_entries; i += block_size()) {
        Complex& sum = gradients[pass.entry[i]];
        QRNN_ONE_BY_ONE for (int k = i * n_parts; k < (i + 1) * n_parts; ++k) {
            sum.re += parts[k].re;
            sum.im += parts[k].im;
        }
    }
}

// Of shapes and kinds, those alone that the plan has are compiled: QRNN_FOR_PASSES, in front of the tables, lists them.
constexpr int shape_of(int n_in, int n_out, FactorPass::Kind kind) {
    return 64 * static_cast<int>(kind) + 8 * n_in + n_out;
}

QRNN_DEVICE_ONCE void passes_forward(const Team& team, const FactorStage& stage, const Complex* matrices, int shift,
                                     Complex* state) {
    QRNN_ONE_BY_ONE for (int i = 0; i < stage.n_passes; ++i) {
        const FactorPass& pass = stage.passes[i];
        switch (shape_of(pass.n_in, pass.n_out, pass.kind)) {
#define CASE(N_IN, N_OUT, KIND)                                                   \
    case shape_of(N_IN, N_OUT, FactorPass::KIND):                                 \
        apply<N_IN, N_OUT, FactorPass::KIND>(team, pass, matrices, shift, state); \
        break;
            QRNN_FOR_PASSES(CASE)
#undef CASE
        }
        team_sync(team);
    }
}

QRNN_DEVICE_ONCE void passes_adjoint(const Team& team, const FactorStage& stage, const Complex* matrices, int shift,
                                     Complex* state, Complex* adjoint, Complex* gradients) {
    QRNN_ONE_BY_ONE for (int i = stage.n_passes; i-- > 0;) {
        const FactorPass& pass = stage.passes[i];
        switch (shape_of(pass.n_in, pass.n_out, pass.kind)) {
#define CASE(N_IN, N_OUT, KIND)                                                                               \
    case shape_of(N_IN, N_OUT, FactorPass::KIND):                                                             \
        apply_adjoint<N_IN, N_OUT, FactorPass::KIND>(team, pass, matrices, shift, state, adjoint, gradients); \
        break;
            QRNN_FOR_PASSES(CASE)
#undef CASE
        }
        team_sync(team);
    }
}

}  // namespace cuda
}  // namespace qrnn
