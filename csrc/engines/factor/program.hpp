// A compiled circuit as the factor engine's kernels read it: plain arrays, no types with code of their own.
#pragma once

#include <cstdint>

namespace qrnn {

// A sine and a cosine of offset + scale * angles[slot]; of fixed numbers where slot is -1.
struct FactorTrig {
    std::int32_t slot;
    std::int32_t carried;  // of the angles of the step before; before the first step sine 0 and cosine 1
    double scale, offset;  // where slot is -1: the cosine and the sine
};

// One entry of U = constant + cosine * cos + sine * sin, or of the generator; pairs are (real, imaginary).
struct FactorEntry {
    std::int32_t row, col;
    double constant[2], cosine[2], sine[2];
};
struct GeneratorEntry {
    std::int32_t row, col;
    double value[2];
};

// A gate inside a unitary, over the unitary's indices.
struct FactorGate {
    std::int32_t trig;
    std::int32_t entries, n_entries;      // in FactorStage::entries
    std::int32_t generator, n_generator;  // in FactorStage::generators; none where the angle is fixed
    std::int32_t slot, carried;
    double scale;  // of the angle
};

// A unitary of 2 x 2 or 4 x 4 as the product of gates; its entries stand at matrix + dim * row + col.
struct FactorUnitary {
    std::int32_t dim, matrix;
    std::int32_t gates, n_gates;
};

// y = M x for the rows of every setting of the other wires. A row is one basis state of the wires that exist, wire k
// of them at bit k.
struct FactorPass {
    static constexpr std::int32_t no_spread = 61;
    enum Kind : std::int32_t { general, real, cross };
    Kind kind;
    std::int32_t n_in, n_out;
    std::int64_t n_groups;
    std::int32_t spread[2];      // ascending bits that a group's number leaves free; `no_spread` where there is none
    std::int64_t in[4], out[4];  // rows, relative to the group's
    std::int32_t entry[16];      // [n_in * row + col]: entry of the matrices
};

// One stage: the memory's columns through unitaries, then summed over all wires that are not carried.
struct FactorStage {
    std::int32_t n_wires;
    const FactorTrig* trigs;
    std::int32_t n_trigs;
    const FactorEntry* entries;
    const GeneratorEntry* generators;
    const FactorGate* gates;
    const FactorUnitary* unitaries;
    std::int32_t n_unitaries, n_entries;
    const FactorPass* passes;
    std::int32_t n_passes;
    std::int32_t n_environment;       // settings of the wires that are summed over
    const std::int64_t* memory_rows;  // 2^m: row of each basis state of the memory at the end
    const std::int64_t* environment;  // n_environment: rows to be added to those
    const std::int32_t* outcomes;     // n_environment: outcome that is read
};

struct FactorProgram {
    std::int32_t n_angles, n_memory, n_outcome;  // A, m, r
    FactorStage step;
    FactorStage finish;  // the carried gates, after the last step; no passes where there are none
};

}  // namespace qrnn
