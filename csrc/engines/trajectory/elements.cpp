#include "engines/trajectory/elements.hpp"

#include <cmath>
#include <map>

namespace qrnn {

int local_row(const Element& e, int out, int branch) {
    int row = 0;
    for (size_t j = 0; j < e.local.size(); ++j) {
        const auto at = std::find(e.out.begin(), e.out.end(), e.local[j]);
        const int bit = at != e.out.end() ? out >> (at - e.out.begin()) & 1 : branch;  // the wire that was read
        row |= bit << j;
    }
    return row;
}

namespace {

constexpr size_t max_wires = 2;  // before, and after
constexpr size_t max_local = 4;

bool contains(const std::vector<int>& list, int wire) {
    return std::find(list.begin(), list.end(), wire) != list.end();
}

// ---- What is known of an element's Kraus operators.
Entry known(std::complex<double> z) {
    return z == 1.0 ? Entry::one : static_cast<Entry>((z.real() != 0) + 2 * (z.imag() != 0));
}

// Of two numbers, whichever it will be.
Entry either(Entry a, Entry b) {
    const auto parts = [](Entry x) { return x == Entry::one ? 1 : static_cast<int>(x); };
    return a == b ? a : static_cast<Entry>(parts(a) | parts(b));
}

// Rows are basis states of `local`, columns those of the wires before.
struct Columns {
    const std::vector<int>& local;
    int n_cols;
    std::vector<Entry> entries;

    Columns(const std::vector<int>& wires, size_t n_in)
        : local(wires), n_cols(1 << n_in), entries(size_t{1} << (wires.size() + n_in), Entry::zero) {
        for (int c = 0; c < n_cols; ++c) entries[n_cols * c + c] = Entry::one;
    }

