#include <algorithm>
#include <numeric>
#include <set>
#include <stdexcept>

#include "cuda/source.hpp"

namespace qrnn {
namespace {

std::string text(std::int64_t x) { return std::to_string(x); }
std::string pair(const double* z) { return row({exactly(z[0]), exactly(z[1])}); }

// Rows of a state as the device counts them.
std::string rows(const std::int64_t* numbers, int n) {
    std::vector<std::string> fields;
    for (int i = 0; i < n; ++i) fields.push_back(text(numbers[i]));
    return row(fields);
}

std::string kind_name(FactorPass::Kind kind) {
    return kind == FactorPass::general ? "general" : kind == FactorPass::real ? "real" : "cross";
}

std::string trig(const FactorTrig& t) {
    return row({text(t.slot), text(t.carried), exactly(t.scale), exactly(t.offset)});
}
std::string entry(const FactorEntry& e) {
    return row({text(e.row), text(e.col), pair(e.constant), pair(e.cosine), pair(e.sine)});
}
std::string generator(const GeneratorEntry& e) { return row({text(e.row), text(e.col), pair(e.value)}); }
std::string gate(const FactorGate& g) {
    return row({text(g.trig), text(g.entries), text(g.n_entries), text(g.generator), text(g.n_generator), text(g.slot),
                text(g.carried), exactly(g.scale)});
}
std::string unitary(const FactorUnitary& u) {
    return row({text(u.dim), text(u.matrix), text(u.gates), text(u.n_gates)});
}
std::string pass(const FactorPass& p) {
    // The device's rows have 32 bits: beyond every wire is bit 30 for it.
    const std::int32_t spread[] = {std::min(p.spread[0], 30), std::min(p.spread[1], 30)};
    return row({"FactorPass::" + kind_name(p.kind), text(p.n_in), text(p.n_out), text(p.n_groups), row(spread, 2),
                rows(p.in, 4), rows(p.out, 4), row(p.entry, 16)}) +
           "\n";
}

int gate_count(const FactorStage& s) {
    return std::accumulate(s.unitaries, s.unitaries + s.n_unitaries, 0,
                           [](int n, const FactorUnitary& u) { return n + u.n_gates; });
}

// Gates by angle: those of slot s from begin[2 s] to begin[2 s + 1], and those of the step before up to begin[2 s + 2].
std::string slot_tables(const std::string& name, const FactorStage& s, int n_angles) {
    std::vector<std::int32_t> begin{0}, gates;
    for (int slot = 0; slot < n_angles; ++slot)
        for (const bool carried : {false, true}) {
            for (int k = 0; k < gate_count(s); ++k)
                if (s.gates[k].slot == slot && (s.gates[k].carried != 0) == carried) gates.push_back(k);
            begin.push_back(count(gates.size()));
        }
    return table("std::int32_t", name + "_slot_begin", begin.data(), count(begin.size())) +
           table("std::int32_t", name + "_slot_gates", gates.data(), count(gates.size())) + "QRNN_DEVICE SlotGates " +
           name + "_slots() { return {" + name + "_slot_begin, " + name + "_slot_gates}; }\n";
}

std::string stage_tables(const std::string& name, const FactorStage& s, const FactorProgram& p) {
    const int n_gates = gate_count(s);
    int n_entries = 0, n_generators = 0;
    for (const FactorGate* g = s.gates; g < s.gates + n_gates; ++g) {
        n_entries = std::max(n_entries, g->entries + g->n_entries);
        n_generators = std::max(n_generators, g->generator + g->n_generator);
    }
    const auto of = [&](const std::string& what) { return name + "_" + what; };
    return table("FactorTrig", of("trigs"), s.trigs, s.n_trigs, trig) +
           table("FactorEntry", of("entries"), s.entries, n_entries, entry) +
           table("GeneratorEntry", of("generators"), s.generators, n_generators, generator) +
           table("FactorGate", of("gates"), s.gates, n_gates, gate) +
           table("FactorUnitary", of("unitaries"), s.unitaries, s.n_unitaries, unitary) +
           table("FactorPass", of("passes"), s.passes, s.n_passes, pass) +
           table("std::int64_t", of("memory_rows"), s.memory_rows, std::int64_t{1} << p.n_memory) +
           table("std::int64_t", of("environment"), s.environment, s.n_environment) +
           table("std::int32_t", of("outcomes"), s.outcomes, s.n_environment) + "QRNN_DEVICE FactorStage " +
           of("stage() { return ") +
           row({text(s.n_wires), of("trigs"), text(s.n_trigs), of("entries"), of("generators"), of("gates"),
                of("unitaries"), text(s.n_unitaries), text(s.n_entries), of("passes"), text(s.n_passes),
                text(s.n_environment), of("memory_rows"), of("environment"), of("outcomes")}) +
           "; }\n" + slot_tables(name, s, p.n_angles);
}

// The settings of every outcome j, from begin[j] to begin[j + 1].
std::string outcome_tables(const FactorProgram& p) {
    std::vector<std::int32_t> begin((size_t{1} << p.n_outcome) + 1, 0), settings(p.step.n_environment);
    for (int e = 0; e < p.step.n_environment; ++e) ++begin[p.step.outcomes[e] + 1];
    std::partial_sum(begin.begin(), begin.end(), begin.begin());
    std::iota(settings.begin(), settings.end(), 0);
    std::stable_sort(settings.begin(), settings.end(),
                     [&](int a, int b) { return p.step.outcomes[a] < p.step.outcomes[b]; });
    return table("std::int32_t", "outcome_begin", begin.data(), count(begin.size())) +
           table("std::int32_t", "outcome_settings", settings.data(), count(settings.size()));
}

// The list of shapes that factor_passes.cuh compiles.
std::string shape_list(const FactorProgram& p) {
    std::set<std::string> shapes;
    for (const FactorStage* s : {&p.step, &p.finish})
        for (int i = 0; i < s->n_passes; ++i)
            shapes.insert("CASE(" + text(s->passes[i].n_in) + ", " + text(s->passes[i].n_out) + ", " +
                          kind_name(s->passes[i].kind) + ") ");
    return "#define QRNN_FOR_PASSES(CASE) " + std::accumulate(shapes.begin(), shapes.end(), std::string()) + "\n";
}

}  // namespace

cuda::FactorSizes factor_sizes(const FactorPlan& plan) {
    const FactorProgram& p = plan.program();
    std::int32_t most_entries = 0;
    for (const FactorStage* s : {&p.step, &p.finish})
        for (int i = 0; i < s->n_passes; ++i)
            most_entries = std::max(most_entries, s->passes[i].n_in * s->passes[i].n_out);
    return {p.n_angles,
            p.n_memory,
            p.n_outcome,
            std::max(p.step.n_wires, p.n_memory),
            std::max(p.step.n_trigs, p.finish.n_trigs),
            std::max(p.step.n_entries, p.finish.n_entries),
            std::max(gate_count(p.step), gate_count(p.finish)),
            std::max(p.step.n_environment, p.finish.n_environment),
            most_entries};
}

std::string factor_source(const FactorPlan& plan, const std::string& real, int width) {
    const FactorProgram& p = plan.program();
    const cuda::FactorSizes s = factor_sizes(plan);
    if (s.rows() * width > std::int64_t{1} << 30)
        throw std::invalid_argument("a GPU holds states of up to 2^30 numbers; " + text(s.n_wires) +
                                    " qubits that exist at once and " + text(width) + " columns are more");
    const std::int32_t sizes[] = {s.n_angles,  s.n_memory, s.n_outcome,     s.n_wires,     s.n_trigs,
                                  s.n_entries, s.n_gates,  s.n_environment, s.most_entries};
    return "#include \"cuda/device.hpp\"\n#include \"cuda/factor.hpp\"\n#include \"engines/factor/program.hpp\"\n" +
           shape_list(p) + "namespace qrnn {\nnamespace cuda {\nusing Real = " + real +
           ";\nconstexpr FactorSizes sizes = " + row(sizes, 9) + ";\n" + constant("width", width) +
           stage_tables("step", p.step, p) + stage_tables("finish", p.finish, p) + outcome_tables(p) +
           "}\n}\n#include \"cuda/factor_team.cuh\"\n#include \"cuda/factor_passes.cuh\"\n"
           "#include \"cuda/factor_density.cuh\"\n#include \"cuda/factor.cuh\"\n#include \"cuda/factor_adjoint.cuh\"\n";
}

}  // namespace qrnn
