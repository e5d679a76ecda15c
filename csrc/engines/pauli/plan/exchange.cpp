#include "engines/pauli/plan/exchange.hpp"

#include <algorithm>

namespace qrnn {
namespace {

// By op and for the end: the innermost qubit that makes the step as a whole cheapest, qubit 0 at its start and its end.
std::vector<int> choose_innermost(const WireProgram& program) {
    // An op on the innermost qubit against an exchange, both on all of the memory, beside what the op costs anyway.
    constexpr double penalty = 2;
    const size_t n = program.memory_in.size(), n_ops = program.ops.size();
    if (n < 2) return std::vector<int>(n_ops + 1, 0);
    const auto exchanges = [](size_t from, size_t to) { return from == to ? 0 : from == 0 || to == 0 ? 1 : 2; };
    // Of the ops so far, by the qubit that is innermost in the last of them.
    std::vector<double> cost(n, 0);
    std::vector<std::vector<int>> before(n_ops + 1, std::vector<int>(n, 0));
    for (size_t i = 0; i <= n_ops; ++i) {
        std::vector<double> next(n);
        for (size_t to = 0; to < n; ++to) {
            const auto total = [&](size_t from) { return cost[from] + exchanges(from, to); };
            size_t best = 0;
            for (size_t from = 1; from < n && i > 0; ++from)
                if (total(from) < total(best)) best = from;
            before[i][to] = static_cast<int>(best);
            next[to] = total(best) + (i < n_ops && program.ops[i].touches(program.memory_in[to]) ? penalty : 0);
        }
        cost = std::move(next);
    }
    std::vector<int> innermost(n_ops + 1, 0);
    for (size_t i = n_ops; i > 0; --i) innermost[i - 1] = before[i][innermost[i]];
    return innermost;
}

}  // namespace

Exchanges::Exchanges(const WireProgram& program)
    : n_memory_(static_cast<int>(program.memory_in.size())),
      innermost_(choose_innermost(program)),
      used_(std::any_of(innermost_.begin(), innermost_.end(), [](int qubit) { return qubit != 0; })) {}

void Exchanges::begin_op(size_t i, std::vector<std::int32_t>& offsets) {
    if (innermost_[i] == now_) return;
    if (now_ != 0) exchange_with(now_, offsets);
    if (innermost_[i] != 0) exchange_with(innermost_[i], offsets);
    now_ = innermost_[i];
}

void Exchanges::add(const BlockTemplate& block, std::vector<Column>& columns, std::vector<std::int32_t>& offsets) {
    if (!used_) return;
    for (Column& column : columns)
        for (auto* places : {&column.in, &column.out})
            for (std::int32_t& place : *places) place = exchanged(place);
    add_columns(block, columns, offsets, blocks_);
}

void Exchanges::exchange_with(int qubit, std::vector<std::int32_t>& offsets) {
    const std::int32_t step = std::int32_t{1} << 2 * qubit, size = std::int32_t{1} << 2 * n_memory_;
    LaidOutBlock laid{};
    Block& b = laid.block;
    b.form = BlockForm::exchange;
    b.neighbours = qubit == 1 ? 4 : 8;
    b.columns = static_cast<std::int32_t>(offsets.size() / 2);
    for (int k = 0; k < 4; ++k) b.in[k] = b.out[k] = k * step;
    for (std::int32_t place = 0; place < size; place += 4)
        if ((place / step & 3) == 0) {
            offsets.insert(offsets.end(), {place, place});
            ++b.n_columns;
        }
    blocks_.push_back(std::move(laid));
}

// Places beyond the memory stay where they are.
std::int32_t Exchanges::exchanged(std::int32_t place) const {
    if (place >= std::int32_t{1} << 2 * n_memory_) return place;
    const std::int32_t shift = 2 * now_, difference = (place ^ place >> shift) & 3;
    return place ^ difference ^ difference << shift;
}

}  // namespace qrnn