    void multiply(const std::vector<int>& wires, const Entries& matrix) {
        std::vector<Entry> result(entries.size(), Entry::zero);
        for_each_embedded(wires, local, [&](int row, int col, int own_row, int own_col) {
            for (int c = 0; c < n_cols; ++c)
                result[n_cols * row + c] =
                    sum(result[n_cols * row + c], product(matrix[4 * own_row + own_col], entries[n_cols * col + c]));
        });
        entries = std::move(result);
    }
};

Entries branch_entries(const Draw& draw, int branch) {
    Entries entries{};
    if (!draw.channel) {
        entries[5 * branch] = Entry::one;
        return entries;
    }
    for (int i = 0; i < 16; ++i) entries[i] = known(draw.channel->kraus[branch][i]);
    return entries;
}

std::vector<Entry> pattern_of(const Element& e) {
    Columns start(e.local, e.in.size());
    for (const WireGate& gate : e.before) start.multiply(gate.wires, gate_entries(gate));
    std::vector<Entry> pattern;
    for (int branch = 0; branch < e.n_branches(); ++branch) {
        Columns columns = start;
        if (e.draw)
            columns.multiply(e.draw->channel ? e.draw->wires : std::vector<int>{e.draw->wire},
                             branch_entries(*e.draw, branch));
        for (const WireGate& gate : e.after) columns.multiply(gate.wires, gate_entries(gate));
        std::vector<Entry> rows;
        for (int out = 0; out < 1 << e.out.size(); ++out)
            for (int c = 0; c < columns.n_cols; ++c)
                rows.push_back(columns.entries[columns.n_cols * local_row(e, out, branch) + c]);
        if (branch == 0) {
            pattern = std::move(rows);
        } else {
            for (size_t i = 0; i < pattern.size(); ++i) pattern[i] = either(pattern[i], rows[i]);
        }
    }
    return pattern;
}

// Rows and columns that are connected through entries, as far as there are kernels for such shapes.
std::vector<BlockPart> parts_of(const Element& e) {
    const int n_in = 1 << e.in.size(), n_out = 1 << e.out.size();
    std::vector<int> group_of_row(n_out), group_of_col(n_in);
    for (int r = 0; r < n_out; ++r) group_of_row[r] = n_in + r;
    for (int c = 0; c < n_in; ++c) group_of_col[c] = c;
    const auto rename = [&](int from, int to) {
        std::replace(group_of_row.begin(), group_of_row.end(), from, to);
        std::replace(group_of_col.begin(), group_of_col.end(), from, to);
    };
    for (int r = 0; r < n_out; ++r)
        for (int c = 0; c < n_in; ++c)
            if (e.pattern[n_in * r + c] != Entry::zero) rename(group_of_row[r], group_of_col[c]);
    // Where the state stays in place, a row that is written must not be one that another part has yet to read.
    const bool in_place = std::all_of(e.in.begin(), e.in.end(), [&](int w) { return contains(e.out, w); });
    for (int c = 0; c < n_in && in_place; ++c) {
        int row = 0;
        for (size_t j = 0; j < e.in.size(); ++j)
            row |= (c >> j & 1) << (std::find(e.out.begin(), e.out.end(), e.in[j]) - e.out.begin());
        rename(group_of_row[row], group_of_col[c]);
    }
    std::vector<BlockPart> parts;
    bool odd = false;
    for (int group = 0; group < n_in + n_out; ++group) {
        BlockPart part{FactorPass::general, {}, {}};
        for (int c = 0; c < n_in; ++c)
            if (group_of_col[c] == group) part.in.push_back(c);
        for (int r = 0; r < n_out; ++r)
            if (group_of_row[r] == group) part.out.push_back(r);
        if (part.in.empty() && part.out.empty()) continue;
        odd = odd || part.in.empty() || part.out.empty() || part.in.size() == 3 || part.out.size() == 3;
        parts.push_back(std::move(part));
    }
    if (odd) {
        BlockPart whole{FactorPass::general, {}, {}};
        for (int c = 0; c < n_in; ++c) whole.in.push_back(c);
        for (int r = 0; r < n_out; ++r) whole.out.push_back(r);
        parts.assign(1, whole);
    }
    if (e.draw) return parts;
    std::erase_if(parts, [&](const BlockPart& p) {  // nothing to do
        return e.in == e.out && p.in == p.out && p.in.size() == 1 && e.pattern[n_in * p.out[0] + p.in[0]] == Entry::one;
    });
    for (BlockPart& part : parts)
        part.kind = part_kind(part, [&](int row, int col) { return e.pattern[n_in * row + col]; });
    return parts;
}

using Pointer = std::shared_ptr<const Element>;
using List = std::vector<Pointer>;

bool fits(const Element& e) {
    return e.in.size() <= max_wires && e.out.size() <= max_wires && e.local.size() <= max_local;
}

Pointer complete(Element e) {
    std::sort(e.in.begin(), e.in.end());
    std::sort(e.out.begin(), e.out.end());
    std::vector<int> fresh;
    for (int w : e.local)
        if (!contains(e.in, w)) fresh.push_back(w);
    std::sort(fresh.begin(), fresh.end());
    e.local = e.in;
    e.local.insert(e.local.end(), fresh.begin(), fresh.end());
    e.pattern = pattern_of(e);
    if (!fits(e)) return std::make_shared<const Element>(std::move(e));  // on the way to something smaller
    e.parts = parts_of(e);
    constexpr double per_part = 10, per_draw = 40;
    for (const BlockPart& part : e.parts) {
        const double in = static_cast<double>(part.in.size()), out = static_cast<double>(part.out.size());
        e.cost_per_group += multiply_adds(part) + 2 * (in + out);  // loads and stores count as much
        if (e.draw) e.cost_per_group += 2 * in * in + 2 * in;
        e.fixed_cost += per_part + (e.draw ? e.n_branches() * (in * in + 2 * in * out) : 0);
    }
    if (e.draw) e.fixed_cost += per_draw;
    return std::make_shared<const Element>(std::move(e));
}

// Both orders are the same channel, branch by branch.
bool commute(const Element& a, const Element& b) {
    return std::all_of(a.local.begin(), a.local.end(),
                       [&](int w) { return !b.touches(w) || (a.acts_diagonally(w) && b.acts_diagonally(w)); });
}

// `b` after `a`; null where there would be two draws or too many wires.
Pointer joined(const Element& a, const Element& b) {
    if (a.draw && b.draw) return nullptr;
    Element e;
    e.in = a.in;
    e.local = a.local;
    for (int w : b.in)
        if (!contains(a.out, w)) e.in.push_back(w);
    for (int w : b.local)
        if (!contains(e.local, w)) e.local.push_back(w);
    if (e.local.size() > max_local) return nullptr;
    for (int w : a.out)
        if (!contains(b.in, w)) e.out.push_back(w);
    e.out.insert(e.out.end(), b.out.begin(), b.out.end());
    e.before = a.before;
    e.draw = a.draw ? a.draw : b.draw;
    std::vector<WireGate>& then = a.draw ? e.after : e.before;
    then.insert(then.end(), a.after.begin(), a.after.end());
    then.insert(then.end(), b.before.begin(), b.before.end());
    e.after.insert(e.after.end(), b.after.begin(), b.after.end());
    return complete(std::move(e));
}

class Merging {
  public:
    Merging(int n_wires, int n_memory) : n_memory_(n_memory), exists_(n_wires, 0) {
        std::fill(exists_.begin(), exists_.begin() + n_memory, 1);
    }

