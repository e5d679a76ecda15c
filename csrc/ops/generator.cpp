#include "ops/generator.hpp"

#include <cmath>
#include <cstring>
#include <numbers>
#include <stdexcept>

namespace qrnn {
namespace {

using Complex = std::complex<double>;

int digit(char pauli) {
    switch (pauli) {
        case 'I':
            return 0;
        case 'X':
            return 1;
        case 'Y':
            return 2;
        case 'Z':
            return 3;
    }
    throw std::logic_error("a generator holds a letter other than I, X, Y, Z");
}

// a * b = phase * product, for one-qubit Paulis given as digits.
struct Product {
    int pauli;
    Complex phase;
};
Product multiply(int a, int b) {
    if (a == 0) return {b, 1.0};
    if (b == 0) return {a, 1.0};
    if (a == b) return {0, 1.0};
    const bool cyclic = (b - a + 3) % 3 == 1;  // XY = iZ, YZ = iX, ZX = iY
    return {6 - a - b, Complex(0, cyclic ? 1 : -1)};
}

Product multiply_strings(int a, int b, int n_qubits) {
    Product out{0, 1.0};
    for (int q = 0; q < n_qubits; ++q) {
        const Product p = multiply(a >> 2 * q & 3, b >> 2 * q & 3);
        out.pauli |= p.pauli << 2 * q;
        out.phase *= p.phase;
    }
    return out;
}

using Matrix = std::vector<double>;

Matrix matmul(const Matrix& a, const Matrix& b, int dim) {
    Matrix c(a.size(), 0.0);
    for (int i = 0; i < dim; ++i)
        for (int k = 0; k < dim; ++k)
            for (int j = 0; j < dim; ++j) c[i * dim + j] += a[i * dim + k] * b[k * dim + j];
    return c;
}

Matrix shifted(Matrix a, int dim, double shift) {
    for (int i = 0; i < dim; ++i) a[i * dim + i] -= shift;
    return a;
}

// Products of generator weights are multiples of 1/8 (1/sqrt 2 appears squared only, except in odd powers); rounding
// noise must not survive as a false non-zero.
void clean(Matrix& a, double scale) {
    for (double& x : a) {
        x *= scale;
        if (std::abs(x) < 1e-14) x = 0;
        const double eighth = std::round(x * 8) / 8;
        if (std::abs(x - eighth) < 1e-14) x = eighth;
    }
}

bool any(const Matrix& a) {
    for (double x : a)
        if (x != 0) return true;
    return false;
}

}  // namespace

double TransferPolynomial::at(int row, int col, double theta) const {
    const int i = row * dim + col;
    const double value = constant[i] + cos_full[i] * std::cos(theta) + sin_full[i] * std::sin(theta) +
                         cos_half[i] * std::cos(theta / 2) + sin_half[i] * std::sin(theta / 2);
    // Multiples of pi/2 have no exact double: their cosines must still give exact zeros and ones.
    for (double exact : {0.0, 0.5, -0.5, 1.0, -1.0})
        if (std::abs(value - exact) < 1e-15) return exact;
    return value;
}

TransferPolynomial transfer_polynomial(const Factor& factor) {
    const int n_qubits = static_cast<int>(std::strlen(factor.generator.front().paulis));
    const int dim = 1 << 2 * n_qubits;
    Matrix lie(static_cast<size_t>(dim) * dim, 0.0);
    for (const PauliTerm& term : factor.generator) {
        int g = 0;
        for (int q = 0; q < n_qubits; ++q) g |= digit(term.paulis[q]) << 2 * q;
        for (int col = 0; col < dim; ++col) {
            // (-i/2)[P_g, P_col] is 0 or (-i) P_g P_col, a real multiple of one Pauli string.
            const Product left = multiply_strings(g, col, n_qubits), right = multiply_strings(col, g, n_qubits);
            const Complex value = Complex(0, -0.5) * (left.phase - right.phase);
            lie[left.pauli * dim + col] += term.weight * value.real();
        }
    }
    // K = -L^2 has the eigenvalues 0, 1/4 and 1; Lagrange polynomials in K project onto the three frequencies.
    Matrix k = matmul(lie, lie, dim);
    for (double& x : k) x = -x;
    const Matrix k_quarter = shifted(k, dim, 0.25), k_one = shifted(k, dim, 1.0);
    TransferPolynomial p;
    p.dim = dim;
    p.constant = matmul(k_quarter, k_one, dim);
    clean(p.constant, 4.0);
    p.cos_full = matmul(k, k_quarter, dim);
    p.sin_full = matmul(lie, p.cos_full, dim);
    clean(p.cos_full, 4.0 / 3.0);
    clean(p.sin_full, 4.0 / 3.0);
    p.cos_half = matmul(k, k_one, dim);
    p.sin_half = matmul(lie, p.cos_half, dim);
    clean(p.cos_half, -16.0 / 3.0);
    clean(p.sin_half, -32.0 / 3.0);
    p.has_full = any(p.cos_full) || any(p.sin_full);
    p.has_half = any(p.cos_half) || any(p.sin_half);
    return p;
}

std::vector<ShiftTerm> shift_rule(const TransferPolynomial& polynomial) {
    const double half_pi = std::numbers::pi / 2, sqrt2 = std::numbers::sqrt2;
    if (!polynomial.has_half) return {{0.5, half_pi}, {-0.5, -half_pi}};
    const double c1 = (sqrt2 + 1) / (4 * sqrt2), c2 = (sqrt2 - 1) / (4 * sqrt2);
    return {{c1, half_pi}, {-c1, -half_pi}, {-c2, 3 * half_pi}, {c2, -3 * half_pi}};
}

bool is_diagonal(const OpInfo& op) {
    if (op.kind != OpKind::gate) return false;
    for (const Factor& factor : op.factors)
        for (const PauliTerm& term : factor.generator)
            if (std::strpbrk(term.paulis, "XY")) return false;
    return true;
}

}  // namespace qrnn
