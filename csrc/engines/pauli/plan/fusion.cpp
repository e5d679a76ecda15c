#include "engines/pauli/plan/fusion.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <memory>
#include <set>
#include <tuple>

namespace qrnn {
namespace {

// ---- What an entry costs, without its value: 0, 1 or something to be computed.
struct Pattern {
    enum : char { zero, one, constant, variable } kind = zero;
    bool is_zero() const { return kind == zero; }
};

struct PatternAlgebra {
    int products = 0;  // products of two numbers that change with the angles
    Pattern product(Pattern a, Pattern b) {
        if (a.is_zero() || b.is_zero()) return {};
        if (a.kind == Pattern::one) return b;
        if (b.kind == Pattern::one) return a;
        if (a.kind == Pattern::constant) return b;
        if (b.kind == Pattern::constant) return a;
        ++products;
        return {Pattern::variable};
    }
    Pattern sum(const std::vector<Pattern>& terms) const {
        Pattern total{Pattern::constant};
        for (const Pattern& p : terms)
            if (p.kind == Pattern::variable) total.kind = Pattern::variable;
        return total;
    }
};

using PatternOp = BasicSuperop<Pattern>;

PatternOp pattern_of(const Superop& op) {
    PatternOp out{op.in, op.out, std::vector<SparseRow<Pattern>>(op.rows.size())};
    for (size_t row = 0; row < op.rows.size(); ++row)
        for (const auto& [col, value] : op.rows[row].entries)
            out.rows[row].entries.emplace_back(col, Pattern{value.is_one()        ? Pattern::one
                                                            : value.is_constant() ? Pattern::constant
                                                                                  : Pattern::variable});
    return out;
}

// ---- Groups of ops that become one. A group never changes: candidate groupings share those they have in common.
struct Group {
    int op = -1;                                      // index of the one original op it is,
    std::vector<std::shared_ptr<const Group>> parts;  // or what it was made of, in topological order
    PatternOp pattern;
    int products = 0;  // multiplications that make the group's entries
    std::vector<int> wires;
    int n_in = 0, live_change = 0;  // quantum wires
    double column_cost = 0;
};

using GroupPtr = std::shared_ptr<const Group>;
using Groups = std::vector<GroupPtr>;

class Fusion {
  public:
    explicit Fusion(WireProgram& program) : program_(program) {
        for (size_t i = 0; i < program.ops.size(); ++i) {
            Group group;
            group.op = static_cast<int>(i);
            group.pattern = pattern_of(program.ops[i]);
            groups_.push_back(complete(std::move(group)));
        }
    }

    double run() {
        // Whole lives of wires first: merging neighbours may pay off as long as the wire is there, and stand in the way
        // of getting rid of it.
        merge_while_cheaper(&Fusion::lives);
        merge_while_cheaper(&Fusion::neighbours);
        write_back();
        return total_cost(groups_);
    }

  private:
    // An external matrix of 4^3 columns is the largest worth multiplying out.
    static constexpr int max_wires = 3;
    using Candidates = std::set<std::vector<int>>;

    void merge_while_cheaper(Candidates (Fusion::*candidates)() const) {
        double cost = total_cost(groups_);
        while (true) {
            Groups best;
            double best_cost = cost;
            for (const std::vector<int>& candidate : (this->*candidates)()) {
                Groups merged = merge(candidate);
                if (merged.empty()) continue;
                const double c = total_cost(merged);
                if (c < best_cost) {
                    best_cost = c;
                    best = std::move(merged);
                }
            }
            if (best.empty()) return;
            groups_ = std::move(best);
            cost = best_cost;
        }
    }

    std::vector<int> touching(int wire) const {
        std::vector<int> found;
        for (size_t g = 0; g < groups_.size(); ++g)
            if (position(groups_[g]->wires, wire) >= 0) found.push_back(static_cast<int>(g));
        return found;
    }