    void add(const WireGate& gate, int first_channel_draw) {
        Element e;
        e.in = e.out = e.local = gate.wires;
        if (gate.channel)
            e.draw = Draw{first_channel_draw + gate.channel_number, -1, gate.wires, gate.channel, 0};
        else
            e.before = {gate};
        append(std::move(e));
    }

    void add(const Draw& draw) {
        Element e;
        e.in = e.local = {draw.wire};
        e.draw = draw;
        append(std::move(e));
    }

    std::vector<Element> run() {
        list_ = scheduled(list_);
        merge_while_cheaper(&Merging::lives);
        merge_while_cheaper(&Merging::neighbours);
        std::vector<Element> elements;
        for (const Pointer& e : scheduled(list_)) elements.push_back(*e);
        return elements;
    }

  private:
    // Runs on the same wires become one at once: the product is never larger.
    void append(Element e) {
        for (int w : e.in)
            if (!exists_[w]) {
                exists_[w] = 1;
                Element birth;
                birth.out = birth.local = {w};
                append(std::move(birth));
            }
        const auto shares_wire = [&](const Pointer& other) {
            return std::any_of(e.local.begin(), e.local.end(), [&](int w) { return other->touches(w); });
        };
        const auto last = std::find_if(list_.rbegin(), list_.rend(), shares_wire);
        if (last != list_.rend()) {
            std::vector<int> wires = e.local, others = (*last)->local;
            std::sort(wires.begin(), wires.end());
            std::sort(others.begin(), others.end());
            const Pointer both = wires == others ? joined(**last, e) : nullptr;
            // All of it must have come after what else touches these wires, which holds for the last one that does.
            if (both && fits(*both)) {
                *last = both;
                return;
            }
        }
        list_.push_back(complete(std::move(e)));
    }

    // The list with the elements i < j joined, moved together past those between; empty where that cannot be.
    List with_joined(const List& list, size_t i, size_t j) {
        bool first_moves = true, second_moves = true;
        for (size_t k = i + 1; k < j; ++k) {
            first_moves = first_moves && commute(*list[i], *list[k]);
            second_moves = second_moves && commute(*list[k], *list[j]);
        }
        if (!first_moves && !second_moves) return {};
        const auto key = std::make_pair(list[i], list[j]);  // holds both, so that no other can take their places
        const auto known = joined_.find(key);
        const Pointer both = known != joined_.end() ? known->second : joined_[key] = joined(*list[i], *list[j]);
        if (!both) return {};
        List merged = list;
        merged[first_moves ? j : i] = both;
        merged.erase(merged.begin() + static_cast<std::ptrdiff_t>(first_moves ? i : j));
        return merged;
    }

