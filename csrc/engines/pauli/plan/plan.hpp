// A circuit compiled for the Pauli engine.
//
// The memory's density matrix is held as real coefficients v_P = Tr(P rho), place sum_q digit_q 4^q for the Pauli
// digits (I X Y Z = 0 1 2 3) of the memory qubits q. One step computes the coefficients of its superoperators from the
// angles (coefficients.hpp), then applies them to the state block by block (layout.hpp).
#pragma once

#include <vector>

#include "circuit/circuit.hpp"
#include "engines/pauli/plan/coefficients.hpp"
#include "engines/pauli/plan/layout.hpp"
#include "engines/pauli/plan/lowering.hpp"

namespace qrnn {

// The superoperators of a step, chosen but not laid out: enough to tell what they cost.
struct PauliDraft {
    explicit PauliDraft(const Circuit& circuit);

    WireProgram program;
    std::vector<Superop> carried;       // ops of the step before, their entries being carried numbers
    std::vector<Value> carried_out;     // what this step hands on, by number
    std::vector<double> carried_start;  // what the first step finds: the identity
    double cost;                        // of a step, in multiply-adds with accesses, estimated
};

class PauliPlan {
  public:
    // Throws std::invalid_argument where the tables or one group of sequences would not fit into the machine's memory;
    // the message holds the figure. vector_bytes: size of the kernels' vectors.
    PauliPlan(const Circuit& circuit, PauliDraft draft, int vector_bytes);
    PauliPlan(const PauliPlan&) = delete;
    PauliPlan& operator=(const PauliPlan&) = delete;

    const PauliProgram& program() const { return view_; }
    int n_angles() const { return view_.n_angles; }
    int n_memory() const { return view_.n_memory; }
    int n_outcome() const { return view_.n_outcome; }

    // Arithmetic of one step and sequence: multiply-adds on the state, operations that make the coefficients, and what
    // goes in and out.
    double operations() const;

  private:
    double coefficient_operations() const;

    struct Blocks {
        std::vector<Block> blocks;
        std::int32_t tape_size = 0;
        void add(const std::vector<LaidOutBlock>& list, const CoefficientCompiler& coefficients,
                 const std::vector<std::int32_t>& offsets, int vector_bytes);
        BlockList view(const std::vector<std::int32_t>& clear, const std::vector<std::int32_t>& adjoint_clear) const;
    };

    Blocks step_, memory_step_, single_step_, late_, restore_, finish_;
    CoefficientProgram coefficients_;
    std::vector<std::int32_t> clear_, adjoint_clear_, outcomes_, late_outcomes_, offsets_, places_, carried_out_, none_;
    std::vector<double> carried_start_;
    double multiply_adds_ = 0;
    PauliProgram view_{};
};

}  // namespace qrnn
