// Which engine runs a circuit.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "circuit/circuit.hpp"
#include "engines/factor/plan.hpp"
#include "engines/pauli/plan/plan.hpp"

namespace qrnn {

enum class Engine { pauli, factor };

std::string engine_name(Engine engine);

// What an engine would do for a circuit, per sequence in float64.
struct EngineCost {
    Engine engine;
    double operations;        // multiply-adds of one step
    double bytes;             // state and tables in use during a step
    double seconds;           // of one step on one core, roughly: what the choice goes by
    std::vector<int> active;  // qubits (wires) that exist, after each part of the step
};

// A circuit compiled for the engine that was asked for or, without a wish, for the one that is estimated to be the
// faster.
class Plan {
  public:
    // Throws std::invalid_argument where nothing is measured or where memory would not do.
    Plan(const Circuit& circuit, std::optional<Engine> wish);

    Engine engine() const { return factor_ ? Engine::factor : Engine::pauli; }
    const std::vector<EngineCost>& costs() const { return costs_; }
    int n_angles() const;
    int n_memory() const;
    int n_outcome() const;
    double operations() const;

    // Calls f with the PauliPlan or the FactorPlan.
    template <class F>
    auto with(F f) const {
        return factor_ ? f(*factor_) : f(*pauli_);
    }

  private:
    std::unique_ptr<PauliPlan> pauli_;
    std::unique_ptr<FactorPlan> factor_;
    std::vector<EngineCost> costs_;
};

}  // namespace qrnn
