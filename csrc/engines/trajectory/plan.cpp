#include "engines/trajectory/plan.hpp"

#include <cmath>

#include "engines/trajectory/kernel.hpp"

namespace qrnn {
namespace {

int place(const std::vector<int>& list, int wire) {
    const auto at = std::find(list.begin(), list.end(), wire);
    return at == list.end() ? -1 : static_cast<int>(at - list.begin());
}

// The row that basis state `index` of `wires` stands for, all others being 0.
std::int64_t row_of(int index, const std::vector<int>& wires, const std::vector<int>& existing) {
    std::int64_t row = 0;
    for (size_t j = 0; j < wires.size(); ++j) row |= std::int64_t{index >> j & 1} << place(existing, wires[j]);
    return row;
}

}  // namespace

TrajectoryTables::TrajectoryTables(const std::vector<Element>& elements, const std::vector<int>& memory_in,
                                   const std::vector<int>& memory_out)
    : wires_(memory_in), most_active_(static_cast<int>(memory_in.size())) {
    for (const Element& element : elements) add(element);
    constexpr int unnormalised_draws = 3;
    TrajectoryElement* last = nullptr;
    for (int since = 0; TrajectoryElement& e : elements_) {
        if (e.draw < 0) continue;
        last = &e;
        e.normalises = since == unnormalised_draws;
        since = e.normalises ? 0 : since + 1;
    }
    if (last) last->normalises = 1;
    std::vector<int> memory_bits;
    for (int w : memory_out) memory_bits.push_back(place(wires_, w));
    memory_rows_ = memory_rows(memory_bits);
    bool in_order = true;
    for (size_t i = 0; i < memory_rows_.size(); ++i) in_order = in_order && memory_rows_[i] == count(i);
    view_ = {gates_.trigs.data(),
             count(gates_.trigs.size()),
             gates_.entries.data(),
             gates_.gates.data(),
             kraus_.data(),
             bounds_.data(),
             local_rows_.data(),
             elements_.data(),
             count(elements_.size()),
             parts_.data(),
             table_size_,
             largest_table_,
             memory_rows_.data(),
             in_order};
}

void TrajectoryTables::add(const Element& element) {
    if (element.in == element.out && element.parts.empty() && !element.draw) return;  // does nothing
    std::vector<int> after;
    for (int w : wires_)
        if (place(element.in, w) < 0 || place(element.out, w) >= 0) after.push_back(w);
    const bool grows_only = after.size() == wires_.size();
    for (int w : element.out)
        if (place(wires_, w) < 0) after.push_back(w);

    TrajectoryElement e{};
    e.gates = count(gates_.gates.size());
    e.n_before = count(element.before.size());
    e.n_after = count(element.after.size());
    for (const auto* list : {&element.before, &element.after})
        for (const WireGate& gate : *list) gates_.add(gate, element.local);
    e.n_local = 1 << element.local.size();
    e.n_in = 1 << element.in.size();
    e.n_out = 1 << element.out.size();
    e.draw = element.draw ? element.draw->number : -1;
    e.n_branches = element.n_branches();
    e.record = element.draw ? element.draw->record : 0;
    e.in_place = grows_only;
    e.n_groups = std::int64_t{1} << (wires_.size() - element.in.size());
    e.own_in = row_of(-1, element.in, wires_);
    e.own_out = e.in_place ? e.own_in : row_of(-1, element.out, after);
    add_branches(element, e);
    add_parts(element, e, after);
    e.table = table_size_;
    table_size_ += e.n_branches * (e.n_statistics + e.n_coefficients);
    largest_table_ = std::max(largest_table_, e.n_branches + e.n_statistics + e.n_coefficients);
    elements_.push_back(e);
    wires_ = std::move(after);
    active_.push_back(static_cast<int>(wires_.size()));
    most_active_ = std::max(most_active_, active_.back());
}

void TrajectoryTables::add_branches(const Element& element, TrajectoryElement& e) {
    e.branches = count(bounds_.size());
    e.out_rows = count(local_rows_.size());
    for (int branch = 0; branch < e.n_branches; ++branch) {
        bounds_.push_back(count(kraus_.size()));
        if (element.draw) {
            const Draw& draw = *element.draw;
            const std::vector<int> wires = draw.channel ? draw.wires : std::vector<int>{draw.wire};
            for_each_embedded(wires, element.local, [&](int row, int col, int own_row, int own_col) {
                const std::complex<double> z = draw.channel ? draw.channel->kraus[branch][4 * own_row + own_col]
                                                            : double(own_row == branch && own_col == branch);
                if (z != 0.0) kraus_.push_back({row, col, {z.real(), z.imag()}});
            });
        }
        for (int out = 0; out < e.n_out; ++out) local_rows_.push_back(local_row(element, out, branch));
    }
    bounds_.push_back(count(kraus_.size()));
}

void TrajectoryTables::add_parts(const Element& element, TrajectoryElement& e, const std::vector<int>& after) {
    e.parts = count(parts_.size());
    for (const BlockPart& part : element.parts) {
        TrajectoryPart p{};
        p.kind = part.kind;
        p.n_in = count(part.in.size());
        p.n_out = count(part.out.size());
        for (int c = 0; c < p.n_in; ++c) {
            p.local_in[c] = part.in[c];
            p.in[c] = row_of(part.in[c], element.in, wires_);
        }
        for (int r = 0; r < p.n_out; ++r) {
            p.local_out[r] = part.out[r];
            p.out[r] = row_of(part.out[r], element.out, after);
        }
        p.coefficients = e.n_coefficients;
        p.statistics = e.n_statistics;
        e.n_coefficients += 2 * p.n_in * p.n_out;
        if (e.draw >= 0) e.n_statistics += p.n_in * p.n_in;
        parts_.push_back(p);
        operations_ +=
            static_cast<double>(e.n_groups) * (multiply_adds(part) + (e.draw >= 0 ? 2 * p.n_in * p.n_in : 0));
    }
    e.n_parts = count(parts_.size()) - e.parts;
    operations_ += e.draw >= 0 ? e.n_branches * e.n_statistics + e.n_coefficients : 0;
}

TrajectoryPlan::TrajectoryPlan(const Circuit& circuit) {
    circuit.check_measured();
    const WireCircuit wires = wire_circuit(circuit);
    const int n_memory = static_cast<int>(wires.memory_in.size()), n_outcome = static_cast<int>(wires.outcome.size());

    std::vector<Draw> draws;
    int n_draws = n_outcome;
    for (int w = 0; w < wires.n_wires; ++w) {
        if (place(wires.memory_out, w) >= 0) continue;
        Draw draw{-1, w, {}, nullptr, 0};
        for (int bit = 0; bit < n_outcome; ++bit)
            if (wires.outcome[bit] == w) {
                draw.record |= 1 << bit;
                if (draw.number < 0) draw.number = bit;
            }
        if (draw.number < 0) draw.number = n_draws++;
        draws.push_back(std::move(draw));
    }
    std::vector<WireGate> gates = wires.carried;  // on memory qubit i, which is wire i at the start
    gates.insert(gates.end(), wires.gates.begin(), wires.gates.end());
    step_ = std::make_unique<TrajectoryTables>(trajectory_elements(gates, draws, wires.n_wires, n_memory, n_draws),
                                               wires.memory_in, wires.memory_out);
    finish_ = std::make_unique<TrajectoryTables>(trajectory_elements(wires.carried, {}, n_memory, n_memory, 0),
                                                 wires.memory_in, wires.memory_in);
    n_draws += wires.n_channels;

    for (const ReadoutError& error : circuit.readout_errors()) {
        const int k = static_cast<int>(error.bits.size());
        ConfusionTable table{k, n_draws++, {}, count(cumulative_.size())};
        std::copy(error.bits.begin(), error.bits.end(), table.bits);
        for (int actual = 0; actual < 1 << k; ++actual) {
            double sum = 0;
            for (int observed = 0; observed < 1 << k; ++observed)
                cumulative_.push_back(sum += error.confusion[(size_t{1} << k) * observed + actual]);
        }
        confusion_.push_back(table);
    }
    view_ = {circuit.n_angles(),
             n_memory,
             n_outcome,
             n_draws,
             std::int64_t{1} << std::max(step_->most_active(), n_memory),
             step_->view(),
             finish_->view(),
             confusion_.data(),
             count(confusion_.size()),
             cumulative_.data()};
}

double TrajectoryPlan::workspace_bytes(int bytes_per_number) const {
    return bytes_per_number * static_cast<double>(bytes_per_number == 4
                                                      ? trajectory_kernel<float>().workspace_size(view_)
                                                      : trajectory_kernel<double>().workspace_size(view_));
}

}  // namespace qrnn
