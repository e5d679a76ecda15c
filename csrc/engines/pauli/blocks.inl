// Dense blocks over lists of columns, forward and adjoint.
//
// Coefficients stay in registers (or in the first-level cache where there are more than registers) over the whole list;
// a column's inputs lie at state + block.in[c], moved on by the column's first offset, its outputs at state +
// block.out[r]. Outputs may lie where inputs lay: a column's inputs are all read before its outputs are written, so the
// state must not be `restrict`. Forward: rows * cols multiply-adds a column. Adjoint: twice that.
//
// An Access says what an element is, where coefficients come from and how the elements of `step` columns are reached:
// OneColumn for a batch kernel, where an element is a lane vector; OneNumber, FourColumns (that are neighbours) and
// FourApart for a single sequence, where it is one number, or the numbers of four columns.
namespace qrnn {
namespace QRNN_ISA {
namespace {

// Moves by an offset of the column lists, which is in bytes of vectors; Part is such a vector or a number of it.
template <class Part>
QRNN_INLINE Part* moved(Part* p, int64_t offset) {
    constexpr int shift = __builtin_ctz(QRNN_VECTOR_BYTES / sizeof(Part));  // cheaper than a signed division
    return reinterpret_cast<Part*>(reinterpret_cast<int64_t>(p) + (offset >> shift));
}

template <class Real>
struct OneColumn {
    using Element = VectorOf<Real>;
    using Number = VectorOf<Real>;
    using Position = int64_t;
    static constexpr int step = 1;
    const Number* registers;
    Number* grad;

    QRNN_INLINE Element coefficient(int id) const { return registers[id]; }
    QRNN_INLINE void add_grad(int id, Element sum) const { grad[id] += sum; }
    // Of the column whose offset this is; offsets of inputs and outputs follow each other in turn.
    QRNN_INLINE Position position(const int32_t* offset) const { return *offset; }
    QRNN_INLINE Element load(const Number* place, Position at) const { return *moved(place, at); }
    QRNN_INLINE void store(Number* place, Position at, Element x) const { *moved(place, at) = x; }
};

// Coefficients of one lane: the lanes of a register are time steps here, those of two vectors where they are short.
constexpr int single_parts = QRNN_VECTOR_BYTES < 64 ? 2 : 1;
template <class Real>
constexpr int single_lanes = single_parts * Lanes<Real>::n;

template <class Real>
struct OneNumber {
    using Element = Real;
    using Number = Real;
    using Position = int64_t;
    static constexpr int step = 1;
    const Real* registers;
    Real* grad;

    QRNN_INLINE Element coefficient(int id) const { return registers[id * single_lanes<Real>]; }
    QRNN_INLINE void add_grad(int id, Element sum) const { grad[id * single_lanes<Real>] += sum; }
    QRNN_INLINE Position position(const int32_t* offset) const { return *offset; }
    QRNN_INLINE Element load(const Real* place, Position at) const { return *moved(place, at); }
    QRNN_INLINE void store(Real* place, Position at, Element x) const { *moved(place, at) = x; }
};

template <class Real>
struct FourColumns {
    typedef Real Element __attribute__((vector_size(4 * sizeof(Real)), aligned(sizeof(Real)), may_alias));
    using Number = Real;
    using Position = int64_t;
    static constexpr int step = 4;
    const Real* registers;
    Real* grad;

    QRNN_INLINE Element coefficient(int id) const { return Element{} + registers[id * single_lanes<Real>]; }
    QRNN_INLINE void add_grad(int id, Element sum) const {
        grad[id * single_lanes<Real>] += (sum[0] + sum[1]) + (sum[2] + sum[3]);
    }
    QRNN_INLINE Position position(const int32_t* offset) const { return *offset; }
    QRNN_INLINE Element load(const Real* place, Position at) const {
        return *reinterpret_cast<const Element*>(moved(place, at));
    }
    QRNN_INLINE void store(Real* place, Position at, Element x) const {
        *reinterpret_cast<Element*>(moved(place, at)) = x;
    }
};

template <class Real>
struct FourApart : FourColumns<Real> {
    using Base = FourColumns<Real>;
    using Element = typename Base::Element;
    struct Position {
        int64_t at[4];
    };

