// How blocks reach the state and their coefficients.
//
// An Access says what an element is, how it is Stored (at any number's place where it is the numbers of columns), where
// coefficients come from and how the elements of `step` columns are reached, which are `run` elements. For a batch
// kernel, where an element is a lane vector, Run: of neighbours, or of one column at a time. For a single sequence
// OneNumber, where an element is one number, and Columns (one vector of four or eight that are neighbours, or several
// vectors that are), TwiceFour (neighbours among themselves) and FourApart, where it is the numbers of so many columns.
namespace qrnn {
namespace QRNN_ISA {
namespace {

// What the program counts in bytes of vectors, as bytes of Parts; Part is such a vector or a number of it.
template <class Part>
QRNN_INLINE int64_t bytes_of(int64_t offset) {
    constexpr int shift = __builtin_ctz(QRNN_VECTOR_BYTES / sizeof(Part));  // cheaper than a signed division
    return offset >> shift;
}

template <class Part>
QRNN_INLINE Part* moved(Part* p, int64_t bytes) {
    return reinterpret_cast<Part*>(reinterpret_cast<int64_t>(p) + bytes);
}

// A register is `stride` vectors after the one before.
template <class Real, int stride, int length>
struct Run {
    using Element = VectorOf<Real>;
    using Stored = Element;
    using Number = VectorOf<Real>;
    using Position = int64_t;
    static constexpr int step = length, run = length;
    const Number* registers;
    Number* grad;

    QRNN_INLINE Element coefficient(int64_t at) const { return *moved(registers, at * stride); }
    template <int count>
    QRNN_INLINE void add_grads(const int32_t* at, const Element* sums) const {
        for (int i = 0; i < count; ++i) *moved(grad, int64_t{at[i]} * stride) += sums[i];
    }
    // Of the column whose offset this is; offsets of inputs and outputs follow each other in turn.
    QRNN_INLINE Position position(const int32_t* offset) const { return *offset; }
    // Of element k of the run.
    QRNN_INLINE Position further(Position at, int k) const { return at + k * static_cast<int64_t>(sizeof(Element)); }
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
    using Stored = Real;
    using Number = Real;
    using Position = int64_t;
    static constexpr int step = 1, run = 1;
    const Real* registers;
    Real* grad;

    QRNN_INLINE Element coefficient(int64_t at) const { return *moved(registers, at * single_parts); }
    template <int count>
    QRNN_INLINE void add_grads(const int32_t* at, const Element* sums) const {
        for (int i = 0; i < count; ++i) *moved(grad, int64_t{at[i]} * single_parts) += sums[i];
    }
    QRNN_INLINE Position position(const int32_t* offset) const { return bytes_of<Real>(*offset); }
    QRNN_INLINE Position further(Position at, int) const { return at; }
    QRNN_INLINE Element load(const Real* place, Position at) const { return *moved(place, at); }
    QRNN_INLINE void store(Real* place, Position at, Element x) const { *moved(place, at) = x; }
};

template <class Real, int n, int length = 1>
struct Columns {
    typedef Real Element __attribute__((vector_size(n * sizeof(Real)), may_alias));
    typedef Real Stored __attribute__((vector_size(n * sizeof(Real)), aligned(sizeof(Real)), may_alias));
    using Number = Real;
    using Position = int64_t;
    using OneVector = Columns<Real, n>;
    static constexpr int step = n * length, run = length;
    const Real* registers;
    Real* grad;

