// A compiled circuit as the trajectory engine's kernels read it: plain arrays, no types with code of their own.
#pragma once

#include <cstdint>

#include "engines/factor/program.hpp"

namespace qrnn {

// Random numbers are Philox4x32-10 blocks with the seed as key and the counter (sequence id, shot, step, draw / 4):
// they do not depend on lanes, threads, devices or the order of the work. The initial state is drawn at step 0 from
// this block.
constexpr std::uint32_t initial_state_block = 0xffffffffu;

// One non-zero entry of a fixed matrix, over the local wires of an element.
struct KrausEntry {
    std::int32_t row, col;
    double value[2];
};

// A submatrix that is applied by itself: n_in columns and n_out rows of the Kraus operators.
struct TrajectoryPart {
    FactorPass::Kind kind;
    std::int32_t n_in, n_out;
    std::int32_t local_in[4], local_out[4];  // columns and rows of the Kraus operators
    std::int64_t in[4], out[4];              // rows of the state before and after, relative to the group's
    std::int32_t coefficients;               // from the branch's first number: (re, im) of [n_in * row + col]
    std::int32_t statistics;                 // from the branch's first number; see matrices.inl
};

// A piece of a step: gates, at most one draw, gates. Draw or not, it is a set of Kraus operators of at most 4 x 4, one
// per branch, of which one is applied, K_j with probability |K_j psi|^2.
struct TrajectoryElement {
    std::int32_t gates, n_before, n_after;  // of the tables' gates, before the draw and after it
    std::int32_t n_local, n_in, n_out;      // basis states: of all its wires; of those that exist before, and after
    std::int32_t draw;                      // number of the random number, -1 where nothing is drawn
    std::int32_t n_branches;                // Kraus operators
    std::int32_t record;                    // outcome bits that are set where branch 1 is drawn
    std::int32_t branches;                  // n_branches + 1 bounds of lists of KrausEntry, in `bounds`
    std::int32_t out_rows;                  // [n_out * branch + row]: local basis states, in `local_rows`
    std::int32_t parts, n_parts;
    std::int32_t table;                         // the element's first number in a step's table
    std::int32_t n_statistics, n_coefficients;  // numbers per branch
    // What is drawn becomes of norm 1. At most three draws in a row leave the norm as it is: one that takes more than
    // 2^-24 from its square needs a number within rounding of its threshold, so that it stays far from underflow.
    std::int32_t normalises;
    std::int32_t in_place;         // the state stays where it is; new wires come on top
    std::int64_t n_groups;         // settings of the wires that pass by
    std::int64_t own_in, own_out;  // bits of a row that belong to the element's wires, before and after
};

struct TrajectoryStage {
    const FactorTrig* trigs;
    std::int32_t n_trigs;
    const FactorEntry* entries;
    const FactorGate* gates;
    const KrausEntry* kraus;
    const std::int32_t* bounds;
    const std::int32_t* local_rows;
    const TrajectoryElement* elements;
    std::int32_t n_elements;
    const TrajectoryPart* parts;
    std::int32_t table_size;          // numbers of one step's table
    std::int32_t largest_table;       // numbers of the largest element's branches, statistics and coefficients
    const std::int64_t* memory_rows;  // 2^m: row of each basis state of the memory at the end, -1 for zero
    std::int32_t in_order;            // memory_rows is 0, 1, 2, ...
};

// What a reading device makes of some bits: cumulative[2^k * actual + observed] over the observed values.
struct ConfusionTable {
    std::int32_t n_bits, draw;
    std::int32_t bits[30];
    std::int32_t cumulative;  // in TrajectoryProgram::cumulative
};

struct TrajectoryProgram {
    std::int32_t n_angles, n_memory, n_outcome;  // A, m, r
    std::int32_t n_draws;                        // random numbers of a step
    std::int64_t rows;                           // basis states of the wires that exist at once, at most
    TrajectoryStage step;
    TrajectoryStage finish;  // the carried gates, after the last step
    const ConfusionTable* confusion;
    std::int32_t n_confusion;
    const double* cumulative;
};

}  // namespace qrnn
