// Superoperators on a few wires, as sparse matrices over Pauli coefficients.
//
// A wire is one qubit between its activation and its end, or one classical bit. An index holds the Pauli digit
// (I X Y Z = 0 1 2 3) of wire j of the list at 4^j; a classical bit uses the digits I and Z only.
#pragma once

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "engines/pauli/plan/expression.hpp"

namespace qrnn {

template <class Entry>
struct SparseRow {
    std::vector<std::pair<int, Entry>> entries;  // (column, entry), by ascending column
};

template <class Entry>
struct BasicSuperop {
    std::vector<int> in, out;            // wires; a wire that goes through stands in both
    std::vector<SparseRow<Entry>> rows;  // 4^|out| rows

    bool touches(int wire) const {
        return std::find(in.begin(), in.end(), wire) != in.end() ||
               std::find(out.begin(), out.end(), wire) != out.end();
    }
};

using Superop = BasicSuperop<Value>;

inline int position(const std::vector<int>& list, int wire) {
    const auto it = std::find(list.begin(), list.end(), wire);
    return it == list.end() ? -1 : static_cast<int>(it - list.begin());
}

// `second` after `first`. Algebra has product(a, b) and sum(list) over entries; entries with is_zero() are dropped.
template <class Entry, class Algebra>
BasicSuperop<Entry> compose(const BasicSuperop<Entry>& first, const BasicSuperop<Entry>& second, Algebra& algebra) {
    BasicSuperop<Entry> result;
    result.in = first.in;
    for (int w : second.in)
        if (position(first.out, w) < 0) result.in.push_back(w);
    for (int w : first.out)
        if (position(second.in, w) < 0) result.out.push_back(w);
    const int n_passing = static_cast<int>(result.out.size());
    for (int w : second.out) result.out.push_back(w);

    // Where the digits of one matrix' index stand in another's; -1: nowhere.
    const auto locate = [](const std::vector<int>& wires, const std::vector<int>& in_list) {
        std::vector<int> at;
        for (int w : wires) at.push_back(position(in_list, w));
        return at;
    };
    const std::vector<int> second_in_first = locate(second.in, first.out),
                           second_in_result = locate(second.in, result.in);
    std::vector<int> passing_in_first(result.out.begin(), result.out.begin() + n_passing);
    passing_in_first = locate(passing_in_first, first.out);

    result.rows.resize(size_t{1} << 2 * result.out.size());
    const int passing_mask = (1 << 2 * n_passing) - 1;
    std::vector<std::pair<int, Entry>> products;
    for (size_t row = 0; row < result.rows.size(); ++row) {
        int first_fixed = 0;
        for (int j = 0; j < n_passing; ++j) first_fixed |= (row >> 2 * j & 3) << 2 * passing_in_first[j];
        products.clear();
        for (const auto& [col, outer] : second.rows[(row & ~size_t(passing_mask)) >> 2 * n_passing].entries) {
            int first_row = first_fixed, external = 0;
            for (size_t j = 0; j < second.in.size(); ++j) {
                const int digit = col >> 2 * j & 3;
                if (second_in_first[j] >= 0)
                    first_row |= digit << 2 * second_in_first[j];
                else
                    external |= digit << 2 * second_in_result[j];
            }
            for (const auto& [inner_col, inner] : first.rows[first_row].entries)
                products.emplace_back(inner_col | external, algebra.product(outer, inner));
        }
        std::stable_sort(products.begin(), products.end(),
                         [](const auto& a, const auto& b) { return a.first < b.first; });
        for (size_t i = 0; i < products.size();) {
            std::vector<Entry> same;
            const int col = products[i].first;
            for (; i < products.size() && products[i].first == col; ++i) same.push_back(products[i].second);
            const Entry entry = same.size() == 1 ? same[0] : algebra.sum(same);
            if (!entry.is_zero()) result.rows[row].entries.emplace_back(col, entry);
        }
    }
    return result;
}

// The same superoperator with its input and output wires listed in another order.
template <class Entry>
BasicSuperop<Entry> reordered(const BasicSuperop<Entry>& op, const std::vector<int>& in, const std::vector<int>& out) {
    const auto map_index = [](int index, const std::vector<int>& from, const std::vector<int>& to) {
        int mapped = 0;
        for (size_t j = 0; j < from.size(); ++j) mapped |= (index >> 2 * j & 3) << 2 * position(to, from[j]);
        return mapped;
    };
    BasicSuperop<Entry> result{in, out, std::vector<SparseRow<Entry>>(op.rows.size())};
    for (size_t row = 0; row < op.rows.size(); ++row) {
        auto& entries = result.rows[map_index(static_cast<int>(row), op.out, out)].entries;
        for (const auto& [col, entry] : op.rows[row].entries) entries.emplace_back(map_index(col, op.in, in), entry);
        std::sort(entries.begin(), entries.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
    }
    return result;
}

}  // namespace qrnn