    // All that happens to a wire which begins and ends within the step.
    Candidates lives() const {
        Candidates found;
        for (int w = 0; w < static_cast<int>(program_.is_bit.size()); ++w) {
            const bool is_local = position(program_.memory_in, w) < 0 && position(program_.memory_out, w) < 0;
            const std::vector<int> life = touching(w);
            if (is_local && !program_.is_bit[w] && life.size() > 1) found.insert(life);
        }
        return found;
    }

    // Two groups that follow each other on a wire.
    Candidates neighbours() const {
        Candidates found;
        for (int w = 0; w < static_cast<int>(program_.is_bit.size()); ++w) {
            const std::vector<int> life = touching(w);
            for (size_t i = 0; i + 1 < life.size(); ++i) found.insert({life[i], life[i + 1]});
        }
        return found;
    }

    GroupPtr complete(Group group) const {
        for (const auto* list : {&group.pattern.in, &group.pattern.out})
            for (int w : *list)
                if (position(group.wires, w) < 0) group.wires.push_back(w);
        group.n_in = quantum_wires(group.pattern.in);
        group.live_change = quantum_wires(group.pattern.out) - group.n_in;
        group.column_cost = column_cost(group.pattern);
        return std::make_shared<const Group>(std::move(group));
    }

    int quantum_wires(const std::vector<int>& wires) const {
        int n = 0;
        for (int w : wires) n += !program_.is_bit[w];
        return n;
    }

    // One group depends on another where they share a wire.
    static bool reached(const Group& group, const std::vector<char>& wire_reached) {
        return std::any_of(group.wires.begin(), group.wires.end(), [&](int w) { return wire_reached[w]; });
    }

    // The groups with those in `chosen`, and all that lie on a path between two of them, made one; empty where the
    // result would be too large. groups_ is in a topological order at all times.
    Groups merge(const std::vector<int>& chosen) const {
        const int n = static_cast<int>(groups_.size());
        std::vector<char> inside(n, 0), below(n, 0);
        for (int g : chosen) inside[g] = 1;
        std::vector<char> wire_below(program_.is_bit.size(), 0), wire_above(program_.is_bit.size(), 0);
        for (int g = 0; g < n; ++g) {
            below[g] = reached(*groups_[g], wire_below);
            if (below[g] || inside[g])
                for (int w : groups_[g]->wires) wire_below[w] = 1;
        }
        for (int g = n - 1; g >= 0; --g) {
            const bool above = reached(*groups_[g], wire_above);
            if (above || inside[g])
                for (int w : groups_[g]->wires) wire_above[w] = 1;
            inside[g] = inside[g] || (below[g] && above);
        }

        Group made;
        Groups before, after;
        for (int g = 0; g < n; ++g) {
            const Group& group = *groups_[g];
            if (!inside[g]) {
                (below[g] ? after : before).push_back(groups_[g]);
                continue;
            }
            made.parts.push_back(groups_[g]);
            if (made.parts.size() == 1) {
                made.pattern = group.pattern;
                made.products = group.products;
                continue;
            }
            PatternAlgebra algebra;
            made.pattern = compose(made.pattern, group.pattern, algebra);
            made.products += group.products + algebra.products;
            // A wide intermediate result is allowed (a readout qubit on its way), a wide final one is not.
            if (made.pattern.in.size() > max_wires || quantum_wires(made.pattern.out) > max_wires + 1) return {};
        }
        if (quantum_wires(made.pattern.out) > max_wires || made.pattern.out.size() > max_wires + 2) return {};
        before.push_back(complete(std::move(made)));
        before.insert(before.end(), after.begin(), after.end());
        return before;
    }

