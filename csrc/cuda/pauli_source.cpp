#include <algorithm>
#include <cstdio>
#include <map>
#include <numeric>
#include <set>

#include "cuda/source.hpp"
#include "engines/pauli/plan/block_list.hpp"

namespace qrnn {
namespace {

using cuda::Sum;
using cuda::SumTerm;

std::string text(std::int64_t x) { return std::to_string(x); }

std::string block(const Block& b) {
    return row({"BlockForm(" + text(static_cast<std::int32_t>(b.form)) + ")", text(b.rows), text(b.cols),
                text(b.accumulate), text(b.adjoint_accumulate), row(b.coefficient, 16), row(b.in, 4), row(b.out, 4),
                text(b.n_columns), text(b.columns), text(b.neighbours), text(b.tape)}) +
           "\n";
}

// By block: whether it touches what was written since the last barrier, or writes what was read.
std::vector<std::int32_t> waits(const PauliProgram& p, const BlockList& list) {
    std::vector<std::int32_t> result;
    std::vector<char> is_read(p.n_places, 0), is_written(p.n_places, 0);
    for (int i = 0; i < list.n_blocks; ++i) {
        const std::vector<Column> columns = columns_of(list.blocks[i], p.offsets);
        bool must_wait = false;
        for (const Column& column : columns) {
            for (const std::int32_t place : column.in) must_wait = must_wait || is_written[place];
            for (const std::int32_t place : column.out) must_wait = must_wait || is_written[place] || is_read[place];
        }
        if (must_wait) {
            std::fill(is_read.begin(), is_read.end(), 0);
            std::fill(is_written.begin(), is_written.end(), 0);
        }
        for (const Column& column : columns) {
            for (const std::int32_t place : column.in) is_read[place] = 1;
            for (const std::int32_t place : column.out) is_written[place] = 1;
        }
        result.push_back(must_wait);
    }
    return result;
}

std::string block_tables(const PauliProgram& p, const std::string& name, const BlockList& blocks) {
    return table("std::int32_t", name + "_waits", waits(p, blocks).data(), blocks.n_blocks) +
           table("Block", name + "_blocks", blocks.blocks, blocks.n_blocks, block) +
           table("std::int32_t", name + "_clear", blocks.clear, blocks.n_clear) +
           table("std::int32_t", name + "_adjoint_clear", blocks.adjoint_clear, blocks.n_adjoint_clear) +
           constant("n_" + name + "_blocks", blocks.n_blocks) + constant("n_" + name + "_clear", blocks.n_clear) +
           constant("n_" + name + "_adjoint_clear", blocks.n_adjoint_clear);
}

// The lists of forms and shapes that pauli.cuh compiles.
std::string shape_lists(const PauliProgram& p) {
    std::set<std::string> turns, rows, shapes;
    for (const BlockList* blocks : {&p.step, &p.restore, &p.finish})
        for (int i = 0; i < blocks->n_blocks; ++i) {
            const Block& b = blocks->blocks[i];
            if (b.form == BlockForm::dense)
                shapes.insert("CASE(" + std::to_string(b.rows) + ", " + std::to_string(b.cols) + ") ");
            else if (b.form == BlockForm::scattered_row)
                rows.insert("CASE(" + std::to_string(b.cols) + ") ");
            else
                turns.insert(b.form == BlockForm::turn        ? "CASE(turn) "
                             : b.form == BlockForm::twin_turn ? "CASE(twin_turn) "
                                                              : "CASE(crossed_twin_turn) ");
        }
    return define_cases("QRNN_FOR_TURNS", turns) + define_cases("QRNN_FOR_ROWS", rows) +
           define_cases("QRNN_FOR_SHAPES", shapes);
}

// Sums and gathers (pauli.hpp). A sum's round is the length of the longest chain that leads to it.
struct Rounds {
    std::vector<std::int32_t> sum_rounds{0}, gather_rounds{0};
    std::vector<Sum> sums, gathers;
    std::vector<SumTerm> sum_terms, gather_terms;

    explicit Rounds(const PauliProgram& p) {
        struct Instruction {
            std::int32_t dst;
            std::vector<SumTerm> terms;
        };
        std::vector<std::vector<Instruction>> rounds;
        std::vector<size_t> ready(p.n_registers, 0);  // by register: the first round that may read it
        for (int i = 0; i < p.n_segments; ++i) {
            const Segment& s = p.segments[i];
            for (std::int32_t j = 0; j < s.n; ++j) {
                const std::int32_t* operands = p.operands + s.begin + 2 * s.n_terms * j;
                Instruction instruction{s.dst + j, {}};
                size_t round = 0;
                for (int k = 0; k < s.n_terms; ++k) {
                    const std::int32_t a = operands[2 * k], b = operands[2 * k + 1];
                    instruction.terms.push_back({a, b, s.sign_mask >> k & 1 ? -1 : 1});
                    round = std::max({round, ready[a], ready[b]});
                }
                ready[instruction.dst] = round + 1;
                if (rounds.size() == round) rounds.emplace_back();
                rounds[round].push_back(std::move(instruction));
            }
        }
        for (const auto& round : rounds) {
            std::map<std::int32_t, std::vector<SumTerm>> read;
            for (const Instruction& instruction : round) {
                add(sums, sum_terms, instruction.dst, instruction.terms);
                for (const SumTerm& t : instruction.terms) {
                    if (t.a >= p.n_constants) read[t.a].push_back({instruction.dst, t.b, t.sign});
                    if (t.b >= p.n_constants) read[t.b].push_back({instruction.dst, t.a, t.sign});
                }
            }
            for (const auto& [dst, terms] : read) add(gathers, gather_terms, dst, terms);
            sum_rounds.push_back(static_cast<std::int32_t>(sums.size()));
            gather_rounds.push_back(static_cast<std::int32_t>(gathers.size()));
        }
    }

