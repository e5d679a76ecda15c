// The Pauli engine on a GPU, adjoint; stands behind pauli.cuh.
//
// One launch: every group goes through its steps and keeps the memory before each; then, last step first, the step
// again with the inputs of its blocks kept on a tape, and its transpose. Sums over columns, the coefficients' adjoints,
// are taken by each part of the threads and added up in the order of the parts, so that they come out the same every
// time.
#pragma once

namespace qrnn {
namespace cuda {

// Adds what the parts have found of a block's n coefficient adjoints, sums[0 .. n - 1], to the registers' gradients.
// `number(k)` is the register of coefficient k. The room for the sums alternates between two blocks, since a part may
// be at the next one while another adds these up.
template <int n, class F>
QRNN_DEVICE void add_gradients(const Place at, int block, const Real* sums, Real* room, Real* gradients, F number) {
    room += (block & 1) * PauliLayout::most_sums * at.parts * lanes;
    QRNN_UNROLL for (int k = 0; k < n; ++k) room[(k * at.parts + at.part) * lanes] = sums[k];
    block_sync();
    QRNN_ONE_BY_ONE for (int k = at.part; k < n; k += at.parts) {
        const std::int32_t reg = number(k);
        bool is_first = reg >= n_constants;
        QRNN_ONE_BY_ONE for (int j = 0; j < k; ++j) is_first = is_first && number(j) != reg;
        if (!is_first) continue;
        Real total = 0;
        QRNN_ONE_BY_ONE for (int j = k; j < n; ++j) if (number(j) == reg) for (int part = 0; part < at.parts; ++part)
            total += room[(j * at.parts + part) * lanes];
        gradients[reg * lanes] += total;
    }
}

template <int R, int C>
QRNN_DEVICE void dense_adjoint(const Place at, const Block& b, int block, const Real* registers, Real* adjoint,
                               const Real* tape, Real* room, Real* gradients) {
    Real c[R * C], sums[R * C];
    QRNN_UNROLL for (int r = 0; r < R; ++r) QRNN_UNROLL for (int k = 0; k < C; ++k) {
        c[r * C + k] = registers[b.coefficient[4 * r + k] * lanes];
        sums[r * C + k] = 0;
    }
    QRNN_ONE_BY_ONE for (int column = at.part; column < b.n_columns; column += at.parts) {
        const std::int32_t i = offsets[2 * (b.columns + column)], o = offsets[2 * (b.columns + column) + 1];
        Real y[R], x[C];
        QRNN_UNROLL for (int r = 0; r < R; ++r) y[r] = adjoint[(o + b.out[r]) * lanes];
        QRNN_UNROLL for (int k = 0; k < C; ++k) {
            const Real input = tape[(b.tape + column * C + k) * lanes];
            x[k] = b.adjoint_accumulate >> k & 1 ? adjoint[(i + b.in[k]) * lanes] : Real(0);
            QRNN_UNROLL for (int r = 0; r < R; ++r) {
                sums[r * C + k] += y[r] * input;
                x[k] += c[r * C + k] * y[r];
            }
        }
        QRNN_UNROLL for (int k = 0; k < C; ++k) adjoint[(i + b.in[k]) * lanes] = x[k];
    }
    add_gradients<R * C>(at, block, sums, room, gradients, [&](int k) { return b.coefficient[4 * (k / C) + k % C]; });
}

template <BlockForm form>
QRNN_DEVICE void turns_adjoint(const Place at, const Block& b, int block, const Real* registers, Real* adjoint,
                               const Real* tape, Real* room, Real* gradients) {
    constexpr int size = form == BlockForm::turn ? 2 : 4;
    Real c[size], sums[size];
    QRNN_UNROLL for (int k = 0; k < size; ++k) {
        c[k] = registers[b.coefficient[k] * lanes];
        sums[k] = 0;
    }
    QRNN_ONE_BY_ONE for (int column = at.part; column < b.n_columns; column += at.parts) {
        const std::int32_t i = offsets[2 * (b.columns + column)], o = offsets[2 * (b.columns + column) + 1];
        Real x[size], y[size];
        QRNN_UNROLL for (int k = 0; k < size; ++k) y[k] = adjoint[(o + b.out[k]) * lanes];
        split<form>(y);
        QRNN_UNROLL for (int k = 0; k < size; k += 2) {
            const Real x0 = tape[(b.tape + column * size + k) * lanes];
            const Real x1 = tape[(b.tape + column * size + k + 1) * lanes];
            sums[k] += y[k] * x0 + y[k + 1] * x1;
            sums[k + 1] += y[k] * x1 - y[k + 1] * x0;
            x[k] = c[k] * y[k] - c[k + 1] * y[k + 1];
            x[k + 1] = c[k + 1] * y[k] + c[k] * y[k + 1];
        }
        join<form>(x);
        QRNN_UNROLL for (int k = 0; k < size; ++k) adjoint[(i + b.in[k]) * lanes] = x[k];
    }
    add_gradients<size>(at, block, sums, room, gradients, [&](int k) { return b.coefficient[k]; });
}

template <int C>
QRNN_DEVICE void scattered_adjoint(const Place at, const Block& b, int block, const Real* registers, Real* adjoint,
                                   const Real* tape, Real* room, Real* gradients) {
    Real c[C], sums[C];
    QRNN_UNROLL for (int k = 0; k < C; ++k) {
        c[k] = registers[b.coefficient[k] * lanes];
        sums[k] = 0;
    }
    QRNN_ONE_BY_ONE for (int column = at.part; column < b.n_columns; column += at.parts) {
        const std::int32_t* places = offsets + 2 * b.columns + (C + 1) * column;
        const Real y = adjoint[places[C] * lanes];
        QRNN_UNROLL for (int k = 0; k < C; ++k) {
            sums[k] += y * tape[(b.tape + column * C + k) * lanes];
            const Real before = b.adjoint_accumulate >> k & 1 ? adjoint[places[k] * lanes] : Real(0);
            adjoint[places[k] * lanes] = before + c[k] * y;
        }
    }
    add_gradients<C>(at, block, sums, room, gradients, [&](int k) { return b.coefficient[k]; });
}

QRNN_DEVICE_ONCE void block_adjoint(const Place at, const Block& b, int block, const Real* registers, Real* adjoint,
                                    const Real* tape, Real* room, Real* gradients) {
    switch (b.form) {
#define CASE(form)        \
    case BlockForm::form: \
        return turns_adjoint<BlockForm::form>(at, b, block, registers, adjoint, tape, room, gradients);
        QRNN_FOR_TURNS(CASE)
#undef CASE
        default:
            break;
    }
    switch (shape_of(b)) {
#define CASE(C)                                    \
    case shape_of(BlockForm::scattered_row, 1, C): \
        return scattered_adjoint<C>(at, b, block, registers, adjoint, tape, room, gradients);
        QRNN_FOR_ROWS(CASE)
#undef CASE
#define CASE(R, C)                         \
    case shape_of(BlockForm::dense, R, C): \
        return dense_adjoint<R, C>(at, b, block, registers, adjoint, tape, room, gradients);
        QRNN_FOR_SHAPES(CASE)
#undef CASE
    }
}

// One thread's view of what the adjoint works with.
struct AdjointPlace {
    Real *state, *registers, *adjoint, *gradients, *carried, *room, *tape;
    QRNN_DEVICE AdjointPlace(const Place at, const PauliLayout& layout)
        : state(at.column(layout.state)),
          registers(at.column(layout.registers)),
          adjoint(at.column(layout.adjoint)),
          gradients(at.column(layout.gradients)),
          carried(at.column(layout.carried)),
          room(at.column(layout.partial_sums)),
          tape(at.column(layout.tape)) {}
};

QRNN_DEVICE void blocks_adjoint(const Place at, const BlockTable table, const AdjointPlace& w) {
    QRNN_ONE_BY_ONE for (int i = table.n_blocks; i-- > 0;)
        block_adjoint(at, table.blocks[i], i, w.registers, w.adjoint, w.tape, w.room, w.gradients);
    block_sync();
    for (int i = at.part; i < table.n_adjoint_clear; i += at.parts) w.adjoint[table.adjoint_clear[i] * lanes] = 0;
    if (table.n_adjoint_clear > 0) block_sync();
}

QRNN_DEVICE void sums_adjoint(const Place at, const AdjointPlace& w) {
    QRNN_ONE_BY_ONE for (int round = n_rounds; round-- > 0;) {
        for (int i = gather_rounds[round] + at.part; i < gather_rounds[round + 1]; i += at.parts)
            w.gradients[gathers[i].dst * lanes] += sum_of(gathers[i], gather_terms, w.gradients, w.registers);
        block_sync();
    }
}

// Sets the angles' gradients from those of their sines and cosines.
QRNN_DEVICE void trigs_adjoint(const Place at, const AdjointPlace& w, Real* grad_angles) {
    for (int slot = at.part; slot < sizes.n_angles; slot += at.parts) {
        Real sum = 0;
        for (int i = slot_trigs[slot]; i < slot_trigs[slot + 1]; ++i) {
            const Real *sine = w.registers + trigs[i].sine * lanes, *g = w.gradients + trigs[i].sine * lanes;
            sum += Real(trigs[i].scale) * (g[0] * sine[lanes] - g[lanes] * sine[0]);
        }
        grad_angles[slot * PauliLayout::row_stride(lanes)] = sum;
    }
}

QRNN_DEVICE void clear_gradients(const Place at, const AdjointPlace& w) {
    for (int i = at.part; i < sizes.n_registers; i += at.parts) w.gradients[i * lanes] = 0;
    block_sync();
}

QRNN_DEVICE void take_carried(const Place at, const AdjointPlace& w) {
    for (int k = at.part; k < sizes.n_carried; k += at.parts)
        w.carried[k * lanes] = w.gradients[(sizes.carried_in + k) * lanes];
}

QRNN_DEVICE void adjoint_begin(const Place at, const ExactArguments<Real>& a, const AdjointPlace& w) {
    for (int i = at.part; i < sizes.n_places; i += at.parts) w.adjoint[i * lanes] = 0;
    for (int k = at.part; k < sizes.n_carried; k += at.parts) w.carried[k * lanes] = 0;
    block_sync();
    if (!a.grad_memory_out) return;
    read_density(at, a.n_sequences, a.grad_memory_out, Real(1) / Real(1 << sizes.n_memory), w.adjoint);
    clear_gradients(at, w);
    blocks_forward<true>(at, finish_table(), w.registers, w.state, w.tape);
    blocks_adjoint(at, finish_table(), w);
    take_carried(at, w);
    block_sync();
}

QRNN_DEVICE void adjoint_step(const Place at, const ExactArguments<Real>& a, const PauliLayout& layout,
                              const AdjointPlace& w, std::int64_t t) {
    const std::int64_t first = at.sequence - at.lane;
    Real *angles = at.numbers + layout.angles, *outcome = at.numbers + layout.outcome;
    constexpr std::int64_t stride = PauliLayout::row_stride(lanes);
    const int n_outcomes = sizes.n_outcomes();

    const Real* kept = kept_of(at, a, t);
    for (std::int64_t i = at.part; i < sizes.memory_size(); i += at.parts) w.state[i * lanes] = kept[i * lanes];
    kept += sizes.memory_size() * lanes;
    for (std::int64_t i = at.part; i < sizes.kept_registers(); i += at.parts)
        w.registers[(n_constants + i) * lanes] = kept[i * lanes];
    load_rows(at, first, a.n_sequences, a.grad_probabilities + (first * a.n_steps + t) * n_outcomes,
              a.n_steps * n_outcomes, n_outcomes, outcome);
    clear_gradients(at, w);
    fill_sums(at, w.registers);
    blocks_forward<true>(at, step_table(), w.registers, w.state, w.tape);

    for (int k = at.part; k < sizes.n_carried; k += at.parts) {
        // Several carried numbers may be one register: the first of them adds all.
        bool is_first = true;
        for (int j = 0; j < k; ++j) is_first = is_first && carried_out[j] != carried_out[k];
        for (int j = k; j < sizes.n_carried && is_first; ++j)
            if (carried_out[j] == carried_out[k]) w.gradients[carried_out[k] * lanes] += w.carried[j * lanes];
    }
    block_sync();
    blocks_adjoint(at, restore_table(), w);
    walsh(at, outcome + at.lane);
    for (int j = at.part; j < n_outcomes; j += at.parts) {
        // The trace (j = 0) is a coefficient of the memory, too; all others belong to the outcomes alone.
        const std::int32_t place = outcomes[j];
        if (place >= 0)
            w.adjoint[place * lanes] = outcome[j * stride + at.lane] * (Real(1) / Real(n_outcomes)) +
                                       (j == 0 ? w.adjoint[place * lanes] : Real(0));
    }
    block_sync();
    blocks_adjoint(at, step_table(), w);
    sums_adjoint(at, w);
    trigs_adjoint(at, w, angles + at.lane);
    take_carried(at, w);
    block_sync();
    store_rows(at, first, a.n_sequences, angles, sizes.n_angles,
               a.grad_angles + (first * a.n_steps + t) * sizes.n_angles, a.n_steps * sizes.n_angles);
    block_sync();
}

QRNN_KERNEL(pauli_adjoint, ExactArguments<Real>) {
    const PauliLayout layout(sizes, lanes, block_size() / lanes, true);
    for_each_group(a, layout.size, [&](const Place at) {
        const AdjointPlace w(at, layout);
        forward_steps(at, a, layout);
        adjoint_begin(at, a, w);
        for (std::int64_t t = a.n_steps; t-- > 0;) adjoint_step(at, a, layout, w, t);
        write_density(at, a.n_sequences, w.adjoint, Real(1), a.grad_memory);
        block_sync();
    });
}

}  // namespace cuda
}  // namespace qrnn
