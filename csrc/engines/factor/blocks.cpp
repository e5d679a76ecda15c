#include "engines/factor/blocks.hpp"

#include <algorithm>
#include <cmath>

namespace qrnn {
Entry product(Entry a, Entry b) {
    if (a == Entry::zero || b == Entry::zero) return Entry::zero;
    if (a == Entry::one) return b;
    if (b == Entry::one) return a;
    if (a == Entry::complex || b == Entry::complex) return Entry::complex;
    return a == b ? Entry::real : Entry::imaginary;
}

Entry sum(Entry a, Entry b) {
    if (a == Entry::zero) return b;
    if (b == Entry::zero) return a;
    const auto parts = [](Entry x) { return x == Entry::one ? 1 : static_cast<int>(x); };
    return static_cast<Entry>(parts(a) | parts(b));
}

Entries gate_entries(const WireGate& gate) {
    const UnitaryPolynomial p = unitary_polynomial(*gate.factor);
    Entries entries{};
    const bool fixed = gate.angle.slot < 0;
    Factor constant = *gate.factor;
    constant.fixed = gate.angle.offset;
    const Matrix4 u = fixed ? fixed_unitary(constant) : Matrix4{};
    for (int row = 0; row < p.dim; ++row)
        for (int col = 0; col < p.dim; ++col) {
            const int i = 4 * row + col;
            std::vector<std::complex<double>> values;
            if (fixed) {
                values = {u[i]};
                if (gate.carried) values.push_back(row == col ? 1 : 0);  // the first step goes without it
            } else {
                values = {p.constant[i], p.cosine[i], p.sine[i]};
            }
            bool real = false, imaginary = false;
            for (const std::complex<double>& v : values) {
                real = real || v.real() != 0;
                imaginary = imaginary || v.imag() != 0;
            }
            const bool moves = fixed ? u[i] != 1.0 : p.cosine[i] != 0.0 || p.sine[i] != 0.0 || p.constant[i] != 1.0;
            entries[i] = real && !imaginary && !moves ? Entry::one : static_cast<Entry>(real + 2 * imaginary);
        }
    return entries;
}

namespace {

// The same over more wires, in another order.
Entries embedded(const Entries& entries, const std::vector<int>& wires, const std::vector<int>& all) {
    Entries out{};
    for_each_embedded(wires, all, [&](int row, int col, int own_row, int own_col) {
        out[4 * row + col] = entries[4 * own_row + own_col];
    });
    return out;
}

UnitaryBlock merged(const UnitaryBlock& first, const UnitaryBlock& second) {
    UnitaryBlock block;
    block.wires = first.wires;
    for (int w : second.wires)
        if (std::find(block.wires.begin(), block.wires.end(), w) == block.wires.end()) block.wires.push_back(w);
    block.gates = first.gates;
    block.gates.insert(block.gates.end(), second.gates.begin(), second.gates.end());
    const Entries a = embedded(first.entries, first.wires, block.wires),
                  b = embedded(second.entries, second.wires, block.wires);
    block.entries = {};
    for (int row = 0; row < block.dim(); ++row)
        for (int col = 0; col < block.dim(); ++col)
            for (int k = 0; k < block.dim(); ++k)
                block.entries[4 * row + col] =
                    sum(block.entries[4 * row + col], product(b[4 * row + k], a[4 * k + col]));
    return block;
}

// Blocks may change places where they act diagonally on all wires that they share.
bool commute(const UnitaryBlock& a, const UnitaryBlock& b) {
    for (size_t i = 0; i < a.wires.size(); ++i)
        for (size_t j = 0; j < b.wires.size(); ++j)
            if (a.wires[i] == b.wires[j] &&
                !(a.is_diagonal_in(static_cast<int>(i)) && b.is_diagonal_in(static_cast<int>(j))))
                return false;
    return true;
}

// Work of a block that runs when `n_active` wires exist, new ones among them, in multiply-adds; a row that is loaded or
// stored counts as two.
double block_cost(const UnitaryBlock& block, int n_active, const std::vector<char>& is_new) {
    constexpr double per_row = 2, per_part = 40;
    const int existing = static_cast<int>(std::count(is_new.begin(), is_new.end(), 0));
    const int before = n_active - static_cast<int>(block.wires.size()) + existing;
    double cost = 0;
    for (const BlockPart& part : block_parts(block, is_new)) {
        const double rows = static_cast<double>(part.in.size() + part.out.size());
        cost += std::ldexp(multiply_adds(part) + per_row * rows, before - existing) + per_part;
    }
    return cost;
}

class Merging {
  public:
    Merging(const std::vector<WireGate>& gates, int n_wires, int n_memory) : n_wires_(n_wires), n_memory_(n_memory) {
        std::vector<int> last(n_wires, -1);  // by wire: the last block on it
        for (const WireGate& gate : gates) {
            UnitaryBlock block{gate.wires, {gate}, gate_entries(gate)};
            const int before = last[gate.wires[0]];
            const bool same =
                before >= 0 && blocks_[before].wires.size() == gate.wires.size() &&
                std::all_of(gate.wires.begin(), gate.wires.end(), [&](int w) { return last[w] == before; });
            if (same) {
                blocks_[before] = merged(blocks_[before], block);
                continue;
            }
            for (int w : gate.wires) last[w] = static_cast<int>(blocks_.size());
            blocks_.push_back(std::move(block));
        }
    }

