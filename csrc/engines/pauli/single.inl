// One sequence alone. Coefficients do not depend on the state, so those of as many steps as a vector has lanes are
// computed side by side (a chunk); then the steps follow each other, with the numbers of one lane as coefficients and,
// where columns are neighbours, four of them at a time.
namespace qrnn {
namespace QRNN_ISA {
namespace {

namespace single {

// State, adjoint and tape hold numbers; registers and what else belongs to a chunk, lane vectors with a step in each
// lane.
template <class Real>
struct Workspace {
    using V = VectorOf<Real>;
    V *registers, *angles, *outcome;
    Real *state, *density, *carried;
    V *grad_registers, *grad_angles;
    Real *adjoint, *grad_carried, *tape;
    int64_t size;

    Workspace(const PauliProgram& p, Real* memory, bool with_adjoint) {
        int64_t used = 0;
        const auto take = [&](int64_t n) {
            Real* place = memory + used;
            used += (n + Lanes<Real>::n - 1) / Lanes<Real>::n * Lanes<Real>::n;
            return place;
        };
        const auto take_vectors = [&](int64_t n) { return reinterpret_cast<V*>(take(n * Lanes<Real>::n)); };
        registers = take_vectors(p.n_registers);
        angles = take_vectors(p.n_angles);
        outcome = take_vectors(int64_t{1} << p.n_outcome);
        state = take(p.n_places);
        density = take(int64_t{2} << 2 * p.n_memory);
        carried = take(p.n_carried);
        grad_registers = with_adjoint ? take_vectors(p.n_registers) : nullptr;
        grad_angles = with_adjoint ? take_vectors(p.n_angles) : nullptr;
        adjoint = with_adjoint ? take(p.n_places) : nullptr;
        grad_carried = with_adjoint ? take(p.n_carried) : nullptr;
        tape = with_adjoint ? take(p.step.tape_size > p.finish.tape_size ? p.step.tape_size : p.finish.tape_size)
                            : nullptr;
        size = used;
    }

