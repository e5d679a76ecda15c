// The compiled plan as the kernels read it: plain arrays, no types with code of their own.
//
// State places, registers and tape places are counted in lane vectors (one number per sequence of a group). Lists that
// inner loops walk through, `offsets`, `operands` and `trigs`, and the coefficients of blocks hold bytes instead, which
// saves a shift per access: all instruction sets' vectors have the same size in float and double.
#pragma once

#include <cstdint>

namespace qrnn {

// How a block's matrix is given. A turn is [[a, b], [-b, a]]. A twin turn is [[P, Q], [Q, P]] with turns P and Q: the
// turn (P + Q) / 2 of the sums x_0 + x_2 and x_1 + x_3, and the turn (P - Q) / 2 of the differences, whose sums and
// differences are the outputs; 8 multiplications instead of 16. In a crossed one x_3 and y_3 have the opposite sign. A
// scattered row is a dense matrix of one row for columns whose places have nothing in common. An exchange is no matrix:
// it transposes the 4 x 4 numbers at the places in[k] + 0 .. 3 of every column (exchange.hpp).
enum class BlockForm : std::int32_t { dense, turn, twin_turn, crossed_twin_turn, scattered_row, exchange };

// The numbers of the kernels that run blocks: of dense ones 4 * (rows - 1) + cols - 1, of those that accumulate 16
// more; of square ones that write where they read, in the same order, by their rows; of turns and scattered rows the
// next ones, the latter by their columns.
enum BlockKernelNumber : std::int32_t {
    accumulate_kernels = 16,
    in_place_kernels = 32,
    turn_kernels = in_place_kernels + 4,
    in_place_turn_kernels = turn_kernels + 3,
    exchange_kernel = in_place_turn_kernels + 3,
    scattered_row_kernels,
    n_block_kernels = scattered_row_kernels + 4
};

// How the kernel of a single sequence takes a block's columns: one by one; four that lie anywhere; four that are
// neighbours, or two times four; eight or sixteen that are.
enum class ColumnAccess : std::int32_t { one, four_apart, four, twice_four, eight, sixteen };

// y = C x with a matrix of at most 4 x 4, for every column of a list.
struct Block {
    BlockForm form;
    std::int32_t rows, cols;
    std::int32_t accumulate;          // forward: y += C x instead
    std::int32_t adjoint_accumulate;  // bit c set: the adjoint of input c is added to what its place holds
    std::int32_t coefficient[16];     // registers, in bytes; dense: of [4 * row + col]; else (a, b) of each turn
    std::int32_t in[4], out[4];       // places of the inputs and outputs relative to the column's two offsets
    std::int32_t n_columns;
    std::int32_t columns;  // number of the first of n_columns pairs (input offset, output offset) in the offset list;
                           // there, a scattered row has the offsets of all inputs, then of the output, for each column
    std::int32_t neighbours;  // 16, 8, 4 or 1: so many columns at a time lie side by side, inputs and outputs alike; of
                              // an exchange, so many numbers
    std::int32_t tape;        // first of n_columns * cols places on the tape
    std::int32_t kernel;      // BlockKernelNumber + n_block_kernels * ColumnAccess
};

// A run of instructions register[dst] = sum_i +-register[a_i] * register[b_i], dst going up by one.
struct Segment {
    std::int32_t n_terms;        // 1..4; in a sum of several terms the first is positive
    std::int32_t sign_mask;      // bit i set: term i is subtracted
    std::int32_t constant_mask;  // bit i set: register a_i is a constant, which needs no adjoint
    std::int32_t dst;            // of the first instruction
    std::int32_t begin;          // first int32 of the run's operands: a_0, b_0, a_1, b_1, ...
    std::int32_t n;
};

// Sine and cosine of offset + scale * (angle at `slot`) go to the register at `sine` and the next one.
struct Trig {
    std::int32_t slot, sine;  // in bytes
    double scale, offset;
};

struct Constant {
    std::int32_t reg;
    double value;
};

struct BlockList {
    const Block* blocks;
    std::int32_t n_blocks;
    std::int32_t tape_size;
    const std::int32_t* clear;  // places set to zero after the blocks, forward
    std::int32_t n_clear;
    const std::int32_t* adjoint_clear;  // places set to zero at the end of the adjoint pass
    std::int32_t n_adjoint_clear;
};

struct PauliProgram {
    std::int32_t n_angles, n_memory, n_outcome;  // A, m, r
    // Registers, in order: constants, sines and cosines, carried numbers, results.
    std::int32_t n_registers, n_carried;
    std::int32_t carried_in;          // carried number k of the last step is register carried_in + k
    const std::int32_t* carried_out;  // register of this step's carried number k
    const double* carried_start;      // its value before the first step
    const Trig* trigs;
    std::int32_t n_trigs, n_plain_trigs;  // the first n_plain_trigs have scale 1 and offset 0
    const Constant* constants;
    std::int32_t n_constants;
    const Segment* segments;
    std::int32_t n_segments;
    std::int32_t n_early_segments;  // the first of them: all that carried numbers are made of, and nothing made of them
    const std::int32_t* operands;   // in bytes
    BlockList step;                 // memory to memory, leaving the outcome coefficients on its way
    BlockList memory_step;          // of these, what the memory depends on
    BlockList restore;              // brings the memory back to places 0 .. 4^m - 1
    BlockList finish;               // carried ops, applied to the memory after the last step
    const std::int32_t* outcomes;   // 2^r places of the outcome's Walsh coefficients; -1: zero
    const std::int32_t* offsets;    // in bytes
    const std::int32_t* places;     // the same, not in bytes
    std::int32_t n_places;          // size of the state, places 0 .. 4^m - 1 being the memory

    // For the kernel of a single sequence (late_outcomes.hpp).
    BlockList single_step;              // memory to memory, leaving on its way what is saved
    std::int32_t n_single_places;       // size of its state
    std::int32_t first_saved, n_saved;  // places there
    BlockList late;                     // from what was saved, places 0 .. n_saved - 1 of the late state, to outcomes
    std::int32_t n_late_places;         // size of the late state
    const std::int32_t* late_outcomes;  // places there, otherwise as `outcomes`
};

}  // namespace qrnn
