#include "engines/pauli/plan/plan.hpp"

#include <algorithm>
#include <optional>
#include <stdexcept>

#include "engines/pauli/plan/fusion.hpp"
#include "engines/pauli/plan/late_outcomes.hpp"

namespace qrnn {
namespace {

// Ops that wait for the next step, as ops on the memory wires at a step's start.
void carry(std::vector<Deferred>& deferred, PauliDraft& draft) {
    for (Deferred& d : deferred) {
        const int wire = draft.program.memory_in[d.memory_index];
        Superop op{{wire}, {wire}, std::vector<SparseRow<Value>>(4)};
        for (int row = 0; row < 4; ++row)
            for (int col = 0; col < 4; ++col) {
                Value entry;
                for (const auto& [c, value] : d.op.rows[row].entries)
                    if (c == col) entry = value;
                const double identity = row == col ? 1 : 0;
                if (entry.is_constant() && entry.scale == identity) {
                    if (identity != 0) op.rows[row].entries.emplace_back(col, entry);
                    continue;
                }
                const int number = static_cast<int>(draft.carried_out.size());
                op.rows[row].entries.emplace_back(col, draft.program.expressions.carried(number));
                draft.carried_out.push_back(entry);
                draft.carried_start.push_back(identity);
            }
        draft.carried.push_back(std::move(op));
    }
}

// Joins what was deferred before the fusion with what could be deferred after it; the latter acts first.
std::vector<Deferred> join(std::vector<Deferred> late, std::vector<Deferred> early, Expressions& expressions) {
    for (Deferred& d : late) {
        const auto same = std::find_if(early.begin(), early.end(),
                                       [&](const Deferred& e) { return e.memory_index == d.memory_index; });
        if (same == early.end())
            early.push_back(std::move(d));
        else
            same->op = compose(same->op, d.op, expressions);
    }
    return early;
}

}  // namespace

void PauliPlan::Blocks::add(const std::vector<LaidOutBlock>& list, const CoefficientCompiler& coefficients,
                            const std::vector<std::int32_t>& offsets, int vector_bytes) {
    for (const LaidOutBlock& laid : list) {
        Block block = laid.block;
        for (size_t k = 0; k < laid.coefficients.size(); ++k) {
            const size_t at = block.form == BlockForm::dense ? 4 * (k / block.cols) + k % block.cols : k;
            block.coefficient[at] = vector_bytes * coefficients.reg(laid.coefficients[k]);
        }
        choose_kernel(block, offsets);
        block.tape = tape_size;
        tape_size += block.n_columns * block.cols;
        blocks.push_back(block);
    }
}

BlockList PauliPlan::Blocks::view(const std::vector<std::int32_t>& clear,
                                  const std::vector<std::int32_t>& adjoint_clear) const {
    return {blocks.data(),
            static_cast<std::int32_t>(blocks.size()),
            tape_size,
            clear.data(),
            static_cast<std::int32_t>(clear.size()),
            adjoint_clear.data(),
            static_cast<std::int32_t>(adjoint_clear.size())};
}

PauliDraft::PauliDraft(const Circuit& circuit) : program(lower(circuit)) {
    merge_one_wire_runs(program);
    std::vector<Deferred> last = defer_last_rotations(program);
    fuse(program);
    std::vector<Deferred> deferred = join(std::move(last), defer_last_rotations(program), program.expressions);
    carry(deferred, *this);
    program.ops.insert(program.ops.begin(), carried.begin(), carried.end());
    merge_one_wire_runs(program);
    cost = fuse(program);
}

PauliPlan::PauliPlan(const Circuit& circuit, PauliDraft draft, int vector_bytes) {
    WireProgram& program = draft.program;
    Layout layout = lay_out({&program, true, {}});
    const std::int32_t n_memory = std::int32_t{1} << 2 * program.memory_in.size();
    const auto blocks = [&](const std::vector<LaidOutBlock>& step) {
        return StepBlocks{step, layout.restore, layout.clear, n_memory, layout.n_places};
    };
    const Needed needed = needed_by_memory(blocks(layout.step), layout.offsets);
    std::vector<LaidOutBlock> memory_step;
    for (size_t i = 0; i < layout.step.size(); ++i)
        if (needed.blocks[i]) memory_step.push_back(layout.step[i]);
    LateOutcomes single = take_outcomes_out(blocks(layout.single_step.empty() ? layout.step : layout.single_step),
                                            layout.outcomes, layout.offsets);
    WireProgram end;
    end.ops = draft.carried;
    end.is_bit = program.is_bit;
    end.memory_in = end.memory_out = program.memory_in;
    Layout end_layout = lay_out({&end, false, std::move(layout.offsets)});

    CoefficientCompiler compiler(program.expressions, static_cast<int>(draft.carried_out.size()));
    for (const auto* list : {&layout.step, &single.step, &single.late, &layout.restore, &end_layout.step})
        for (const LaidOutBlock& block : *list)
            for (const Value& value : block.coefficients) compiler.need(value);
    for (const Value& value : draft.carried_out) compiler.need(value);
    coefficients_ = compiler.compile(vector_bytes);

    step_.add(layout.step, compiler, end_layout.offsets, vector_bytes);
    memory_step_.add(memory_step, compiler, end_layout.offsets, vector_bytes);
    single_step_.add(single.step, compiler, end_layout.offsets, vector_bytes);
    late_.add(single.late, compiler, end_layout.offsets, vector_bytes);
    restore_.add(layout.restore, compiler, end_layout.offsets, vector_bytes);
    finish_.add(end_layout.step, compiler, end_layout.offsets, vector_bytes);
    for (const Value& value : draft.carried_out) carried_out_.push_back(compiler.reg(value));
    carried_start_ = std::move(draft.carried_start);
    clear_ = std::move(layout.clear);
    adjoint_clear_ = std::move(layout.adjoint_clear);
    outcomes_ = std::move(layout.outcomes);
    late_outcomes_ = std::move(single.outcomes);
    places_ = offsets_ = std::move(end_layout.offsets);
    for (std::int32_t& offset : offsets_) offset *= vector_bytes;
    multiply_adds_ = layout.multiply_adds;

    PauliProgram& v = view_;
    v.n_angles = circuit.n_angles();
    v.n_memory = static_cast<std::int32_t>(program.memory_in.size());
    v.n_outcome = static_cast<std::int32_t>(program.outcome.size());
    v.n_registers = coefficients_.n_registers;
    v.n_carried = static_cast<std::int32_t>(carried_out_.size());
    v.carried_in = coefficients_.carried_in;
    v.carried_out = carried_out_.data();
    v.carried_start = carried_start_.data();
    v.trigs = coefficients_.trigs.data();
    v.n_trigs = static_cast<std::int32_t>(coefficients_.trigs.size());
    v.n_plain_trigs = coefficients_.n_plain_trigs;
    v.constants = coefficients_.constants.data();
    v.n_constants = static_cast<std::int32_t>(coefficients_.constants.size());
    v.segments = coefficients_.segments.data();
    v.n_segments = static_cast<std::int32_t>(coefficients_.segments.size());
    v.n_early_segments = coefficients_.n_early_segments;
    v.operands = coefficients_.operands.data();
    v.step = step_.view(none_, adjoint_clear_);
    v.memory_step = memory_step_.view(none_, none_);
    v.restore = restore_.view(clear_, none_);
    v.finish = finish_.view(none_, none_);
    v.outcomes = outcomes_.data();
    v.offsets = offsets_.data();
    v.places = places_.data();
    v.n_places = std::max(layout.n_places, end_layout.n_places);
    v.single_step = single_step_.view(none_, adjoint_clear_);
    v.n_single_places = std::max(single.n_places, end_layout.n_places);
    v.first_saved = single.first_saved;
    v.n_saved = single.n_saved;
    v.late = late_.view(none_, none_);
    v.n_late_places = single.n_late_places;
    v.late_outcomes = late_outcomes_.data();
}

double PauliPlan::coefficient_operations() const {
    constexpr double sine_and_cosine = 21;
    double n = sine_and_cosine * view_.n_trigs;
    for (const Segment& s : coefficients_.segments) n += static_cast<double>(s.n) * s.n_terms;
    return n;
}

double PauliPlan::operations() const {
    const double outcomes = static_cast<double>(outcomes_.size());
    return multiply_adds_ + coefficient_operations() + view_.n_angles + outcomes * (view_.n_outcome + 1);
}

}  // namespace qrnn
