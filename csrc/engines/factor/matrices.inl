// Angles to matrices, and back: several steps side by side, one in each lane. A matrix entry is a pair of lane vectors.
namespace qrnn {
namespace QRNN_ISA {
namespace {

namespace factor {

template <class Real>
struct Complex {
    using V = VectorOf<Real>;
    V re, im;

    QRNN_INLINE Complex operator+(const Complex& b) const { return {re + b.re, im + b.im}; }
    QRNN_INLINE Complex operator*(const Complex& b) const { return {re * b.re - im * b.im, re * b.im + im * b.re}; }
    QRNN_INLINE Complex conjugate() const { return {re, -im}; }
};

template <class Real>
struct Trigonometry {
    VectorOf<Real> sine, cosine;
};

// Angles of the steps t .. t + n - 1 of a sequence, one step in each lane, and those of the steps before each.
template <class Real>
void load_step_angles(const Real* from, int n_angles, int64_t n_steps, int64_t t, int n, VectorOf<Real>* angles,
                      VectorOf<Real>* carried_angles) {
    // After the last step there are no further angles, and none are needed.
    const int64_t here = t < n_steps ? t : n_steps - 1;
    load_rows<Real>(from + here * n_angles, n_angles, n, n_angles, angles);
    if (t > 0) {
        load_rows<Real>(from + (t - 1) * n_angles, n_angles, n, n_angles, carried_angles);
        return;
    }
    load_rows<Real>(from, n_angles, n > 1 ? n - 1 : 1, n_angles, carried_angles);
    for (int i = 0; i < n_angles; ++i)  // moved by one lane; lane 0 has no past
        for (int l = Lanes<Real>::n - 1; l > 0; --l) carried_angles[i][l] = carried_angles[i][l - 1];
}

// The steps t .. t + n - 1; `angles` and `carried_angles` hold those of the steps and of the steps before.
template <class Real>
void fill_trigs(const FactorTrig* list, int n, const VectorOf<Real>* angles, const VectorOf<Real>* carried_angles,
                bool first_lane_has_no_past, Trigonometry<Real>* trigs) {
    using V = VectorOf<Real>;
    for (int i = 0; i < n; ++i) {
        const FactorTrig& t = list[i];
        Trigonometry<Real>& out = trigs[i];
        if (t.slot < 0) {
            out = {splat<Real>(static_cast<Real>(t.offset)), splat<Real>(static_cast<Real>(t.scale))};
        } else {
            const V* from = t.carried ? carried_angles : angles;
            const V x = from[t.slot] * static_cast<Real>(t.scale) + static_cast<Real>(t.offset);
            sincos<Real>(x, x * SinCos<Real>::two_over_pi + SinCos<Real>::round, out.sine, out.cosine);
            if (beyond_limit<Real>(x)) mend_sincos<Real>(x, out.sine, out.cosine);
        }
        if (t.carried && first_lane_has_no_past) {
            out.sine[0] = 0;
            out.cosine[0] = 1;
        }
    }
}

template <class Real>
QRNN_INLINE Complex<Real> entry_value(const FactorEntry& e, const Trigonometry<Real>& t) {
    const auto part = [&](int k) {
        return splat<Real>(static_cast<Real>(e.constant[k])) + t.cosine * static_cast<Real>(e.cosine[k]) +
               t.sine * static_cast<Real>(e.sine[k]);
    };
    return {part(0), part(1)};
}

// out = F in, where F is the gate's matrix; or F^dagger in. `in` is of rows x cols.
template <class Real>
void from_left(const FactorEntry* entries, const FactorGate& gate, const Trigonometry<Real>& trig, bool dagger,
               int rows, int cols, const Complex<Real>* in, Complex<Real>* out) {
    for (int i = 0; i < rows * cols; ++i) out[i] = Complex<Real>{};
    for (int k = 0; k < gate.n_entries; ++k) {
        const FactorEntry& e = entries[gate.entries + k];
        const Complex<Real> f = entry_value<Real>(e, trig);
        const int row = dagger ? e.col : e.row, col = dagger ? e.row : e.col;
        const Complex<Real> factor = dagger ? f.conjugate() : f;
        for (int j = 0; j < cols; ++j) out[cols * row + j] = out[cols * row + j] + factor * in[cols * col + j];
    }
}

// out = in F.
template <class Real>
void from_right(const FactorStage& stage, const FactorGate& gate, const Trigonometry<Real>& trig, int dim,
                const Complex<Real>* in, Complex<Real>* out) {
    for (int i = 0; i < dim * dim; ++i) out[i] = Complex<Real>{};
    for (int k = 0; k < gate.n_entries; ++k) {
        const FactorEntry& e = stage.entries[gate.entries + k];
        const Complex<Real> f = entry_value<Real>(e, trig);
        for (int j = 0; j < dim; ++j) out[dim * j + e.col] = out[dim * j + e.col] + in[dim * j + e.row] * f;
    }
}

template <class Real>
QRNN_INLINE void copy(int n, const Complex<Real>* in, Complex<Real>* out) {
    for (int i = 0; i < n; ++i) out[i] = in[i];
}

template <class Real>
void fill_matrices(const FactorStage& stage, const Trigonometry<Real>* trigs, Complex<Real>* matrices) {
    for (int u = 0; u < stage.n_unitaries; ++u) {
        const FactorUnitary& unitary = stage.unitaries[u];
        const int dim = unitary.dim;
        Complex<Real>* matrix = matrices + unitary.matrix;
        for (int i = 0; i < dim * dim; ++i) matrix[i] = {splat<Real>(i % (dim + 1) == 0), VectorOf<Real>{}};
        for (int k = 0; k < unitary.n_gates; ++k) {
            const FactorGate& gate = stage.gates[unitary.gates + k];
            Complex<Real> product[16];
            from_left<Real>(stage.entries, gate, trigs[gate.trig], false, dim, dim, matrix, product);
            copy<Real>(dim * dim, product, matrix);
        }
    }
}

// Adjoints of the angles from those of the matrices: G[r][c] = sum conj(A_r) X_c with the loss changing by
// 2 Re sum dU_rc G_rc. With Y = U G^T, and dF/dtheta = -i/2 H F for a gate F, the gate that acts last changes it by
// Im Tr(H Y); Y -> F^dagger Y F goes on to the gate before.
template <class Real>
void matrices_adjoint(const FactorStage& stage, const Trigonometry<Real>* trigs, const Complex<Real>* matrices,
                      const Complex<Real>* grad_matrices, VectorOf<Real>* grad_angles,
                      VectorOf<Real>* grad_carried_angles) {
    for (int u = 0; u < stage.n_unitaries; ++u) {
        const FactorUnitary& unitary = stage.unitaries[u];
        const int dim = unitary.dim;
        const Complex<Real>*matrix = matrices + unitary.matrix, *grad = grad_matrices + unitary.matrix;
        Complex<Real> y[16], next[16];
        for (int i = 0; i < dim; ++i)
            for (int j = 0; j < dim; ++j) {
                y[dim * i + j] = Complex<Real>{};
                for (int k = 0; k < dim; ++k) y[dim * i + j] = y[dim * i + j] + matrix[dim * i + k] * grad[dim * j + k];
            }
        for (int k = unitary.n_gates; k-- > 0;) {
            const FactorGate& gate = stage.gates[unitary.gates + k];
            VectorOf<Real> derivative{};
            for (int i = 0; i < gate.n_generator; ++i) {
                const GeneratorEntry& h = stage.generators[gate.generator + i];
                const Complex<Real>& z = y[dim * h.col + h.row];
                derivative += static_cast<Real>(h.value[0]) * z.im + static_cast<Real>(h.value[1]) * z.re;
            }
            if (gate.slot >= 0)
                (gate.carried ? grad_carried_angles : grad_angles)[gate.slot] +=
                    static_cast<Real>(gate.scale) * derivative;
            if (k == 0) break;
            from_left<Real>(stage.entries, gate, trigs[gate.trig], true, dim, dim, y, next);
            from_right<Real>(stage, gate, trigs[gate.trig], dim, next, y);
        }
    }
}

}  // namespace factor
}  // namespace
}  // namespace QRNN_ISA
}  // namespace qrnn
