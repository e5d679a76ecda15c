#include "engines/planner.hpp"

#include <cmath>
#include <stdexcept>

#include "engines/factor/kernel.hpp"
#include "engines/pauli/kernel.hpp"

namespace qrnn {
namespace {

// Measured on an AVX2 core, float64: what a multiply-add takes in a batch of sequences, accesses included; and how much
// longer where the state of the sequences that run side by side is larger than the second level of the cache.
constexpr double pauli_seconds = 0.9e-10, factor_seconds = 0.7e-10, cache_bytes = 512e3, beyond_cache = 2.5;

double slowdown(double bytes) { return bytes > cache_bytes ? beyond_cache : 1; }

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
    cost.seconds = pauli_seconds * cost.operations * slowdown(cost.bytes * pauli_kernels<double>().batch.lanes);
    return cost;
}

EngineCost factor_cost(const FactorPlan& plan) {
    const FactorProgram& p = plan.program();
    EngineCost cost{Engine::factor, plan.operations(), 0, 0, plan.active_wires()};
    cost.bytes = 8.0 * static_cast<double>(factor_kernel<double>().workspace_size(p, false));
    const double block = std::ldexp(16.0, p.step.n_wires) * (pauli_kernels<double>().batch.lanes);
    cost.seconds = factor_seconds * cost.operations * slowdown(block);
    return cost;
}

}  // namespace

std::string engine_name(Engine engine) { return engine == Engine::pauli ? "pauli" : "factor"; }

Plan::Plan(const Circuit& circuit, std::optional<Engine> wish) {
    if (circuit.readout().empty())
        throw std::invalid_argument("the circuit measures nothing; call measure([...]) on at least one qubit");
    PauliDraft draft(circuit);
    auto factor = std::make_unique<FactorPlan>(circuit);
    costs_ = {pauli_cost(draft), factor_cost(*factor)};
    const Engine cheaper = costs_[0].seconds <= costs_[1].seconds ? Engine::pauli : Engine::factor;
    if (wish.value_or(cheaper) == Engine::factor)
        factor_ = std::move(factor);
    else
        pauli_ = std::make_unique<PauliPlan>(circuit, std::move(draft),
                                             pauli_kernels<double>().batch.lanes * static_cast<int>(sizeof(double)));
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
