#include "engines/factor/gates.hpp"

#include <algorithm>

namespace qrnn {
namespace {

constexpr int inactive = -1;

class Lowering {
  public:
    explicit Lowering(const Circuit& circuit) : wire_of_(circuit.n_qubits(), inactive) {
        out_.outcome.resize(circuit.readout().size());
        for (int q : circuit.memory()) out_.memory_in.push_back(activate(q));
    }

    void gate(const Operation& op) {
        std::vector<int> wires;
        for (int q : op.qubits) wires.push_back(live_wire(q));
        for (const Factor& factor : op.info->factors)
            out_.gates.push_back(
                {wires, &factor, factor.angle < 0 ? Angle{-1, 0.0, factor.fixed} : op.angles[factor.angle]});
    }

    void channel(const Operation& op) {
        std::vector<int> wires;
        for (int q : op.qubits) wires.push_back(live_wire(q));
        out_.gates.push_back({wires, nullptr, {-1, 0.0, 0.0}, false, op.channel, out_.n_channels++});
    }

    void measure(const Operation& op) {
        for (size_t i = 0; i < op.qubits.size(); ++i) {
            const int wire = activate(op.qubits[i]);
            out_.outcome[op.bits[i]] = wire;
            unread_[wire].push_back(op.bits[i]);
        }
    }

    void reset(const Operation& op) {
        for (int q : op.qubits) wire_of_[q] = inactive;
    }

    WireCircuit finish(const std::vector<int>& memory) {
        for (int q : memory) out_.memory_out.push_back(live_wire(q));
        return std::move(out_);
    }

  private:
    int new_wire() {
        unread_.emplace_back();
        return out_.n_wires++;
    }

    int activate(int qubit) {
        int& wire = wire_of_[qubit];
        if (wire == inactive) wire = new_wire();
        return wire;
    }

    // The qubit's wire, about to go on: outcomes that were read from it are copied first.
    int live_wire(int qubit) {
        static const Factor& copy = find_op("cx").factors.front();
        const int wire = activate(qubit);
        if (unread_[wire].empty()) return wire;
        const int record = new_wire();
        for (int bit : unread_[wire]) out_.outcome[bit] = record;
        unread_[wire].clear();
        out_.gates.push_back({{wire, record}, &copy, {-1, 0.0, copy.fixed}});
        return wire;
    }

    WireCircuit out_;
    std::vector<int> wire_of_;
    std::vector<std::vector<int>> unread_;  // by wire: outcome bits that are read from it and stand in no copy
};

bool acts_diagonally(const WireGate& gate, int wire) {
    const size_t j = std::find(gate.wires.begin(), gate.wires.end(), wire) - gate.wires.begin();
    if (gate.channel) {
        const int dim = 1 << gate.wires.size();
        for (const Matrix4& k : gate.channel->kraus)
            for (int row = 0; row < dim; ++row)
                for (int col = 0; col < dim; ++col)
                    if (((row ^ col) >> j & 1) && k[4 * row + col] != 0.0) return false;
        return true;
    }
    for (const PauliTerm& term : gate.factor->generator)
        if (term.paulis[j] == 'X' || term.paulis[j] == 'Y') return false;
    return true;
}

// What the gates that stay behind do to a wire.
struct Later {
    bool diagonal = false, other = false;
};

void prune(WireCircuit& circuit) {
    std::vector<int> memory_of(circuit.n_wires, -1);
    std::vector<char> measured(circuit.n_wires, 0);
    for (size_t i = 0; i < circuit.memory_out.size(); ++i) memory_of[circuit.memory_out[i]] = static_cast<int>(i);
    for (int wire : circuit.outcome) measured[wire] = 1;

    std::vector<Later> later(circuit.n_wires);
    std::vector<WireGate> kept;
    for (auto gate = circuit.gates.rbegin(); gate != circuit.gates.rend(); ++gate) {
        bool last = true, on_memory = true, without_effect = true;
        for (int w : gate->wires) {
            const bool diagonal = acts_diagonally(*gate, w);
            last = last && !later[w].other && (!later[w].diagonal || diagonal);
            on_memory = on_memory && memory_of[w] >= 0 && !gate->channel;  // what is drawn belongs to its step
            without_effect = without_effect && memory_of[w] < 0 && (!measured[w] || diagonal);
        }
        if (last && without_effect) continue;
        if (last && on_memory) {
            WireGate waiting = *gate;
            waiting.carried = true;
            for (int& w : waiting.wires) w = memory_of[w];
            circuit.carried.push_back(std::move(waiting));
            continue;
        }
        for (int w : gate->wires) (acts_diagonally(*gate, w) ? later[w].diagonal : later[w].other) = true;
        kept.push_back(*gate);
    }
    std::reverse(kept.begin(), kept.end());
    std::reverse(circuit.carried.begin(), circuit.carried.end());
    circuit.gates = std::move(kept);
}

}  // namespace

std::vector<std::int64_t> memory_rows(const std::vector<int>& bits) {
    std::vector<std::int64_t> rows(size_t{1} << bits.size(), 0);
    for (size_t i = 0; i < rows.size(); ++i)
        for (size_t k = 0; k < bits.size() && rows[i] >= 0; ++k)
            if (i >> k & 1) rows[i] = bits[k] < 0 ? -1 : rows[i] | std::int64_t{1} << bits[k];
    return rows;
}

WireCircuit wire_circuit(const Circuit& circuit) {
    Lowering lowering(circuit);
    visit_operations(circuit, lowering);
    WireCircuit out = lowering.finish(circuit.memory());
    prune(out);
    return out;
}

}  // namespace qrnn
