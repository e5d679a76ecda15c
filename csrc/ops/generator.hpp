// What follows from a gate's generator G = sum_k w_k P_k.
//
// Written on Pauli coefficients v_P = Tr(P rho), exp(-i theta/2 G) acts as the real matrix exp(theta L) with
// L_PQ = Tr(P (-i/2)[G, Q]) / 2^k. For every gate of the table the eigenvalues of L are 0, +-i/2 and +-i only
// (differences of two eigenvalues of G, halved), so the transfer matrix is a trigonometric polynomial with frequencies
// 0, 1/2 and 1.
#pragma once

#include <array>
#include <complex>
#include <vector>

#include "ops/op_table.hpp"

namespace qrnn {

// Real 4^k x 4^k matrices, row-major; a row or column index holds the Pauli digit (I X Y Z = 0 1 2 3) of qubit j of the
// gate at 4^j.
struct TransferPolynomial {
    int dim = 0;  // 4^k
    // M(theta) = constant + cos_full cos(theta) + sin_full sin(theta) + cos_half cos(theta/2) + sin_half sin(theta/2)
    std::vector<double> constant, cos_full, sin_full, cos_half, sin_half;
    bool has_full = false, has_half = false;

    double at(int row, int col, double theta) const;
};

TransferPolynomial transfer_polynomial(const Factor& factor);

// Terms (coefficient, shift in radians) of the parameter-shift rule f'(theta) = sum_i coefficient_i f(theta + shift_i).
// Two terms where the transfer matrix has frequencies 0 and 1; four where it has 1/2 as well (Anselmetti et al.,
// arXiv:2104.05695, eq. 8).
struct ShiftTerm {
    double coefficient, shift;
};
std::vector<ShiftTerm> shift_rule(const TransferPolynomial& polynomial);

bool is_diagonal(const OpInfo& op);

}  // namespace qrnn