    static void add(std::vector<Sum>& list, std::vector<SumTerm>& all, std::int32_t dst,
                    const std::vector<SumTerm>& terms) {
        list.push_back({dst, static_cast<std::int32_t>(all.size()), static_cast<std::int32_t>(terms.size())});
        all.insert(all.end(), terms.begin(), terms.end());
    }
};

std::string sum_tables(const PauliProgram& p) {
    const Rounds r(p);
    const auto sum = [](const Sum& s) { return row({text(s.dst), text(s.begin), text(s.n)}); };
    const auto term = [](const SumTerm& t) { return row({text(t.a), text(t.b), text(t.sign)}); };
    const auto size = [](const auto& v) { return static_cast<std::int64_t>(v.size()); };
    return table("Sum", "sums", r.sums.data(), size(r.sums), sum) +
           table("SumTerm", "sum_terms", r.sum_terms.data(), size(r.sum_terms), term) +
           table("Sum", "gathers", r.gathers.data(), size(r.gathers), sum) +
           table("SumTerm", "gather_terms", r.gather_terms.data(), size(r.gather_terms), term) +
           table("std::int32_t", "sum_rounds", r.sum_rounds.data(), size(r.sum_rounds)) +
           table("std::int32_t", "gather_rounds", r.gather_rounds.data(), size(r.gather_rounds)) +
           constant("n_rounds", size(r.sum_rounds) - 1);
}

// Sorted by slot, with the first of each.
std::string trig_tables(const PauliProgram& p) {
    std::vector<Trig> trigs(p.trigs, p.trigs + p.n_trigs);
    std::stable_sort(trigs.begin(), trigs.end(), [](const Trig& a, const Trig& b) { return a.slot < b.slot; });
    std::vector<std::int32_t> first(p.n_angles + 1, 0);
    for (const Trig& t : trigs) ++first[t.slot + 1];
    std::partial_sum(first.begin(), first.end(), first.begin());
    return table("Trig", "trigs", trigs.data(), p.n_trigs,
                 [](const Trig& t) { return row({text(t.slot), text(t.sine), exactly(t.scale), exactly(t.offset)}); }) +
           table("std::int32_t", "slot_trigs", first.data(), p.n_angles + 1) + constant("n_trigs", p.n_trigs);
}

}  // namespace

std::string row(const std::vector<std::string>& fields) {
    std::string out = "{";
    for (const std::string& field : fields) out += field + ",";
    return out + "}";
}

std::string row(const std::int32_t* numbers, int n) {
    std::vector<std::string> fields;
    for (int i = 0; i < n; ++i) fields.push_back(text(numbers[i]));
    return row(fields);
}

std::string define_cases(const std::string& name, const std::set<std::string>& cases) {
    return "#define " + name + "(CASE) " + std::accumulate(cases.begin(), cases.end(), std::string()) + "\n";
}

std::string constant(const std::string& name, std::int64_t value) {
    return "constexpr std::int32_t " + name + " = " + std::to_string(value) + ";\n";
}

std::string exactly(double value) {
    char text[40];
    std::snprintf(text, sizeof text, "%a", value);
    return text;
}

cuda::PauliSizes pauli_sizes(const PauliPlan& plan) {
    const PauliProgram& p = plan.program();
    return {p.n_angles,    p.n_memory,    p.n_outcome,
            p.n_constants, p.n_registers, p.n_carried,
            p.carried_in,  p.n_places,    std::max({p.step.tape_size, p.restore.tape_size, p.finish.tape_size})};
}

std::string pauli_source(const PauliPlan& plan, const std::string& real, int lanes) {
    const PauliProgram& p = plan.program();
    const cuda::PauliSizes s = pauli_sizes(plan);
    const std::int32_t sizes[] = {s.n_angles,  s.n_memory,   s.n_outcome, s.n_constants, s.n_registers,
                                  s.n_carried, s.carried_in, s.n_places,  s.tape_size};
    std::int64_t n_offsets = 0;
    for (const BlockList* blocks : {&p.step, &p.restore, &p.finish})
        for (int i = 0; i < blocks->n_blocks; ++i) {
            const Block& b = blocks->blocks[i];
            const std::int64_t per_column = b.form == BlockForm::scattered_row ? b.cols + 1 : 2;
            n_offsets = std::max(n_offsets, 2 * std::int64_t{b.columns} + per_column * b.n_columns);
        }
    return "#include \"cuda/device.hpp\"\n#include \"cuda/pauli.hpp\"\n#include \"engines/pauli/plan/program.hpp\"\n" +
           shape_lists(p) + "namespace qrnn {\nnamespace cuda {\nusing Real = " + real +
           ";\nconstexpr PauliSizes sizes = " + row(sizes, 9) + ";\n" + constant("lanes", lanes) +
           constant("n_constants", p.n_constants) +
           table("Constant", "constants", p.constants, p.n_constants,
                 [](const Constant& c) { return row({text(c.reg), exactly(c.value)}); }) +
           table("std::int32_t", "carried_out", p.carried_out, p.n_carried) +
           table("double", "carried_start", p.carried_start, p.n_carried, exactly) + trig_tables(p) + sum_tables(p) +
           block_tables(p, "step", p.step) + block_tables(p, "restore", p.restore) +
           block_tables(p, "finish", p.finish) + table("std::int32_t", "outcomes", p.outcomes, s.n_outcomes()) +
           table("std::int32_t", "offsets", p.offsets, n_offsets) +
           "}\n}\n#include \"cuda/pauli.cuh\"\n#include \"cuda/pauli_adjoint.cuh\"\n";
}

}  // namespace qrnn