    QRNN_INLINE Position position(const int32_t* offset) const {
        return {{offset[0], offset[2], offset[4], offset[6]}};
    }
    QRNN_INLINE Element load(const Real* place, const Position& p) const {
        return Element{*moved(place, p.at[0]), *moved(place, p.at[1]), *moved(place, p.at[2]), *moved(place, p.at[3])};
    }
    QRNN_INLINE void store(Real* place, const Position& p, Element x) const {
        for (int k = 0; k < 4; ++k) *moved(place, p.at[k]) = x[k];
    }
};

// Pointers to the places of a block's inputs or outputs before the column's offset.
template <int N, class Number>
QRNN_INLINE void find_places(const int32_t* places, Number* state, Number** found) {
    for (int k = 0; k < N; ++k) found[k] = state + places[k];
}

template <int R, int C, bool taped, bool accumulate, class Access, class Number>
void block_forward(const Block& b, const int32_t* columns, const Access access, Number* state, Number* tape_begin) {
    using V = typename Access::Element;
    V c[R * C];
    for (int r = 0; r < R; ++r)
        for (int k = 0; k < C; ++k) c[r * C + k] = access.coefficient(b.coefficient[4 * r + k]);
    Number *in[C], *out[R];
    V* tape = reinterpret_cast<V*>(tape_begin);
    find_places<C>(b.in, state, in);
    find_places<R>(b.out, state, out);
    const int n = b.n_columns;
    for (int column = 0; column < n; column += Access::step) {
        const auto i = access.position(columns + 2 * column), o = access.position(columns + 2 * column + 1);
        V x[C], y[R];
        for (int k = 0; k < C; ++k) x[k] = access.load(in[k], i);
        if constexpr (taped)
            for (int k = 0; k < C; ++k) *tape++ = x[k];
        for (int r = 0; r < R; ++r) {
            y[r] = c[r * C] * x[0];
            for (int k = 1; k < C; ++k) y[r] += c[r * C + k] * x[k];
            if constexpr (accumulate) y[r] += access.load(out[r], o);
        }
        for (int r = 0; r < R; ++r) access.store(out[r], o, y[r]);
    }
}

// Adjoint of the coefficients of rows first .. first + N - 1: sum over the columns of (adjoint of y_r) x_k. N * C
// accumulators must fit into the registers beside the operands.
template <int N, int C, class Access, class Number>
QRNN_INLINE void coefficient_adjoints(const Block& b, int first, int n_constants, const int32_t* columns,
                                      const Access access, Number* adjoint, const Number* tape_begin) {
    using V = typename Access::Element;
    bool varies = false;
    for (int r = 0; r < N; ++r)
        for (int k = 0; k < C; ++k) varies = varies || b.coefficient[4 * (first + r) + k] >= n_constants;
    if (!varies) return;
    V sum[N * C];
    for (int j = 0; j < N * C; ++j) sum[j] = V{};
    Number* out[N];
    find_places<N>(b.out + first, adjoint, out);
    const V* tape = reinterpret_cast<const V*>(tape_begin);
    const int n = b.n_columns;
    for (int column = 0; column < n; column += Access::step) {
        const auto o = access.position(columns + 2 * column + 1);
        V x[C];
        for (int k = 0; k < C; ++k) x[k] = *tape++;
        for (int r = 0; r < N; ++r) {
            const V y = access.load(out[r], o);
            for (int k = 0; k < C; ++k) sum[r * C + k] += y * x[k];
        }
    }
    for (int r = 0; r < N; ++r)
        for (int k = 0; k < C; ++k) access.add_grad(b.coefficient[4 * (first + r) + k], sum[r * C + k]);
}

template <int R, int C, class Access, class Number>
void block_adjoint(const Block& b, const int32_t* columns, int n_constants, const Access access, Number* adjoint,
                   const Number* tape) {
    using V = typename Access::Element;
    constexpr int rows_at_once = R * C <= 9 ? R : 2;
    for (int r = 0; r + rows_at_once <= R; r += rows_at_once)
        coefficient_adjoints<rows_at_once, C>(b, r, n_constants, columns, access, adjoint, tape);
    if constexpr (R % rows_at_once != 0)
        coefficient_adjoints<1, C>(b, R - 1, n_constants, columns, access, adjoint, tape);

    V c[R * C];
    for (int r = 0; r < R; ++r)
        for (int k = 0; k < C; ++k) c[r * C + k] = access.coefficient(b.coefficient[4 * r + k]);
    Number *in[C], *out[R];
    find_places<C>(b.in, adjoint, in);
    find_places<R>(b.out, adjoint, out);
    const int n = b.n_columns, accumulate = b.adjoint_accumulate;
    for (int column = 0; column < n; column += Access::step) {
        const auto i = access.position(columns + 2 * column), o = access.position(columns + 2 * column + 1);
        V y[R], x[C];
        for (int r = 0; r < R; ++r) y[r] = access.load(out[r], o);
        for (int k = 0; k < C; ++k) {
            x[k] = c[k] * y[0];
            for (int r = 1; r < R; ++r) x[k] += c[r * C + k] * y[r];
            if (accumulate >> k & 1) x[k] += access.load(in[k], i);
        }
        for (int k = 0; k < C; ++k) access.store(in[k], i, x[k]);
    }
}

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

template <BlockForm form, bool taped, class Access, class Number>
void turns_forward(const Block& b, const int32_t* columns, const Access access, Number* state, Number* tape_begin) {
    using V = typename Access::Element;
    using T = Turns<form>;
    constexpr int size = 2 * T::n;
    V c[size];
    for (int k = 0; k < size; ++k) c[k] = access.coefficient(b.coefficient[k]);
    Number *in[size], *out[size];
    V* tape = reinterpret_cast<V*>(tape_begin);
    find_places<size>(b.in, state, in);
    find_places<size>(b.out, state, out);
    const int n = b.n_columns;
    for (int column = 0; column < n; column += Access::step) {
        const auto i = access.position(columns + 2 * column), o = access.position(columns + 2 * column + 1);
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
    }
}

template <BlockForm form, class Access, class Number>
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
    const V* tape = reinterpret_cast<const V*>(tape_begin);
    find_places<size>(b.in, adjoint, in);
    find_places<size>(b.out, adjoint, out);
    const int n = b.n_columns;
    for (int column = 0; column < n; column += Access::step) {
        const auto i = access.position(columns + 2 * column), o = access.position(columns + 2 * column + 1);
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
    }
    for (int k = 0; k < size; ++k) access.add_grad(b.coefficient[k], sum[k]);
}

// ---- Scattered rows (program.hpp), one column at a time.
template <int C, bool taped, class Access, class Number>
void scattered_forward(const Block& b, const int32_t* places, const Access access, Number* state, Number* tape) {
    Number c[C];
    for (int k = 0; k < C; ++k) c[k] = access.coefficient(b.coefficient[k]);
    for (int column = 0; column < b.n_columns; ++column, places += C + 1) {
        Number y{};
        for (int k = 0; k < C; ++k) {
            const Number x = access.load(state, places[k]);
            if constexpr (taped) *tape++ = x;
            y = k == 0 ? c[0] * x : y + c[k] * x;
        }
        access.store(state, places[C], y);
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
        const Number y = access.load(adjoint, places[C]);
        for (int k = 0; k < C; ++k) {
            sum[k] += y * *tape++;
            const Number before = b.adjoint_accumulate >> k & 1 ? access.load(adjoint, places[k]) : Number{};
            access.store(adjoint, places[k], before + c[k] * y);
        }
    }
    for (int k = 0; k < C; ++k) access.add_grad(b.coefficient[k], sum[k]);
}

// clang-format off
#define QRNN_FOR_SHAPES(CASE) \
    CASE(1, 1) CASE(1, 2) CASE(1, 3) CASE(1, 4) CASE(2, 1) CASE(2, 2) CASE(2, 3) CASE(2, 4) \
    CASE(3, 1) CASE(3, 2) CASE(3, 3) CASE(3, 4) CASE(4, 1) CASE(4, 2) CASE(4, 3) CASE(4, 4)
// clang-format on

template <bool taped, class Access, class Number>
QRNN_INLINE void any_block_forward(const Block& b, const int32_t* columns, const Access access, Number* state,
                                   Number* tape) {
    switch (b.form) {
        case BlockForm::turn:
            return turns_forward<BlockForm::turn, taped>(b, columns, access, state, tape);
        case BlockForm::twin_turn:
            return turns_forward<BlockForm::twin_turn, taped>(b, columns, access, state, tape);
        case BlockForm::crossed_twin_turn:
            return turns_forward<BlockForm::crossed_twin_turn, taped>(b, columns, access, state, tape);
        case BlockForm::scattered_row:
            if constexpr (Access::step == 1) switch (b.cols) {
#define CASE(C) \
    case C:     \
        return scattered_forward<C, taped>(b, columns, access, state, tape);
                    CASE(1) CASE(2) CASE(3) CASE(4)
#undef CASE
                }
            return;
        case BlockForm::dense:
            break;
    }
    switch (8 * b.rows + b.cols) {
#define CASE(R, C)                                                              \
    case 8 * R + C:                                                             \
        if (b.accumulate)                                                       \
            block_forward<R, C, taped, true>(b, columns, access, state, tape);  \
        else                                                                    \
            block_forward<R, C, taped, false>(b, columns, access, state, tape); \
        break;
        QRNN_FOR_SHAPES(CASE)
#undef CASE
    }
}

template <class Access, class Number>
QRNN_INLINE void any_block_adjoint(const Block& b, const int32_t* columns, int n_constants, const Access access,
                                   Number* adjoint, const Number* tape) {
    switch (b.form) {
        case BlockForm::turn:
            return turns_adjoint<BlockForm::turn>(b, columns, access, adjoint, tape);
        case BlockForm::twin_turn:
            return turns_adjoint<BlockForm::twin_turn>(b, columns, access, adjoint, tape);
        case BlockForm::crossed_twin_turn:
            return turns_adjoint<BlockForm::crossed_twin_turn>(b, columns, access, adjoint, tape);
        case BlockForm::scattered_row:
            if constexpr (Access::step == 1) switch (b.cols) {
#define CASE(C) \
    case C:     \
        return scattered_adjoint<C>(b, columns, access, adjoint, tape);
                    CASE(1) CASE(2) CASE(3) CASE(4)
#undef CASE
                }
            return;
        case BlockForm::dense:
            break;
    }
    switch (8 * b.rows + b.cols) {
#define CASE(R, C)                                                           \
    case 8 * R + C:                                                          \
        block_adjoint<R, C>(b, columns, n_constants, access, adjoint, tape); \
        break;
        QRNN_FOR_SHAPES(CASE)
#undef CASE
    }
}

#undef QRNN_FOR_SHAPES

// ---- Block lists. A Number is what a place of the state holds: a lane vector, or one number.
struct Batch {
    template <class Real>
    using Number = VectorOf<Real>;