    // The registers as one lane sees them.
    Real* lane(V* vectors, int l) const { return reinterpret_cast<Real*>(vectors) + l; }
};

template <class Real>
int64_t workspace_size(const PauliProgram& p, bool adjoint, int) {
    return Workspace<Real>(p, nullptr, adjoint).size;
}

template <class Real>
int64_t kept_size(const PauliProgram& p) {
    return (int64_t{1} << 2 * p.n_memory) + p.n_carried;
}

template <class Real>
void begin(const PauliGroup<Real>& g, const Real* memory) {
    const PauliProgram& p = *g.program;
    const Workspace<Real> w(p, g.workspace, false);
    if (memory)
        density_to_pauli(memory, w.density, p.n_memory, w.state);
    else
        zero_state<Real>(p.n_memory, w.state);
    for (int i = 0; i < p.n_constants; ++i)
        w.registers[p.constants[i].reg] = splat<Real>(static_cast<Real>(p.constants[i].value));
    for (int k = 0; k < p.n_carried; ++k) w.carried[k] = static_cast<Real>(p.carried_start[k]);
}

// Coefficients of the n steps from t on, one in each lane; returns what trigs_forward() returns. What a step hands on
// does not depend on what it was handed: it is computed first and moved by one lane, then the rest.
template <class Real>
VectorOf<Real> chunk_coefficients(const PauliGroup<Real>& g, const Workspace<Real>& w, int64_t t, int n) {
    using V = VectorOf<Real>;
    const PauliProgram& p = *g.program;
    load_rows<Real>(g.angles + t * p.n_angles, p.n_angles, n, p.n_angles, w.angles);
    const V poison = trigs_forward<Real>(p, w.angles, w.registers);
    segments_forward<Real>(p, 0, p.n_early_segments, w.registers);
    for (int k = 0; k < p.n_carried; ++k) {
        const Real* out = w.lane(w.registers + p.carried_out[k], 0);
        Real* in = w.lane(w.registers + p.carried_in + k, 0);
        in[0] = w.carried[k];
        for (int l = 1; l < Lanes<Real>::n; ++l) in[l] = out[l - 1];
        w.carried[k] = out[n - 1];
    }
    segments_forward<Real>(p, p.n_early_segments, p.n_segments, w.registers);
    return poison;
}

template <class Real>
void forward(const PauliGroup<Real>& g, int64_t first, int64_t last) {
    const PauliProgram& p = *g.program;
    const Workspace<Real> w(p, g.workspace, false);
    const int64_t n_memory = int64_t{1} << 2 * p.n_memory;
    const int n_outcomes = 1 << p.n_outcome;
    const Real weight = Real(1) / Real(n_outcomes);
    for (int64_t t = first; t < last; t += Lanes<Real>::n) {
        const int n = static_cast<int>(last - t < Lanes<Real>::n ? last - t : Lanes<Real>::n);
        if (g.kept)
            for (int k = 0; k < p.n_carried; ++k) g.kept[t * kept_size<Real>(p) + n_memory + k] = w.carried[k];
        const VectorOf<Real> poison = chunk_coefficients(g, w, t, n);
        for (int l = 0; l < n; ++l) {
            const Real* registers = w.lane(w.registers, l);
            if (g.kept) {
                Real* kept = g.kept + (t + l) * kept_size<Real>(p);
                for (int64_t i = 0; i < n_memory; ++i) kept[i] = w.state[i];
            }
            w.state[0] += poison[l];
            blocks_forward<Single, false, Real>(p, p.step, registers, w.state, w.state);
            for (int j = 0; j < n_outcomes; ++j)
                w.lane(w.outcome + j, l)[0] = p.outcomes[j] < 0 ? Real(0) : w.state[p.outcomes[j]] * weight;
            blocks_forward<Single, false, Real>(p, p.restore, registers, w.state, w.state);
        }
        if (!g.probabilities) continue;
        walsh(w.outcome, p.n_outcome);
        store_rows<Real>(g.probabilities + t * n_outcomes, n_outcomes, n, n_outcomes, w.outcome);
    }
}

// The carried ops' coefficients, for the ops that are applied after the last step.
template <class Real>
void load_carried(const PauliProgram& p, const Workspace<Real>& w) {
    for (int k = 0; k < p.n_carried; ++k) w.registers[p.carried_in + k] = splat<Real>(w.carried[k]);
}

template <class Real>
void finish(const PauliGroup<Real>& g, Real* memory) {
    const PauliProgram& p = *g.program;
    const Workspace<Real> w(p, g.workspace, false);
    load_carried(p, w);
    blocks_forward<Single, false, Real>(p, p.finish, w.lane(w.registers, 0), w.state, w.state);
    pauli_to_density(w.state, Real(1) / Real(int64_t{1} << p.n_memory), w.density, p.n_memory, memory);
}

template <class Real>
void adjoint_begin(const PauliGroup<Real>& g, const Real* grad_memory) {
    const PauliProgram& p = *g.program;
    const Workspace<Real> w(p, g.workspace, true);
    const int64_t n_memory = int64_t{1} << 2 * p.n_memory;
    for (int i = 0; i < p.n_places; ++i) w.adjoint[i] = 0;
    for (int k = 0; k < p.n_carried; ++k) w.grad_carried[k] = 0;
    if (!grad_memory) return;
    density_to_pauli(grad_memory, w.density, p.n_memory, w.adjoint);
    const Real factor = Real(1) / Real(int64_t{1} << p.n_memory);
    for (int64_t i = 0; i < n_memory; ++i) w.adjoint[i] *= factor;
    for (int i = 0; i < p.n_registers; ++i) w.grad_registers[i] = VectorOf<Real>{};
    load_carried(p, w);
    blocks_forward<Single, true, Real>(p, p.finish, w.lane(w.registers, 0), w.state, w.tape);
    blocks_adjoint<Single, Real>(p, p.finish, w.lane(w.registers, 0), w.adjoint, w.tape, w.lane(w.grad_registers, 0));
    for (int k = 0; k < p.n_carried; ++k) w.grad_carried[k] = w.lane(w.grad_registers + p.carried_in + k, 0)[0];
}

// Adjoints of a chunk's coefficients to those of its angles; those of what the steps were handed are moved by one lane
// on their way.
template <class Real>
void chunk_adjoint(const PauliProgram& p, const Workspace<Real>& w, int n) {
    segments_adjoint<Real>(p, p.n_early_segments, p.n_segments, w.registers, w.grad_registers);
    for (int k = 0; k < p.n_carried; ++k) {
        const Real* in = w.lane(w.grad_registers + p.carried_in + k, 0);
        Real* out = w.lane(w.grad_registers + p.carried_out[k], 0);
        for (int l = 0; l + 1 < n; ++l) out[l] += in[l + 1];
        out[n - 1] += w.grad_carried[k];
        w.grad_carried[k] = in[0];
    }
    segments_adjoint<Real>(p, 0, p.n_early_segments, w.registers, w.grad_registers);
    trigs_adjoint<Real>(p, w.registers, w.grad_registers, w.grad_angles);
}

template <class Real>
void adjoint(const PauliGroup<Real>& g, int64_t first, int64_t last, const Real* grad_probabilities,
             Real* grad_angles) {
    const PauliProgram& p = *g.program;
    const Workspace<Real> w(p, g.workspace, true);
    const int64_t n_memory = int64_t{1} << 2 * p.n_memory;
    const int n_outcomes = 1 << p.n_outcome;
    const Real weight = Real(1) / Real(n_outcomes);
    const int64_t n_chunks = (last - first + Lanes<Real>::n - 1) / Lanes<Real>::n;
    for (int64_t chunk = n_chunks; chunk-- > 0;) {
        const int64_t t = first + chunk * Lanes<Real>::n;
        const int n = static_cast<int>(last - t < Lanes<Real>::n ? last - t : Lanes<Real>::n);
        for (int k = 0; k < p.n_carried; ++k) w.carried[k] = g.kept[t * kept_size<Real>(p) + n_memory + k];
        const VectorOf<Real> poison = chunk_coefficients(g, w, t, n);
        for (int i = 0; i < p.n_registers; ++i) w.grad_registers[i] = VectorOf<Real>{};
        load_rows<Real>(grad_probabilities + t * n_outcomes, n_outcomes, n, n_outcomes, w.outcome);
        walsh(w.outcome, p.n_outcome);
        for (int l = n; l-- > 0;) {
            const Real* kept = g.kept + (t + l) * kept_size<Real>(p);
            const Real* registers = w.lane(w.registers, l);
            Real* grad = w.lane(w.grad_registers, l);
            for (int64_t i = 0; i < n_memory; ++i) w.state[i] = kept[i];
            w.state[0] += poison[l];
            blocks_forward<Single, true, Real>(p, p.step, registers, w.state, w.tape);
            blocks_adjoint<Single, Real>(p, p.restore, registers, w.adjoint, w.tape, grad);
            for (int j = 0; j < n_outcomes; ++j) {
                const int32_t place = p.outcomes[j];
                // As in the batch kernel: the trace belongs to the memory as well.
                if (place >= 0)
                    w.adjoint[place] = w.lane(w.outcome + j, l)[0] * weight + (j == 0 ? w.adjoint[place] : Real(0));
            }
            blocks_adjoint<Single, Real>(p, p.step, registers, w.adjoint, w.tape, grad);
        }
        chunk_adjoint(p, w, n);
        store_rows<Real>(grad_angles + t * p.n_angles, p.n_angles, n, p.n_angles, w.grad_angles);
    }
}

template <class Real>
void adjoint_finish(const PauliGroup<Real>& g, Real* grad_memory) {
    const Workspace<Real> w(*g.program, g.workspace, true);
    pauli_to_density(w.adjoint, Real(1), w.density, g.program->n_memory, grad_memory);
}

template <class Real>
constexpr PauliKernel<Real> make_kernel() {
    return {1,
            false,
            workspace_size<Real>,
            kept_size<Real>,
            begin<Real>,
            forward<Real>,
            finish<Real>,
            adjoint_begin<Real>,
            adjoint<Real>,
            adjoint_finish<Real>};
}

}  // namespace single
}  // namespace
}  // namespace QRNN_ISA
}  // namespace qrnn
