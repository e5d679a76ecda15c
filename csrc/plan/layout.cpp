#include "plan/layout.hpp"

#include <algorithm>
#include <map>
#include <stdexcept>
#include <string>

#include "plan/budget.hpp"

namespace qrnn {
namespace {

// ---- Stages: the coefficients that may exist between two ops, as a mixed-radix index over the live wires.
struct Stage {
    std::vector<int> wires;
    std::vector<std::int64_t> strides;
    std::int64_t size = 1;
    std::vector<char> active;  // by index: not known to be zero, and needed by a query

    std::int64_t stride(int wire) const { return strides[position(wires, wire)]; }
};

int radix(const WireProgram& program, int wire) { return program.is_bit[wire] ? 2 : 4; }

Stage make_stage(const WireProgram& program, const std::vector<int>& wires) {
    Stage stage;
    stage.wires = wires;
    for (int w : wires) {
        stage.strides.push_back(stage.size);
        stage.size *= radix(program, w);
    }
    return stage;
}

// Offset of a local index (Pauli digits of `wires`) in a stage; -1 where a bit would have the digit X or Y.
std::vector<std::int64_t> local_offsets(const WireProgram& program, const Stage& stage, const std::vector<int>& wires) {
    std::vector<std::int64_t> offsets(size_t{1} << 2 * wires.size(), 0);
    for (size_t index = 0; index < offsets.size(); ++index)
        for (size_t j = 0; j < wires.size() && offsets[index] >= 0; ++j) {
            const int digit = index >> 2 * j & 3;
            if (!program.is_bit[wires[j]])
                offsets[index] += digit * stage.stride(wires[j]);
            else if (digit == 0 || digit == 3)
                offsets[index] += (digit / 3) * stage.stride(wires[j]);
            else
                offsets[index] = -1;
        }
    return offsets;
}

// Calls f(base in `before`, base in `after`) for every setting of the wires that pass `op` by.
template <class F>
void for_each_context(const WireProgram& program, const Superop& op, const Stage& before, const Stage& after, F f) {
    struct Digit {
        std::int64_t before, after;
        int radix, value;
    };
    std::vector<Digit> digits;
    for (int w : before.wires)
        if (position(op.in, w) < 0) digits.push_back({before.stride(w), after.stride(w), radix(program, w), 0});
    std::int64_t b = 0, a = 0;
    while (true) {
        f(b, a);
        size_t j = 0;
        for (; j < digits.size(); ++j) {
            Digit& d = digits[j];
            b += d.before;
            a += d.after;
            if (++d.value < d.radix) break;
            b -= d.before * d.radix;
            a -= d.after * d.radix;
            d.value = 0;
        }
        if (j == digits.size()) return;
    }
}

// ---- Places: a range allocator over the state.
class Places {
  public:
    // First of n neighbouring places.
    std::int32_t take(std::int32_t n) {
        for (auto it = free_.begin(); it != free_.end(); ++it) {
            if (it->second < n) continue;
            const std::int32_t start = it->first, rest = it->second - n;
            free_.erase(it);
            if (rest > 0) free_[start + n] = rest;
            return start;
        }
        size_ += n;
        return size_ - n;
    }

    void give_back(std::int32_t place) {
        auto it = free_.emplace(place, 1).first;
        if (it != free_.begin()) {
            auto previous = std::prev(it);
            if (previous->first + previous->second == place) {
                previous->second += 1;
                free_.erase(it);
                it = previous;
            }
        }
        const auto next = std::next(it);
        if (next != free_.end() && it->first + it->second == next->first) {
            it->second += next->second;
            free_.erase(next);
        }
    }

    std::int32_t size() const { return size_; }

  private:
    std::map<std::int32_t, std::int32_t> free_;  // start, length
    std::int32_t size_ = 0;
};

// ---- One op's work for all contexts that need the same rows of it and offer the same columns.
struct BlockTemplate {
    std::vector<int> rows, cols;  // local indices
    bool accumulate;
    int adjoint_accumulate;
    std::vector<Value> coefficients;
};

// Where an output goes: to a new place, at once to the place of the input column `column`, or there by way of a new
// place.
struct Target {
    enum { fresh, in_place, by_copy } kind = fresh;
    int column = -1;
};

struct Alias {
    int row, col;
};

struct OpTemplate {
    std::vector<Alias> aliases;         // outputs that are inputs
    std::map<int, Target> targets;      // by row, for all other outputs
    std::vector<BlockTemplate> blocks;  // in the order in which they run
};

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
        for (const std::vector<int>& component : components()) add_component(component);
        mark_adjoints();
        return std::move(result_);
    }

  private:
    struct Row {
        int index;
        std::vector<std::pair<int, Value>> entries;
        bool is_alias = false;
    };

