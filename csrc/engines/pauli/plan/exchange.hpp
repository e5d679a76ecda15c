// Where the memory's coefficients lie while a single sequence runs through a step.
//
// Its kernel takes columns four at a time, which costs a third where they are neighbours. Those of an op that acts on
// memory qubit 0, whose digit is the last of a place, are not. So digit 0 is exchanged with that of a qubit which the
// next ops leave alone, and back, where that pays.
#pragma once

#include <cstdint>
#include <vector>

#include "engines/pauli/plan/block_list.hpp"
#include "engines/pauli/plan/lowering.hpp"

namespace qrnn {

// The blocks of a step with exchanges in between; none at all where no exchange pays.
class Exchanges {
  public:
    explicit Exchanges(const WireProgram& program);

    // Sets out for op i of the program, or for the end of the step, i being the number of ops.
    void begin_op(size_t i, std::vector<std::int32_t>& offsets);

    // Adds a block of this op, whose columns' places are those without exchanges.
    void add(const BlockTemplate& block, std::vector<Column>& columns, std::vector<std::int32_t>& offsets);

    std::vector<LaidOutBlock> take_blocks() { return std::move(blocks_); }

  private:
    void exchange_with(int qubit, std::vector<std::int32_t>& offsets);
    std::int32_t exchanged(std::int32_t place) const;

    int n_memory_;
    std::vector<int> innermost_;  // by op, and for the step's end: the memory qubit whose digit changes fastest
    bool used_;
    int now_ = 0;
    std::vector<LaidOutBlock> blocks_;
};

}  // namespace qrnn