    // All that happens to a wire which begins and ends within the step, made one.
    std::vector<List> lives() {
        std::vector<List> found;
        for (int w = n_memory_; w < static_cast<int>(exists_.size()); ++w) {
            List list = list_;
            while (!list.empty()) {
                std::vector<size_t> life;
                for (size_t i = 0; i < list.size() && life.size() < 2; ++i)
                    if (list[i]->touches(w)) life.push_back(i);
                if (life.size() < 2) break;
                list = with_joined(list, life[0], life[1]);
            }
            if (!list.empty() && list.size() < list_.size()) found.push_back(std::move(list));
        }
        return found;
    }

    std::vector<List> neighbours() {
        constexpr size_t window = 64;  // how far apart in the list two elements may stand
        std::vector<List> found;
        for (size_t i = 0; i < list_.size(); ++i)
            for (size_t j = i + 1; j < list_.size() && j < i + window; ++j) {
                const bool share = std::any_of(list_[i]->local.begin(), list_[i]->local.end(),
                                               [&](int w) { return list_[j]->touches(w); });
                if (!share) continue;
                List list = with_joined(list_, i, j);
                if (!list.empty()) found.push_back(std::move(list));
                if (!commute(*list_[i], *list_[j])) break;
            }
        return found;
    }

    void merge_while_cheaper(std::vector<List> (Merging::*candidates)()) {
        double cost = total_cost(list_);
        while (true) {
            List best;
            for (List& list : (this->*candidates)()) {
                const double c = total_cost(list);
                if (c < cost) {
                    cost = c;
                    best = std::move(list);
                }
            }
            if (best.empty()) return;
            list_ = std::move(best);
        }
    }

    // Infinite where an element is too wide.
    double total_cost(const List& list) const {
        double cost = 0;
        int active = n_memory_;
        for (const Pointer& e : list) {
            if (!fits(*e)) return HUGE_VAL;
            cost += std::ldexp(e->cost_per_group, active - static_cast<int>(e->in.size())) + e->fixed_cost;
            active += static_cast<int>(e->out.size()) - static_cast<int>(e->in.size());
        }
        return cost;
    }

    // An order that ends wires as early and begins them as late as it can.
    static List scheduled(List waiting) {
        List order;
        const auto growth = [](const Pointer& e) {
            return static_cast<int>(e->out.size()) - static_cast<int>(e->in.size());
        };
        while (!waiting.empty()) {
            size_t chosen = waiting.size();
            for (size_t i = 0; i < waiting.size(); ++i) {
                if (chosen < waiting.size() && growth(waiting[i]) >= growth(waiting[chosen])) continue;
                bool ready = true;
                for (size_t k = 0; k < i && ready; ++k) ready = commute(*waiting[k], *waiting[i]);
                if (ready) chosen = i;
            }
            order.push_back(std::move(waiting[chosen]));
            waiting.erase(waiting.begin() + static_cast<std::ptrdiff_t>(chosen));
        }
        return order;
    }

    int n_memory_;
    std::vector<char> exists_;
    List list_;
    std::map<std::pair<Pointer, Pointer>, Pointer> joined_;
};

}  // namespace

bool Element::acts_diagonally(int wire) const {
    const auto before = std::find(in.begin(), in.end(), wire), behind = std::find(out.begin(), out.end(), wire);
    if (before == in.end() || behind == out.end()) return false;
    const int n_in = 1 << in.size();
    for (int row = 0; row < 1 << out.size(); ++row)
        for (int col = 0; col < n_in; ++col)
            if ((row >> (behind - out.begin()) & 1) != (col >> (before - in.begin()) & 1) &&
                pattern[n_in * row + col] != Entry::zero)
                return false;
    return true;
}

std::vector<Element> trajectory_elements(const std::vector<WireGate>& gates, const std::vector<Draw>& draws,
                                         int n_wires, int n_memory, int first_channel_draw) {
    Merging merging(n_wires, n_memory);
    for (const WireGate& gate : gates) merging.add(gate, first_channel_draw);
    for (const Draw& draw : draws) merging.add(draw);
    return merging.run();
}

}  // namespace qrnn
