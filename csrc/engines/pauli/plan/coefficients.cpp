#include "engines/pauli/plan/coefficients.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>

namespace qrnn {
namespace {

constexpr int max_terms = 4;

bool is_unit(double x) { return std::abs(x) == 1; }

}  // namespace

void CoefficientCompiler::mark(int node) {
    if (used_[node]) return;
    used_[node] = 1;
    const Node& n = expressions_.nodes()[node];
    if (n.kind == Node::Kind::product) {
        mark(n.a);
        mark(n.b);
    }
    for (const auto& term : n.terms) mark(term.second);
}

std::int32_t CoefficientCompiler::constant(double value) { return constants_.at(value); }

// A product that only one sum reads, with the factor 1 or -1, is computed inside of that sum.
CoefficientCompiler::Term CoefficientCompiler::term_of(double coefficient, int node) {
    const double sign = coefficient < 0 ? -1 : 1, size = std::abs(coefficient);
    const Node& n = expressions_.nodes()[node];
    if (n.kind == Node::Kind::product && !must_exist_[node] && is_unit(size))
        return {sign, node_register_[n.a], node_register_[n.b]};
    return {sign, constant(size), node_register_[node]};
}

std::int32_t CoefficientCompiler::add_instruction(std::vector<Term> terms) {
    std::int32_t level = 0;
    for (const Term& t : terms) level = std::max({level, level_[t.a] + 1, level_[t.b] + 1});
    level_.push_back(level);
    instructions_.push_back({n_registers_, std::move(terms)});
    return n_registers_++;
}

// Long sums are cut into groups of four; the first term of every group is positive (sums begin with coefficient 1, and
// each later group begins with the sum so far).
std::int32_t CoefficientCompiler::add_sum(std::vector<Term> terms) {
    std::stable_partition(terms.begin(), terms.end(), [](const Term& t) { return t.sign > 0; });
    // Terms that are ready early go first, so that a chain of groups waits for the late ones only once.
    std::stable_sort(terms.begin() + 1, terms.end(), [&](const Term& x, const Term& y) {
        return std::max(level_[x.a], level_[x.b]) < std::max(level_[y.a], level_[y.b]);
    });
    std::vector<Term> group;
    for (const Term& t : terms) {
        if (static_cast<int>(group.size()) == max_terms) {
            const std::int32_t partial = add_instruction(std::move(group));
            group = {{1, constant(1), partial}};
        }
        group.push_back(t);
    }
    return add_instruction(std::move(group));
}

// A product must have a register of its own where anything but one sum with coefficient +-1 reads it.
void CoefficientCompiler::count_uses() {
    const std::vector<Node>& nodes = expressions_.nodes();
    std::vector<int> uses(nodes.size(), 0);
    is_operand_.assign(nodes.size(), 0);
    must_exist_.assign(nodes.size(), 0);
    for (size_t i = 0; i < nodes.size(); ++i) {
        if (!used_[i]) continue;
        if (nodes[i].kind == Node::Kind::product)
            for (int operand : {nodes[i].a, nodes[i].b}) is_operand_[operand] = must_exist_[operand] = 1;
        for (const auto& [coefficient, node] : nodes[i].terms) {
            is_operand_[node] = 1;
            if (++uses[node] > 1 || !is_unit(coefficient)) must_exist_[node] = 1;
        }
    }
    for (const Value& v : needed_) must_exist_[v.node] = 1;
}

// Whether the node can be computed together with the factor, in as many instructions as without.
bool CoefficientCompiler::can_scale(const Node& node, double scale) const {
    if (node.kind == Node::Kind::product) return is_unit(scale);
    if (node.kind != Node::Kind::sum) return false;
    const auto stays_first = [&](const auto& term) { return term.first * scale > 0; };
    const auto is_inside = [&](const auto& term) {
        return expressions_.nodes()[term.second].kind == Node::Kind::product && !must_exist_[term.second];
    };
    return std::any_of(node.terms.begin(), node.terms.end(), stays_first) &&
           (is_unit(scale) || std::none_of(node.terms.begin(), node.terms.end(), is_inside));
}

// Nodes that nothing but one needed multiple depends on are computed as that multiple.
void CoefficientCompiler::choose_scales() {
    scale_.assign(expressions_.nodes().size(), 1);
    std::map<int, std::set<double>> scales;
    for (const Value& v : needed_) scales[v.node].insert(v.scale);
    for (const auto& [node, list] : scales)
        if (list.size() == 1 && !is_operand_[node] && can_scale(expressions_.nodes()[node], *list.begin()))
            scale_[node] = *list.begin();
}

CoefficientProgram CoefficientCompiler::compile(std::int32_t vector_bytes) {
    const std::vector<Node>& nodes = expressions_.nodes();
    used_.assign(nodes.size(), 0);
    for (const Value& v : needed_) mark(v.node);
    count_uses();
    choose_scales();

    std::vector<double> values{0, 1};
    for (const Value& v : needed_) values.push_back(v.is_constant() ? v.scale : std::abs(v.scale));
    for (size_t i = 0; i < nodes.size(); ++i)
        if (used_[i])
            for (const auto& term : nodes[i].terms) values.push_back(std::abs(scale_[i] * term.first));
    std::sort(values.begin(), values.end());
    values.erase(std::unique(values.begin(), values.end()), values.end());

    CoefficientProgram program;
    for (double value : values) {
        constants_[value] = n_registers_;
        program.constants.push_back({n_registers_++, value});
    }
    std::vector<std::int32_t> argument_register(expressions_.arguments().size(), -1);
    for (size_t i = 0; i < nodes.size(); ++i)
        if (used_[i] && (nodes[i].kind == Node::Kind::sine || nodes[i].kind == Node::Kind::cosine)) {
            std::int32_t& reg = argument_register[nodes[i].a];
            if (reg >= 0) continue;
            const TrigArgument& argument = expressions_.arguments()[nodes[i].a];
            program.trigs.push_back(
                {vector_bytes * argument.slot, vector_bytes * n_registers_, argument.scale, argument.offset});
            reg = n_registers_;
            n_registers_ += 2;
        }
    const auto plain = [](const Trig& t) { return t.scale == 1 && t.offset == 0; };
    program.n_plain_trigs = static_cast<std::int32_t>(
        std::stable_partition(program.trigs.begin(), program.trigs.end(), plain) - program.trigs.begin());
    program.carried_in = n_registers_;
    n_registers_ += n_carried_;
    level_.assign(n_registers_, 0);

    node_register_.assign(nodes.size(), -1);
    node_register_[0] = constants_.at(1);
    for (size_t i = 1; i < nodes.size(); ++i) {  // a node's operands come before it
        const Node& n = nodes[i];
        if (!used_[i]) continue;
        switch (n.kind) {
            case Node::Kind::one:
                break;
            case Node::Kind::sine:
                node_register_[i] = argument_register[n.a];
                break;
            case Node::Kind::cosine:
                node_register_[i] = argument_register[n.a] + 1;
                break;
            case Node::Kind::carried:
                node_register_[i] = program.carried_in + n.a;
                break;
            case Node::Kind::product:
                if (must_exist_[i])
                    node_register_[i] = add_instruction({{scale_[i], node_register_[n.a], node_register_[n.b]}});
                break;
            case Node::Kind::sum: {
                std::vector<Term> terms;
                for (const auto& [coefficient, node] : n.terms) terms.push_back(term_of(scale_[i] * coefficient, node));
                node_register_[i] = add_sum(std::move(terms));
                break;
            }
        }
    }
    for (const Value& v : needed_) {
        if (v.is_constant()) continue;
        if (v.scale == scale_[v.node]) scaled_[{v.scale, v.node}] = node_register_[v.node];
        const auto key = std::make_pair(v.scale, v.node);
        if (!scaled_.count(key))
            scaled_[key] =
                add_instruction({{v.scale < 0 ? -1.0 : 1.0, constant(std::abs(v.scale)), node_register_[v.node]}});
    }
    program.n_registers = n_registers_;
    emit_segments(program, vector_bytes);
    return program;
}

std::int32_t CoefficientCompiler::reg(Value value) const {
    if (value.is_constant()) return constants_.at(value.scale);
    return final_register_[scaled_.at({value.scale, value.node})];
}

CoefficientCompiler::Shape CoefficientCompiler::shape_of(const Instruction& instruction) const {
    Shape shape{static_cast<std::int32_t>(instruction.terms.size())};
    for (size_t i = 0; i < instruction.terms.size(); ++i) {
        if (instruction.terms[i].sign < 0) shape.sign_mask |= 1 << i;
        if (instruction.terms[i].a < static_cast<std::int32_t>(constants_.size())) shape.constant_mask |= 1 << i;
    }
    return shape;
}

// Carried numbers do not depend on those of the step before: what depends on these comes last.
void CoefficientCompiler::emit_segments(CoefficientProgram& program, std::int32_t vector_bytes) {
    std::vector<char> is_late(n_registers_, 0), done(n_registers_, 1);
    final_register_.resize(n_registers_);
    std::iota(final_register_.begin(), final_register_.end(), 0);
    next_register_ = program.carried_in + n_carried_;
    for (std::int32_t k = 0; k < n_carried_; ++k) is_late[program.carried_in + k] = 1;
    std::vector<const Instruction*> early, late;
    for (const Instruction& instruction : instructions_) {
        is_late[instruction.dst] = std::any_of(instruction.terms.begin(), instruction.terms.end(),
                                               [&](const Term& t) { return is_late[t.a] || is_late[t.b]; });
        (is_late[instruction.dst] ? late : early).push_back(&instruction);
        done[instruction.dst] = 0;
    }
    emit_runs(program, early, done, vector_bytes);
    program.n_early_segments = static_cast<std::int32_t>(program.segments.size());
    emit_runs(program, late, done, vector_bytes);
}

// Instructions of one shape run in one loop. The runs are made as few as can be had by always choosing the shape of
// which most instructions are ready, those included that get ready within the run.
void CoefficientCompiler::emit_runs(CoefficientProgram& program, const std::vector<const Instruction*>& instructions,
                                    std::vector<char>& done, std::int32_t vector_bytes) {
    std::map<Shape, std::vector<const Instruction*>> waiting;
    for (const Instruction* instruction : instructions) waiting[shape_of(*instruction)].push_back(instruction);
    while (!waiting.empty()) {
        std::vector<const Instruction*> longest;
        for (const auto& [shape, list] : waiting) {
            std::vector<const Instruction*> run;
            for (const Instruction* instruction : list)  // operands come before what needs them
                if (std::all_of(instruction->terms.begin(), instruction->terms.end(),
                                [&](const Term& t) { return done[t.a] && done[t.b]; })) {
                    run.push_back(instruction);
                    done[instruction->dst] = 1;
                }
            for (const Instruction* instruction : run) done[instruction->dst] = 0;
            if (run.size() > longest.size()) longest = std::move(run);
        }
        for (const Instruction* instruction : longest) done[instruction->dst] = 1;
        const auto list = waiting.find(shape_of(*longest[0]));
        std::erase_if(list->second, [&](const Instruction* instruction) { return done[instruction->dst]; });
        if (list->second.empty()) waiting.erase(list);
        emit_run(program, spread(std::move(longest)), vector_bytes);
    }
}

// The run in an order in which instructions that share registers lie apart: the adjoint adds to what a register's place
// holds, and has to wait where that was written a moment ago. Looks a few instructions ahead.
std::vector<const CoefficientCompiler::Instruction*> CoefficientCompiler::spread(
    std::vector<const Instruction*> run) const {
    constexpr size_t ahead = 32;
    std::vector<std::ptrdiff_t> touched(n_registers_, -static_cast<std::ptrdiff_t>(run.size()));
    std::vector<char> waits(n_registers_, 0);
    for (const Instruction* instruction : run) waits[instruction->dst] = 1;
    for (size_t i = 0; i < run.size(); ++i) {
        size_t best = i;
        std::ptrdiff_t best_age = 0;
        for (size_t j = i; j < std::min(run.size(), i + ahead); ++j) {
            auto last = -static_cast<std::ptrdiff_t>(run.size());
            bool ready = true;
            for (const Term& t : run[j]->terms)
                for (std::int32_t reg : {t.a, t.b}) {
                    ready = ready && !waits[reg];
                    if (reg >= static_cast<std::int32_t>(constants_.size())) last = std::max(last, touched[reg]);
                }
            const std::ptrdiff_t age = static_cast<std::ptrdiff_t>(i) - last;
            if (ready && age > best_age) {
                best = j;
                best_age = age;
            }
        }
        std::rotate(run.begin() + i, run.begin() + best, run.begin() + best + 1);
        waits[run[i]->dst] = 0;
        for (const Term& t : run[i]->terms) touched[t.a] = touched[t.b] = static_cast<std::ptrdiff_t>(i);
        touched[run[i]->dst] = static_cast<std::ptrdiff_t>(i);
    }
    return run;
}

void CoefficientCompiler::emit_run(CoefficientProgram& program, const std::vector<const Instruction*>& run,
                                   std::int32_t vector_bytes) {
    const Shape shape = shape_of(*run[0]);
    program.segments.push_back({shape.n_terms, shape.sign_mask, shape.constant_mask, next_register_,
                                static_cast<std::int32_t>(program.operands.size()),
                                static_cast<std::int32_t>(run.size())});
    for (const Instruction* instruction : run) {
        for (const Term& t : instruction->terms)
            for (std::int32_t reg : {t.a, t.b}) program.operands.push_back(final_register_[reg] * vector_bytes);
        final_register_[instruction->dst] = next_register_++;
    }
}

}  // namespace qrnn
