// The Pauli engine on a GPU, forward. Stands behind the tables of one plan (pauli_source.cpp), which name the precision
// `Real`, the sizes `sizes` and the number of sequences of a group, `lanes`.
//
// Operations per sequence and step as on the CPU (engines/pauli/batch.inl). A barrier stands where a block of the plan
// needs what another has written.
#pragma once

namespace qrnn {
namespace cuda {

// One thread's view of its group.
struct Place {
    int lane, part, parts;
    std::int64_t sequence;  // of this lane; beyond the batch where the group is not full
    Real* numbers;          // the group's workspace

    QRNN_DEVICE Real* column(std::int64_t at) const { return numbers + at + lane; }
};

struct BlockTable {
    const Block* blocks;
    const std::int32_t* waits;  // by block: whether it needs a barrier in front of it
    int n_blocks;
    const std::int32_t* clear;
    int n_clear;
    const std::int32_t* adjoint_clear;
    int n_adjoint_clear;
};

QRNN_DEVICE BlockTable step_table() {
    return {step_blocks, step_waits, n_step_blocks, step_clear, n_step_clear, step_adjoint_clear, n_step_adjoint_clear};
}
QRNN_DEVICE BlockTable restore_table() {
    return {restore_blocks,  restore_waits,         n_restore_blocks,       restore_clear,
            n_restore_clear, restore_adjoint_clear, n_restore_adjoint_clear};
}
QRNN_DEVICE BlockTable finish_table() {
    return {finish_blocks,  finish_waits,         n_finish_blocks,       finish_clear,
            n_finish_clear, finish_adjoint_clear, n_finish_adjoint_clear};
}

// ---- Coefficients.
// Rows of the caller's array, one for each sequence, to or from a workspace of odd stride.
QRNN_DEVICE_ONCE void load_rows(const Place at, std::int64_t first, std::int64_t n_sequences, const Real* rows,
                                std::int64_t stride, int n, Real* to) {
    for (int i = at.part * lanes + at.lane; i < lanes * n; i += at.parts * lanes) {
        const int row = i / n, k = i % n;
        to[k * PauliLayout::row_stride(lanes) + row] = first + row < n_sequences ? rows[row * stride + k] : Real(0);
    }
}
QRNN_DEVICE void store_rows(const Place at, std::int64_t first, std::int64_t n_sequences, const Real* from, int n,
                            Real* rows, std::int64_t stride) {
    for (int i = at.part * lanes + at.lane; i < lanes * n; i += at.parts * lanes) {
        const int row = i / n, k = i % n;
        if (first + row < n_sequences) rows[row * stride + k] = from[k * PauliLayout::row_stride(lanes) + row];
    }
}

// Sines and cosines of this step's angles. An angle that is not finite makes the trace NaN, and with it all that
// follows.
QRNN_DEVICE_ONCE void fill_trigs(const Place at, const Real* angles, Real* registers, Real* state) {
    for (int i = at.part; i < n_trigs; i += at.parts) {
        const Trig& t = trigs[i];
        const Real x = angles[t.slot * PauliLayout::row_stride(lanes)] * Real(t.scale) + Real(t.offset);
        sine_cosine(x, registers + t.sine * lanes, registers + (t.sine + 1) * lanes);
    }
    Real poison = 0;
    for (int i = at.part; i < sizes.n_angles; i += at.parts)
        poison += Real(0) * angles[i * PauliLayout::row_stride(lanes)];
    if (!(poison == 0)) state[0] = poison;
}

QRNN_DEVICE Real sum_of(const Sum& s, const SumTerm* terms, const Real* a, const Real* b) {
    Real sum = 0;
    QRNN_ONE_BY_ONE for (int k = s.begin; k < s.begin + s.n; ++k) {
        const Real x = a[terms[k].a * lanes];
        sum += (terms[k].sign < 0 ? -x : x) * b[terms[k].b * lanes];
    }
    return sum;
}

QRNN_DEVICE_ONCE void fill_sums(const Place at, Real* registers) {
    QRNN_ONE_BY_ONE for (int round = 0; round < n_rounds; ++round) {
        for (int i = sum_rounds[round] + at.part; i < sum_rounds[round + 1]; i += at.parts)
            registers[sums[i].dst * lanes] = sum_of(sums[i], sum_terms, registers, registers);
        block_sync();
    }
}

// ---- Blocks. A column's inputs stand at `in` plus its first offset, its outputs at `out` plus its second.
constexpr int shape_of(BlockForm form, int rows, int cols) { return 64 * static_cast<int>(form) + 8 * rows + cols; }
QRNN_DEVICE int shape_of(const Block& b) { return shape_of(b.form, b.rows, b.cols); }

template <int R, int C, bool taped>
QRNN_DEVICE void dense_forward(const Place at, const Block& b, const Real* registers, Real* state, Real* tape) {
    Real c[R * C];
    QRNN_UNROLL for (int r = 0; r < R; ++r) QRNN_UNROLL for (int k = 0; k < C; ++k) c[r * C + k] =
        registers[b.coefficient[4 * r + k] * lanes];
    QRNN_ONE_BY_ONE for (int column = at.part; column < b.n_columns; column += at.parts) {
        const std::int32_t i = offsets[2 * (b.columns + column)], o = offsets[2 * (b.columns + column) + 1];
        Real x[C], y[R];
        QRNN_UNROLL for (int k = 0; k < C; ++k) x[k] = state[(i + b.in[k]) * lanes];
        if (taped) QRNN_UNROLL
        for (int k = 0; k < C; ++k) tape[(b.tape + column * C + k) * lanes] = x[k];
        QRNN_UNROLL for (int r = 0; r < R; ++r) {
            y[r] = c[r * C] * x[0];
            QRNN_UNROLL for (int k = 1; k < C; ++k) y[r] += c[r * C + k] * x[k];
            if (b.accumulate) y[r] += state[(o + b.out[r]) * lanes];
        }
        QRNN_UNROLL for (int r = 0; r < R; ++r) state[(o + b.out[r]) * lanes] = y[r];
    }
}

// Inputs, or adjoints of outputs, to the pairs that turn; and its transpose (program.hpp, BlockForm).
template <BlockForm form>
QRNN_DEVICE void split(Real* x) {
    if (form == BlockForm::turn) return;
    const Real sum = x[1] + x[3], difference = x[1] - x[3], x2 = x[2];
    x[2] = x[0] - x2, x[0] += x2;
    x[1] = form == BlockForm::crossed_twin_turn ? difference : sum;
    x[3] = form == BlockForm::crossed_twin_turn ? sum : difference;
}
template <BlockForm form>
QRNN_DEVICE void join(Real* x) {
    if (form == BlockForm::turn) return;
    const Real x0 = x[0], x1 = x[1];
    x[0] = x0 + x[2], x[2] = x0 - x[2];
    x[1] = x1 + x[3], x[3] = form == BlockForm::crossed_twin_turn ? x[3] - x1 : x1 - x[3];
}

template <BlockForm form, bool taped>
QRNN_DEVICE void turns_forward(const Place at, const Block& b, const Real* registers, Real* state, Real* tape) {
    constexpr int size = form == BlockForm::turn ? 2 : 4;
    Real c[size];
    QRNN_UNROLL for (int k = 0; k < size; ++k) c[k] = registers[b.coefficient[k] * lanes];
    QRNN_ONE_BY_ONE for (int column = at.part; column < b.n_columns; column += at.parts) {
        const std::int32_t i = offsets[2 * (b.columns + column)], o = offsets[2 * (b.columns + column) + 1];
        Real x[size], y[size];
        QRNN_UNROLL for (int k = 0; k < size; ++k) x[k] = state[(i + b.in[k]) * lanes];
        split<form>(x);
        if (taped) QRNN_UNROLL
        for (int k = 0; k < size; ++k) tape[(b.tape + column * size + k) * lanes] = x[k];
        QRNN_UNROLL for (int k = 0; k < size; k += 2) {
            y[k] = c[k] * x[k] + c[k + 1] * x[k + 1];
            y[k + 1] = c[k] * x[k + 1] - c[k + 1] * x[k];
        }
        join<form>(y);
        QRNN_UNROLL for (int k = 0; k < size; ++k) state[(o + b.out[k]) * lanes] = y[k];
    }
}

template <int C, bool taped>
QRNN_DEVICE void scattered_forward(const Place at, const Block& b, const Real* registers, Real* state, Real* tape) {
    Real c[C];
    QRNN_UNROLL for (int k = 0; k < C; ++k) c[k] = registers[b.coefficient[k] * lanes];
    QRNN_ONE_BY_ONE for (int column = at.part; column < b.n_columns; column += at.parts) {
        const std::int32_t* places = offsets + 2 * b.columns + (C + 1) * column;
        Real y = 0;
        QRNN_UNROLL for (int k = 0; k < C; ++k) {
            const Real x = state[places[k] * lanes];
            if (taped) tape[(b.tape + column * C + k) * lanes] = x;
            y += c[k] * x;
        }
        state[places[C] * lanes] = y;
    }
}

// Of forms and shapes, those alone that the plan has are compiled: QRNN_FOR_TURNS, QRNN_FOR_ROWS and QRNN_FOR_SHAPES,
// in front of the tables, list them.
template <bool taped>
QRNN_DEVICE_ONCE void block_forward(const Place at, const Block& b, const Real* registers, Real* state, Real* tape) {
    switch (b.form) {
#define CASE(form)        \
    case BlockForm::form: \
        return turns_forward<BlockForm::form, taped>(at, b, registers, state, tape);
        QRNN_FOR_TURNS(CASE)
#undef CASE
        default:
            break;
    }
    switch (shape_of(b)) {
#define CASE(C)                                    \
    case shape_of(BlockForm::scattered_row, 1, C): \
        return scattered_forward<C, taped>(at, b, registers, state, tape);
        QRNN_FOR_ROWS(CASE)
#undef CASE
#define CASE(R, C)                         \
    case shape_of(BlockForm::dense, R, C): \
        return dense_forward<R, C, taped>(at, b, registers, state, tape);
        QRNN_FOR_SHAPES(CASE)
#undef CASE
    }
}

template <bool taped>
QRNN_DEVICE void blocks_forward(const Place at, const BlockTable table, const Real* registers, Real* state,
                                Real* tape) {
    QRNN_ONE_BY_ONE for (int i = 0; i < table.n_blocks; ++i) {
        if (table.waits[i]) block_sync();
        block_forward<taped>(at, table.blocks[i], registers, state, tape);
    }
    if (table.n_blocks > 0) block_sync();
    for (int i = at.part; i < table.n_clear; i += at.parts) state[table.clear[i] * lanes] = 0;
    if (table.n_clear > 0) block_sync();
}

// The Walsh-Hadamard transform of each lane's outcome coefficients; r barriers.
QRNN_DEVICE_ONCE void walsh(const Place at, Real* x) {
    constexpr std::int64_t stride = PauliLayout::row_stride(lanes);
    for (int h = 1; h < sizes.n_outcomes(); h *= 2) {
        block_sync();
        for (int i = at.part; i < sizes.n_outcomes() / 2; i += at.parts) {
            const int j = (i & ~(h - 1)) * 2 + (i & (h - 1));
            const Real a = x[j * stride], b = x[(j + h) * stride];
            x[j * stride] = a + b;
            x[(j + h) * stride] = a - b;
        }
    }
    block_sync();
}

// ---- Density matrices (B, 2^m, 2^m, 2) and Pauli coefficients; 2^m terms for each number.
// Calls f(place of the Pauli string, sign, whether its element (i, j) is imaginary) for all strings with an element
// there: for every qubit I and Z where bits i and j agree, X and Y where they differ. Y has -i at (0, 1).
template <class F>
QRNN_DEVICE void for_each_string(int i, int j, F f) {
    for (int choice = 0; choice < 1 << sizes.n_memory; ++choice) {
        std::int64_t place = 0;
        int quarter_turns = 0;  // the element is i to this power
        for (int q = 0; q < sizes.n_memory; ++q) {
            const int row = i >> q & 1, second = choice >> q & 1, differs = row ^ (j >> q & 1);
            place |= static_cast<std::int64_t>(differs ? 1 + second : 3 * second) << 2 * q;
            if (second) quarter_turns += differs ? (row ? 1 : 3) : 2 * row;
        }
        f(place, quarter_turns & 2 ? Real(-1) : Real(1), quarter_turns & 1);
    }
}

// Re Tr(P rho) for all strings P, times `factor`.
QRNN_DEVICE_ONCE void read_density(const Place at, std::int64_t n_sequences, const Real* matrices, Real factor,
                                   Real* pauli) {
    const int dim = 1 << sizes.n_memory;
    const Real* matrix = matrices + 2 * dim * dim * at.sequence;
    for (int string = at.part; string < sizes.memory_size(); string += at.parts) {
        Real sum = 0;
        for (int i = 0; i < dim && at.sequence < n_sequences; ++i) {
            int j = 0, quarter_turns = 0;  // the string's element (i, j)
            for (int q = 0; q < sizes.n_memory; ++q) {
                const int digit = string >> 2 * q & 3, row = i >> q & 1;
                j |= (row ^ (digit == 1 || digit == 2)) << q;
                if (digit == 2) quarter_turns += row ? 1 : 3;
                if (digit == 3) quarter_turns += 2 * row;
            }
            const Real* element = matrix + 2 * (static_cast<std::int64_t>(j) * dim + i);  // of rho, transposed
            const Real part = quarter_turns & 1 ? -element[1] : element[0];
            sum += quarter_turns & 2 ? -part : part;
        }
        pauli[string * lanes] = factor * sum;
    }
    block_sync();
}

// factor * sum_P v_P P.
QRNN_DEVICE_ONCE void write_density(const Place at, std::int64_t n_sequences, const Real* pauli, Real factor,
                                    Real* matrices) {
    if (at.sequence >= n_sequences) return;
    const int dim = 1 << sizes.n_memory;
    Real* matrix = matrices + 2 * dim * dim * at.sequence;
    const Real poison = pauli[0] * Real(0);  // no part of a sequence that has lost its trace may look sound
    for (std::int64_t element = at.part; element < sizes.memory_size(); element += at.parts) {
        Real re = 0, im = 0;
        for_each_string(static_cast<int>(element / dim), static_cast<int>(element % dim),
                        [&](std::int64_t place, Real sign, bool imaginary) {
                            (imaginary ? im : re) += sign * pauli[place * lanes];
                        });
        matrix[2 * element] = factor * re + poison;
        matrix[2 * element + 1] = factor * im + poison;
    }
}

QRNN_DEVICE bool is_of_zeros(std::int64_t string) {  // of I and Z alone: 1 in |0..0>
    const std::int64_t even = 0x5555555555555555;
    return (string & even) == (string >> 1 & even);
}

// ---- Steps.
QRNN_DEVICE void begin(const Place at, const ExactArguments<Real>& a, const PauliLayout& layout) {
    Real *state = at.column(layout.state), *registers = at.column(layout.registers);
    for (int i = at.part; i < n_constants; i += at.parts)
        registers[constants[i].reg * lanes] = Real(constants[i].value);
    for (int k = at.part; k < sizes.n_carried; k += at.parts)
        registers[(sizes.carried_in + k) * lanes] = Real(carried_start[k]);
    if (a.memory)
        read_density(at, a.n_sequences, a.memory, Real(1), state);
    else
        for (std::int64_t i = at.part; i < sizes.memory_size(); i += at.parts)
            state[i * lanes] = is_of_zeros(i) ? Real(1) : Real(0);
    block_sync();
}

// What the adjoint needs of step t, or of the end.
QRNN_DEVICE Real* kept_of(const Place at, const ExactArguments<Real>& a, std::int64_t t) {
    return a.kept + ((block_index() * (a.n_steps + 1) + t) * sizes.kept_size()) * lanes + at.lane;
}
QRNN_DEVICE void keep(const Place at, const PauliLayout& layout, Real* kept) {
    const Real *state = at.column(layout.state), *registers = at.column(layout.registers) + sizes.n_constants * lanes;
    for (std::int64_t i = at.part; i < sizes.memory_size(); i += at.parts) kept[i * lanes] = state[i * lanes];
    kept += sizes.memory_size() * lanes;
    for (std::int64_t i = at.part; i < sizes.kept_registers(); i += at.parts) kept[i * lanes] = registers[i * lanes];
}

// Carried numbers are made of none of the step before (coefficients.hpp), so that none is read here after it is
// written.
QRNN_DEVICE void carry_on(const Place at, Real* registers) {
    for (int k = at.part; k < sizes.n_carried; k += at.parts)
        registers[(sizes.carried_in + k) * lanes] = registers[carried_out[k] * lanes];
}

QRNN_DEVICE_ONCE void forward_steps(const Place at, const ExactArguments<Real>& a, const PauliLayout& layout) {
    const std::int64_t first = at.sequence - at.lane;
    Real *state = at.column(layout.state), *registers = at.column(layout.registers);
    Real *angles = at.numbers + layout.angles, *outcome = at.numbers + layout.outcome;
    constexpr std::int64_t stride = PauliLayout::row_stride(lanes);
    const int n_outcomes = sizes.n_outcomes();
    begin(at, a, layout);
    for (std::int64_t t = 0; t < a.n_steps; ++t) {
        load_rows(at, first, a.n_sequences, a.angles + (first * a.n_steps + t) * sizes.n_angles,
                  a.n_steps * sizes.n_angles, sizes.n_angles, angles);
        block_sync();
        fill_trigs(at, angles + at.lane, registers, state);
        block_sync();
        if (a.kept) keep(at, layout, kept_of(at, a, t));
        fill_sums(at, registers);
        if (a.kept) block_sync();  // where there are no sums
        blocks_forward<false>(at, step_table(), registers, state, nullptr);
        if (a.probabilities) {
            for (int j = at.part; j < n_outcomes; j += at.parts)
                outcome[j * stride + at.lane] =
                    outcomes[j] < 0 ? Real(0) : state[outcomes[j] * lanes] * (Real(1) / Real(n_outcomes));
            walsh(at, outcome + at.lane);
            store_rows(at, first, a.n_sequences, outcome, n_outcomes,
                       a.probabilities + (first * a.n_steps + t) * n_outcomes, a.n_steps * n_outcomes);
        }
        block_sync();
        blocks_forward<false>(at, restore_table(), registers, state, nullptr);
        carry_on(at, registers);
        block_sync();
    }
    if (a.kept) keep(at, layout, kept_of(at, a, a.n_steps));
    block_sync();
}

// Calls f(place) for every group of the batch that this block of threads runs.
template <class F>
QRNN_DEVICE void for_each_group(const ExactArguments<Real>& a, std::int64_t workspace_size, F f) {
    const int lane = thread_index() % lanes, part = thread_index() / lanes, parts = block_size() / lanes;
    Real* numbers = a.workspace ? a.workspace + block_index() * workspace_size : static_cast<Real*>(shared_memory());
    const std::int64_t n_groups = (a.n_sequences + lanes - 1) / lanes;
    for (std::int64_t group = block_index(); group < n_groups; group += n_blocks())
        f(Place{lane, part, parts, group * lanes + lane, numbers});
}

QRNN_KERNEL(pauli_forward, ExactArguments<Real>) {
    const PauliLayout layout(sizes, lanes, block_size() / lanes, false);
    for_each_group(a, layout.size, [&](const Place at) {
        forward_steps(at, a, layout);
        Real *state = at.column(layout.state), *registers = at.column(layout.registers);
        blocks_forward<false>(at, finish_table(), registers, state, nullptr);
        write_density(at, a.n_sequences, state, Real(1) / Real(1 << sizes.n_memory), a.memory_out);
        block_sync();
    });
}

}  // namespace cuda
}  // namespace qrnn
