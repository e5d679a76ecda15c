#include <algorithm>
#include <set>
#include <stdexcept>

#include "cuda/source.hpp"

namespace qrnn {
namespace {

std::string text(std::int64_t x) { return std::to_string(x); }

std::string pair(const double* x) { return "{" + exactly(x[0]) + "," + exactly(x[1]) + "}"; }

std::string rows_of_state(const std::int64_t* rows, int n) {
    return row(std::vector<std::int32_t>(rows, rows + n).data(), n);
}

std::string kind_name(FactorPass::Kind kind) {
    return kind == FactorPass::real ? "real" : kind == FactorPass::cross ? "cross" : "general";
}

std::string trig(const FactorTrig& t) {
    return row({text(t.slot), text(t.carried), exactly(t.scale), exactly(t.offset)});
}

std::string entry(const FactorEntry& e) {
    return row({text(e.row), text(e.col), pair(e.constant), pair(e.cosine), pair(e.sine)});
}

std::string gate(const FactorGate& g) {
    return row({text(g.trig), text(g.entries), text(g.n_entries), text(g.generator), text(g.n_generator), text(g.slot),
                text(g.carried), exactly(g.scale)});
}

std::string kraus_entry(const KrausEntry& e) { return row({text(e.row), text(e.col), pair(e.value)}); }

std::string part(const TrajectoryPart& p) {
    return row({"FactorPass::" + kind_name(p.kind), text(p.n_in), text(p.n_out), row(p.local_in, 4),
                row(p.local_out, 4), rows_of_state(p.in, 4), rows_of_state(p.out, 4), text(p.coefficients),
                text(p.statistics)});
}

std::string element(const TrajectoryElement& e) {
    return row({text(e.gates),          text(e.n_before),   text(e.n_after),    text(e.n_local),  text(e.n_in),
                text(e.n_out),          text(e.draw),       text(e.n_branches), text(e.record),   text(e.branches),
                text(e.out_rows),       text(e.parts),      text(e.n_parts),    text(e.table),    text(e.n_statistics),
                text(e.n_coefficients), text(e.normalises), text(e.in_place),   text(e.n_groups), text(e.own_in),
                text(e.own_out)}) +
           "\n";
}

std::string confusion_table(const ConfusionTable& t) {
    return row({text(t.n_bits), text(t.draw), row(t.bits, 30), text(t.cumulative)});
}

// How long a stage's lists are, which it says of its elements alone.
struct StageLengths {
    std::int32_t gates = 0, entries = 0, bounds = 0, local_rows = 0, parts = 0, kraus = 0;

