// Block lists: every block by the kernel of its form, shape and access, through tables of functions.
namespace qrnn {
namespace QRNN_ISA {
namespace {

// Mode::Number<Real> is what a place of the state holds: a lane vector, or one number.
template <class Mode, class Real>
struct BlockKernel {
    using Number = typename Mode::template Number<Real>;
    using Forward = void (*)(const Block&, const int32_t* columns, const Number* registers, Number* state,
                             Number* tape);
    using Adjoint = void (*)(const Block&, const int32_t* columns, int first_variable, const Number* registers,
                             Number* grad, Number* adjoint, const Number* tape);
    Forward forward, taped;
    Adjoint adjoint;
};

template <class Mode, class Real, class Access>
struct BlockKernels {
    using Kernel = BlockKernel<Mode, Real>;
    using Number = typename Kernel::Number;

    template <int R, int C, bool taped, Output output>
    static void dense(const Block& b, const int32_t* columns, const Number* registers, Number* state, Number* tape) {
        block_forward<R, C, taped, output>(b, columns, Access{registers, nullptr}, state, tape);
    }
    // Backwards, rows that were added to are read as any others are.
    template <int R, int C, bool in_place>
    static void dense_adjoint(const Block& b, const int32_t* columns, int first_variable, const Number* registers,
                              Number* grad, Number* adjoint, const Number* tape) {
        block_adjoint<R, C, in_place ? Output::in_place : Output::elsewhere>(b, columns, first_variable,
                                                                             Access{registers, grad}, adjoint, tape);
    }

    template <BlockForm form, Output output, bool taped>
    static void turns(const Block& b, const int32_t* columns, const Number* registers, Number* state, Number* tape) {
        turns_forward<form, output, taped>(b, columns, Access{registers, nullptr}, state, tape);
    }
    template <BlockForm form, Output output>
    static void turns_back(const Block& b, const int32_t* columns, int, const Number* registers, Number* grad,
                           Number* adjoint, const Number* tape) {
        turns_adjoint<form, output>(b, columns, Access{registers, grad}, adjoint, tape);
    }

    static void exchange(const Block& b, const int32_t* columns, const Number* registers, Number* state, Number*) {
        exchange_places(b, columns, typename Access::OneVector{registers, nullptr}, state);
    }
    static void exchange_back(const Block& b, const int32_t* columns, int, const Number* registers, Number* grad,
                              Number* adjoint, const Number*) {
        exchange_places(b, columns, typename Access::OneVector{registers, grad}, adjoint);
    }

    template <int C, bool taped>
    static void row(const Block& b, const int32_t* columns, const Number* registers, Number* state, Number* tape) {
        scattered_forward<C, taped>(b, columns, Access{registers, nullptr}, state, tape);
    }
    template <int C>
    static void row_adjoint(const Block& b, const int32_t* columns, int, const Number* registers, Number* grad,
                            Number* adjoint, const Number* tape) {
        scattered_adjoint<C>(b, columns, Access{registers, grad}, adjoint, tape);
    }

    template <BlockForm form, Output output>
    static constexpr Kernel turn_entry = {turns<form, output, false>, turns<form, output, true>,
                                          turns_back<form, output>};

    static constexpr Kernel exchange_entry() {
        if constexpr (requires { typename Access::OneVector; }) return {exchange, exchange, exchange_back};
        return {};
    }

    template <int C>
    static constexpr Kernel row_entry() {
        if constexpr (Access::step == 1) return {row<C, false>, row<C, true>, row_adjoint<C>};
        return {};
    }

