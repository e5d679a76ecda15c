// Blocks of the forms that program.hpp describes, forward and adjoint; see dense.inl for the dense ones.
namespace qrnn {
namespace QRNN_ISA {
namespace {

// ---- Turns (program.hpp). One pass going forward, and one going backward, where the coefficients' adjoints and those
// of the inputs have room in 16 registers side by side. Per column and turn 4 multiplications forward, 8 backward.
template <BlockForm form>
struct Turns {
    static constexpr int n = form == BlockForm::turn ? 1 : 2;
    static constexpr bool crossed = form == BlockForm::crossed_twin_turn;

    // Inputs (or adjoints of outputs) to the pairs that turn, and its transpose.
    template <class V>
    static QRNN_INLINE void split(V* x) {
        if constexpr (n == 2) {
            const V sum = x[1] + x[3], difference = x[1] - x[3], x2 = x[2];
            x[2] = x[0] - x2, x[0] += x2;
            x[1] = crossed ? difference : sum;
            x[3] = crossed ? sum : difference;
        }
    }
    template <class V>
    static QRNN_INLINE void join(V* x) {
        if constexpr (n == 2) {
            const V x0 = x[0], x1 = x[1];
            x[0] = x0 + x[2], x[2] = x0 - x[2];
            x[1] = x1 + x[3], x[3] = crossed ? x[3] - x1 : x1 - x[3];
        }
    }
};

template <BlockForm form, Output output, bool taped, class Access, class Number>
void turns_forward(const Block& b, const int32_t* columns, const Access access, Number* state, Number* tape_begin) {
    using V = typename Access::Element;
    using T = Turns<form>;
    constexpr int size = 2 * T::n;
    V c[size];
    for (int k = 0; k < size; ++k) c[k] = access.coefficient(b.coefficient[k]);
    Number *in[size], *out[size];
    typename Access::Stored* tape = reinterpret_cast<typename Access::Stored*>(tape_begin);
    find_all_places<output, size, size>(b, state, in, out);
    for_each_element_of<output>(access, columns, b.n_columns, [&](auto i, auto o) __attribute__((always_inline)) {
        V x[size], y[size];
        for (int k = 0; k < size; ++k) x[k] = access.load(in[k], i);
        T::split(x);
        if constexpr (taped)
            for (int k = 0; k < size; ++k) *tape++ = x[k];
        for (int k = 0; k < size; k += 2) {
            y[k] = c[k] * x[k] + c[k + 1] * x[k + 1];
            y[k + 1] = c[k] * x[k + 1] - c[k + 1] * x[k];
        }
        T::join(y);
        for (int k = 0; k < size; ++k) access.store(out[k], o, y[k]);
    });
}

template <BlockForm form, Output output, class Access, class Number>
void turns_adjoint(const Block& b, const int32_t* columns, const Access access, Number* adjoint,
                   const Number* tape_begin) {
    using V = typename Access::Element;
    using T = Turns<form>;
    constexpr int size = 2 * T::n;
    V c[size], sum[size];
    for (int k = 0; k < size; ++k) {
        c[k] = access.coefficient(b.coefficient[k]);
        sum[k] = V{};
    }
    Number *in[size], *out[size];
    const typename Access::Stored* tape = reinterpret_cast<const typename Access::Stored*>(tape_begin);
    find_all_places<output, size, size>(b, adjoint, in, out);
    for_each_element_of<output>(access, columns, b.n_columns, [&](auto i, auto o) __attribute__((always_inline)) {
        V x[size], y[size];
        for (int k = 0; k < size; ++k) y[k] = access.load(out[k], o);
        T::split(y);
        for (int k = 0; k < size; k += 2) {
            const V x0 = *tape++, x1 = *tape++;
            sum[k] += y[k] * x0 + y[k + 1] * x1;
            sum[k + 1] += y[k] * x1 - y[k + 1] * x0;
            x[k] = c[k] * y[k] - c[k + 1] * y[k + 1];
            x[k + 1] = c[k + 1] * y[k] + c[k] * y[k + 1];
        }
        T::join(x);
        for (int k = 0; k < size; ++k) access.store(in[k], i, x[k]);
    });
    access.template add_grads<size>(b.coefficient, sum);
}

// ---- Scattered rows (program.hpp), one column at a time.
template <int C, bool taped, class Access, class Number>
void scattered_forward(const Block& b, const int32_t* places, const Access access, Number* state, Number* tape) {
    Number c[C];
    for (int k = 0; k < C; ++k) c[k] = access.coefficient(b.coefficient[k]);
    for (int column = 0; column < b.n_columns; ++column, places += C + 1) {
        Number y{};
        for (int k = 0; k < C; ++k) {
            const Number x = access.load(state, access.position(places + k));
            if constexpr (taped) *tape++ = x;
            y = k == 0 ? c[0] * x : y + c[k] * x;
        }
        access.store(state, access.position(places + C), y);
    }
}

template <int C, class Access, class Number>
void scattered_adjoint(const Block& b, const int32_t* places, const Access access, Number* adjoint,
                       const Number* tape) {
    Number c[C], sum[C];
    for (int k = 0; k < C; ++k) {
        c[k] = access.coefficient(b.coefficient[k]);
        sum[k] = Number{};
    }
    for (int column = 0; column < b.n_columns; ++column, places += C + 1) {
        const Number y = access.load(adjoint, access.position(places + C));
        for (int k = 0; k < C; ++k) {
            sum[k] += y * *tape++;
            const auto at = access.position(places + k);
            const Number before = b.adjoint_accumulate >> k & 1 ? access.load(adjoint, at) : Number{};
            access.store(adjoint, at, before + c[k] * y);
        }
    }
    access.template add_grads<C>(b.coefficient, sum);
}

// ---- Exchanges (program.hpp), which are their own transpose.
template <class Access, class Number>
void exchange_places(const Block& b, const int32_t* columns, const Access access, Number* state) {
    Number* places[4];
    find_places<4>(b.in, state, places);
    for (int column = 0; column < b.n_columns; column += Access::step / 4) {
        const auto at = access.position(columns + 2 * column);
        typename Access::Element rows[4];
        for_each_index<4>([&](auto k) __attribute__((always_inline)) { rows[k] = access.load(places[k], at); });
        transpose_stage<2, 4>(rows);
        for_each_index<4>([&](auto k) __attribute__((always_inline)) { access.store(places[k], at, rows[k]); });
    }
}

}  // namespace
}  // namespace QRNN_ISA
}  // namespace qrnn
