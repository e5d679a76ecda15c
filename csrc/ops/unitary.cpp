#include "ops/unitary.hpp"

#include <cmath>
#include <cstring>
#include <stdexcept>
#include <vector>

namespace qrnn {
namespace {

using Complex = std::complex<double>;

Complex pauli_entry(char pauli, int row, int col) {
    switch (pauli) {
        case 'I':
            return row == col ? 1 : 0;
        case 'X':
            return row != col ? 1 : 0;
        case 'Y':
            return row == col ? 0 : row == 0 ? Complex(0, -1) : Complex(0, 1);
        case 'Z':
            return row != col ? 0 : row == 0 ? 1 : -1;
    }
    throw std::logic_error("a generator holds a letter other than I, X, Y, Z");
}

Matrix4 scaled(const Matrix4& a, Complex factor) {
    Matrix4 b;
    for (size_t i = 0; i < a.size(); ++i) b[i] = a[i] * factor;
    return b;
}

Matrix4 plus_identity(Matrix4 a, int dim, Complex x) {
    for (int i = 0; i < dim; ++i) a[4 * i + i] += x;
    return a;
}

Matrix4 sum(Matrix4 a, const Matrix4& b) {
    for (size_t i = 0; i < a.size(); ++i) a[i] += b[i];
    return a;
}

double size_of(const Matrix4& a) {
    double largest = 0;
    for (const Complex& x : a) largest = std::max(largest, std::abs(x));
    return largest;
}

// Rounding noise must not survive as a false non-zero; entries are small multiples of 1/8, or of those over sqrt 2.
Matrix4 cleaned(Matrix4 a) {
    const auto clean = [](double x) {
        const double eighth = std::round(x * 8) / 8;
        return std::abs(x - eighth) < 1e-14 ? eighth : x;
    };
    for (Complex& x : a) x = {clean(x.real()), clean(x.imag())};
    return a;
}

struct Spectrum {
    std::vector<double> values;  // ascending, distinct
    std::vector<Matrix4> projectors;
};

// Projectors as Lagrange polynomials in G. Eigenvalues of the table's generators are multiples of 1/2; x is one where
// no polynomial with smaller roots already vanishes at G.
Spectrum spectrum(const Matrix4& g, int dim) {
    const Matrix4 zero{};
    const Matrix4 identity = plus_identity(zero, dim, 1);
    std::vector<double> candidates;
    for (int k = -8; k <= 8; ++k) candidates.push_back(k / 2.0);
    Spectrum s;
    for (double value : candidates) {
        // The projector on the eigenvalue, up to a factor; it vanishes where there is no such eigenvalue.
        Matrix4 p = identity;
        for (double other : candidates)
            if (other != value) p = scaled(multiply(p, plus_identity(g, dim, -other), dim), 1 / (value - other));
        if (size_of(p) < 1e-9) continue;
        s.values.push_back(value);
    }
    for (double value : s.values) {
        Matrix4 p = identity;
        for (double other : s.values)
            if (other != value) p = scaled(multiply(p, plus_identity(g, dim, -other), dim), 1 / (value - other));
        s.projectors.push_back(cleaned(p));
    }
    Matrix4 again = scaled(g, -1);
    for (size_t i = 0; i < s.values.size(); ++i) again = sum(again, scaled(s.projectors[i], s.values[i]));
    if (size_of(again) > 1e-12) throw std::logic_error("a generator has eigenvalues that are no multiples of 1/2");
    return s;
}

Matrix4 generator_matrix(const Factor& factor, int n_qubits) {
    const int dim = 1 << n_qubits;
    Matrix4 g{};
    for (const PauliTerm& term : factor.generator)
        for (int row = 0; row < dim; ++row)
            for (int col = 0; col < dim; ++col) {
                Complex entry = term.weight;
                for (int q = 0; q < n_qubits; ++q) entry *= pauli_entry(term.paulis[q], row >> q & 1, col >> q & 1);
                g[4 * row + col] += entry;
            }
    return g;
}

}  // namespace

Matrix4 multiply(const Matrix4& a, const Matrix4& b, int dim) {
    Matrix4 c{};
    for (int i = 0; i < dim; ++i)
        for (int k = 0; k < dim; ++k)
            for (int j = 0; j < dim; ++j) c[4 * i + j] += a[4 * i + k] * b[4 * k + j];
    return c;
}

UnitaryPolynomial unitary_polynomial(const Factor& factor) {
    const int n_qubits = static_cast<int>(std::strlen(factor.generator.front().paulis)), dim = 1 << n_qubits;
    const Matrix4 g = generator_matrix(factor, n_qubits);
    const Spectrum s = spectrum(g, dim);
    const Complex i(0, 1);
    bool diagonal = true;
    for (int row = 0; row < dim; ++row)
        for (int col = 0; col < dim; ++col) diagonal = diagonal && (row == col || g[4 * row + col] == 0.0);

    const size_t n = s.values.size();
    if (n == 3 && s.values[2] - s.values[1] == s.values[1] - s.values[0]) {
        const double gap = s.values[1] - s.values[0];
        return {dim,
                gap / 2,
                s.projectors[1],
                sum(s.projectors[0], s.projectors[2]),
                sum(scaled(s.projectors[2], -i), scaled(s.projectors[0], i)),
                plus_identity(g, dim, -s.values[1])};
    }
    if (n != 2) throw std::logic_error("a generator needs two eigenvalues, or three that are evenly spaced");
    const double gap = s.values[1] - s.values[0];
    if (diagonal) {
        // The eigenvalue of the first basis state stays at 1.
        const int still = std::abs(s.projectors[0][0]) > 0.5 ? 0 : 1;
        const double sign = still == 0 ? 1 : -1;
        return {dim,
                gap / 2,
                s.projectors[still],
                s.projectors[1 - still],
                scaled(s.projectors[1 - still], -sign * i),
                plus_identity(g, dim, -s.values[still])};
    }
    return {dim,
            gap / 4,
            Matrix4{},
            plus_identity(Matrix4{}, dim, 1),
            sum(scaled(s.projectors[1], -i), scaled(s.projectors[0], i)),
            plus_identity(g, dim, -(s.values[0] + s.values[1]) / 2)};
}

Matrix4 fixed_unitary(const Factor& factor) {
    const UnitaryPolynomial p = unitary_polynomial(factor);
    const double x = p.frequency * factor.fixed;
    Matrix4 u = sum(p.constant, sum(scaled(p.cosine, std::cos(x)), scaled(p.sine, std::sin(x))));
    for (int i = 0; i < 16; ++i)
        if (std::abs(u[i]) > 1e-9) return cleaned(scaled(u, std::conj(u[i]) / std::abs(u[i])));
    throw std::logic_error("a unitary is zero");
}

}  // namespace qrnn