    std::vector<UnitaryBlock> run() {
        while (merge_best()) {
        }
        return scheduled();
    }

  private:
    struct Candidate {
        double gain = 0;
        size_t first = 0, second = 0, place = 0;
    };

    // By wire: the first block that needs it, -1 for what exists from the start.
    std::vector<int> first_uses() const {
        std::vector<int> first(n_wires_, static_cast<int>(blocks_.size()));
        std::fill(first.begin(), first.begin() + n_memory_, -1);
        for (size_t i = blocks_.size(); i-- > 0;)
            for (int w : blocks_[i].wires)
                if (first[w] >= 0) first[w] = static_cast<int>(i);
        return first;
    }

    // The cost of a block at a place of the list.
    double cost_at(const UnitaryBlock& block, size_t place, const std::vector<int>& first_use) const {
        const int at = static_cast<int>(place);
        int n_active = 0;
        std::vector<char> is_new;
        for (int use : first_use) n_active += use <= at;
        for (int w : block.wires) {
            is_new.push_back(first_use[w] >= at);
            n_active += first_use[w] > at;
        }
        return block_cost(block, n_active, is_new);
    }

    bool merge_best() {
        const std::vector<int> first_use = first_uses();
        Candidate best;
        for (size_t i = 0; i < blocks_.size(); ++i) {
            // The first block moves up past all between, or the second moves down.
            bool first_moves = true;
            for (size_t j = i + 1; j < blocks_.size() && j < i + window; ++j) {
                if (may_merge(blocks_[i], blocks_[j])) {
                    bool second_moves = true;
                    for (size_t k = i + 1; k < j && second_moves; ++k) second_moves = commute(blocks_[k], blocks_[j]);
                    const double apart = cost_at(blocks_[i], i, first_use) + cost_at(blocks_[j], j, first_use);
                    const UnitaryBlock both = merged(blocks_[i], blocks_[j]);
                    for (const size_t place : {i, j}) {
                        if (!(place == i ? second_moves : first_moves)) continue;
                        const double gain = apart - cost_at(both, place, first_use);
                        if (gain > best.gain) best = {gain, i, j, place};
                    }
                }
                first_moves = first_moves && commute(blocks_[i], blocks_[j]);
            }
        }
        if (best.gain <= 0) return false;
        blocks_[best.place] = merged(blocks_[best.first], blocks_[best.second]);
        blocks_.erase(blocks_.begin() + static_cast<std::ptrdiff_t>(best.first + best.second - best.place));
        return true;
    }

