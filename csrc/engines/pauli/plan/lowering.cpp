#include "engines/pauli/plan/lowering.hpp"

#include "circuit/transfer.hpp"
#include "ops/generator.hpp"

namespace qrnn {
namespace {

constexpr int inactive = -1;
constexpr int digit_i = 0, digit_z = 3;

class Lowering {
  public:
    explicit Lowering(const Circuit& circuit) : wire_of_(circuit.n_qubits(), inactive) {
        program_.outcome.resize(circuit.readout().size());
        for (int q : circuit.memory()) {
            wire_of_[q] = new_wire(false);
            program_.memory_in.push_back(wire_of_[q]);
        }
    }

    void gate(const Operation& op) {
        std::vector<int> wires;
        for (int q : op.qubits) wires.push_back(activate(q));
        for (const Factor& factor : op.info->factors) program_.ops.push_back(rotation(factor, op.angles, wires));
    }

    void channel(const Operation& op) {
        std::vector<int> wires;
        for (int q : op.qubits) wires.push_back(activate(q));
        program_.ops.push_back(constant(transfer_matrix(*op.channel), wires));
    }

    void measure(const Operation& op) {
        for (size_t i = 0; i < op.qubits.size(); ++i) {
            const int wire = activate(op.qubits[i]), bit = new_wire(true);
            program_.outcome[op.bits[i]] = bit;
            Superop copy{{wire}, {wire, bit}, std::vector<SparseRow<Value>>(16)};
            // Populations go into both, so I I and Z Z hold the trace, I Z and Z I the difference; coherences vanish.
            const auto row = [](int wire_digit, int bit_digit) { return wire_digit + 4 * bit_digit; };
            for (int a : {digit_i, digit_z})
                for (int b : {digit_i, digit_z})
                    copy.rows[row(a, b)].entries = {{a == b ? digit_i : digit_z, Expressions::constant(1)}};
            program_.ops.push_back(std::move(copy));
        }
    }

    void reset(const Operation& op) {
        for (int q : op.qubits) {
            if (wire_of_[q] == inactive) continue;
            Superop trace{{wire_of_[q]}, {}, std::vector<SparseRow<Value>>(1)};
            trace.rows[0].entries = {{digit_i, Expressions::constant(1)}};
            program_.ops.push_back(std::move(trace));
            wire_of_[q] = inactive;
        }
    }

    WireProgram finish(const std::vector<int>& memory) {
        for (int q : memory) program_.memory_out.push_back(activate(q));
        return std::move(program_);
    }

  private:
    int new_wire(bool is_bit) {
        program_.is_bit.push_back(is_bit);
        return static_cast<int>(program_.is_bit.size()) - 1;
    }

    int activate(int qubit) {
        int& wire = wire_of_[qubit];
        if (wire == inactive) {
            wire = new_wire(false);
            Superop zero{{}, {wire}, std::vector<SparseRow<Value>>(4)};  // |0><0| = (I + Z)/2
            for (int digit : {digit_i, digit_z}) zero.rows[digit].entries = {{0, Expressions::constant(1)}};
            program_.ops.push_back(std::move(zero));
        }
        return wire;
    }

    static Superop constant(const std::vector<double>& matrix, const std::vector<int>& wires) {
        const int dim = 1 << 2 * wires.size();
        Superop op{wires, wires, std::vector<SparseRow<Value>>(dim)};
        for (int row = 0; row < dim; ++row)
            for (int col = 0; col < dim; ++col)
                if (matrix[dim * row + col] != 0)
                    op.rows[row].entries.emplace_back(col, Expressions::constant(matrix[dim * row + col]));
        return op;
    }

    Superop rotation(const Factor& factor, const std::vector<Angle>& angles, const std::vector<int>& wires) {
        const TransferPolynomial p = transfer_polynomial(factor);
        const Angle angle = factor.angle < 0 ? Angle{-1, 0.0, factor.fixed} : angles[factor.angle];
        Expressions& e = program_.expressions;
        Superop op{wires, wires, std::vector<SparseRow<Value>>(p.dim)};
        for (int row = 0; row < p.dim; ++row)
            for (int col = 0; col < p.dim; ++col) {
                Value entry;
                if (angle.slot < 0) {
                    entry = Expressions::constant(p.at(row, col, angle.offset));
                } else {
                    const int i = row * p.dim + col;
                    const TrigArgument full{angle.slot, angle.scale, angle.offset};
                    const TrigArgument half{angle.slot, angle.scale / 2, angle.offset / 2};
                    const Value sin_half = e.sine(half), cos_half = e.cosine(half);
                    // Where theta/2 is needed anyway, two products are cheaper than a second sine and cosine.
                    const Value cos_full = p.has_half
                                               ? e.sum({{1, 0}, e.product({-2, 0}, e.product(sin_half, sin_half))})
                                               : e.cosine(full);
                    const Value sin_full = p.has_half ? e.product({2, 0}, e.product(sin_half, cos_half)) : e.sine(full);
                    entry = e.sum({Expressions::constant(p.constant[i]), e.product({p.cos_full[i], 0}, cos_full),
                                   e.product({p.sin_full[i], 0}, sin_full), e.product({p.cos_half[i], 0}, cos_half),
                                   e.product({p.sin_half[i], 0}, sin_half)});
                }
                if (!entry.is_zero()) op.rows[row].entries.emplace_back(col, entry);
            }
        return op;
    }

    WireProgram program_;
    std::vector<int> wire_of_;
};

}  // namespace

WireProgram lower(const Circuit& circuit) {
    Lowering lowering(circuit);
    visit_operations(circuit, lowering);
    return lowering.finish(circuit.memory());
}

}  // namespace qrnn
