// Changes of basis: density matrices to Pauli coefficients and back, Walsh coefficients to probabilities.
namespace qrnn {
namespace QRNN_ISA {
namespace {

// Matrix element (i, j) is held at the base-4 index with the digits 2 i_q + j_q. Numbers with all bits at even places
// are counted by next_spread(): spread(i + 1) = next_spread(spread(i)).
QRNN_INLINE int64_t next_spread(int64_t spread) {
    constexpr int64_t even = 0x5555555555555555;
    return (spread - even) & even;
}

// Calls f(i) for the first of every four indices that differ in one base-4 digit, that of weight `step`.
template <class F>
QRNN_INLINE void for_each_four(int64_t size, int64_t step, F f) {
    for (int64_t block = 0; block < size; block += 4 * step) QRNN_INDEPENDENT
    for (int64_t i = block; i < block + step; ++i) f(i);
}

// Per qubit four numbers are exchanged, on real and imaginary parts: 2 m 4^m additions each way.
template <class V>
void to_pauli(V* re, V* im, int n_qubits) {
    const int64_t size = int64_t{1} << 2 * n_qubits;
    for (int64_t step = 1; step < size; step *= 4)
        for_each_four(size, step, [&](int64_t i) __attribute__((always_inline)) {
            V *a = re + i, *b = im + i;
            const V r0 = a[0], r1 = a[step], r2 = a[2 * step], r3 = a[3 * step];
            const V i0 = b[0], i1 = b[step], i2 = b[2 * step], i3 = b[3 * step];
            a[0] = r0 + r3, b[0] = i0 + i3;                // I
            a[step] = r1 + r2, b[step] = i1 + i2;          // X
            a[2 * step] = i2 - i1, b[2 * step] = r1 - r2;  // Y
            a[3 * step] = r0 - r3, b[3 * step] = i0 - i3;  // Z
        });
}

template <class V>
void from_pauli(V* re, V* im, int n_qubits) {
    const int64_t size = int64_t{1} << 2 * n_qubits;
    for (int64_t step = 1; step < size; step *= 4)
        for_each_four(size, step, [&](int64_t i) __attribute__((always_inline)) {
            V *a = re + i, *b = im + i;
            const V ri = a[0], rx = a[step], ry = a[2 * step], rz = a[3 * step];
            const V ii = b[0], ix = b[step], iy = b[2 * step], iz = b[3 * step];
            a[0] = ri + rz, b[0] = ii + iz;
            a[step] = rx + iy, b[step] = ix - ry;          // X - i Y
            a[2 * step] = rx - iy, b[2 * step] = ix + ry;  // X + i Y
            a[3 * step] = ri - rz, b[3 * step] = ii - iz;
        });
}

// Calls f(place of element (i, j), its number in row-major order) for all elements of a density matrix.
template <class F>
QRNN_INLINE void for_each_element(int n_qubits, F f) {
    const int64_t dim = int64_t{1} << n_qubits;
    int64_t row = 0, number = 0;
    for (int64_t i = 0; i < dim; ++i, row = next_spread(row)) {
        int64_t column = 0;
        for (int64_t j = 0; j < dim; ++j, column = next_spread(column)) f(2 * row + column, number++);
    }
}

// Row-major density matrix, real and imaginary parts in turn, to the real parts of Tr(P rho) for all Pauli strings P.
// But for the factor 2^-m this is also the adjoint of pauli_to_density. `density`: room for both parts.
template <class V>
void density_to_pauli(const V* rows, V* density, int n_qubits, V* pauli) {
    const int64_t size = int64_t{1} << 2 * n_qubits;
    for_each_element(n_qubits, [&](int64_t at, int64_t number) __attribute__((always_inline)) {
        density[at] = rows[2 * number];
        density[size + at] = rows[2 * number + 1];
    });
    to_pauli(density, density + size, n_qubits);
    for (int64_t i = 0; i < size; ++i) pauli[i] = density[i];
}

// factor * sum_P v_P P.
template <class V, class Real>
void pauli_to_density(const V* pauli, Real factor, V* density, int n_qubits, V* rows) {
    const int64_t size = int64_t{1} << 2 * n_qubits;
    // A sequence that met an angle which is not finite has lost its trace; no part of its matrix may look sound.
    const V poison = pauli[0] * Real(0);
    for (int64_t i = 0; i < size; ++i) {
        density[i] = pauli[i] * factor + poison;
        density[size + i] = poison;
    }
    from_pauli(density, density + size, n_qubits);
    for_each_element(n_qubits, [&](int64_t at, int64_t number) __attribute__((always_inline)) {
        rows[2 * number] = density[at];
        rows[2 * number + 1] = density[size + at];
    });
}

// |0..0>: 1 for every string of I and Z.
template <class Real, class V>
void zero_state(int n_qubits, V* pauli) {
    const int64_t dim = int64_t{1} << n_qubits;
    for (int64_t i = 0; i < dim * dim; ++i) pauli[i] = V{};
    int64_t string = 0;
    for (int64_t i = 0; i < dim; ++i, string = next_spread(string)) pauli[3 * string] = V{} + Real(1);
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
