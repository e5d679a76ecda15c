#include "engines/pauli/plan/block_list.hpp"

#include <algorithm>
#include <map>

namespace qrnn {
namespace {

// A block without columns, which are to follow in the offset list.
Block& add_block(const BlockTemplate& block, size_t n_columns, const std::vector<std::int32_t>& offsets,
                 std::vector<LaidOutBlock>& list) {
    LaidOutBlock laid{};
    laid.coefficients = block.coefficients;
    Block& b = laid.block;
    b.form = block.form;
    b.rows = static_cast<std::int32_t>(block.rows.size());
    b.cols = static_cast<std::int32_t>(block.cols.size());
    b.accumulate = block.accumulate;
    b.adjoint_accumulate = block.adjoint_accumulate;
    b.n_columns = static_cast<std::int32_t>(n_columns);
    b.columns = static_cast<std::int32_t>(offsets.size() / 2);
    list.push_back(std::move(laid));
    return list.back().block;
}

// The largest of 16, 8, 4 and 1 such that so many columns at a time are neighbours, inputs and outputs alike.
std::int32_t neighbours(const Block& block, const std::vector<std::int32_t>& offsets) {
    const std::int32_t* pairs = offsets.data() + 2 * static_cast<std::int64_t>(block.columns);
    for (const std::int32_t n : {16, 8, 4}) {
        bool all = block.n_columns % n == 0;
        for (std::int32_t k = 0; all && k < block.n_columns; ++k)
            for (int side = 0; side < 2; ++side)
                all = all && pairs[2 * k + side] == pairs[2 * (k - k % n) + side] + k % n;
        if (all) return n;
    }
    return 1;
}

// Whether output k of every column is where its input k is.
bool is_in_place(const Block& b, const std::vector<std::int32_t>& offsets) {
    bool same = b.rows == b.cols;
    for (std::int32_t k = 0; same && k < b.rows; ++k) same = b.in[k] == b.out[k];
    const std::int32_t* pairs = offsets.data() + 2 * static_cast<std::int64_t>(b.columns);
    for (std::int32_t k = 0; same && k < b.n_columns; ++k) same = pairs[2 * k] == pairs[2 * k + 1];
    return same;
}

}  // namespace

std::vector<Column> columns_of(const Block& b, const std::int32_t* offsets) {
    std::vector<Column> columns(b.n_columns);
    const std::int32_t* next = offsets + 2 * static_cast<std::int64_t>(b.columns);
    for (Column& column : columns) {
        if (b.form == BlockForm::scattered_row) {
            column.in.assign(next, next + b.cols);
            column.out.assign(next + b.cols, next + b.cols + 1);
            next += b.cols + 1;
            continue;
        }
        if (b.form == BlockForm::exchange) {
            for (const std::int32_t row : b.in)
                for (int k = 0; k < 4; ++k) column.in.push_back(next[0] + row + k);
            column.out = column.in;
        } else {
            for (int c = 0; c < b.cols; ++c) column.in.push_back(next[0] + b.in[c]);
            for (int r = 0; r < b.rows; ++r) column.out.push_back(next[1] + b.out[r]);
        }
        next += 2;
    }
    return columns;
}

// Columns are split by how their places lie to each other; each split is one block. Few columns are not worth a block
// of their own.
void add_columns(const BlockTemplate& block, std::vector<Column>& all_columns, std::vector<std::int32_t>& offsets,
                 std::vector<LaidOutBlock>& list) {
    constexpr size_t few = 8;
    const bool may_scatter = block.form == BlockForm::dense && block.rows.size() == 1 && !block.accumulate;
    std::stable_sort(all_columns.begin(), all_columns.end(),
                     [](const Column& a, const Column& b) { return a.in[0] < b.in[0]; });
    std::map<std::vector<std::int32_t>, std::vector<const Column*>> by_shape;
    for (const Column& column : all_columns) {
        std::vector<std::int32_t> shape;
        for (std::int32_t place : column.in) shape.push_back(place - column.in[0]);
        for (std::int32_t place : column.out) shape.push_back(place - column.out[0]);
        by_shape[shape].push_back(&column);
    }
    std::vector<const Column*> scattered;
    for (const auto& [shape, columns] : by_shape) {
        if (may_scatter && by_shape.size() > 1 && columns.size() < few) {
            scattered.insert(scattered.end(), columns.begin(), columns.end());
            continue;
        }
        Block& b = add_block(block, columns.size(), offsets, list);
        for (int c = 0; c < b.cols; ++c) b.in[c] = shape[c];
        for (int r = 0; r < b.rows; ++r) b.out[r] = shape[b.cols + r];
        for (const Column* column : columns) {
            offsets.push_back(column->in[0]);
            offsets.push_back(column->out[0]);
        }
        b.neighbours = neighbours(b, offsets);
    }
    if (scattered.empty()) return;
    add_block(block, scattered.size(), offsets, list).form = BlockForm::scattered_row;
    for (const Column* column : scattered) {
        offsets.insert(offsets.end(), column->in.begin(), column->in.end());
        offsets.push_back(column->out[0]);
    }
    if (offsets.size() % 2 != 0) offsets.push_back(0);
}

void choose_kernel(Block& b, const std::vector<std::int32_t>& offsets) {
    const bool scattered = b.form == BlockForm::scattered_row, exchange = b.form == BlockForm::exchange;
    const bool dense = b.form == BlockForm::dense, in_place = !scattered && !exchange && is_in_place(b, offsets);
    const ColumnAccess access = b.neighbours == 16                                       ? ColumnAccess::sixteen
                                : b.neighbours == 8                                      ? ColumnAccess::eight
                                : b.neighbours == 4 && b.n_columns % 8 == 0 && !exchange ? ColumnAccess::twice_four
                                : b.neighbours == 4                                      ? ColumnAccess::four
                                : b.n_columns % 4 == 0 && b.rows > 1                     ? ColumnAccess::four_apart
                                                                                         : ColumnAccess::one;
    const std::int32_t turn = static_cast<std::int32_t>(b.form) - static_cast<std::int32_t>(BlockForm::turn);
    b.kernel = exchange                    ? exchange_kernel
               : scattered                 ? scattered_row_kernels + b.cols - 1
               : !dense                    ? (in_place ? in_place_turn_kernels : turn_kernels) + turn
               : in_place && !b.accumulate ? in_place_kernels + b.rows - 1
                                           : 4 * (b.rows - 1) + b.cols - 1 + (b.accumulate ? accumulate_kernels : 0);
    b.kernel += static_cast<std::int32_t>(access) * n_block_kernels;
}

double multiply_adds(const std::vector<LaidOutBlock>& list) {
    double n = 0;
    for (const LaidOutBlock& laid : list)
        n += static_cast<double>(laid.block.rows) * laid.block.cols * laid.block.n_columns;
    return n;
}

}  // namespace qrnn
