// Dense blocks over lists of columns, forward and adjoint.
//
// Coefficients stay in registers (or in the first-level cache where there are more than registers) over the whole list;
// a column's inputs lie at state + block.in[c], moved on by the column's first offset, its outputs at state +
// block.out[r]. Outputs may lie where inputs lay: a column's inputs are all read before its outputs are written, so the
// state must not be `restrict`. Forward: rows * cols multiply-adds a column. Adjoint: twice that.
namespace qrnn {
namespace QRNN_ISA {
namespace {

template <class V>
QRNN_INLINE V* moved(V* p, int64_t bytes) {
    return reinterpret_cast<V*>(reinterpret_cast<int64_t>(p) + bytes);
}

template <class Real, int R, int C>
QRNN_INLINE void load_coefficients(const Block& b, const VectorOf<Real>* registers, VectorOf<Real>* c) {
    for (int r = 0; r < R; ++r)
        for (int k = 0; k < C; ++k) c[r * C + k] = registers[b.coefficient[4 * r + k]];
}

template <class Real, int R, int C, bool taped, bool accumulate>
void block_forward(const Block& b, const int32_t* columns, const VectorOf<Real>* registers, VectorOf<Real>* state,
                   VectorOf<Real>* tape) {
    using V = VectorOf<Real>;
    V c[R * C];
    load_coefficients<Real, R, C>(b, registers, c);
    const V* in[C];
    V* out[R];
    for (int k = 0; k < C; ++k) in[k] = state + b.in[k];
    for (int r = 0; r < R; ++r) out[r] = state + b.out[r];
    const int n = b.n_columns;
    for (int column = 0; column < n; ++column) {
        const int64_t i = columns[2 * column], o = columns[2 * column + 1];
        V x[C], y[R];
        for (int k = 0; k < C; ++k) x[k] = *moved(in[k], i);
        if constexpr (taped)
            for (int k = 0; k < C; ++k) tape[column * C + k] = x[k];
        for (int r = 0; r < R; ++r) {
            y[r] = c[r * C] * x[0];
            for (int k = 1; k < C; ++k) y[r] += c[r * C + k] * x[k];
            if constexpr (accumulate) y[r] += *moved(out[r], o);
        }
        for (int r = 0; r < R; ++r) *moved(out[r], o) = y[r];
    }
}

// Adjoint of the coefficients of rows first .. first + N - 1: sum over the columns of (adjoint of y_r) x_k. N * C
// accumulators must fit into the registers beside the operands.
template <class Real, int N, int C>
QRNN_INLINE void coefficient_adjoints(const Block& b, int first, int n_constants, const int32_t* columns,
                                      const VectorOf<Real>* adjoint, const VectorOf<Real>* tape, VectorOf<Real>* grad) {
    using V = VectorOf<Real>;
    bool varies = false;
    for (int r = 0; r < N; ++r)
        for (int k = 0; k < C; ++k) varies = varies || b.coefficient[4 * (first + r) + k] >= n_constants;
    if (!varies) return;
    V sum[N * C];
    for (int j = 0; j < N * C; ++j) sum[j] = V{};
    const V* out[N];
    for (int r = 0; r < N; ++r) out[r] = adjoint + b.out[first + r];
    const int n = b.n_columns;
    for (int column = 0; column < n; ++column) {
        const int64_t o = columns[2 * column + 1];
        V x[C];
        for (int k = 0; k < C; ++k) x[k] = tape[column * C + k];
        for (int r = 0; r < N; ++r) {
            const V y = *moved(out[r], o);
            for (int k = 0; k < C; ++k) sum[r * C + k] += y * x[k];
        }
    }
    for (int r = 0; r < N; ++r)
        for (int k = 0; k < C; ++k) grad[b.coefficient[4 * (first + r) + k]] += sum[r * C + k];
}

template <class Real, int R, int C>
void block_adjoint(const Block& b, const int32_t* columns, int n_constants, const VectorOf<Real>* registers,
                   VectorOf<Real>* adjoint, const VectorOf<Real>* tape, VectorOf<Real>* grad) {
    using V = VectorOf<Real>;
    constexpr int rows_at_once = R * C <= 9 ? R : 2;
    for (int r = 0; r + rows_at_once <= R; r += rows_at_once)
        coefficient_adjoints<Real, rows_at_once, C>(b, r, n_constants, columns, adjoint, tape, grad);
    if constexpr (R % rows_at_once != 0)
        coefficient_adjoints<Real, 1, C>(b, R - 1, n_constants, columns, adjoint, tape, grad);

    V c[R * C];
    load_coefficients<Real, R, C>(b, registers, c);
    V* in[C];
    const V* out[R];
    for (int k = 0; k < C; ++k) in[k] = adjoint + b.in[k];
    for (int r = 0; r < R; ++r) out[r] = adjoint + b.out[r];
    const int n = b.n_columns, accumulate = b.adjoint_accumulate;
    for (int column = 0; column < n; ++column) {
        const int64_t i = columns[2 * column], o = columns[2 * column + 1];
        V y[R], x[C];
        for (int r = 0; r < R; ++r) y[r] = *moved(out[r], o);
        for (int k = 0; k < C; ++k) {
            x[k] = c[k] * y[0];
            for (int r = 1; r < R; ++r) x[k] += c[r * C + k] * y[r];
            if (accumulate >> k & 1) x[k] += *moved(in[k], i);
        }
        for (int k = 0; k < C; ++k) *moved(in[k], i) = x[k];
    }
}

#define QRNN_FOR_SHAPES(CASE)                                                                                     \
    CASE(1, 1)                                                                                                    \
    CASE(1, 2) CASE(1, 3) CASE(1, 4) CASE(2, 1) CASE(2, 2) CASE(2, 3) CASE(2, 4) CASE(3, 1) CASE(3, 2) CASE(3, 3) \
        CASE(3, 4) CASE(4, 1) CASE(4, 2) CASE(4, 3) CASE(4, 4)

template <class Real, bool taped>
void blocks_forward(const PauliProgram& p, const BlockList& list, const VectorOf<Real>* registers,
                    VectorOf<Real>* state, VectorOf<Real>* tape) {
    for (int i = 0; i < list.n_blocks; ++i) {
        const Block& b = list.blocks[i];
        const int32_t* columns = p.offsets + 2 * static_cast<int64_t>(b.columns);
        VectorOf<Real>* place = taped ? tape + b.tape : tape;
        switch (8 * b.rows + b.cols) {
#define CASE(R, C)                                                                        \
    case 8 * R + C:                                                                       \
        if (b.accumulate)                                                                 \
            block_forward<Real, R, C, taped, true>(b, columns, registers, state, place);  \
        else                                                                              \
            block_forward<Real, R, C, taped, false>(b, columns, registers, state, place); \
        break;
            QRNN_FOR_SHAPES(CASE)
#undef CASE
        }
    }
    for (int i = 0; i < list.n_clear; ++i) state[list.clear[i]] = VectorOf<Real>{};
}

// Without a tape only the state's adjoint is carried: for lists whose coefficients are constants.
template <class Real>
void blocks_adjoint(const PauliProgram& p, const BlockList& list, const VectorOf<Real>* registers,
                    VectorOf<Real>* adjoint, const VectorOf<Real>* tape, VectorOf<Real>* grad) {
    for (int i = list.n_blocks; i-- > 0;) {
        const Block& b = list.blocks[i];
        const int32_t* columns = p.offsets + 2 * static_cast<int64_t>(b.columns);
        switch (8 * b.rows + b.cols) {
#define CASE(R, C)                                                                                     \
    case 8 * R + C:                                                                                    \
        block_adjoint<Real, R, C>(b, columns, p.n_constants, registers, adjoint, tape + b.tape, grad); \
        break;
            QRNN_FOR_SHAPES(CASE)
#undef CASE
        }
    }
    for (int i = 0; i < list.n_adjoint_clear; ++i) adjoint[list.adjoint_clear[i]] = VectorOf<Real>{};
}

#undef QRNN_FOR_SHAPES

}  // namespace
}  // namespace QRNN_ISA
}  // namespace qrnn