    // clang-format off
#define QRNN_FOR_SHAPES(ENTRY, output) \
    ENTRY(1, 1, output) ENTRY(1, 2, output) ENTRY(1, 3, output) ENTRY(1, 4, output) \
    ENTRY(2, 1, output) ENTRY(2, 2, output) ENTRY(2, 3, output) ENTRY(2, 4, output) \
    ENTRY(3, 1, output) ENTRY(3, 2, output) ENTRY(3, 3, output) ENTRY(3, 4, output) \
    ENTRY(4, 1, output) ENTRY(4, 2, output) ENTRY(4, 3, output) ENTRY(4, 4, output)
#define QRNN_FOR_SQUARES(ENTRY, output) \
    ENTRY(1, 1, output) ENTRY(2, 2, output) ENTRY(3, 3, output) ENTRY(4, 4, output)
#define QRNN_FOR_TURNS(ENTRY, output) \
    ENTRY(turn, output) ENTRY(twin_turn, output) ENTRY(crossed_twin_turn, output)
#define DENSE(R, C, output) \
    {dense<R, C, false, Output::output>, dense<R, C, true, Output::output>, \
     dense_adjoint<R, C, Output::output == Output::in_place>},
#define TURN(form, output) turn_entry<BlockForm::form, Output::output>,
    // By BlockKernelNumber.
    static constexpr Kernel table[n_block_kernels] = {
        QRNN_FOR_SHAPES(DENSE, elsewhere)
        QRNN_FOR_SHAPES(DENSE, added)
        QRNN_FOR_SQUARES(DENSE, in_place)
        QRNN_FOR_TURNS(TURN, elsewhere)
        QRNN_FOR_TURNS(TURN, in_place)
        exchange_entry(),
        row_entry<1>(), row_entry<2>(), row_entry<3>(), row_entry<4>(),
    };
#undef TURN
#undef DENSE
#undef QRNN_FOR_TURNS
#undef QRNN_FOR_SQUARES
#undef QRNN_FOR_SHAPES
    // clang-format on
};

// The tables of several accesses, one after the other.
template <class Mode, class Real, class... Accesses>
struct KernelTables {
    using Kernel = BlockKernel<Mode, Real>;
    struct Table {
        Kernel kernels[sizeof...(Accesses) * n_block_kernels];
    };

    static constexpr Table join() {
        Table table{};
        int i = 0;
        const Kernel* const tables[] = {BlockKernels<Mode, Real, Accesses>::table...};
        for (const Kernel* one : tables)
            for (int k = 0; k < n_block_kernels; ++k) table.kernels[i++] = one[k];
        return table;
    }
    static constexpr Table table = join();
};

// By ColumnAccess.
struct Batch {
    template <class Real>
    using Number = VectorOf<Real>;
    static const int32_t* offsets(const PauliProgram& p) { return p.offsets; }

    template <class Real>
    using One = Run<Real, 1>;
    template <class Real>
    using Four = Run<Real, 4>;
    template <class Real>
    using Tables = KernelTables<Batch, Real, One<Real>, One<Real>, Four<Real>, Four<Real>, Four<Real>, Four<Real>>;
};

struct Single {
    template <class Real>
    using Number = Real;
    static const int32_t* offsets(const PauliProgram& p) { return p.places; }

    // Eight numbers where a vector has room for them.
    template <class Real>
    static constexpr int most = 8 * sizeof(Real) <= QRNN_VECTOR_BYTES ? 8 : 4;
    template <class Real>
    using Tables = KernelTables<Single, Real, OneNumber<Real>, FourApart<Real>, Columns<Real, 4>,
                                Either<most<Real> == 8, TwiceFour<Real>, Columns<Real, 4>>,
                                Columns<Real, most<Real>, 8 / most<Real>>, Columns<Real, most<Real>, 16 / most<Real>>>;
};

template <class Mode, bool taped, class Real, class Number>
void blocks_forward(const PauliProgram& p, const BlockList& list, const Number* registers, Number* state,
                    Number* tape) {
    const int32_t* const offsets = Mode::offsets(p);  // not read anew after every block
    for (const Block *b = list.blocks, *const end = b + list.n_blocks; b != end; ++b) {
        const int32_t* columns = offsets + 2 * static_cast<int64_t>(b->columns);
        const BlockKernel<Mode, Real>& kernel = Mode::template Tables<Real>::table.kernels[b->kernel];
        if constexpr (taped)
            kernel.taped(*b, columns, registers, state, tape + b->tape);
        else
            kernel.forward(*b, columns, registers, state, tape);
    }
    for (int i = 0; i < list.n_clear; ++i) state[list.clear[i]] = Number{};
}

template <class Mode, class Real, class Number>
void blocks_adjoint(const PauliProgram& p, const BlockList& list, const Number* registers, Number* adjoint,
                    const Number* tape, Number* grad) {
    const int32_t* const offsets = Mode::offsets(p);
    const int first_variable = p.n_constants * QRNN_VECTOR_BYTES;
    for (const Block* b = list.blocks + list.n_blocks; b != list.blocks;) {
        --b;
        const int32_t* columns = offsets + 2 * static_cast<int64_t>(b->columns);
        Mode::template Tables<Real>::table.kernels[b->kernel].adjoint(*b, columns, first_variable, registers, grad,
                                                                      adjoint, tape + b->tape);
    }
    for (int i = 0; i < list.n_adjoint_clear; ++i) adjoint[list.adjoint_clear[i]] = Number{};
}

}  // namespace
}  // namespace QRNN_ISA
}  // namespace qrnn
