#include "engines/planner.hpp"

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "engines/budget.hpp"
#include "engines/factor/kernel.hpp"
#include "engines/pauli/kernel.hpp"

namespace qrnn {
namespace {

// Seconds on an AVX2 core of 3.4 GHz, float64, in a batch of sequences, accesses included. Only their ratios matter.
constexpr double pauli_operation = 0.75e-10, draft_operation = 0.7e-10;
constexpr double factor_operation = 0.6e-10, pass_start = 2e-8, gate_matrix = 1.2e-8, cholesky_operation = 2e-10,
                 factor_step = 3e-7;

// A draft's cost is known within this factor; where the engines are closer, the Pauli plan is made to count exactly.
constexpr double draft_uncertainty = 4;

int vector_lanes() { return pauli_kernels<double>().batch.lanes; }

EngineCost pauli_cost(const PauliDraft& draft) {
    EngineCost cost{Engine::pauli, draft.cost, 0, 0, {}};
    int live = 0;
    for (size_t i = 0; i < draft.program.memory_in.size(); ++i) ++live;
    int most = live;
    for (const Superop& op : draft.program.ops) {
        for (int w : op.in) live -= !draft.program.is_bit[w];
        for (int w : op.out) live += !draft.program.is_bit[w];
        cost.active.push_back(live);
        most = std::max(most, live);
    }
    cost.bytes = std::ldexp(8.0, 2 * most);
    cost.seconds = draft_operation * draft.cost;
    return cost;
}

EngineCost factor_cost(const FactorPlan& plan) {
    const FactorProgram& p = plan.program();
    EngineCost cost{Engine::factor, plan.operations(), 0, 0, plan.active_wires()};
    cost.bytes = 8.0 * static_cast<double>(factor_kernel<double>().workspace_size(p, false, 1));
    const double columns = std::ldexp(1.0, p.n_memory), column_blocks = std::ceil(columns / vector_lanes());
    int n_gates = 0;
    for (int u = 0; u < p.step.n_unitaries; ++u) n_gates += p.step.unitaries[u].n_gates;
    cost.seconds = factor_step + factor_operation * cost.operations + pass_start * column_blocks * p.step.n_passes +
                   gate_matrix * n_gates + cholesky_operation * columns * columns * columns;
    return cost;
}

}  // namespace

std::string engine_name(Engine engine) { return engine == Engine::pauli ? "pauli" : "factor"; }

Plan::Plan(const Circuit& circuit, std::optional<Engine> wish) {
    circuit.check_measured();
    const bool is_noisy = std::any_of(circuit.operations().begin(), circuit.operations().end(),
                                      [](const Operation& op) { return op.channel != nullptr; });
    if (wish == Engine::factor) FactorPlan::check_unitary(circuit);
    costs_.reserve(2);
    PauliDraft draft(circuit);
    costs_.push_back(pauli_cost(draft));
    EngineCost& pauli = costs_[0];
    const double factor_bytes = is_noisy ? 0 : FactorPlan::estimated_bytes(circuit, vector_lanes());
    const bool factor_fits = !is_noisy && factor_bytes <= memory_limit();
    if (wish == Engine::factor || (!wish && !is_noisy && pauli.bytes * vector_lanes() > memory_limit()))
        check_memory(factor_bytes, "one sequence of this circuit in the factor engine", "use fewer qubits");
    if (factor_fits) {
        factor_ = std::make_unique<FactorPlan>(circuit);
        costs_.push_back(factor_cost(*factor_));
        if (wish == Engine::factor || (!wish && pauli.seconds > draft_uncertainty * costs_[1].seconds)) return;
    }
    pauli_ = std::make_unique<PauliPlan>(circuit, std::move(draft), vector_lanes() * static_cast<int>(sizeof(double)));
    pauli.operations = pauli_->operations();
    pauli.seconds = pauli_operation * pauli.operations;
    if (factor_fits && !wish && pauli.seconds > costs_[1].seconds)
        pauli_.reset();
    else
        factor_.reset();
}

int Plan::n_angles() const {
    return with([](const auto& plan) { return plan.n_angles(); });
}
int Plan::n_memory() const {
    return with([](const auto& plan) { return plan.n_memory(); });
}
int Plan::n_outcome() const {
    return with([](const auto& plan) { return plan.n_outcome(); });
}
double Plan::operations() const {
    return with([](const auto& plan) { return plan.operations(); });
}

}  // namespace qrnn
