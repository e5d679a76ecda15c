// One group of sequences through all steps, forward and adjoint. Compiled once per instruction set (simd/lanes.inl).
#include "engines/pauli/kernel.hpp"
#include "simd/lanes.inl"

#include "engines/pauli/blocks.inl"
#include "engines/pauli/coefficients.inl"

namespace qrnn {
namespace QRNN_ISA {
namespace {

// The workspace, in lane vectors.
template <class Real>
struct Workspace {
    using V = VectorOf<Real>;
    V *state, *registers, *angles, *outcome, *density;                // forward
    V *adjoint, *grad_registers, *grad_angles, *grad_carried, *tape;  // adjoint
    int64_t size;

    Workspace(const PauliProgram& p, Real* memory, bool with_adjoint) {
        V* next = reinterpret_cast<V*>(memory);
        int64_t used = 0;
        const auto take = [&](int64_t n) {
            V* place = next + used;
            used += n;
            return place;
        };
        const int64_t n_memory = int64_t{1} << 2 * p.n_memory;
        const int64_t tape_size = p.step.tape_size > p.finish.tape_size ? p.step.tape_size : p.finish.tape_size;
        state = take(p.n_places);
        registers = take(p.n_registers);
        angles = take(p.n_angles);
        outcome = take(int64_t{1} << p.n_outcome);
        density = take(4 * n_memory);
        adjoint = with_adjoint ? take(p.n_places) : nullptr;
        grad_registers = with_adjoint ? take(p.n_registers) : nullptr;
        grad_angles = with_adjoint ? take(p.n_angles) : nullptr;
        grad_carried = with_adjoint ? take(p.n_carried) : nullptr;
        tape = with_adjoint ? take(tape_size) : nullptr;
        size = used;
    }
};

template <class Real>
int64_t workspace_size(const PauliProgram& p, bool adjoint) {
    return Workspace<Real>(p, nullptr, adjoint).size * Lanes<Real>::n;
}

int64_t kept_vectors(const PauliProgram& p) { return (int64_t{1} << 2 * p.n_memory) + p.n_carried; }

template <class Real>
int64_t kept_size(const PauliProgram& p) {
    return kept_vectors(p) * Lanes<Real>::n;
}

// ---- Density matrices and Pauli coefficients.
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

// The real parts of Tr(P rho) for every Pauli string P; also the adjoint of write_density but for the factor 2^-m.
template <class Real>
void read_density(const PauliGroup<Real>& g, const Real* memory, VectorOf<Real>* density, VectorOf<Real>* out) {
    const int m = g.program->n_memory;
    const int64_t dim = int64_t{1} << m, size = dim * dim;
    VectorOf<Real>* rows = density + 2 * size;
    load_rows<Real>(memory, 2 * size, g.n_sequences, static_cast<int>(2 * size), rows);
    for (int64_t i = 0; i < dim; ++i)
        for (int64_t j = 0; j < dim; ++j) {
            const int64_t at = 2 * spread(i) + spread(j);
            density[at] = rows[2 * (i * dim + j)];
            density[size + at] = rows[2 * (i * dim + j) + 1];
        }
    to_pauli(density, density + size, m);
    for (int64_t i = 0; i < size; ++i) out[i] = density[i];
}

// sum_P v_P P, times `factor`.
template <class Real>
void write_density(const PauliGroup<Real>& g, const VectorOf<Real>* pauli, Real factor, VectorOf<Real>* density,
                   Real* memory) {
    const int m = g.program->n_memory;
    const int64_t dim = int64_t{1} << m, size = dim * dim;
    // A sequence that met an angle which is not finite has lost its trace; no part of its matrix may look sound.
    const VectorOf<Real> poison = pauli[0] * Real(0);
    VectorOf<Real>* rows = density + 2 * size;
    for (int64_t i = 0; i < size; ++i) {
        density[i] = pauli[i] * factor + poison;
        density[size + i] = poison;
    }
    from_pauli(density, density + size, m);
    for (int64_t i = 0; i < dim; ++i)
        for (int64_t j = 0; j < dim; ++j) {
            const int64_t at = 2 * spread(i) + spread(j);
            rows[2 * (i * dim + j)] = density[at];
            rows[2 * (i * dim + j) + 1] = density[size + at];
        }
    store_rows<Real>(memory, 2 * size, g.n_sequences, static_cast<int>(2 * size), rows);
}

// ---- Forward.
template <class Real>
void begin(const PauliGroup<Real>& g, const Real* memory) {
    const PauliProgram& p = *g.program;
    const Workspace<Real> w(p, g.workspace, false);
    const int64_t size = int64_t{1} << 2 * p.n_memory;
    if (memory) {
        read_density(g, memory, w.density, w.state);
    } else {
        for (int64_t i = 0; i < size; ++i) {
            bool only_i_and_z = true;
            for (int q = 0; q < p.n_memory; ++q)
                only_i_and_z = only_i_and_z && ((i >> 2 * q & 3) == 0 || (i >> 2 * q & 3) == 3);
            w.state[i] = splat<Real>(only_i_and_z ? 1 : 0);
        }
    }
    for (int i = 0; i < p.n_constants; ++i)
        w.registers[p.constants[i].reg] = splat<Real>(static_cast<Real>(p.constants[i].value));
    for (int k = 0; k < p.n_carried; ++k)
        w.registers[p.carried_in + k] = splat<Real>(static_cast<Real>(p.carried_start[k]));
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

template <class Real>
void carry_on(const PauliProgram& p, VectorOf<Real>* registers) {
    for (int k = 0; k < p.n_carried; ++k) registers[p.carried_in + k] = registers[p.carried_out[k]];
}

template <class Real>
void forward(const PauliGroup<Real>& g, int64_t first, int64_t last) {
    using V = VectorOf<Real>;
    const PauliProgram& p = *g.program;
    const Workspace<Real> w(p, g.workspace, false);
    const int64_t n_memory = int64_t{1} << 2 * p.n_memory;
    const int n_outcomes = 1 << p.n_outcome;
    const Real weight = Real(1) / Real(n_outcomes);
    for (int64_t t = first; t < last; ++t) {
        load_rows<Real>(g.angles + t * p.n_angles, g.n_steps * p.n_angles, g.n_sequences, p.n_angles, w.angles);
        if (g.kept) {
            V* kept = reinterpret_cast<V*>(g.kept) + t * kept_vectors(p);
            for (int64_t i = 0; i < n_memory; ++i) kept[i] = w.state[i];
            for (int k = 0; k < p.n_carried; ++k) kept[n_memory + k] = w.registers[p.carried_in + k];
        }
        w.state[0] += coefficients_forward<Real>(p, w.angles, w.registers);
        blocks_forward<Real, false>(p, p.step, w.registers, w.state, nullptr);
        if (g.probabilities) {
            for (int j = 0; j < n_outcomes; ++j)
                w.outcome[j] = p.outcomes[j] < 0 ? V{} : w.state[p.outcomes[j]] * weight;
            walsh(w.outcome, p.n_outcome);
            store_rows<Real>(g.probabilities + t * n_outcomes, g.n_steps * n_outcomes, g.n_sequences, n_outcomes,
                             w.outcome);
        }
        blocks_forward<Real, false>(p, p.restore, w.registers, w.state, nullptr);
        carry_on<Real>(p, w.registers);
    }
}

template <class Real>
void finish(const PauliGroup<Real>& g, Real* memory) {
    const PauliProgram& p = *g.program;
    const Workspace<Real> w(p, g.workspace, false);
    blocks_forward<Real, false>(p, p.finish, w.registers, w.state, nullptr);
    write_density(g, w.state, Real(1) / Real(int64_t{1} << p.n_memory), w.density, memory);
}

// ---- Adjoint.
template <class Real>
void adjoint_begin(const PauliGroup<Real>& g, const Real* grad_memory) {
    using V = VectorOf<Real>;
    const PauliProgram& p = *g.program;
    const Workspace<Real> w(p, g.workspace, true);
    const int64_t n_memory = int64_t{1} << 2 * p.n_memory;
    for (int i = 0; i < p.n_places; ++i) w.adjoint[i] = V{};
    for (int k = 0; k < p.n_carried; ++k) w.grad_carried[k] = V{};
    if (!grad_memory) return;
    read_density(g, grad_memory, w.density, w.adjoint);
    const Real factor = Real(1) / Real(int64_t{1} << p.n_memory);
    for (int64_t i = 0; i < n_memory; ++i) w.adjoint[i] *= factor;
    for (int i = 0; i < p.n_registers; ++i) w.grad_registers[i] = V{};
    blocks_forward<Real, true>(p, p.finish, w.registers, w.state, w.tape);
    blocks_adjoint<Real>(p, p.finish, w.registers, w.adjoint, w.tape, w.grad_registers);
    for (int k = 0; k < p.n_carried; ++k) w.grad_carried[k] = w.grad_registers[p.carried_in + k];
}

// Per step: the step again, kept on the tape, then its transpose; three times the multiply-adds of forward().
template <class Real>
void adjoint(const PauliGroup<Real>& g, int64_t first, int64_t last, const Real* grad_probabilities,
             Real* grad_angles) {
    using V = VectorOf<Real>;
    const PauliProgram& p = *g.program;
    const Workspace<Real> w(p, g.workspace, true);
    const int64_t n_memory = int64_t{1} << 2 * p.n_memory;
    const int n_outcomes = 1 << p.n_outcome;
    const Real weight = Real(1) / Real(n_outcomes);
    for (int64_t t = last; t-- > first;) {
        const V* kept = reinterpret_cast<const V*>(g.kept) + t * kept_vectors(p);
        for (int64_t i = 0; i < n_memory; ++i) w.state[i] = kept[i];
        for (int k = 0; k < p.n_carried; ++k) w.registers[p.carried_in + k] = kept[n_memory + k];
        load_rows<Real>(g.angles + t * p.n_angles, g.n_steps * p.n_angles, g.n_sequences, p.n_angles, w.angles);
        w.state[0] += coefficients_forward<Real>(p, w.angles, w.registers);
        blocks_forward<Real, true>(p, p.step, w.registers, w.state, w.tape);

        for (int i = 0; i < p.n_registers; ++i) w.grad_registers[i] = V{};
        for (int k = 0; k < p.n_carried; ++k) w.grad_registers[p.carried_out[k]] += w.grad_carried[k];
        blocks_adjoint<Real>(p, p.restore, w.registers, w.adjoint, w.tape, w.grad_registers);
        load_rows<Real>(grad_probabilities + t * n_outcomes, g.n_steps * n_outcomes, g.n_sequences, n_outcomes,
                        w.outcome);
        walsh(w.outcome, p.n_outcome);
        for (int j = 0; j < n_outcomes; ++j) {
            const int32_t place = p.outcomes[j];
            // The trace (j = 0) is a coefficient of the memory, too; all others belong to the outcomes alone.
            if (place >= 0) w.adjoint[place] = w.outcome[j] * weight + (j == 0 ? w.adjoint[place] : V{});
        }
        blocks_adjoint<Real>(p, p.step, w.registers, w.adjoint, w.tape, w.grad_registers);
        coefficients_adjoint<Real>(p, w.registers, w.grad_registers, w.grad_angles);
        for (int k = 0; k < p.n_carried; ++k) w.grad_carried[k] = w.grad_registers[p.carried_in + k];
        store_rows<Real>(grad_angles + t * p.n_angles, g.n_steps * p.n_angles, g.n_sequences, p.n_angles,
                         w.grad_angles);
    }
}

template <class Real>
void adjoint_finish(const PauliGroup<Real>& g, Real* grad_memory) {
    const Workspace<Real> w(*g.program, g.workspace, true);
    write_density(g, w.adjoint, Real(1), w.density, grad_memory);
}

template <class Real>
constexpr PauliKernel<Real> make_kernel(const char* name) {
    return {name,          Lanes<Real>::n, workspace_size<Real>, kept_size<Real>, begin<Real>,
            forward<Real>, finish<Real>,   adjoint_begin<Real>,  adjoint<Real>,   adjoint_finish<Real>};
}

}  // namespace

extern const PauliKernel<float> pauli_float;
extern const PauliKernel<double> pauli_double;
const PauliKernel<float> pauli_float = make_kernel<float>(QRNN_ISA_NAME);
const PauliKernel<double> pauli_double = make_kernel<double>(QRNN_ISA_NAME);

}  // namespace QRNN_ISA
}  // namespace qrnn
