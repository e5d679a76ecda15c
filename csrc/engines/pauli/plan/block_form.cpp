#include "engines/pauli/plan/block_form.hpp"

#include <algorithm>
#include <numeric>

namespace qrnn {
namespace {

using Matrix = std::vector<std::vector<Value>>;

Value times(double factor, Value v) { return {factor * v.scale, v.node}; }

// The matrix of a form, given its own first row.
Matrix turn(const std::vector<Value>& row) {
    const Value a = row[0], b = row[1];
    return {{a, b}, {times(-1, b), a}};
}

// [[P, Q], [Q, P]] with turns P and Q; where it is crossed, the signs of the last row and column are changed.
Matrix twin_turn(const std::vector<Value>& row, bool crossed) {
    const double sign = crossed ? -1 : 1;
    const Value p = row[0], q = row[1], t = row[2], w = times(sign, row[3]);
    return {{p, q, t, times(sign, w)},
            {times(-1, q), p, times(-1, w), times(sign, t)},
            {t, w, p, times(sign, q)},
            {times(-sign, w), times(sign, t), times(-sign, q), p}};
}

class FormFinder {
  public:
    explicit FormFinder(BlockTemplate& block) : block_(block), rows_(block.rows.size()), cols_(block.cols.size()) {}

    // Puts rows and columns into the first order in which the matrix is equal to f(its first row), if there is one.
    template <class F>
    bool bring_into_form(F f) {
        std::iota(rows_.begin(), rows_.end(), 0);
        do {
            std::iota(cols_.begin(), cols_.end(), 0);
            do {
                const Matrix m = reordered();
                if (m != f(m[0])) continue;
                block_.rows = pick(block_.rows, rows_);
                block_.cols = pick(block_.cols, cols_);
                block_.coefficients = m[0];
                return true;
            } while (std::next_permutation(cols_.begin(), cols_.end()));
        } while (std::next_permutation(rows_.begin(), rows_.end()));
        return false;
    }

  private:
    Matrix reordered() const {
        Matrix m;
        for (int row : rows_) {
            m.emplace_back();
            for (int col : cols_) m.back().push_back(block_.coefficients[row * cols_.size() + col]);
        }
        return m;
    }

    static std::vector<int> pick(const std::vector<int>& from, const std::vector<int>& order) {
        std::vector<int> picked;
        for (int i : order) picked.push_back(from[i]);
        return picked;
    }

    BlockTemplate& block_;
    std::vector<int> rows_, cols_;
};

}  // namespace

void find_form(BlockTemplate& block, Expressions& expressions) {
    const size_t size = block.rows.size();
    if (block.accumulate || block.adjoint_accumulate || block.cols.size() != size) return;
    FormFinder finder(block);
    if (size == 2 && finder.bring_into_form(turn)) block.form = BlockForm::turn;
    if (size != 4) return;
    for (const bool crossed : {false, true}) {
        if (!finder.bring_into_form([&](const auto& row) { return twin_turn(row, crossed); })) continue;
        block.form = crossed ? BlockForm::crossed_twin_turn : BlockForm::twin_turn;
        const Value p = block.coefficients[0], q = block.coefficients[1], t = block.coefficients[2],
                    w = times(crossed ? -1 : 1, block.coefficients[3]);
        const auto half_sum = [&](Value x, Value y) { return times(0.5, expressions.sum({x, y})); };
        block.coefficients = {half_sum(p, t), half_sum(q, w), half_sum(p, times(-1, t)), half_sum(q, times(-1, w))};
        return;
    }
}

}  // namespace qrnn
