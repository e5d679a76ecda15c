#include "engines/pauli/plan/late_outcomes.hpp"

#include <algorithm>
#include <map>

namespace qrnn {
namespace {

class Separation {
  public:
    Separation(const StepBlocks& blocks, const Needed& needed, std::vector<std::int32_t>& offsets)
        : step_(blocks.step),
          offsets_(offsets),
          n_places_(blocks.n_places),
          needed_(needed.blocks),
          live_at_end_(needed.places),
          held_(blocks.n_places) {
        for (const LaidOutBlock& laid : step_) columns_.push_back(columns_of(laid.block, offsets.data()));
        result_.first_saved = n_places_;
    }

    // Goes through them first to last. Of what the memory does not need, columns that read nothing but the memory run
    // in their step, and what they give is saved; all others run late. What those read of the memory is saved by a
    // copy.
    void separate(const std::vector<std::int32_t>& outcomes) {
        std::vector<std::vector<Column>> in_step(step_.size()), late(step_.size());
        for (size_t i = 0; i < step_.size(); ++i) {
            if (needed_[i]) {
                for (const Column& column : columns_[i])
                    for (const std::int32_t place : column.out) held_[place] = {};
                continue;
            }
            for (Column& column : columns_[i])
                (runs_late(column, step_[i].block.accumulate) ? late : in_step)[i].push_back(std::move(column));
            for (Column& column : late[i])
                for (size_t c = 0; c < column.in.size(); ++c)
                    column.in[c] = late_place(column.in[c], i, step_[i].block.adjoint_accumulate >> c & 1);
            const bool accumulate = step_[i].block.accumulate;
            for (Column& column : late[i])
                for (std::int32_t& place : column.out) place = accumulate ? held_[place].late : own_place(place);
            for (int row = 0; row < step_[i].block.rows; ++row)
                for (Column& column : in_step[i]) {
                    std::int32_t& place = column.out[row];
                    place = n_places_ + (accumulate ? held_[place].late : saved_place(place));
                }
        }
        for (const std::int32_t place : outcomes)
            result_.outcomes.push_back(place < 0 ? -1 : late_place(place, step_.size(), live_at_end_[place]));

        for (size_t i = 0; i <= step_.size(); ++i) {
            for (const bool add : {false, true}) copy(i, add);
            if (i == step_.size()) break;
            if (needed_[i]) result_.step.push_back(step_[i]);
            append(step_[i], in_step[i], result_.step);
            for (Column& column : late[i])
                for (auto* places : {&column.in, &column.out})
                    for (std::int32_t& place : *places) place = final_place(place);
            append(step_[i], late[i], result_.late);
        }
        for (std::int32_t& place : result_.outcomes)
            if (place >= 0) place = final_place(place);
        result_.n_places = n_places_ + result_.n_saved;
        result_.n_late_places = result_.n_saved + static_cast<std::int32_t>(own_places_.size());
    }

    LateOutcomes take_result() { return std::move(result_); }

  private:
    // Of a place's number: where the late state holds it, or a copy of it; -1: nowhere.
    struct Held {
        std::int32_t late = -1, copy = -1;
    };

    struct Copy {
        std::int32_t place, saved;
        size_t turn;  // of the last block that reads it late
        bool add;     // whether the place's adjoint is set already, going backward
    };

    static constexpr std::int32_t first_own_place = std::int32_t{1} << 30;  // until it is known how many are saved

    std::int32_t final_place(std::int32_t place) const {
        return place >= first_own_place ? place - first_own_place + result_.n_saved : place;
    }

    bool runs_late(const Column& column, bool accumulate) const {
        return (accumulate && held_[column.out[0]].late >= first_own_place) ||
               std::any_of(column.in.begin(), column.in.end(),
                           [&](std::int32_t place) { return held_[place].late >= 0; });
    }