    // A topological order that ends wires as early and begins them as late as it can.
    std::vector<int> schedule(const Groups& groups) const {
        const int n = static_cast<int>(groups.size());
        std::vector<std::vector<int>> successors(n);
        std::vector<int> waiting_for(n, 0), order, last_on_wire(program_.is_bit.size(), -1);
        for (int g = 0; g < n; ++g)
            for (int w : groups[g]->wires) {
                if (last_on_wire[w] >= 0) {
                    successors[last_on_wire[w]].push_back(g);
                    ++waiting_for[g];
                }
                last_on_wire[w] = g;
            }
        // Change in live wires, rank, group. Ops on one wire come first, since outcomes add columns, and those on the
        // last wires before those on the first, so that a single sequence's places need few exchanges (exchange.hpp).
        std::set<std::tuple<int, int, int>> ready;
        const auto add = [&](int g) {
            const Group& group = *groups[g];
            ready.insert({group.live_change, group.wires.size() == 1 ? -1 - group.wires[0] : 0, g});
        };
        for (int g = 0; g < n; ++g)
            if (waiting_for[g] == 0) add(g);
        while (!ready.empty()) {
            const int g = std::get<2>(*ready.begin());
            ready.erase(ready.begin());
            order.push_back(g);
            for (int s : successors[g])
                if (--waiting_for[s] == 0) add(s);
        }
        return order;
    }

    // Multiply-adds of one step, estimated: what the blocks of each op cost times the columns of the other live wires,
    // plus making the entries, which goes through an instruction list and costs more per operation.
    double total_cost(const Groups& groups) const {
        constexpr double entry_cost = 4;
        int live = static_cast<int>(program_.memory_in.size());
        double cost = 0;
        for (int g : schedule(groups)) {
            const Group& group = *groups[g];
            cost += group.column_cost * std::ldexp(1.0, 2 * (live - group.n_in)) + entry_cost * group.products;
            live += group.live_change;
        }
        return cost;
    }

    // Rows of an outcome (a bit in Z) are left out because they reach the traced state only.
    bool is_outcome(const PatternOp& op, size_t row) const {
        for (size_t j = 0; j < op.out.size(); ++j)
            if (program_.is_bit[op.out[j]] && (row >> 2 * j & 3) != 0) return true;
        return false;
    }

    // Work for one column: the rows fall into dense blocks of those that share inputs (layout.cpp); a block larger than
    // 4 x 4 is computed in pieces and copied.
    double column_cost(const PatternOp& op) const {
        std::map<int, std::pair<int, std::set<int>>> blocks;  // by number: rows, columns
        for (size_t row = 0; row < op.rows.size(); ++row) {
            const auto& entries = op.rows[row].entries;
            const bool passes = entries.size() == 1 && entries[0].second.kind == Pattern::one;
            if (entries.empty() || passes || is_outcome(op, row)) continue;
            std::pair<int, std::set<int>> block{1, {}};
            for (const auto& entry : entries) block.second.insert(entry.first);
            for (auto it = blocks.begin(); it != blocks.end();) {
                const std::set<int>& cols = it->second.second;
                const bool shares =
                    std::any_of(cols.begin(), cols.end(), [&](int col) { return block.second.count(col) > 0; });
                if (shares) {
                    block.first += it->second.first;
                    block.second.insert(cols.begin(), cols.end());
                    it = blocks.erase(it);
                } else {
                    ++it;
                }
            }
            blocks[static_cast<int>(row)] = std::move(block);
        }
        constexpr double access = 0.5;  // a load or store against a multiply-add
        double cost = 0;
        for (const auto& [number, block] : blocks) {
            const double rows = block.first, cols = static_cast<double>(block.second.size());
            const double row_pieces = std::ceil(rows / 4), col_pieces = std::ceil(cols / 4);
            cost += rows * cols + access * (row_pieces * cols + (2 * col_pieces - 1) * rows);
            if (row_pieces * col_pieces > 1) cost += access * 3 * rows;
        }
        return cost;
    }

    void write_back() {
        std::vector<Superop> ops;
        for (int g : schedule(groups_)) ops.push_back(multiplied_out(*groups_[g]));
        program_.ops = std::move(ops);
    }

