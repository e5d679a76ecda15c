#include "engines/pauli/plan/block_template.hpp"

#include <algorithm>

#include "engines/pauli/plan/block_form.hpp"

namespace qrnn {
namespace {

constexpr int block_size = 4;

class TemplateBuilder {
  public:
    TemplateBuilder(const Superop& op, const std::vector<int>& row_labels, const std::vector<char>& row_active,
                    const std::vector<char>& col_active)
        : op_(op), row_labels_(row_labels) {
        for (size_t row = 0; row < op.rows.size(); ++row) {
            if (!row_active[row]) continue;
            Row r{static_cast<int>(row), {}};
            for (const auto& [col, value] : op.rows[row].entries)
                if (col_active[col]) r.entries.emplace_back(col, value);
            rows_.push_back(std::move(r));
        }
    }

    OpTemplate build() {
        find_aliases();
        for (const std::vector<int>& component : components()) {
            add_component(component);
            ++n_components_;
        }
        mark_adjoints();
        return std::move(result_);
    }

  private:
    struct Row {
        int index;
        std::vector<std::pair<int, Value>> entries;
        bool is_alias = false;
    };

    int label(const Row& row) const { return row_labels_[row.index]; }

    void find_aliases() {
        for (const bool same_label : {true, false})
            for (Row& row : rows_) {
                if (row.is_alias || row.entries.size() != 1 || !row.entries[0].second.is_one()) continue;
                const int col = row.entries[0].first;
                if (aliased(col) || (same_label && label(row) != col)) continue;
                row.is_alias = true;
                result_.aliases.push_back({row.index, col});
            }
    }

    bool aliased(int col) const {
        return std::any_of(result_.aliases.begin(), result_.aliases.end(),
                           [&](const Alias& a) { return a.col == col; });
    }

    // Rows that share columns, as lists of positions in rows_.
    std::vector<std::vector<int>> components() const {
        std::vector<std::vector<int>> found;
        std::vector<bool> seen(rows_.size(), false);
        for (size_t start = 0; start < rows_.size(); ++start) {
            if (seen[start] || rows_[start].is_alias) continue;
            std::vector<int> component{static_cast<int>(start)};
            seen[start] = true;
            for (size_t i = 0; i < component.size(); ++i)
                for (size_t other = 0; other < rows_.size(); ++other)
                    if (!seen[other] && !rows_[other].is_alias && share_column(rows_[component[i]], rows_[other])) {
                        seen[other] = true;
                        component.push_back(static_cast<int>(other));
                    }
            std::sort(component.begin(), component.end());
            found.push_back(std::move(component));
        }
        return found;
    }

    static bool share_column(const Row& a, const Row& b) {
        for (const auto& x : a.entries)
            for (const auto& y : b.entries)
                if (x.first == y.first) return true;
        return false;
    }

    static std::vector<int> columns_of(const std::vector<const Row*>& rows) {
        std::vector<int> cols;
        for (const Row* row : rows)
            for (const auto& entry : row->entries) cols.push_back(entry.first);
        std::sort(cols.begin(), cols.end());
        cols.erase(std::unique(cols.begin(), cols.end()), cols.end());
        return cols;
    }

    // Outputs take the places of inputs where they can, so that the state stays compact and in order: rows of the same
    // label first, other rows without a set bit in what places are left. Up to four such rows on up to four columns are
    // written in place, by the component's last block; more of them go through new places and are copied.
    void add_component(const std::vector<int>& component) {
        std::vector<const Row*> all, staying, fresh;
        for (int i : component) all.push_back(&rows_[i]);
        std::vector<int> free_cols = columns_of(all);
        std::erase_if(free_cols, [&](int col) { return aliased(col); });
        std::map<int, int> replaced;
        for (const bool same_label : {true, false})
            for (const Row* row : all) {
                if (replaced.count(row->index) || label(*row) == no_label || free_cols.empty()) continue;
                const auto at =
                    same_label ? std::find(free_cols.begin(), free_cols.end(), label(*row)) : free_cols.begin();
                if (at == free_cols.end()) continue;
                replaced[row->index] = *at;
                free_cols.erase(at);
            }
        for (const Row* row : all) (replaced.count(row->index) ? staying : fresh).push_back(row);
        const bool small = staying.size() <= block_size && columns_of(staying).size() <= block_size;
        for (const auto& [row, col] : replaced)
            result_.targets[row] = {small ? Target::in_place : Target::by_copy, col};
        for (const Row* row : fresh) result_.targets[row->index] = {};
        add_blocks(fresh);
        add_blocks(staying);
    }

    void add_blocks(const std::vector<const Row*>& rows) {
        for (size_t i = 0; i < rows.size(); i += block_size) {
            const std::vector<const Row*> chunk(rows.begin() + i, rows.begin() + std::min(rows.size(), i + block_size));
            const std::vector<int> cols = columns_of(chunk);
            for (size_t c = 0; c < cols.size(); c += block_size)
                add_block(chunk, {cols.begin() + c, cols.begin() + std::min(cols.size(), c + block_size)}, c > 0);
        }
    }

    void add_block(const std::vector<const Row*>& rows, const std::vector<int>& cols, bool accumulate) {
        BlockTemplate block{BlockForm::dense, n_components_, {}, cols, accumulate, 0, {}};
        for (const Row* row : rows) {
            block.rows.push_back(row->index);
            for (int col : cols) {
                const auto entry = std::find_if(row->entries.begin(), row->entries.end(),
                                                [&](const auto& e) { return e.first == col; });
                block.coefficients.push_back(entry == row->entries.end() ? Value{} : entry->second);
            }
        }
        result_.blocks.push_back(std::move(block));
    }

    // Going backward, the first block that reads an input sets its adjoint and later ones add to it; an input that is
    // also an output has its adjoint in place from the start.
    void mark_adjoints() {
        std::vector<int> set;
        for (const Alias& alias : result_.aliases) set.push_back(alias.col);
        for (auto block = result_.blocks.rbegin(); block != result_.blocks.rend(); ++block)
            for (size_t c = 0; c < block->cols.size(); ++c) {
                if (std::find(set.begin(), set.end(), block->cols[c]) != set.end())
                    block->adjoint_accumulate |= 1 << c;
                else
                    set.push_back(block->cols[c]);
            }
    }

    const Superop& op_;
    const std::vector<int>& row_labels_;
    std::vector<Row> rows_;
    int n_components_ = 0;
    OpTemplate result_;
};

}  // namespace

OpTemplate make_template(const Superop& op, const std::vector<int>& row_labels, const std::vector<char>& row_active,
                         const std::vector<char>& col_active, Expressions& expressions) {
    OpTemplate made = TemplateBuilder(op, row_labels, row_active, col_active).build();
    for (BlockTemplate& block : made.blocks) find_form(block, expressions);
    return made;
}

}  // namespace qrnn
