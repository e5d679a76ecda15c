#include "circuit/transfer.hpp"

#include <cmath>

namespace qrnn {
namespace {

// A Pauli string has one entry in each row: its column and its value.
struct PauliRow {
    int col;
    std::complex<double> value;
};

PauliRow pauli_row(int digits, int row, int n_qubits) {
    PauliRow out{row, 1};
    for (int j = 0; j < n_qubits; ++j) {
        const int digit = digits >> 2 * j & 3, bit = row >> j & 1;
        if (digit == 1 || digit == 2) out.col ^= 1 << j;
        if (digit == 2) out.value *= std::complex<double>(0, bit ? 1 : -1);
        if (digit == 3 && bit) out.value = -out.value;
    }
    return out;
}

}  // namespace

std::vector<double> transfer_matrix(const Channel& channel) {
    const int n = channel.n_qubits, dim = 1 << n, n_paulis = 1 << 2 * n;
    std::vector<double> out(static_cast<size_t>(n_paulis) * n_paulis);
    for (int p = 0; p < n_paulis; ++p)
        for (int q = 0; q < n_paulis; ++q) {
            // Tr(P K Q K^dagger), P's row a and Q's row c fixing the other indices.
            std::complex<double> trace = 0;
            for (const Matrix4& k : channel.kraus)
                for (int a = 0; a < dim; ++a)
                    for (int c = 0; c < dim; ++c) {
                        const PauliRow left = pauli_row(p, a, n), right = pauli_row(q, c, n);
                        trace += left.value * k[4 * left.col + c] * right.value * std::conj(k[4 * a + right.col]);
                    }
            const double value = trace.real() / dim, whole = std::round(value);
            out[static_cast<size_t>(n_paulis) * p + q] = std::abs(value - whole) < 1e-12 ? whole : value;
        }
    return out;
}

}  // namespace qrnn