    // The local input index with the same Pauli digits as an output row; no_label where a bit is set or a new wire is
    // not I.
    static constexpr int no_label = -1;
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
        BlockTemplate block{{}, cols, accumulate, 0, {}};
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
    OpTemplate result_;
};

// ---- The layout itself.
class LayoutBuilder {
  public:
    explicit LayoutBuilder(LayoutRequest request)
        : program_(*request.program), wants_outcomes_(request.wants_outcomes) {
        result_.offsets = std::move(request.offsets);
    }

    Layout build() {
        make_stages();
        find_nonzero();
        find_needed();
        place_memory();
        for (size_t i = 0; i < program_.ops.size(); ++i) place_op(i);
        read_outcomes();
        restore_memory();
        result_.n_places = places_.size();
        return std::move(result_);
    }

  private:
    void make_stages() {
        std::vector<int> wires = program_.memory_in;
        check_size(wires);
        stages_.push_back(make_stage(program_, wires));
        for (const Superop& op : program_.ops) {
            std::vector<int> next;
            for (int w : wires)
                if (position(op.in, w) < 0 || position(op.out, w) >= 0) next.push_back(w);
            for (int w : op.out)
                if (position(op.in, w) < 0) next.push_back(w);
            wires = next;
            check_size(wires);
            stages_.push_back(make_stage(program_, wires));
        }
    }

    // All stages' tables, and the state, its adjoint and the tape for one group of sequences at the widest stage.
    void check_size(const std::vector<int>& wires) {
        constexpr double bytes_per_stage = 6, bytes_in_flight = 4 * 64, places_limit = 1 << 25;
        double size = 1;
        for (int w : wires) size *= radix(program_, w);
        table_bytes_ += bytes_per_stage * size;
        const std::string what = "a circuit with " + std::to_string(wires.size()) +
                                 " qubits and outcome bits active at once, described by their Pauli coefficients,";
        const char* way_out = "reset or measure qubits earlier, or use fewer of them";
        check_memory(table_bytes_ + bytes_in_flight * size, what.c_str(), way_out);
        if (size > places_limit)
            throw std::invalid_argument(what + " has " + std::to_string(size) +
                                        " of them, at most 2^25 are possible; " + way_out);
    }

    void find_nonzero() {
        stages_[0].active.assign(stages_[0].size, 1);
        for (size_t i = 0; i < program_.ops.size(); ++i) {
            const Superop& op = program_.ops[i];
            const Stage& before = stages_[i];
            Stage& after = stages_[i + 1];
            after.active.assign(after.size, 0);
            const auto in = local_offsets(program_, before, op.in), out = local_offsets(program_, after, op.out);
            for_each_context(program_, op, before, after, [&](std::int64_t b, std::int64_t a) {
                for (size_t row = 0; row < op.rows.size(); ++row)
                    for (const auto& entry : op.rows[row].entries)
                        if (before.active[b + in[entry.first]]) after.active[a + out[row]] = 1;
            });
        }
    }

    // Two queries: the next memory needs all Pauli strings on the memory with every bit traced; the outcomes need all
    // settings of the bits with every memory qubit traced.
    void find_needed() {
        Stage& last = stages_.back();
        std::vector<char> needed(last.size, 0);
        mark(last, program_.memory_out, needed);
        if (wants_outcomes_) mark(last, program_.outcome, needed);
        for (std::int64_t i = 0; i < last.size; ++i) last.active[i] = last.active[i] && needed[i];
        for (size_t i = program_.ops.size(); i-- > 0;) {
            const Superop& op = program_.ops[i];
            Stage& before = stages_[i];
            const Stage& after = stages_[i + 1];
            needed.assign(before.size, 0);
            const auto in = local_offsets(program_, before, op.in), out = local_offsets(program_, after, op.out);
            for_each_context(program_, op, before, after, [&](std::int64_t b, std::int64_t a) {
                for (size_t row = 0; row < op.rows.size(); ++row)
                    if (out[row] >= 0 && after.active[a + out[row]])
                        for (const auto& entry : op.rows[row].entries) needed[b + in[entry.first]] = 1;
            });
            for (std::int64_t j = 0; j < before.size; ++j) before.active[j] = before.active[j] && needed[j];
        }
    }

    // Marks every coefficient that is I on all wires but the given ones.
    void mark(const Stage& stage, const std::vector<int>& wires, std::vector<char>& needed) const {
        for (std::int64_t index : memory_order(stage, wires)) needed[index] = 1;
    }

