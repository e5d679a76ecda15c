#include "engines/factor/stage.hpp"

#include <algorithm>

namespace qrnn {

StageTables::StageTables(const std::vector<UnitaryBlock>& blocks, int n_wires, const std::vector<int>& memory_in,
                         const std::vector<int>& memory_out, const std::vector<int>& outcome)
    : bit_of_(n_wires, -1) {
    for (int w : memory_in) bit_of_[w] = n_active_++;
    for (const UnitaryBlock& block : blocks) add_block(block);
    sum_over(memory_out, outcome);
    view_ = {n_active_,
             gates_.trigs.data(),
             count(gates_.trigs.size()),
             gates_.entries.data(),
             gates_.generators.data(),
             gates_.gates.data(),
             unitaries_.data(),
             count(unitaries_.size()),
             n_matrix_entries_,
             passes_.data(),
             count(passes_.size()),
             count(environment_.size()),
             memory_rows_.data(),
             environment_.data(),
             outcomes_.data()};
}

void StageTables::add_block(const UnitaryBlock& block) {
    const int matrix = n_matrix_entries_;
    unitaries_.push_back({block.dim(), matrix, count(gates_.gates.size()), count(block.gates.size())});
    n_matrix_entries_ += block.dim() * block.dim();
    for (const WireGate& gate : block.gates) gates_.add(gate, block.wires);

    const int n_before = n_active_;
    std::vector<char> is_new;
    std::vector<int> existing_bits;
    for (int w : block.wires) {
        is_new.push_back(bit_of_[w] < 0);
        if (is_new.back())
            bit_of_[w] = n_active_++;
        else
            existing_bits.push_back(bit_of_[w]);
    }
    std::sort(existing_bits.begin(), existing_bits.end());
    for (const BlockPart& part : block_parts(block, is_new)) add_pass(block, part, matrix, existing_bits, n_before);
}

void StageTables::add_pass(const UnitaryBlock& block, const BlockPart& part, int matrix,
                           const std::vector<int>& existing_bits, int n_before) {
    const auto row_of = [&](int local) {
        std::int64_t row = 0;
        for (size_t j = 0; j < block.wires.size(); ++j) row |= std::int64_t{local >> j & 1} << bit_of_[block.wires[j]];
        return row;
    };
    FactorPass pass{};
    pass.kind = part.kind;
    pass.n_in = count(part.in.size());
    pass.n_out = count(part.out.size());
    pass.n_groups = std::int64_t{1} << (n_before - static_cast<int>(existing_bits.size()));
    pass.spread[0] = pass.spread[1] = FactorPass::no_spread;
    std::copy(existing_bits.begin(), existing_bits.end(), pass.spread);
    for (int k = 0; k < pass.n_in; ++k) pass.in[k] = row_of(part.in[k]);
    for (int k = 0; k < pass.n_out; ++k) pass.out[k] = row_of(part.out[k]);
    for (int r = 0; r < pass.n_out; ++r)
        for (int c = 0; c < pass.n_in; ++c)
            pass.entry[pass.n_in * r + c] = matrix + block.dim() * part.out[r] + part.in[c];
    passes_.push_back(pass);
    active_.push_back(n_active_);
    operations_ += static_cast<double>(pass.n_groups) * multiply_adds(part);
}

void StageTables::sum_over(const std::vector<int>& memory_out, const std::vector<int>& outcome) {
    std::vector<char> summed(n_active_, 1);
    for (int w : memory_out)
        if (bit_of_[w] >= 0) summed[bit_of_[w]] = 0;
    std::vector<int> summed_bits;
    for (int bit = 0; bit < n_active_; ++bit)
        if (summed[bit]) summed_bits.push_back(bit);

    std::vector<int> memory_bits;
    for (int w : memory_out) memory_bits.push_back(bit_of_[w]);
    memory_rows_ = memory_rows(memory_bits);
    for (std::int64_t e = 0; e < std::int64_t{1} << summed_bits.size(); ++e) {
        std::int64_t row = 0;
        for (size_t k = 0; k < summed_bits.size(); ++k) row |= (e >> k & 1) << summed_bits[k];
        std::int32_t read = 0;
        for (size_t b = 0; b < outcome.size(); ++b)
            if (bit_of_[outcome[b]] >= 0) read |= static_cast<std::int32_t>(row >> bit_of_[outcome[b]] & 1) << b;
        environment_.push_back(row);
        outcomes_.push_back(read);
    }
}

}  // namespace qrnn
