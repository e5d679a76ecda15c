// The tables of one stage, made from blocks.
#pragma once

#include <vector>

#include "engines/factor/blocks.hpp"
#include "engines/factor/gate_tables.hpp"
#include "engines/factor/program.hpp"

namespace qrnn {

class StageTables {
  public:
    // The blocks on wires of which `memory_in` exist at the start, at bits 0 .. m - 1 of a row; at the end all but
    // `memory_out` are summed over, and bit b of an outcome is wire outcome[b].
    StageTables(const std::vector<UnitaryBlock>& blocks, int n_wires, const std::vector<int>& memory_in,
                const std::vector<int>& memory_out, const std::vector<int>& outcome);
    StageTables(const StageTables&) = delete;
    StageTables& operator=(const StageTables&) = delete;

    const FactorStage& view() const { return view_; }

    // By pass: the number of wires that exist when it has run.
    const std::vector<int>& active() const { return active_; }

    // Real multiply-adds of the passes, for one column.
    double operations() const { return operations_; }

  private:
    void add_block(const UnitaryBlock& block);
    void add_pass(const UnitaryBlock& block, const BlockPart& part, int matrix, const std::vector<int>& existing_bits,
                  int n_before);
    void sum_over(const std::vector<int>& memory_out, const std::vector<int>& outcome);

    GateTables gates_;
    std::vector<FactorUnitary> unitaries_;
    std::vector<FactorPass> passes_;
    std::vector<std::int64_t> memory_rows_, environment_;
    std::vector<std::int32_t> outcomes_;
    std::vector<int> bit_of_;  // by wire: its bit in a row, -1 while it does not exist
    int n_active_ = 0, n_matrix_entries_ = 0;
    std::vector<int> active_;
    double operations_ = 0;
    FactorStage view_{};
};

}  // namespace qrnn