    // Indices of all settings of `wires`, the first wire running fastest, all other wires being I.
    std::vector<std::int64_t> memory_order(const Stage& stage, const std::vector<int>& wires) const {
        std::vector<std::int64_t> order{0};
        for (int w : wires) {
            const size_t n = order.size();
            for (int digit = 1; digit < radix(program_, w); ++digit)
                for (size_t i = 0; i < n; ++i) order.push_back(order[i] + digit * stage.stride(w));
        }
        return order;
    }

    void place_memory() {
        const auto order = memory_order(stages_[0], program_.memory_in);
        place_.assign(stages_[0].size, -1);
        places_.take(static_cast<std::int32_t>(order.size()));
        for (size_t i = 0; i < order.size(); ++i) {
            if (stages_[0].active[order[i]])
                place_[order[i]] = static_cast<std::int32_t>(i);
            else
                result_.adjoint_clear.push_back(static_cast<std::int32_t>(i));
        }
    }

    struct Context {
        std::int64_t before, after;  // base indices
    };

    void place_op(size_t i) {
        const Superop& op = program_.ops[i];
        const Stage &before = stages_[i], &after = stages_[i + 1];
        const auto in = local_offsets(program_, before, op.in), out = local_offsets(program_, after, op.out);

        std::map<std::string, std::vector<Context>> groups;
        std::string key(op.rows.size() + in.size(), '0');
        for_each_context(program_, op, before, after, [&](std::int64_t b, std::int64_t a) {
            for (size_t row = 0; row < out.size(); ++row)
                key[row] = out[row] >= 0 && after.active[a + out[row]] ? '1' : '0';
            for (size_t col = 0; col < in.size(); ++col)
                key[out.size() + col] = in[col] >= 0 && before.active[b + in[col]] ? '1' : '0';
            groups[key].push_back({b, a});
        });

        std::vector<std::int32_t> next_place(after.size, -1);
        std::vector<char> kept(before.size, 0);  // places of inputs that live on as outputs
        const std::vector<int> labels = row_labels(op);
        for (const auto& [pattern, contexts] : groups) {
            std::vector<char> row_active(out.size()), col_active(in.size());
            for (size_t row = 0; row < out.size(); ++row) row_active[row] = pattern[row] == '1';
            for (size_t col = 0; col < in.size(); ++col) col_active[col] = pattern[out.size() + col] == '1';
            const OpTemplate made = TemplateBuilder(op, labels, row_active, col_active).build();
            for (const Context& context : contexts)
                for (const Alias& alias : made.aliases) {
                    next_place[context.after + out[alias.row]] = place_[context.before + in[alias.col]];
                    kept[context.before + in[alias.col]] = 1;
                }
            place_blocks(made, contexts, in, out, next_place, kept);
        }
        for (std::int64_t index = 0; index < before.size; ++index)
            if (place_[index] >= n_memory_places() && !kept[index]) places_.give_back(place_[index]);
        place_ = std::move(next_place);
    }

    void place_blocks(const OpTemplate& made, const std::vector<Context>& contexts, const std::vector<std::int64_t>& in,
                      const std::vector<std::int64_t>& out, std::vector<std::int32_t>& next_place,
                      std::vector<char>& kept) {
        const auto n = static_cast<std::int32_t>(contexts.size());
        std::map<int, std::int32_t> start;  // new places, by row
        for (const auto& [row, target] : made.targets) {
            if (target.kind != Target::in_place) start[row] = places_.take(n);
            for (std::int32_t k = 0; k < n; ++k) {
                const std::int64_t input = target.kind == Target::fresh ? 0 : contexts[k].before + in[target.column];
                next_place[contexts[k].after + out[row]] =
                    target.kind == Target::fresh ? start[row] + k : place_[input];
                if (target.kind != Target::fresh) kept[input] = 1;
            }
        }
        std::vector<std::vector<std::int32_t>> inputs(n), outputs(n);
        for (const BlockTemplate& block : made.blocks) {
            for (std::int32_t k = 0; k < n; ++k) {
                inputs[k].clear();
                outputs[k].clear();
                for (int col : block.cols) inputs[k].push_back(place_[contexts[k].before + in[col]]);
                for (int row : block.rows)
                    outputs[k].push_back(start.count(row) ? start[row] + k : next_place[contexts[k].after + out[row]]);
            }
            emit(result_.step, block, inputs, outputs);
        }
        std::vector<std::vector<std::int32_t>> sources, homes;
        for (const auto& [row, target] : made.targets)
            for (std::int32_t k = 0; target.kind == Target::by_copy && k < n; ++k) {
                sources.push_back({start[row] + k});
                homes.push_back({next_place[contexts[k].after + out[row]]});
            }
        if (sources.empty()) return;
        emit(result_.step, copy_block(), sources, homes);
        for (const auto& source : sources) places_.give_back(source[0]);
    }

    static BlockTemplate copy_block() { return {{0}, {0}, false, 0, {Expressions::constant(1)}}; }

