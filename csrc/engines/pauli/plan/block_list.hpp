// From a block's matrix and the places of its columns to blocks as the kernels run them.
#pragma once

#include <cstdint>
#include <vector>

#include "engines/pauli/plan/block_template.hpp"
#include "engines/pauli/plan/program.hpp"

namespace qrnn {

// Blocks with their coefficients as symbolic values, before registers are assigned.
struct LaidOutBlock {
    Block block;
    std::vector<Value> coefficients;  // as in BlockTemplate
};

// Places of one column's inputs and outputs.
struct Column {
    std::vector<std::int32_t> in, out;
};

// Places that a block reads and writes, column by column.
std::vector<Column> columns_of(const Block& block, const std::int32_t* offsets);

// Appends blocks that apply the template's matrix to all these columns to `list`, and their columns to `offsets`.
void add_columns(const BlockTemplate& block, std::vector<Column>& columns, std::vector<std::int32_t>& offsets,
                 std::vector<LaidOutBlock>& list);

// Sets `kernel` by the block's other fields and its columns.
void choose_kernel(Block& block, const std::vector<std::int32_t>& offsets);

// Multiply-adds of a list of blocks.
double multiply_adds(const std::vector<LaidOutBlock>& list);

}  // namespace qrnn
