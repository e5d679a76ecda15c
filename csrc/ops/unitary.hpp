// Unitary matrices of the op table's factors.
//
// An index of a matrix holds the basis state of qubit j of the gate at bit j.
#pragma once

#include <array>
#include <complex>

#include "ops/op_table.hpp"

namespace qrnn {

using Matrix4 = std::array<std::complex<double>, 16>;  // [4 * row + column]; a one-qubit gate uses the first 2 x 2

// exp(-i theta/2 G) up to a global phase, as U(theta) = constant + cos(x) cosine + sin(x) sine with
// x = frequency * theta. `generator` H is G up to a multiple of the identity: dU/dtheta = -i/2 H U.
//
// Every generator of the table has at most three eigenvalues, evenly spaced. A diagonal one is moved so that an
// eigenvalue is zero: entries that no angle moves are then exactly 1.
struct UnitaryPolynomial {
    int dim;  // 2 or 4
    double frequency;
    Matrix4 constant, cosine, sine, generator;
};

UnitaryPolynomial unitary_polynomial(const Factor& factor);

// The unitary of a factor with a fixed angle, its first non-zero entry real and positive.
Matrix4 fixed_unitary(const Factor& factor);

Matrix4 multiply(const Matrix4& a, const Matrix4& b, int dim);

}  // namespace qrnn
