// Block lists: every block by the kernel of its form and shape.
namespace qrnn {
namespace QRNN_ISA {
namespace {

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
        case BlockForm::exchange:
            if constexpr (Access::step >= 4) exchange_places(b, columns, access, state);
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
        case BlockForm::exchange:
            if constexpr (Access::step >= 4) exchange_places(b, columns, access, adjoint);
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
        if constexpr (8 * sizeof(Real) <= QRNN_VECTOR_BYTES) {
            if (b.neighbours == 8) return f(Columns<Real, 8>{registers, grad});
            if (b.neighbours == 4 && b.n_columns % 8 == 0 && b.form != BlockForm::exchange)
                return f(TwiceFour<Real>{{registers, grad}});
        }
        if (b.neighbours >= 4)
            f(Columns<Real, 4>{registers, grad});
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
