#include "engines/factor/gate_tables.hpp"

#include <algorithm>

#include "engines/factor/blocks.hpp"
#include "ops/unitary.hpp"

namespace qrnn {
namespace {

void set(double* pair, std::complex<double> z) {
    pair[0] = z.real();
    pair[1] = z.imag();
}

}  // namespace

void GateTables::add(const WireGate& gate, const std::vector<int>& wires) {
    UnitaryPolynomial p = unitary_polynomial(*gate.factor);
    const bool fixed = gate.angle.slot < 0;
    if (fixed) {
        Factor factor = *gate.factor;
        factor.fixed = gate.angle.offset;
        p.sine = fixed_unitary(factor);
        p.constant = p.cosine = {};
        for (int i = 0; i < p.dim; ++i) p.cosine[5 * i] = 1;
    }
    FactorGate g{find_trig(gate, p.frequency),
                 count(entries.size()),
                 0,
                 count(generators.size()),
                 0,
                 gate.angle.slot,
                 gate.carried,
                 gate.angle.scale};
    for_each_embedded(gate.wires, wires, [&](int row, int col, int own_row, int own_col) {
        const int i = 4 * own_row + own_col;
        if (p.constant[i] != 0.0 || p.cosine[i] != 0.0 || p.sine[i] != 0.0) {
            FactorEntry e{row, col, {}, {}, {}};
            set(e.constant, p.constant[i]);
            set(e.cosine, p.cosine[i]);
            set(e.sine, p.sine[i]);
            entries.push_back(e);
        }
        if (!fixed && p.generator[i] != 0.0) {
            GeneratorEntry e{row, col, {}};
            set(e.value, p.generator[i]);
            generators.push_back(e);
        }
    });
    g.n_entries = count(entries.size()) - g.entries;
    g.n_generator = count(generators.size()) - g.generator;
    gates.push_back(g);
}

int GateTables::find_trig(const WireGate& gate, double frequency) {
    FactorTrig t{gate.angle.slot, gate.carried, frequency * gate.angle.scale, frequency * gate.angle.offset};
    if (gate.angle.slot < 0) {  // U = cosine * 1 + sine * (the gate), so that the first step can go without it
        t.scale = 0;
        t.offset = 1;
    }
    const auto same = std::find_if(trigs.begin(), trigs.end(), [&](const FactorTrig& other) {
        return other.slot == t.slot && other.carried == t.carried && other.scale == t.scale && other.offset == t.offset;
    });
    if (same != trigs.end()) return static_cast<int>(same - trigs.begin());
    trigs.push_back(t);
    return static_cast<int>(trigs.size()) - 1;
}

}  // namespace qrnn
