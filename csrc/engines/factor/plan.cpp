#include "engines/factor/plan.hpp"

#include <algorithm>
#include <cmath>
#include <stdexcept>

namespace qrnn {
namespace {

constexpr int max_wires = 40;  // rows are 64-bit numbers; what fits into memory is far below

// A gate's matrix over the indices of a block: calls f(row, col, own row, own col) where the other wire's bit is kept.
template <class F>
void for_each_embedded(const WireGate& gate, const UnitaryBlock& block, F f) {
    int own = 0;
    std::vector<int> at;
    for (int w : gate.wires) {
        at.push_back(static_cast<int>(std::find(block.wires.begin(), block.wires.end(), w) - block.wires.begin()));
        own |= 1 << at.back();
    }
    const auto local = [&](int index) {
        int found = 0;
        for (size_t j = 0; j < at.size(); ++j) found |= (index >> at[j] & 1) << j;
        return found;
    };
    for (int row = 0; row < block.dim(); ++row)
        for (int col = 0; col < block.dim(); ++col)
            if ((row & ~own) == (col & ~own)) f(row, col, local(row), local(col));
}

void set(double* pair, std::complex<double> z) {
    pair[0] = z.real();
    pair[1] = z.imag();
}

}  // namespace

int FactorPlan::Stage::trig(const WireGate& gate, double frequency) {
    FactorTrig t{gate.angle.slot, gate.carried, frequency * gate.angle.scale, frequency * gate.angle.offset};
    if (gate.angle.slot < 0) {  // U = cosine * 1 + sine * (the gate), so that the first step can go without it
        t.scale = 0;
        t.offset = 1;
    }
    for (size_t i = 0; i < trigs.size(); ++i)
        if (trigs[i].slot == t.slot && trigs[i].carried == t.carried && trigs[i].scale == t.scale &&
            trigs[i].offset == t.offset)
            return static_cast<int>(i);
    trigs.push_back(t);
    return static_cast<int>(trigs.size()) - 1;
}

void FactorPlan::Stage::add_gate(const WireGate& gate, const UnitaryBlock& block) {
    UnitaryPolynomial p = unitary_polynomial(*gate.factor);
    const bool fixed = gate.angle.slot < 0;
    if (fixed) {
        Factor factor = *gate.factor;
        factor.fixed = gate.angle.offset;
        p.sine = fixed_unitary(factor);
        p.constant = p.cosine = {};
        for (int i = 0; i < p.dim; ++i) p.cosine[5 * i] = 1;
    }
    FactorGate g{};
    g.trig = trig(gate, p.frequency);
    g.entries = static_cast<std::int32_t>(entries.size());
    g.generator = static_cast<std::int32_t>(generators.size());
    g.slot = gate.angle.slot;
    g.carried = gate.carried;
    g.scale = gate.angle.scale;
    for_each_embedded(gate, block, [&](int row, int col, int own_row, int own_col) {
        const int i = 4 * own_row + own_col;
        if (p.constant[i] != 0.0 || p.cosine[i] != 0.0 || p.sine[i] != 0.0) {
            FactorEntry e{row, col, {}, {}, {}};
            set(e.constant, p.constant[i]);
            set(e.cosine, p.cosine[i]);
            set(e.sine, p.sine[i]);
            entries.push_back(e);
        }
        if (!fixed && p.generator[i] != 0.0) {
            GeneratorEntry e{row, col, {}};
            set(e.value, p.generator[i]);
            generators.push_back(e);
        }
    });
    g.n_entries = static_cast<std::int32_t>(entries.size()) - g.entries;
    g.n_generator = static_cast<std::int32_t>(generators.size()) - g.generator;
    gates.push_back(g);
}

FactorStage FactorPlan::Stage::view() const {
    FactorStage v{};
    v.n_wires = n_wires;
    v.trigs = trigs.data();
    v.n_trigs = static_cast<std::int32_t>(trigs.size());
    v.entries = entries.data();
    v.generators = generators.data();
    v.gates = gates.data();
    v.unitaries = unitaries.data();
    v.n_unitaries = static_cast<std::int32_t>(unitaries.size());
    v.n_entries = n_entries;
    v.passes = passes.data();
    v.n_passes = static_cast<std::int32_t>(passes.size());
    v.n_environment = static_cast<std::int32_t>(environment.size());
    v.memory_rows = memory_rows.data();
    v.environment = environment.data();
    v.outcomes = outcomes.data();
    return v;
}

FactorPlan::Stage FactorPlan::compile(const std::vector<UnitaryBlock>& blocks, int n_wires,
                                      const std::vector<int>& memory_in, const std::vector<int>& memory_out,
                                      const std::vector<int>& outcome, std::vector<int>* active,
                                      double* operations) const {
    Stage stage;
    stage.n_wires = n_wires;
    std::vector<int> bit_of(n_wires, -1);
    int n_active = 0;
    for (int w : memory_in) bit_of[w] = n_active++;

    for (const UnitaryBlock& block : blocks) {
        FactorUnitary unitary{};
        unitary.dim = block.dim();
        unitary.matrix = stage.n_entries;
        unitary.gates = static_cast<std::int32_t>(stage.gates.size());
        unitary.n_gates = static_cast<std::int32_t>(block.gates.size());
        for (const WireGate& gate : block.gates) stage.add_gate(gate, block);
        stage.unitaries.push_back(unitary);
        stage.n_entries += block.dim() * block.dim();

        std::vector<char> is_new;
        std::vector<int> existing;
        for (int w : block.wires) {
            is_new.push_back(bit_of[w] < 0);
            if (bit_of[w] < 0)
                bit_of[w] = n_active++;
            else
                existing.push_back(bit_of[w]);
        }
        std::sort(existing.begin(), existing.end());
        const int n_before = n_active - static_cast<int>(block.wires.size() - existing.size());
        for (const BlockPart& part : block_parts(block, is_new)) {
            FactorPass pass{};
            pass.kind = part.kind == BlockPart::Kind::general ? FactorPass::general
                        : part.kind == BlockPart::Kind::real  ? FactorPass::real
                                                              : FactorPass::cross;
            pass.n_in = static_cast<std::int32_t>(part.in.size());
            pass.n_out = static_cast<std::int32_t>(part.out.size());
            pass.n_groups = std::int64_t{1} << (n_before - static_cast<int>(existing.size()));
            pass.spread[0] = pass.spread[1] = FactorPass::no_spread;
            std::copy(existing.begin(), existing.end(), pass.spread);
            const auto row_of = [&](int local) {
                std::int64_t row = 0;
                for (size_t j = 0; j < block.wires.size(); ++j)
                    row |= std::int64_t{local >> j & 1} << bit_of[block.wires[j]];
                return row;
            };
            for (int k = 0; k < pass.n_in; ++k) pass.in[k] = row_of(part.in[k]);
            for (int k = 0; k < pass.n_out; ++k) pass.out[k] = row_of(part.out[k]);
            for (int r = 0; r < pass.n_out; ++r)
                for (int c = 0; c < pass.n_in; ++c)
                    pass.entry[pass.n_in * r + c] = unitary.matrix + block.dim() * part.out[r] + part.in[c];
            stage.passes.push_back(pass);
            active->push_back(n_active);
            *operations += static_cast<double>(pass.n_groups) * multiply_adds(part);
        }
    }
    // Wires that no gate touched are |0>: they stay at bits that do not exist.
    stage.n_wires = n_active;

    std::vector<int> free_bits;
    std::vector<char> is_memory(n_active, 0);
    for (int w : memory_out)
        if (bit_of[w] >= 0) is_memory[bit_of[w]] = 1;
    for (int bit = 0; bit < n_active; ++bit)
        if (!is_memory[bit]) free_bits.push_back(bit);
    for (std::int64_t i = 0; i < std::int64_t{1} << memory_out.size(); ++i) {
        std::int64_t row = 0;
        for (size_t k = 0; k < memory_out.size(); ++k) {
            if (!(i >> k & 1)) continue;
            row = bit_of[memory_out[k]] < 0 || row < 0 ? -1 : row | std::int64_t{1} << bit_of[memory_out[k]];
        }
        stage.memory_rows.push_back(row);
    }
    for (std::int64_t e = 0; e < std::int64_t{1} << free_bits.size(); ++e) {
        std::int64_t row = 0;
        for (size_t k = 0; k < free_bits.size(); ++k) row |= (e >> k & 1) << free_bits[k];
        int read = 0;
        for (size_t b = 0; b < outcome.size(); ++b)
            if (bit_of[outcome[b]] >= 0) read |= static_cast<int>(row >> bit_of[outcome[b]] & 1) << b;
        stage.environment.push_back(row);
        stage.outcomes.push_back(read);
    }
    return stage;
}

FactorPlan::FactorPlan(const Circuit& circuit) {
    WireCircuit wires = wire_circuit(circuit);
    if (wires.n_wires > max_wires)
        throw std::invalid_argument("the factor engine takes steps of at most " + std::to_string(max_wires) +
                                    " qubits, resets and copied outcomes, got " + std::to_string(wires.n_wires));
    const int n_memory = static_cast<int>(wires.memory_in.size());
    std::vector<WireGate> all;
    for (const WireGate& gate : wires.carried) all.push_back(gate);  // memory qubit i is wire i at the start
    all.insert(all.end(), wires.gates.begin(), wires.gates.end());
    step_ = compile(unitary_blocks(all, wires.n_wires, n_memory), wires.n_wires, wires.memory_in, wires.memory_out,
                    wires.outcome, &active_, &pass_operations_);
    std::vector<int> ignored_active;
    double ignored_operations = 0;
    finish_ = compile(unitary_blocks(wires.carried, n_memory, n_memory), n_memory, wires.memory_in, wires.memory_in, {},
                      &ignored_active, &ignored_operations);
    pass_operations_ *= std::ldexp(1.0, n_memory);

    view_.n_angles = circuit.n_angles();
    view_.n_memory = n_memory;
    view_.n_outcome = static_cast<std::int32_t>(wires.outcome.size());
    view_.step = step_.view();
    view_.finish = finish_.view();
}

double FactorPlan::estimated_bytes(const Circuit& circuit, int lanes) {
    const WireCircuit wires = wire_circuit(circuit);
    const double rows = std::ldexp(1.0, wires.n_wires),
                 columns = std::ldexp(1.0, static_cast<int>(wires.memory_in.size()));
    const double blocks = 4 * 2 * rows, sums = columns * columns, densities = 12 * 2 * columns * columns / lanes;
    return 8.0 * lanes * (blocks + sums + densities) + 16 * rows;
}

double FactorPlan::contraction_operations() const { return std::ldexp(2.0, view_.step.n_wires + 2 * view_.n_memory); }

}  // namespace qrnn
