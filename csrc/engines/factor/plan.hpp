// A circuit compiled for the factor engine.
//
// The memory's density matrix is written as rho = L L^dagger, L of 2^m rows and at most 2^m columns. A step takes the
// columns through the gates, wires being added as they are first needed, and sums M M^dagger over the settings of all
// wires that are not carried: rho' = sum_e M_e M_e^dagger, p_j = the norms of the M_e with outcome j. The gates'
// matrices are made for several steps at once. Cost per step: that of the passes times 2^m, and 2 * 2^N * 2^m * 2^m
// multiply-adds for the sum over N wires.
#pragma once

#include <memory>
#include <vector>

#include "circuit/circuit.hpp"
#include "engines/factor/stage.hpp"

namespace qrnn {

class FactorPlan {
  public:
    explicit FactorPlan(const Circuit& circuit);

    // Throws std::invalid_argument where the circuit has channels.
    static void check_unitary(const Circuit& circuit);

    // Bytes of one sequence's columns and matrices, roughly, and of the plan's tables; told without making them.
    static double estimated_bytes(const Circuit& circuit, int lanes);

    const FactorProgram& program() const { return view_; }
    int n_angles() const { return view_.n_angles; }
    int n_memory() const { return view_.n_memory; }
    int n_outcome() const { return view_.n_outcome; }

    // Real multiply-adds of one step and sequence: of the passes and of the sum over the wires that are not carried.
    double operations() const;

    // By pass: the number of wires that exist when it has run.
    const std::vector<int>& active_wires() const { return step_->active(); }

  private:
    std::unique_ptr<StageTables> step_, finish_;
    FactorProgram view_{};
};

}  // namespace qrnn
