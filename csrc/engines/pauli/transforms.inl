// Changes of basis: density matrices to Pauli coefficients and back, Walsh coefficients to probabilities.
namespace qrnn {
namespace QRNN_ISA {
namespace {

// Matrix element (i, j) is held at the base-4 index with the digits 2 i_q + j_q. Per qubit four numbers are
// exchanged, on real and imaginary parts: m 4^m (8 + 8) / 4 additions each way.
int64_t spread(int64_t bits) {
    int64_t out = 0;
    for (int q = 0; bits >> q; ++q) out |= (bits >> q & 1) << 2 * q;
    return out;
}

template <class V>
void to_pauli(V* re, V* im, int n_qubits) {
    const int64_t size = int64_t{1} << 2 * n_qubits;
    for (int64_t step = 1; step < size; step *= 4)
        for (int64_t i = 0; i < size; ++i) {
            if (i / step % 4 != 0) continue;
            V *a = re + i, *b = im + i;
            const V r0 = a[0], r1 = a[step], r2 = a[2 * step], r3 = a[3 * step];
            const V i0 = b[0], i1 = b[step], i2 = b[2 * step], i3 = b[3 * step];
            a[0] = r0 + r3, b[0] = i0 + i3;                // I
            a[step] = r1 + r2, b[step] = i1 + i2;          // X
            a[2 * step] = i2 - i1, b[2 * step] = r1 - r2;  // Y
            a[3 * step] = r0 - r3, b[3 * step] = i0 - i3;  // Z
        }
}

template <class V>
void from_pauli(V* re, V* im, int n_qubits) {
    const int64_t size = int64_t{1} << 2 * n_qubits;
    for (int64_t step = 1; step < size; step *= 4)
        for (int64_t i = 0; i < size; ++i) {
            if (i / step % 4 != 0) continue;
            V *a = re + i, *b = im + i;
            const V ri = a[0], rx = a[step], ry = a[2 * step], rz = a[3 * step];
            const V ii = b[0], ix = b[step], iy = b[2 * step], iz = b[3 * step];
            a[0] = ri + rz, b[0] = ii + iz;
            a[step] = rx + iy, b[step] = ix - ry;          // X - i Y
            a[2 * step] = rx - iy, b[2 * step] = ix + ry;  // X + i Y
            a[3 * step] = ri - rz, b[3 * step] = ii - iz;
        }
}

// Row-major density matrix, real and imaginary parts in turn, to the real parts of Tr(P rho) for all Pauli strings P.
// But for the factor 2^-m this is also the adjoint of pauli_to_density. `density`: room for both parts.
template <class V>
void density_to_pauli(const V* rows, V* density, int n_qubits, V* pauli) {
    const int64_t dim = int64_t{1} << n_qubits, size = dim * dim;
    for (int64_t i = 0; i < dim; ++i)
        for (int64_t j = 0; j < dim; ++j) {
            const int64_t at = 2 * spread(i) + spread(j);
            density[at] = rows[2 * (i * dim + j)];
            density[size + at] = rows[2 * (i * dim + j) + 1];
        }
    to_pauli(density, density + size, n_qubits);
    for (int64_t i = 0; i < size; ++i) pauli[i] = density[i];
}

// factor * sum_P v_P P.
template <class V, class Real>
void pauli_to_density(const V* pauli, Real factor, V* density, int n_qubits, V* rows) {
    const int64_t dim = int64_t{1} << n_qubits, size = dim * dim;
    // A sequence that met an angle which is not finite has lost its trace; no part of its matrix may look sound.
    const V poison = pauli[0] * Real(0);
    for (int64_t i = 0; i < size; ++i) {
        density[i] = pauli[i] * factor + poison;
        density[size + i] = poison;
    }
    from_pauli(density, density + size, n_qubits);
    for (int64_t i = 0; i < dim; ++i)
        for (int64_t j = 0; j < dim; ++j) {
            const int64_t at = 2 * spread(i) + spread(j);
            rows[2 * (i * dim + j)] = density[at];
            rows[2 * (i * dim + j) + 1] = density[size + at];
        }
}

// |0..0>: 1 for every string of I and Z.
template <class Real, class V>
void zero_state(int n_qubits, V* pauli) {
    const int64_t size = int64_t{1} << 2 * n_qubits;
    for (int64_t i = 0; i < size; ++i) {
        bool only_i_and_z = true;
        for (int q = 0; q < n_qubits; ++q)
            only_i_and_z = only_i_and_z && ((i >> 2 * q & 3) == 0 || (i >> 2 * q & 3) == 3);
        pauli[i] = V{} + Real(only_i_and_z ? 1 : 0);
    }
}

// r 2^r additions.
template <class V>
void walsh(V* x, int n_bits) {
    const int n = 1 << n_bits;
    for (int h = 1; h < n; h *= 2)
        for (int i = 0; i < n; i += 2 * h)
            for (int j = i; j < i + h; ++j) {
                const V a = x[j], b = x[j + h];
                x[j] = a + b;
                x[j + h] = a - b;
            }
}

}  // namespace
}  // namespace QRNN_ISA
}  // namespace qrnn
