#include "engines/factor/plan.hpp"

#include <cmath>
#include <stdexcept>

#include "engines/factor/gates.hpp"

namespace qrnn {

FactorPlan::FactorPlan(const Circuit& circuit) {
    const WireCircuit wires = wire_circuit(circuit);
    const int n_memory = static_cast<int>(wires.memory_in.size());
    std::vector<WireGate> gates = wires.carried;  // on memory qubit i, which is wire i at the start
    gates.insert(gates.end(), wires.gates.begin(), wires.gates.end());
    step_ = std::make_unique<StageTables>(unitary_blocks(gates, wires.n_wires, n_memory), wires.n_wires,
                                          wires.memory_in, wires.memory_out, wires.outcome);
    finish_ = std::make_unique<StageTables>(unitary_blocks(wires.carried, n_memory, n_memory), n_memory,
                                            wires.memory_in, wires.memory_in, std::vector<int>{});
    view_ = {circuit.n_angles(), n_memory, static_cast<std::int32_t>(wires.outcome.size()), step_->view(),
             finish_->view()};
}

void FactorPlan::check_unitary(const Circuit& circuit) {
    for (const Operation& op : circuit.operations())
        if (op.channel)
            throw std::invalid_argument(
                "the factor engine has no channels, and this circuit has some; use engine 'auto' or 'pauli', or shots");
}

double FactorPlan::estimated_bytes(const Circuit& circuit, int lanes) {
    const WireCircuit wires = wire_circuit(circuit);
    const double rows = std::ldexp(1.0, wires.n_wires);
    const double density = std::ldexp(1.0, 2 * static_cast<int>(wires.memory_in.size()));
    constexpr double blocks = 4, densities = 12;  // those of a workspace, real and imaginary parts each
    return 8.0 * (lanes * (2 * blocks * rows + density) + 2 * densities * density) + 16 * rows;
}

double FactorPlan::operations() const {
    return std::ldexp(step_->operations(), view_.n_memory) + std::ldexp(2.0, view_.step.n_wires + 2 * view_.n_memory);
}

}  // namespace qrnn
