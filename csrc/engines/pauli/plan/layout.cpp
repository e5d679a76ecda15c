#include "engines/pauli/plan/layout.hpp"

#include <algorithm>
#include <map>
#include <stdexcept>
#include <string>

#include "engines/budget.hpp"
#include "engines/pauli/plan/block_template.hpp"
#include "engines/pauli/plan/exchange.hpp"
#include "engines/pauli/plan/places.hpp"
#include "engines/pauli/plan/stage.hpp"

namespace qrnn {
namespace {

class LayoutBuilder {
  public:
    explicit LayoutBuilder(LayoutRequest request)
        : program_(*request.program), wants_outcomes_(request.wants_outcomes), exchanges_(program_) {
        result_.offsets = std::move(request.offsets);
    }

    Layout build() {
        make_stages();
        find_nonzero();
        find_needed();
        place_memory();
        for (size_t i = 0; i < program_.ops.size(); ++i) {
            exchanges_.begin_op(i, result_.offsets);
            place_op(i);
        }
        exchanges_.begin_op(program_.ops.size(), result_.offsets);
        read_outcomes();
        restore_memory();
        result_.single_step = exchanges_.take_blocks();
        result_.multiply_adds = multiply_adds(result_.step) + multiply_adds(result_.restore);
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
        constexpr double bytes_per_stage = 8, bytes_in_flight = 4 * 64, places_limit = 1 << 25;
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

    // One block of an op, for all columns of all contexts that have it. The phases follow each other: what is written
    // to new places reads inputs that in-place work and copies overwrite.
    struct Work {
        enum Phase { to_new_places, in_place, copies } phase;
        BlockTemplate block;
        std::vector<Column> columns;
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

        std::vector<std::pair<OpTemplate, const std::vector<Context>*>> templates;
        const std::vector<int> labels = row_labels(op);
        for (const auto& [pattern, contexts] : groups) {
            std::vector<char> row_active(out.size()), col_active(in.size());
            for (size_t row = 0; row < out.size(); ++row) row_active[row] = pattern[row] == '1';
            for (size_t col = 0; col < in.size(); ++col) col_active[col] = pattern[out.size() + col] == '1';
            templates.emplace_back(make_template(op, labels, row_active, col_active, program_.expressions), &contexts);
        }
        // The longest first, so that the others find blocks of theirs in an order that suits them.
        std::stable_sort(templates.begin(), templates.end(),
                         [](const auto& a, const auto& b) { return a.first.blocks.size() > b.first.blocks.size(); });

        std::vector<std::int32_t> next_place(after.size, -1);
        std::vector<char> kept(before.size, 0);  // places of inputs that live on as outputs
        for (const auto& [made, contexts] : templates) {
            for (const Context& context : *contexts)
                for (const Alias& alias : made.aliases) {
                    next_place[context.after + out[alias.row]] = place_[context.before + in[alias.col]];
                    kept[context.before + in[alias.col]] = 1;
                }
            place_blocks(made, *contexts, in, out, next_place, kept);
        }
        emit_pending();
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
        size_t next = 0;
        int component = -1;
        for (const BlockTemplate& block : made.blocks) {
            if (block.component != component) next = 0;
            component = block.component;
            const bool in_place = !start.count(block.rows[0]);
            const size_t at = pending_work(in_place ? Work::in_place : Work::to_new_places, block, next);
            next = at + 1;
            for (std::int32_t k = 0; k < n; ++k) {
                Column column;
                for (int col : block.cols) column.in.push_back(place_[contexts[k].before + in[col]]);
                for (int row : block.rows)
                    column.out.push_back(in_place ? next_place[contexts[k].after + out[row]] : start[row] + k);
                pending_[at].columns.push_back(std::move(column));
            }
        }
        for (const auto& [row, target] : made.targets)
            if (target.kind == Target::by_copy) {
                Work& work = pending_[pending_work(Work::copies, copy_block(), 0)];
                for (std::int32_t k = 0; k < n; ++k)
                    work.columns.push_back({{start[row] + k}, {next_place[contexts[k].after + out[row]]}});
            }
    }

    // The entry for this block behind entry `after`, a new one where there is none: the blocks of a context's component
    // must stay in their order, since going backward the first to read an input sets its adjoint, others add to it.
    size_t pending_work(Work::Phase phase, const BlockTemplate& block, size_t after) {
        for (size_t i = after; i < pending_.size(); ++i) {
            const Work& w = pending_[i];
            if (w.phase == phase && w.block.form == block.form && w.block.rows.size() == block.rows.size() &&
                w.block.cols.size() == block.cols.size() && w.block.accumulate == block.accumulate &&
                w.block.adjoint_accumulate == block.adjoint_accumulate && w.block.coefficients == block.coefficients)
                return i;
        }
        pending_.push_back({phase, block, {}});
        return pending_.size() - 1;
    }

    void emit_pending() {
        for (const Work::Phase phase : {Work::to_new_places, Work::in_place, Work::copies})
            for (Work& work : pending_) {
                if (work.phase != phase) continue;
                add_columns(work.block, work.columns, result_.offsets, result_.step);
                if (phase == Work::copies)
                    for (const Column& column : work.columns) places_.give_back(column.in[0]);
                exchanges_.add(work.block, work.columns, result_.offsets);
            }
        pending_.clear();
    }

    static BlockTemplate copy_block() { return {BlockForm::dense, 0, {0}, {0}, false, 0, {Expressions::constant(1)}}; }

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

    void read_outcomes() {
        if (!wants_outcomes_) return;
        for (std::int64_t index : memory_order(stages_.back(), program_.outcome))
            result_.outcomes.push_back(place_[index]);
    }

    // Where the memory's coefficients ended elsewhere (a qubit exchanged, or begun anew), copies them back by way of
    // new places; coefficients that are known to vanish are cleared.
    void restore_memory() {
        const auto order = memory_order(stages_.back(), program_.memory_out);
        std::vector<Column> away, back;
        bool moved = false;
        for (size_t i = 0; i < order.size(); ++i) {
            const std::int32_t place = place_[order[i]], home = static_cast<std::int32_t>(i);
            if (place < 0) {
                result_.clear.push_back(home);
                continue;
            }
            moved = moved || place != home;
            away.push_back({{place}, {}});
            back.push_back({{}, {home}});
        }
        if (!moved) return;
        const std::int32_t start = places_.take(static_cast<std::int32_t>(away.size()));
        for (size_t i = 0; i < away.size(); ++i) away[i].out = back[i].in = {start + static_cast<std::int32_t>(i)};
        add_columns(copy_block(), away, result_.offsets, result_.restore);
        add_columns(copy_block(), back, result_.offsets, result_.restore);
    }

    WireProgram& program_;
    bool wants_outcomes_;
    std::vector<Stage> stages_;
    double table_bytes_ = 0;
    std::vector<std::int32_t> place_;  // by index of the current stage; -1: not active
    Places places_;
    std::vector<Work> pending_;
    Exchanges exchanges_;
    Layout result_;
};

}  // namespace

Layout lay_out(LayoutRequest request) { return LayoutBuilder(std::move(request)).build(); }

}  // namespace qrnn
