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

// Four numbers that differ in one base-4 digit, by that digit: matrix elements 00, 01, 10, 11 of a qubit, or its Pauli
// coefficients I, X, Y, Z.
template <class V>
struct Four {
    V re[4], im[4];

    QRNN_INLINE Four to_pauli() const {
        return {{re[0] + re[3], re[1] + re[2], im[2] - im[1], re[0] - re[3]},
                {im[0] + im[3], im[1] + im[2], re[1] - re[2], im[0] - im[3]}};
    }
    QRNN_INLINE Four from_pauli() const {
        return {{re[0] + re[3], re[1] + im[2], re[1] - im[2], re[0] - re[3]},  // X - i Y, X + i Y
                {im[0] + im[3], im[1] - re[2], im[1] + re[2], im[0] - im[3]}};
    }
};

// Calls f(four), which returns four, on all fours of all digits but the lowest.
template <class V, class F>
QRNN_INLINE void replace_fours(V* re, V* im, int n_qubits, F f) {
    const int64_t size = int64_t{1} << 2 * n_qubits;
    const auto replace = [&](int64_t step) __attribute__((always_inline)) {
        for (int64_t block = 0; block < size; block += 4 * step) QRNN_INDEPENDENT
        for (int64_t i = block; i < block + step; ++i) {
            V *a = re + i, *b = im + i;
            const Four<V> y = f(Four<V>{{a[0], a[step], a[2 * step], a[3 * step]},  //
                                        {b[0], b[step], b[2 * step], b[3 * step]}});
            for (int k = 0; k < 4; ++k) a[k * step] = y.re[k], b[k * step] = y.im[k];
        }
    };
    if (size > 4) replace(4);  // a number that the compiler knows
    for (int64_t step = 16; step < size; step *= 4) replace(step);
}

// Calls f(place of the first of the four elements (i, j), (i, j + 1), (i + 1, j), (i + 1, j + 1), which are neighbours,
// its number in row-major order) for all even i and j.
template <class F>
QRNN_INLINE void for_each_square(int n_qubits, F f) {
    const int64_t dim = int64_t{1} << n_qubits;
    int64_t row = 0;
    for (int64_t i = 0; i + 1 < dim; i += 2, row = next_spread(row)) {
        int64_t column = 0;
        for (int64_t j = 0; j + 1 < dim; j += 2, column = next_spread(column)) f(4 * (2 * row + column), dim * i + j);
    }
}

// Row-major density matrix, real and imaginary parts in turn, to the real parts of Tr(P rho) for all Pauli strings P:
// per qubit four numbers are exchanged, 2 m 4^m additions. But for the factor 2^-m this is also the adjoint of
// pauli_to_density. `density`: room for both parts.
template <class V>
void density_to_pauli(const V* rows, V* density, int n_qubits, V* pauli) {
    const int64_t size = int64_t{1} << 2 * n_qubits, dim = int64_t{1} << n_qubits;
    V *re = density, *im = density + size;
    if (n_qubits == 0) re[0] = rows[0];
    for_each_square(n_qubits, [&](int64_t at, int64_t number) __attribute__((always_inline)) {
        const V *a = rows + 2 * number, *b = a + 2 * dim;
        const Four<V> y = Four<V>{{a[0], a[2], b[0], b[2]}, {a[1], a[3], b[1], b[3]}}.to_pauli();
        for (int k = 0; k < 4; ++k) re[at + k] = y.re[k], im[at + k] = y.im[k];
    });
    replace_fours(re, im, n_qubits, [](const Four<V>& x) __attribute__((always_inline)) { return x.to_pauli(); });
    for (int64_t i = 0; i < size; ++i) pauli[i] = re[i];
}

// factor * sum_P v_P P.
template <class V, class Real>
void pauli_to_density(const V* pauli, Real factor, V* density, int n_qubits, V* rows) {
    const int64_t size = int64_t{1} << 2 * n_qubits, dim = int64_t{1} << n_qubits;
    V *re = density, *im = density + size;
    // A sequence that met an angle which is not finite has lost its trace; no part of its matrix may look sound.
    const V poison = pauli[0] * Real(0);
    for (int64_t i = 0; i < size; ++i) {
        re[i] = pauli[i] * factor + poison;
        im[i] = poison;
    }
    replace_fours(re, im, n_qubits, [](const Four<V>& x) __attribute__((always_inline)) { return x.from_pauli(); });
    if (n_qubits == 0) rows[0] = re[0], rows[1] = im[0];
    for_each_square(n_qubits, [&](int64_t at, int64_t number) __attribute__((always_inline)) {
        const V *x = re + at, *y = im + at;
        const Four<V> e = Four<V>{{x[0], x[1], x[2], x[3]}, {y[0], y[1], y[2], y[3]}}.from_pauli();
        V *a = rows + 2 * number, *b = a + 2 * dim;
        a[0] = e.re[0], a[1] = e.im[0], a[2] = e.re[1], a[3] = e.im[1];
        b[0] = e.re[2], b[1] = e.im[2], b[2] = e.re[3], b[3] = e.im[3];
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
