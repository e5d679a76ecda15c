// One op's work for all contexts (settings of the wires that pass it by) that need the same rows of it and offer the
// same columns: which outputs are inputs, which dense blocks give the others, and where these go.
#pragma once

#include <map>
#include <vector>

#include "engines/pauli/plan/program.hpp"
#include "engines/pauli/plan/superop.hpp"

namespace qrnn {

struct BlockTemplate {
    BlockForm form;
    int component;                // blocks of different components share no columns
    std::vector<int> rows, cols;  // local indices
    bool accumulate;
    int adjoint_accumulate;
    std::vector<Value> coefficients;  // dense: row-major; else (a, b) of each turn
};

// Where an output goes: to a new place, at once to the place of the input column `column`, or there by way of a new
// place.
struct Target {
    enum { fresh, in_place, by_copy } kind = fresh;
    int column = -1;
};

struct Alias {
    int row, col;
};

struct OpTemplate {
    std::vector<Alias> aliases;         // outputs that are inputs
    std::map<int, Target> targets;      // by row, for all other outputs
    std::vector<BlockTemplate> blocks;  // in the order in which they run
};

// row_labels: by row, the input index with the same Pauli digits; no_label where a bit is set or a new wire is not I.
constexpr int no_label = -1;
OpTemplate make_template(const Superop& op, const std::vector<int>& row_labels, const std::vector<char>& row_active,
                         const std::vector<char>& col_active, Expressions& expressions);

}  // namespace qrnn
