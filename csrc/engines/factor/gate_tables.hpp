// Tables from which kernels make the matrices of gates.
#pragma once

#include <vector>

#include "engines/factor/gates.hpp"
#include "engines/factor/program.hpp"

namespace qrnn {

struct GateTables {
    std::vector<FactorTrig> trigs;
    std::vector<FactorEntry> entries;
    std::vector<GeneratorEntry> generators;
    std::vector<FactorGate> gates;

    // Appends a gate as a matrix over `wires`, local index bit j being wires[j].
    void add(const WireGate& gate, const std::vector<int>& wires);

  private:
    int find_trig(const WireGate& gate, double frequency);
};

}  // namespace qrnn