    static bool may_merge(const UnitaryBlock& a, const UnitaryBlock& b) {
        const auto shared = std::count_if(a.wires.begin(), a.wires.end(), [&](int w) {
            return std::find(b.wires.begin(), b.wires.end(), w) != b.wires.end();
        });
        return shared > 0 && a.wires.size() + b.wires.size() - static_cast<size_t>(shared) <= 2;
    }

    std::vector<UnitaryBlock> scheduled() {
        std::vector<UnitaryBlock> order;
        std::vector<char> active(n_wires_, 0);
        std::fill(active.begin(), active.begin() + n_memory_, 1);
        const auto n_new = [&](const UnitaryBlock& block) {
            return std::count_if(block.wires.begin(), block.wires.end(), [&](int w) { return !active[w]; });
        };
        std::vector<UnitaryBlock> waiting = std::move(blocks_);
        while (!waiting.empty()) {
            size_t chosen = waiting.size();
            for (size_t i = 0; i < waiting.size(); ++i) {
                if (chosen < waiting.size() && n_new(waiting[i]) >= n_new(waiting[chosen])) continue;
                bool ready = true;
                for (size_t k = 0; k < i && ready; ++k) ready = commute(waiting[k], waiting[i]);
                if (ready) chosen = i;
            }
            UnitaryBlock block = std::move(waiting[chosen]);
            waiting.erase(waiting.begin() + static_cast<std::ptrdiff_t>(chosen));
            for (int w : block.wires) active[w] = 1;
            order.push_back(std::move(block));
        }
        return order;
    }

    static constexpr size_t window = 64;  // how far apart in the list two blocks may stand to be merged
    int n_wires_, n_memory_;
    std::vector<UnitaryBlock> blocks_;
};

}  // namespace

bool UnitaryBlock::is_diagonal_in(int local) const {
    for (int row = 0; row < dim(); ++row)
        for (int col = 0; col < dim(); ++col)
            if (((row ^ col) >> local & 1) && at(row, col) != Entry::zero) return false;
    return true;
}

std::vector<BlockPart> block_parts(const UnitaryBlock& block, const std::vector<char>& is_new) {
    int new_bits = 0;
    for (size_t j = 0; j < is_new.size(); ++j) new_bits |= is_new[j] << j;
    std::vector<BlockPart> parts;
    std::vector<char> done(block.dim(), 0);
    for (int start = 0; start < block.dim(); ++start) {
        if (done[start]) continue;
        // All that `start` is connected with; a new wire connects everything.
        std::vector<int> members{start};
        done[start] = 1;
        for (size_t i = 0; i < members.size(); ++i)
            for (int k = 0; k < block.dim(); ++k) {
                const bool linked =
                    new_bits != 0 || block.at(k, members[i]) != Entry::zero || block.at(members[i], k) != Entry::zero;
                if (!done[k] && linked) {
                    members.push_back(k);
                    done[k] = 1;
                }
            }
        if (members.size() == 1 && block.at(start, start) == Entry::one) continue;
        std::sort(members.begin(), members.end());
        parts.push_back({FactorPass::general, {}, members});
    }
    const bool odd = std::any_of(parts.begin(), parts.end(), [](const BlockPart& p) { return p.out.size() == 3; });
    if (odd) {  // no kernel is made for it
        parts.assign(1, {FactorPass::general, {}, {0, 1, 2, 3}});
    }
    for (BlockPart& part : parts) {
        for (int k : part.out)
            if (!(k & new_bits)) part.in.push_back(k);
        part.kind = part_kind(part, [&](int row, int col) { return block.at(row, col); });
    }
    return parts;
}

double multiply_adds(const BlockPart& part) {
    const double per_entry = part.kind == FactorPass::general ? 4 : 2;
    return per_entry * static_cast<double>(part.in.size() * part.out.size());
}

std::vector<UnitaryBlock> unitary_blocks(const std::vector<WireGate>& gates, int n_wires, int n_memory) {
    return Merging(gates, n_wires, n_memory).run();
}

}  // namespace qrnn