    template <class F, class Real>
    static QRNN_INLINE void with_access(const Block&, const VectorOf<Real>* registers, VectorOf<Real>* grad, Real,
                                        F f) {
        f(OneColumn<Real>{registers, grad});
    }
};

struct Single {
    template <class Real>
    using Number = Real;

    template <class F, class Real>
    static QRNN_INLINE void with_access(const Block& b, const Real* registers, Real* grad, Real, F f) {
        if (b.fours)
            f(FourColumns<Real>{registers, grad});
        else if (b.n_columns % 4 == 0 && b.form != BlockForm::scattered_row)
            f(FourApart<Real>{{registers, grad}});
        else
            f(OneNumber<Real>{registers, grad});
    }
};

template <class Mode, bool taped, class Real, class Number>
void blocks_forward(const PauliProgram& p, const BlockList& list, const Number* registers, Number* state,
                    Number* tape) {
    for (int i = 0; i < list.n_blocks; ++i) {
        const Block& b = list.blocks[i];
        const int32_t* columns = p.offsets + 2 * static_cast<int64_t>(b.columns);
        Mode::with_access(b, registers, static_cast<Number*>(nullptr), Real{},
                          [&](const auto access) __attribute__((always_inline)) {
                              any_block_forward<taped>(b, columns, access, state, taped ? tape + b.tape : tape);
                          });
    }
    for (int i = 0; i < list.n_clear; ++i) state[list.clear[i]] = Number{};
}

template <class Mode, class Real, class Number>
void blocks_adjoint(const PauliProgram& p, const BlockList& list, const Number* registers, Number* adjoint,
                    const Number* tape, Number* grad) {
    for (int i = list.n_blocks; i-- > 0;) {
        const Block& b = list.blocks[i];
        const int32_t* columns = p.offsets + 2 * static_cast<int64_t>(b.columns);
        Mode::with_access(b, registers, grad, Real{}, [&](const auto access) __attribute__((always_inline)) {
            any_block_adjoint(b, columns, p.n_constants, access, adjoint, tape + b.tape);
        });
    }
    for (int i = 0; i < list.n_adjoint_clear; ++i) adjoint[list.adjoint_clear[i]] = Number{};
}

}  // namespace
}  // namespace QRNN_ISA
}  // namespace qrnn
