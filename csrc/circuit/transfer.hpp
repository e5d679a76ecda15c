// Channels on Pauli coefficients.
#pragma once

#include <vector>

#include "circuit/circuit.hpp"

namespace qrnn {

// R_PQ = Tr(P sum_j K_j Q K_j^dagger) / 2^k, row-major 4^k x 4^k, the Pauli digit (I X Y Z = 0 1 2 3) of qubit j at
// 4^j. Entries within 1e-12 of a whole number are that number: the trace stays exactly what it is.
std::vector<double> transfer_matrix(const Channel& channel);

}  // namespace qrnn
