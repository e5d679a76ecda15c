// Dense blocks over lists of columns, forward and adjoint.
//
// Coefficients stay in registers (or in the first-level cache where there are more than registers) over the whole list;
// a column's inputs lie at state + block.in[c], moved on by the column's first offset, its outputs at state +
// block.out[r]. Outputs may lie where inputs lay: a column's inputs are all read before its outputs are written, so the
// state must not be `restrict`. Forward: rows * cols multiply-adds a column. Adjoint: twice that.
namespace qrnn {
namespace QRNN_ISA {
namespace {

// Pointers to N places before the column's offset is added.
template <int N, class Number>
QRNN_INLINE void find_places(const int32_t* places, Number* state, Number** found) {
    for (int k = 0; k < N; ++k) found[k] = opaque(state + places[k]);
}

// Those of a block's inputs and outputs.
template <Output output, int R, int C, class Number>
QRNN_INLINE void find_all_places(const Block& b, Number* state, Number** in, Number** out) {
    find_places<C>(b.in, state, in);
    if constexpr (output == Output::in_place)
        for (int k = 0; k < R; ++k) out[k] = opaque(in[k]);
    else
        find_places<R>(b.out, state, out);
}

template <int R, int C, bool taped, Output output, class Access, class Number>
void block_forward(const Block& b, const int32_t* columns, const Access access, Number* state, Number* tape_begin) {
    using V = typename Access::Element;
    V c[R * C];
    for (int r = 0; r < R; ++r)
        for (int k = 0; k < C; ++k) c[r * C + k] = access.coefficient(b.coefficient[4 * r + k]);
    Number *in[C], *out[R];
    typename Access::Stored* tape = reinterpret_cast<typename Access::Stored*>(tape_begin);
    find_all_places<output, R, C>(b, state, in, out);
    for_each_element_of<output>(access, columns, b.n_columns, [&](auto i, auto o) __attribute__((always_inline)) {
        V x[C], y[R];
        for (int k = 0; k < C; ++k) x[k] = access.load(in[k], i);
        if constexpr (taped)
            for (int k = 0; k < C; ++k) *tape++ = x[k];
        for (int r = 0; r < R; ++r) {
            y[r] = c[r * C] * x[0];
            for (int k = 1; k < C; ++k) y[r] += c[r * C + k] * x[k];
            if constexpr (output == Output::added) y[r] += access.load(out[r], o);
        }
        for (int r = 0; r < R; ++r) access.store(out[r], o, y[r]);
    });
}

// Sums that fit into the registers beside the operands: there are 32 of 64 bytes, 16 of others.
constexpr int most_sums = QRNN_VECTOR_BYTES == 64 ? 16 : 9;

// Adjoint of the coefficients of rows first .. first + N - 1: sum over the columns of (adjoint of y_r) x_k. N * C
// is at most most_sums.
template <int N, int C, class Access, class Number>
QRNN_INLINE void coefficient_adjoints(const Block& b, int first, int first_variable, const int32_t* columns,
                                      const Access access, Number* adjoint, const Number* tape_begin) {
    using V = typename Access::Element;
    bool varies = false;
    for (int r = 0; r < N; ++r)
        for (int k = 0; k < C; ++k) varies = varies || b.coefficient[4 * (first + r) + k] >= first_variable;
    if (!varies) return;
    V sum[N * C];
    for (int j = 0; j < N * C; ++j) sum[j] = V{};
    Number* out[N];
    find_places<N>(b.out + first, adjoint, out);
    const typename Access::Stored* tape = reinterpret_cast<const typename Access::Stored*>(tape_begin);
    for_each_element_of<Output::elsewhere>(access, columns, b.n_columns,
                                           [&](auto, auto o) __attribute__((always_inline)) {
                                               V x[C];
                                               for (int k = 0; k < C; ++k) x[k] = *tape++;
                                               for (int r = 0; r < N; ++r) {
                                                   const V y = access.load(out[r], o);
                                                   for (int k = 0; k < C; ++k) sum[r * C + k] += y * x[k];
                                               }
                                           });
    int32_t coefficients[N * C];
    for (int j = 0; j < N * C; ++j) coefficients[j] = b.coefficient[4 * (first + j / C) + j % C];
    access.template add_grads<N * C>(coefficients, sum);
}

template <int R, int C, Output output, class Access, class Number>
void block_adjoint(const Block& b, const int32_t* columns, int first_variable, const Access access, Number* adjoint,
                   const Number* tape) {
    using V = typename Access::Element;
    constexpr int rows_at_once = R * C <= most_sums ? R : 2;
    for (int r = 0; r + rows_at_once <= R; r += rows_at_once)
        coefficient_adjoints<rows_at_once, C>(b, r, first_variable, columns, access, adjoint, tape);
    if constexpr (R % rows_at_once != 0)
        coefficient_adjoints<1, C>(b, R - 1, first_variable, columns, access, adjoint, tape);

    V c[R * C];
    for (int r = 0; r < R; ++r)
        for (int k = 0; k < C; ++k) c[r * C + k] = access.coefficient(b.coefficient[4 * r + k]);
    Number *in[C], *out[R];
    find_all_places<output, R, C>(b, adjoint, in, out);
    // Most blocks add to nothing, and their loop asks no questions.
    const auto transposed = [&](auto accumulates) __attribute__((always_inline)) {
        for_each_element_of<output>(access, columns, b.n_columns, [&](auto i, auto o) __attribute__((always_inline)) {
            V y[R], x[C];
            for (int r = 0; r < R; ++r) y[r] = access.load(out[r], o);
            for (int k = 0; k < C; ++k) {
                x[k] = c[k] * y[0];
                for (int r = 1; r < R; ++r) x[k] += c[r * C + k] * y[r];
                if (accumulates && b.adjoint_accumulate >> k & 1) x[k] += access.load(in[k], i);
            }
            for (int k = 0; k < C; ++k) access.store(in[k], i, x[k]);
        });
    };
    if (output == Output::in_place || b.adjoint_accumulate == 0)
        transposed(Index<0>{});
    else
        transposed(Index<1>{});
}

}  // namespace
}  // namespace QRNN_ISA
}  // namespace qrnn