    QRNN_INLINE Element coefficient(int64_t at) const { return *moved(registers, at * single_parts) - Element{}; }
    template <int count>
    QRNN_INLINE void add_grads(const int32_t* at, const Element* sums) const {
        for (int i = 0; i + 4 <= count; i += 4) {
            Element rows[4] = {sums[i], sums[i + 1], sums[i + 2], sums[i + 3]};
            transpose_stage<2, 4>(rows);  // four sums at once
            const auto four = folded((rows[0] + rows[1]) + (rows[2] + rows[3]));
            for (int k = 0; k < 4; ++k) *moved(grad, int64_t{at[i + k]} * single_parts) += four[k];
        }
        for (int i = count - count % 4; i < count; ++i) {
            const auto four = folded(sums[i]);
            *moved(grad, int64_t{at[i]} * single_parts) += (four[0] + four[1]) + (four[2] + four[3]);
        }
    }
    static QRNN_INLINE auto folded(Element x) {
        if constexpr (n == 8)
            return __builtin_shufflevector(x, x, 0, 1, 2, 3) + __builtin_shufflevector(x, x, 4, 5, 6, 7);
        else
            return x;
    }
    QRNN_INLINE Position position(const int32_t* offset) const { return bytes_of<Real>(*offset); }
    QRNN_INLINE Position further(Position at, int k) const { return at + k * static_cast<int64_t>(n * sizeof(Real)); }
    QRNN_INLINE Element load(const Real* place, Position at) const {
        return *reinterpret_cast<const Stored*>(moved(place, at));
    }
    QRNN_INLINE void store(Real* place, Position at, Element x) const {
        *reinterpret_cast<Stored*>(moved(place, at)) = x;
    }
};

template <class Real>
struct TwiceFour : Columns<Real, 8> {
    using Element = typename Columns<Real, 8>::Element;
    using Four = typename Columns<Real, 4>::Element;
    using StoredFour = typename Columns<Real, 4>::Stored;
    struct Position {
        int64_t at[2];
    };

    QRNN_INLINE Position position(const int32_t* offset) const {
        return {{bytes_of<Real>(offset[0]), bytes_of<Real>(offset[8])}};
    }
    QRNN_INLINE Position further(Position at, int) const { return at; }
    QRNN_INLINE Element load(const Real* place, const Position& p) const {
        const Four a = *reinterpret_cast<const StoredFour*>(moved(place, p.at[0]));
        const Four b = *reinterpret_cast<const StoredFour*>(moved(place, p.at[1]));
        return __builtin_shufflevector(a, b, 0, 1, 2, 3, 4, 5, 6, 7);
    }
    QRNN_INLINE void store(Real* place, const Position& p, Element x) const {
        *reinterpret_cast<StoredFour*>(moved(place, p.at[0])) = __builtin_shufflevector(x, x, 0, 1, 2, 3);
        *reinterpret_cast<StoredFour*>(moved(place, p.at[1])) = __builtin_shufflevector(x, x, 4, 5, 6, 7);
    }
};

template <bool first, class A, class B>
struct Choice {
    using type = A;
};
template <class A, class B>
struct Choice<false, A, B> {
    using type = B;
};
template <bool first, class A, class B>
using Either = typename Choice<first, A, B>::type;

template <class Real>
struct FourApart : Columns<Real, 4> {
    using Element = typename Columns<Real, 4>::Element;
    struct Position {
        int64_t at[4];
    };

    QRNN_INLINE Position position(const int32_t* offset) const {
        return {{bytes_of<Real>(offset[0]), bytes_of<Real>(offset[2]), bytes_of<Real>(offset[4]),
                 bytes_of<Real>(offset[6])}};
    }
    QRNN_INLINE Position further(const Position& at, int) const { return at; }
    QRNN_INLINE Element load(const Real* place, const Position& p) const {
        return Element{*moved(place, p.at[0]), *moved(place, p.at[1]), *moved(place, p.at[2]), *moved(place, p.at[3])};
    }
    QRNN_INLINE void store(Real* place, const Position& p, Element x) const {
        for (int k = 0; k < 4; ++k) *moved(place, p.at[k]) = x[k];
    }
};

// Calls f(position of the inputs, of the outputs) for every element of all columns.
template <class Access, class F>
QRNN_INLINE void for_each_element_of(const Access access, const int32_t* columns, int n, F f) {
    for (int column = 0; column < n; column += Access::step) {
        const auto in = access.position(columns + 2 * column), out = access.position(columns + 2 * column + 1);
        for_each_index<Access::run>(
            [&](auto k) __attribute__((always_inline)) { f(access.further(in, k), access.further(out, k)); });
    }
}

}  // namespace
}  // namespace QRNN_ISA
}  // namespace qrnn