    explicit StageLengths(const TrajectoryStage& s) {
        for (int i = 0; i < s.n_elements; ++i) {
            const TrajectoryElement& e = s.elements[i];
            gates = std::max(gates, e.gates + e.n_before + e.n_after);
            bounds = std::max(bounds, e.branches + e.n_branches + 1);
            local_rows = std::max(local_rows, e.out_rows + e.n_out * e.n_branches);
            parts = std::max(parts, e.parts + e.n_parts);
        }
        for (int i = 0; i < gates; ++i) entries = std::max(entries, s.gates[i].entries + s.gates[i].n_entries);
        for (int i = 0; i < bounds; ++i) kraus = std::max(kraus, s.bounds[i]);
    }
};

std::string stage_tables(const std::string& name, const TrajectoryStage& s, std::int64_t dim) {
    const StageLengths n(s);
    return table("FactorTrig", name + "_trigs", s.trigs, s.n_trigs, trig) +
           table("FactorEntry", name + "_entries", s.entries, n.entries, entry) +
           table("FactorGate", name + "_gates", s.gates, n.gates, gate) +
           table("KrausEntry", name + "_kraus", s.kraus, n.kraus, kraus_entry) +
           table("std::int32_t", name + "_bounds", s.bounds, n.bounds) +
           table("std::int32_t", name + "_local_rows", s.local_rows, n.local_rows) +
           table("TrajectoryElement", name + "_elements", s.elements, s.n_elements, element) +
           table("TrajectoryPart", name + "_parts", s.parts, n.parts, part) +
           table("std::int64_t", name + "_memory_rows", s.memory_rows, dim);
}

std::string stage(const std::string& name, const TrajectoryStage& s) {
    return row({name + "_trigs", text(s.n_trigs), name + "_entries", name + "_gates", name + "_kraus", name + "_bounds",
                name + "_local_rows", name + "_elements", text(s.n_elements), name + "_parts", text(s.table_size),
                text(s.largest_table), name + "_memory_rows", text(s.in_order)});
}

// The lists of shapes that trajectory.cuh compiles.
std::string shape_lists(const TrajectoryProgram& p) {
    std::set<std::string> drawn, applied;
    for (const TrajectoryStage* s : {&p.step, &p.finish})
        for (int i = 0; i < s->n_elements; ++i) {
            const TrajectoryElement& e = s->elements[i];
            for (int k = e.parts; k < e.parts + e.n_parts; ++k) {
                const TrajectoryPart& part = s->parts[k];
                if (e.draw >= 0) drawn.insert("CASE(" + text(part.n_in) + ") ");
                applied.insert("CASE(" + text(part.n_in) + ", " + text(part.n_out) + ", " + kind_name(part.kind) +
                               ") ");
            }
        }
    return define_cases("QRNN_FOR_DRAWN", drawn) + define_cases("QRNN_FOR_APPLIED", applied);
}

std::string includes(const std::vector<std::string>& files) {
    std::string out;
    for (const std::string& file : files) out += "#include \"" + file + "\"\n";
    return out;
}

}  // namespace

cuda::TrajectorySizes trajectory_sizes(const TrajectoryPlan& plan) {
    const TrajectoryProgram& p = plan.program();
    if (p.rows > cuda::TrajectorySizes::max_rows)
        throw std::invalid_argument("sampling this circuit takes states of " + text(p.rows) +
                                    " amplitudes, where a GPU has room for " + text(cuda::TrajectorySizes::max_rows) +
                                    "; use a circuit with fewer active qubits");
    std::int32_t most_branches = 1, most_entries = 1;
    bool moves = false;
    for (const TrajectoryStage* s : {&p.step, &p.finish}) {
        moves = moves || !s->in_order;
        for (int i = 0; i < s->n_elements; ++i) {
            const TrajectoryElement& e = s->elements[i];
            moves = moves || !e.in_place;
            most_branches = std::max(most_branches, e.n_branches);
            most_entries = std::max(most_entries, e.n_local * e.n_in);
        }
    }
    return {p.n_angles,         p.n_memory,    p.n_outcome,  static_cast<std::int32_t>(p.rows),
            moves ? 2 : 1,      most_branches, most_entries, p.step.table_size,
            p.finish.table_size};
}

std::string trajectory_source(const TrajectoryPlan& plan, const std::string& real) {
    const TrajectoryProgram& p = plan.program();
    const cuda::TrajectorySizes s = trajectory_sizes(plan);
    const std::int32_t sizes[] = {s.n_angles,      s.n_memory,     s.n_outcome,  s.rows,        s.n_states,
                                  s.most_branches, s.most_entries, s.step_table, s.finish_table};
    std::int64_t n_cumulative = 0;
    for (int i = 0; i < p.n_confusion; ++i)
        n_cumulative =
            std::max(n_cumulative, p.confusion[i].cumulative + (std::int64_t{1} << 2 * p.confusion[i].n_bits));
    return includes({"cuda/device.hpp", "cuda/trajectory.hpp", "engines/trajectory/program.hpp"}) + shape_lists(p) +
           "namespace qrnn {\nnamespace cuda {\nusing Real = " + real +
           ";\nconstexpr TrajectorySizes sizes = " + row(sizes, 9) + ";\n" + stage_tables("step", p.step, s.dim()) +
           stage_tables("finish", p.finish, s.dim()) + "QRNN_TABLE TrajectoryStage stages[] = {" +
           stage("step", p.step) + "," + stage("finish", p.finish) + "};\n" +
           table("ConfusionTable", "confusion", p.confusion, p.n_confusion, confusion_table) +
           constant("n_confusion", p.n_confusion) + table("double", "cumulative", p.cumulative, n_cumulative, exactly) +
           "}\n}\n" + includes({"cuda/philox.cuh", "cuda/trajectory_tables.cuh", "cuda/trajectory.cuh"});
}

std::string marginal_source(const std::string& real) {
    return includes({"cuda/device.hpp"}) + "namespace qrnn {\nnamespace cuda {\nusing Real = " + real + ";\n}\n}\n" +
           includes({"cuda/philox.cuh", "cuda/marginal.cuh"});
}

}  // namespace qrnn
