// How blocks reach the state and their coefficients.
//
// An Access says what an element is, how it is Stored (at any number's place where it is the numbers of columns), where
// coefficients come from and how the elements of `step` columns are reached, which are `run` elements. For a batch
// kernel, where an element is a lane vector, Run: of neighbours, or of one column at a time. For a single sequence
// OneNumber, where an element is one number, and Columns (four or eight that are neighbours), TwiceFour (neighbours
// among themselves) and FourApart, where it is the numbers of so many columns.
namespace qrnn {
namespace QRNN_ISA {
namespace {

// Moves by an offset of the column lists, which is in bytes of vectors; Part is such a vector or a number of it.
template <class Part>
QRNN_INLINE Part* moved(Part* p, int64_t offset) {
    constexpr int shift = __builtin_ctz(QRNN_VECTOR_BYTES / sizeof(Part));  // cheaper than a signed division
    return reinterpret_cast<Part*>(reinterpret_cast<int64_t>(p) + (offset >> shift));
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

    QRNN_INLINE Element coefficient(int64_t id) const { return registers[id * stride]; }
    QRNN_INLINE void add_grad(int id, Element sum) const { grad[id * stride] += sum; }
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
    using Stored = Real;
    using Number = Real;
    using Position = int64_t;
    static constexpr int step = 1, run = 1;
    const Real* registers;
    Real* grad;

    QRNN_INLINE Element coefficient(int64_t id) const { return registers[id * single_lanes<Real>]; }
    QRNN_INLINE void add_grad(int id, Element sum) const { grad[id * single_lanes<Real>] += sum; }
    QRNN_INLINE Position position(const int32_t* offset) const { return *offset; }
    QRNN_INLINE Element load(const Real* place, Position at) const { return *moved(place, at); }
    QRNN_INLINE void store(Real* place, Position at, Element x) const { *moved(place, at) = x; }
};

template <class Real, int n>
struct Columns {
    typedef Real Element __attribute__((vector_size(n * sizeof(Real)), may_alias));
    typedef Real Stored __attribute__((vector_size(n * sizeof(Real)), aligned(sizeof(Real)), may_alias));
    using Number = Real;
    using Position = int64_t;
    static constexpr int step = n, run = 1;
    const Real* registers;
    Real* grad;

    QRNN_INLINE Element coefficient(int64_t id) const { return registers[id * single_lanes<Real>] - Element{}; }
    QRNN_INLINE void add_grad(int id, Element sum) const {
        if constexpr (n == 8) {
            const auto four =
                __builtin_shufflevector(sum, sum, 0, 1, 2, 3) + __builtin_shufflevector(sum, sum, 4, 5, 6, 7);
            grad[id * single_lanes<Real>] += (four[0] + four[1]) + (four[2] + four[3]);
        } else {
            grad[id * single_lanes<Real>] += (sum[0] + sum[1]) + (sum[2] + sum[3]);
        }
    }
    QRNN_INLINE Position position(const int32_t* offset) const { return *offset; }
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

    QRNN_INLINE Position position(const int32_t* offset) const { return {{offset[0], offset[8]}}; }
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
        return {{offset[0], offset[2], offset[4], offset[6]}};
    }
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
        if constexpr (Access::run == 1)
            f(in, out);
        else
            for_each_index<Access::run>([&](auto k) __attribute__((always_inline)) {
                f(in + k * sizeof(typename Access::Element), out + k * sizeof(typename Access::Element));
            });
    }
}

}  // namespace
}  // namespace QRNN_ISA
}  // namespace qrnn