    // Part by part, as it was merged: op by op in program order, intermediate results would be wider by a wire for
    // every level of merging.
    Superop multiplied_out(const Group& group) const {
        if (group.parts.empty()) return program_.ops[group.op];
        Superop op = multiplied_out(*group.parts[0]);
        for (size_t i = 1; i < group.parts.size(); ++i)
            op = compose(op, multiplied_out(*group.parts[i]), program_.expressions);
        return op;
    }

    WireProgram& program_;
    Groups groups_;
};

// An op on memory wire w alone that also writes outcome bits: as long as it keeps the trace, the outcomes do not need
// what it does to w, and what it does to w needs no bit. Splits it in two and returns the part on w.
std::optional<Superop> split_off_memory_part(Superop& op, int wire) {
    const int j = position(op.out, wire);
    Superop part{{wire}, {wire}, std::vector<SparseRow<Value>>(4)};
    for (int digit = 0; digit < 4; ++digit) part.rows[digit] = op.rows[static_cast<size_t>(digit) << 2 * j];
    const auto& trace = part.rows[0].entries;
    if (trace.size() != 1 || trace[0].first != 0 || !trace[0].second.is_one()) return std::nullopt;
    bool is_identity = true;
    for (int digit = 0; digit < 4; ++digit) {
        const auto& entries = part.rows[digit].entries;
        is_identity = is_identity && entries.size() == 1 && entries[0].first == digit && entries[0].second.is_one();
        op.rows[static_cast<size_t>(digit) << 2 * j].entries = {{digit, Expressions::constant(1)}};
    }
    if (is_identity) return std::nullopt;
    return part;
}

}  // namespace

void merge_one_wire_runs(WireProgram& program) {
    std::vector<Superop>& ops = program.ops;
    const auto is_narrow = [&](const Superop& op) {
        int n_out = 0;
        for (int w : op.out) n_out += !program.is_bit[w];
        return op.in.size() <= 1 && n_out <= 1;
    };
    for (size_t i = 0; i < ops.size();) {
        size_t next = ops.size();
        if (is_narrow(ops[i]))
            for (int w : ops[i].out)
                if (!program.is_bit[w])
                    for (size_t j = i + 1; j < ops.size() && next == ops.size(); ++j)
                        if (ops[j].touches(w)) next = j;
        if (next == ops.size() || !is_narrow(ops[next])) {
            ++i;
            continue;
        }
        ops[next] = compose(ops[i], ops[next], program.expressions);
        ops.erase(ops.begin() + static_cast<std::ptrdiff_t>(i));
    }
}

std::vector<Deferred> defer_last_rotations(WireProgram& program) {
    std::vector<Deferred> deferred;
    std::vector<Superop>& ops = program.ops;
    for (size_t m = 0; m < program.memory_out.size(); ++m) {
        const int wire = program.memory_out[m];
        std::optional<Superop> tail;
        for (size_t i = ops.size(); i-- > 0;) {
            if (!ops[i].touches(wire)) continue;
            const bool alone = ops[i].in == std::vector<int>{wire};
            bool bits_only = position(ops[i].out, wire) >= 0;
            for (int w : ops[i].out) bits_only = bits_only && (w == wire || program.is_bit[w]);
            if (!alone || !bits_only) break;
            const bool writes_bits = ops[i].out.size() > 1;
            std::optional<Superop> part;
            if (writes_bits) {
                part = split_off_memory_part(ops[i], wire);
                if (!part) break;
            } else {
                part = ops[i];
                ops.erase(ops.begin() + static_cast<std::ptrdiff_t>(i));
            }
            tail = tail ? compose(*part, *tail, program.expressions) : *part;
            if (writes_bits) break;  // what acted before it, the outcomes depend on
        }
        if (tail) deferred.push_back({static_cast<int>(m), std::move(*tail)});
    }
    return deferred;
}

double fuse(WireProgram& program) { return Fusion(program).run(); }

}  // namespace qrnn