    // Places of the memory are never handed to anything else: they hold it again at the end of the step.
    std::int32_t n_memory_places() const { return std::int32_t{1} << 2 * program_.memory_in.size(); }

    std::vector<int> row_labels(const Superop& op) const {
        std::vector<int> labels(op.rows.size(), 0);
        for (size_t row = 0; row < labels.size(); ++row)
            for (size_t j = 0; j < op.out.size() && labels[row] >= 0; ++j) {
                const int digit = row >> 2 * j & 3, at = position(op.in, op.out[j]);
                if (at >= 0)
                    labels[row] |= digit << 2 * at;
                else if (digit != 0)
                    labels[row] = -1;
            }
        return labels;
    }

    // Splits a template's columns by how their places lie to each other; each split is one block.
    void emit(std::vector<LaidOutBlock>& list, const BlockTemplate& block,
              const std::vector<std::vector<std::int32_t>>& inputs,
              const std::vector<std::vector<std::int32_t>>& outputs) {
        std::map<std::vector<std::int32_t>, std::vector<size_t>> by_shape;
        for (size_t k = 0; k < outputs.size(); ++k) {
            std::vector<std::int32_t> shape;
            for (std::int32_t place : inputs[k]) shape.push_back(place - inputs[k][0]);
            for (std::int32_t place : outputs[k]) shape.push_back(place - outputs[k][0]);
            by_shape[shape].push_back(k);
        }
        for (const auto& [shape, columns] : by_shape) {
            LaidOutBlock laid{};
            laid.coefficients = block.coefficients;
            Block& b = laid.block;
            b.rows = static_cast<std::int32_t>(block.rows.size());
            b.cols = static_cast<std::int32_t>(block.cols.size());
            b.accumulate = block.accumulate;
            b.adjoint_accumulate = block.adjoint_accumulate;
            for (int c = 0; c < b.cols; ++c) b.in[c] = shape[c];
            for (int r = 0; r < b.rows; ++r) b.out[r] = shape[b.cols + r];
            b.n_columns = static_cast<std::int32_t>(columns.size());
            b.columns = static_cast<std::int32_t>(result_.offsets.size() / 2);
            for (size_t k : columns) {
                result_.offsets.push_back(inputs[k].empty() ? 0 : inputs[k][0]);
                result_.offsets.push_back(outputs[k][0]);
            }
            b.fours = come_in_fours(b);
            result_.multiply_adds += static_cast<double>(b.rows) * b.cols * b.n_columns;
            list.push_back(std::move(laid));
        }
    }

    bool come_in_fours(const Block& block) const {
        if (block.n_columns % 4 != 0) return false;
        const std::int32_t* pairs = result_.offsets.data() + 2 * static_cast<std::int64_t>(block.columns);
        for (std::int32_t k = 0; k < block.n_columns; ++k)
            for (int side = 0; side < 2; ++side)
                if (pairs[2 * k + side] != pairs[2 * (k - k % 4) + side] + k % 4) return false;
        return true;
    }

    void read_outcomes() {
        if (!wants_outcomes_) return;
        for (std::int64_t index : memory_order(stages_.back(), program_.outcome))
            result_.outcomes.push_back(place_[index]);
    }

    // Where the memory's coefficients ended elsewhere (a qubit exchanged, or begun anew), copies them back by way of
    // new places; coefficients that are known to vanish are cleared.
    void restore_memory() {
        const auto order = memory_order(stages_.back(), program_.memory_out);
        std::vector<std::vector<std::int32_t>> sources, targets;
        bool moved = false;
        for (size_t i = 0; i < order.size(); ++i) {
            const std::int32_t place = place_[order[i]], home = static_cast<std::int32_t>(i);
            if (place < 0) {
                result_.clear.push_back(home);
                continue;
            }
            moved = moved || place != home;
            sources.push_back({place});
            targets.push_back({home});
        }
        if (!moved) return;
        const std::int32_t start = places_.take(static_cast<std::int32_t>(sources.size()));
        std::vector<std::vector<std::int32_t>> between;
        for (size_t i = 0; i < sources.size(); ++i) between.push_back({start + static_cast<std::int32_t>(i)});
        emit(result_.restore, copy_block(), sources, between);
        emit(result_.restore, copy_block(), between, targets);
    }

    const WireProgram& program_;
    bool wants_outcomes_;
    std::vector<Stage> stages_;
    double table_bytes_ = 0;
    std::vector<std::int32_t> place_;  // by index of the current stage; -1: not active
    Places places_;
    Layout result_;
};

}  // namespace

Layout lay_out(LayoutRequest request) { return LayoutBuilder(std::move(request)).build(); }

}  // namespace qrnn
