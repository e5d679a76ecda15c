// How blocks reach the state and their coefficients.
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

}  // namespace
}  // namespace QRNN_ISA
}  // namespace qrnn