    // Where block i finds late what it would find at this place.
    std::int32_t late_place(std::int32_t place, size_t i, bool add) {
        Held& held = held_[place];
        if (held.late >= 0) return held.late;
        if (held.copy < 0) {
            held.copy = static_cast<std::int32_t>(copies_.size());
            copies_.push_back({place, result_.n_saved++, i, add});
        }
        Copy& copy = copies_[held.copy];
        copy.turn = i, copy.add = add;
        return copy.saved;
    }

    // Where the late state holds what is written to this place late.
    std::int32_t own_place(std::int32_t place) {
        const auto next = first_own_place + static_cast<std::int32_t>(own_places_.size());
        held_[place] = {own_places_.try_emplace(place, next).first->second, -1};
        return held_[place].late;
    }

    // Where the step saves what it would write to this place.
    std::int32_t saved_place(std::int32_t place) {
        held_[place] = {result_.n_saved, -1};
        return result_.n_saved++;
    }

    // The blocks that copy at the turn of block i.
    void copy(size_t i, bool add) {
        std::vector<Column> columns;
        for (const Copy& copy : copies_)
            if (copy.turn == i && copy.add == add) columns.push_back({{copy.place}, {n_places_ + copy.saved}});
        if (columns.empty()) return;
        add_columns({BlockForm::dense, 0, {0}, {0}, false, add, {Expressions::constant(1)}}, columns, offsets_,
                    result_.step);
    }

    // Columns of a block with other places.
    void append(const LaidOutBlock& laid, std::vector<Column>& columns, std::vector<LaidOutBlock>& list) {
        if (columns.empty()) return;
        const Block& b = laid.block;
        const BlockForm form = b.form == BlockForm::scattered_row ? BlockForm::dense : b.form;
        add_columns({form, 0, std::vector<int>(b.rows), std::vector<int>(b.cols), b.accumulate != 0,
                     b.adjoint_accumulate, laid.coefficients},
                    columns, offsets_, list);
    }

    const std::vector<LaidOutBlock>& step_;
    std::vector<std::int32_t>& offsets_;
    std::int32_t n_places_;
    const std::vector<char>&needed_, &live_at_end_;
    std::vector<std::vector<Column>> columns_;  // by block
    std::vector<Held> held_;                    // by place
    std::vector<Copy> copies_;
    std::map<std::int32_t, std::int32_t> own_places_;
    LateOutcomes result_{};
};

}  // namespace

// Goes through the blocks last first.
Needed needed_by_memory(const StepBlocks& blocks, const std::vector<std::int32_t>& offsets) {
    std::vector<char> live(blocks.n_places, 0);
    const auto read_and_written = [&](const std::vector<Column>& columns, bool accumulate) {
        for (const Column& column : columns)
            for (const std::int32_t place : column.out) live[place] = accumulate;
        for (const Column& column : columns)
            for (const std::int32_t place : column.in) live[place] = 1;
    };
    std::fill_n(live.begin(), blocks.n_memory, 1);
    for (const std::int32_t place : blocks.cleared) live[place] = 0;
    for (size_t i = blocks.restore.size(); i-- > 0;)
        read_and_written(columns_of(blocks.restore[i].block, offsets.data()), false);
    Needed needed{std::vector<char>(blocks.step.size()), live};
    for (size_t i = blocks.step.size(); i-- > 0;) {
        const Block& b = blocks.step[i].block;
        const std::vector<Column> columns = columns_of(b, offsets.data());
        needed.blocks[i] = b.form == BlockForm::exchange;
        for (const Column& column : columns)
            for (const std::int32_t place : column.out) needed.blocks[i] = needed.blocks[i] || live[place];
        if (needed.blocks[i]) read_and_written(columns, b.accumulate);
    }
    return needed;
}

LateOutcomes take_outcomes_out(const StepBlocks& blocks, const std::vector<std::int32_t>& outcomes,
                               std::vector<std::int32_t>& offsets) {
    const Needed needed = needed_by_memory(blocks, offsets);
    Separation separation(blocks, needed, offsets);
    separation.separate(outcomes);
    return separation.take_result();
}

}  // namespace qrnn
