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

template <class Part>
QRNN_INLINE Part* moved(Part* p, int64_t bytes) {
    return reinterpret_cast<Part*>(reinterpret_cast<int64_t>(p) + bytes);
}

// The same pointer, as one of which the compiler knows nothing: it then adds offsets to it where it loads and stores,
// in the same instruction, instead of keeping the sums.
template <class T>
QRNN_INLINE T* opaque(T* p) {
    __asm__("" : "+r"(p));
    return p;
}

template <class Real, int length>
struct Run {
    using Element = VectorOf<Real>;
    using Stored = Element;
    using Number = VectorOf<Real>;
    using Position = int64_t;
    static constexpr int step = length, run = length;
    const Number* registers;
    Number* grad;

    QRNN_INLINE Element coefficient(int64_t at) const { return *moved(registers, at); }
    template <int count>
    QRNN_INLINE void add_grads(const int32_t* at, const Element* sums) const {
        for (int i = 0; i < count; ++i) *moved(grad, at[i]) += sums[i];
    }
    // Of the column whose offset this is; offsets of inputs and outputs follow each other in turn.
    QRNN_INLINE Position position(const int32_t* offset) const { return *offset; }
    // Of element k of the run.
    QRNN_INLINE Position further(Position at, int k) const { return at + k * static_cast<int64_t>(sizeof(Element)); }
    QRNN_INLINE Element load(const Number* place, Position at) const { return *moved(place, at); }
    QRNN_INLINE void store(Number* place, Position at, Element x) const { *moved(place, at) = x; }
};

// Coefficients of one lane: the lanes of a register are time steps here.
template <class Real>
struct OneNumber {
    using Element = Real;
    using Stored = Real;
    using Number = Real;
    using Position = int64_t;
    static constexpr int step = 1, run = 1;
    const Real* registers;
    Real* grad;

    QRNN_INLINE Element coefficient(int64_t at) const { return *moved(registers, at); }
    template <int count>
    QRNN_INLINE void add_grads(const int32_t* at, const Element* sums) const {
        for (int i = 0; i < count; ++i) *moved(grad, at[i]) += sums[i];
    }
    QRNN_INLINE Position position(const int32_t* offset) const { return *offset; }
    QRNN_INLINE Position further(Position at, int) const { return at; }
    QRNN_INLINE Element load(const Real* place, Position at) const { return place[at]; }
    QRNN_INLINE void store(Real* place, Position at, Element x) const { place[at] = x; }
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

    QRNN_INLINE Element coefficient(int64_t at) const { return *moved(registers, at) - Element{}; }
    template <int count>
    QRNN_INLINE void add_grads(const int32_t* at, const Element* sums) const {
        for (int i = 0; i + 4 <= count; i += 4) {
            Element rows[4] = {sums[i], sums[i + 1], sums[i + 2], sums[i + 3]};
            transpose_stage<2, 4>(rows);  // four sums at once
            const auto four = folded((rows[0] + rows[1]) + (rows[2] + rows[3]));
            for (int k = 0; k < 4; ++k) *moved(grad, at[i + k]) += four[k];
        }
        for (int i = count - count % 4; i < count; ++i) {
            const auto four = folded(sums[i]);
            *moved(grad, at[i]) += (four[0] + four[1]) + (four[2] + four[3]);
        }
    }
    static QRNN_INLINE auto folded(Element x) {
        if constexpr (n == 8)
            return __builtin_shufflevector(x, x, 0, 1, 2, 3) + __builtin_shufflevector(x, x, 4, 5, 6, 7);
        else
            return x;
    }
    QRNN_INLINE Position position(const int32_t* offset) const { return *offset; }
    QRNN_INLINE Position further(Position at, int k) const { return at + k * n; }
    QRNN_INLINE Element load(const Real* place, Position at) const {
        return *reinterpret_cast<const Stored*>(place + at);
    }
    QRNN_INLINE void store(Real* place, Position at, Element x) const { *reinterpret_cast<Stored*>(place + at) = x; }
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
    QRNN_INLINE Position further(Position at, int) const { return at; }
    QRNN_INLINE Element load(const Real* place, const Position& p) const {
        const Real *a = place + p.at[0], *b = place + p.at[1];
#ifdef __AVX__
        // Compilers load b by an instruction of its own, and move it to its place before they store it.
        if constexpr (sizeof(Element) == 32)
            return (Element)_mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(a)), _mm_loadu_ps(b), 1);
#endif
        return __builtin_shufflevector(Four(*reinterpret_cast<const StoredFour*>(a)),
                                       Four(*reinterpret_cast<const StoredFour*>(b)), 0, 1, 2, 3, 4, 5, 6, 7);
    }
    QRNN_INLINE void store(Real* place, const Position& p, Element x) const {
        Real *a = place + p.at[0], *b = place + p.at[1];
        *reinterpret_cast<StoredFour*>(a) = __builtin_shufflevector(x, x, 0, 1, 2, 3);
#ifdef __AVX__
        if constexpr (sizeof(Element) == 32) return _mm_storeu_ps(b, _mm256_extractf128_ps((__m256)x, 1));
#endif
        *reinterpret_cast<StoredFour*>(b) = __builtin_shufflevector(x, x, 4, 5, 6, 7);
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
    QRNN_INLINE Position further(const Position& at, int) const { return at; }
    QRNN_INLINE Element load(const Real* place, const Position& p) const {
        return Element{place[p.at[0]], place[p.at[1]], place[p.at[2]], place[p.at[3]]};
    }
    QRNN_INLINE void store(Real* place, const Position& p, Element x) const {
        for (int k = 0; k < 4; ++k) place[p.at[k]] = x[k];
    }
};

// Where a block's outputs go.
enum class Output { elsewhere, added, in_place };

// Calls f(position of the inputs, of the outputs) for every element of all columns.
template <Output output, class Access, class F>
QRNN_INLINE void for_each_element_of(const Access access, const int32_t* columns, int n, F f) {
    for (int column = 0; column < n; column += Access::step) {
        const auto in = access.position(columns + 2 * column);
        const auto out = output == Output::in_place ? in : access.position(columns + 2 * column + 1);
        for_each_index<Access::run>(
            [&](auto k) __attribute__((always_inline)) { f(access.further(in, k), access.further(out, k)); });
    }
}

}  // namespace
}  // namespace QRNN_ISA
}  // namespace qrnn
