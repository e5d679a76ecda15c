// A group of sequences through all steps, one sequence in each lane.
namespace qrnn {
namespace QRNN_ISA {
namespace {

namespace batch {

// The workspace, in lane vectors.
template <class Real>
struct Workspace {
    using V = VectorOf<Real>;
    V *state, *registers, *angles, *outcome, *density, *rows;         // forward
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
        density = take(2 * n_memory);
        rows = take(2 * n_memory);
        adjoint = with_adjoint ? take(p.n_places) : nullptr;
        grad_registers = with_adjoint ? take(p.n_registers) : nullptr;
        grad_angles = with_adjoint ? take(p.n_angles) : nullptr;
        grad_carried = with_adjoint ? take(p.n_carried) : nullptr;
        tape = with_adjoint ? take(tape_size) : nullptr;
        size = used;
    }
};

template <class Real>
int64_t workspace_size(const PauliProgram& p, bool adjoint, int) {
    return Workspace<Real>(p, nullptr, adjoint).size * Lanes<Real>::n;
}

// Kept of every step: the memory, and the registers of sines and cosines and of what the step before handed on, which
// lie side by side.
int64_t n_kept_registers(const PauliProgram& p) { return p.carried_in + p.n_carried - p.n_constants; }

int64_t kept_vectors(const PauliProgram& p) { return (int64_t{1} << 2 * p.n_memory) + n_kept_registers(p); }

template <class Real>
int64_t kept_size(const PauliProgram& p) {
    return kept_vectors(p) * Lanes<Real>::n;
}

template <class Real>
void read_density(const PauliGroup<Real>& g, const Real* memory, const Workspace<Real>& w, VectorOf<Real>* pauli) {
    const int length = 2 << 2 * g.program->n_memory;
    load_rows<Real>(memory, length, g.n_sequences, length, w.rows);
    density_to_pauli(w.rows, w.density, g.program->n_memory, pauli);
}

template <class Real>
void write_density(const PauliGroup<Real>& g, const VectorOf<Real>* pauli, Real factor, const Workspace<Real>& w,
                   Real* memory) {
    const int length = 2 << 2 * g.program->n_memory;
    pauli_to_density(pauli, factor, w.density, g.program->n_memory, w.rows);
    store_rows<Real>(memory, length, g.n_sequences, length, w.rows);
}

template <class Real>
void begin(const PauliGroup<Real>& g, const Real* memory) {
    const PauliProgram& p = *g.program;
    const Workspace<Real> w(p, g.workspace, false);
    if (memory)
        read_density(g, memory, w, w.state);
    else
        zero_state<Real>(p.n_memory, w.state);
    for (int i = 0; i < p.n_constants; ++i)
        w.registers[p.constants[i].reg] = splat<Real>(static_cast<Real>(p.constants[i].value));
    for (int k = 0; k < p.n_carried; ++k)
        w.registers[p.carried_in + k] = splat<Real>(static_cast<Real>(p.carried_start[k]));
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
    const BlockList& step = g.probabilities ? p.step : p.memory_step;
    for (int64_t t = first; t < last; ++t) {
        load_rows<Real>(g.angles + t * p.n_angles, g.n_steps * p.n_angles, g.n_sequences, p.n_angles, w.angles);
        trigs_forward<Real, 1>(p, w.angles, w.registers, w.state);
        if (g.kept) {
            V* kept = reinterpret_cast<V*>(g.kept) + t * kept_vectors(p);
            copy(w.state, n_memory, kept);
            copy(w.registers + p.n_constants, n_kept_registers(p), kept + n_memory);
        }
        segments_forward<Real, 1>(p, 0, p.n_segments, w.registers);
        blocks_forward<Batch, false, Real>(p, step, w.registers, w.state, w.state);
        if (g.probabilities) {
            for (int j = 0; j < n_outcomes; ++j)
                w.outcome[j] = p.outcomes[j] < 0 ? V{} : w.state[p.outcomes[j]] * weight;
            walsh(w.outcome, p.n_outcome);
            store_rows<Real>(g.probabilities + t * n_outcomes, g.n_steps * n_outcomes, g.n_sequences, n_outcomes,
                             w.outcome);
        }
        blocks_forward<Batch, false, Real>(p, p.restore, w.registers, w.state, w.state);
        carry_on<Real>(p, w.registers);
    }
}

template <class Real>
void finish(const PauliGroup<Real>& g, Real* memory) {
    const PauliProgram& p = *g.program;
    const Workspace<Real> w(p, g.workspace, false);
    blocks_forward<Batch, false, Real>(p, p.finish, w.registers, w.state, w.state);
    write_density(g, w.state, Real(1) / Real(int64_t{1} << p.n_memory), w, memory);
}

// ---- Adjoint.
template <class Real>
void adjoint_begin(const PauliGroup<Real>& g, const Real* grad_memory) {
    const PauliProgram& p = *g.program;
    const Workspace<Real> w(p, g.workspace, true);
    const int64_t n_memory = int64_t{1} << 2 * p.n_memory;
    clear(w.adjoint, p.n_places);
    clear(w.grad_carried, p.n_carried);
    if (!grad_memory) return;
    read_density(g, grad_memory, w, w.adjoint);
    const Real factor = Real(1) / Real(int64_t{1} << p.n_memory);
    for (int64_t i = 0; i < n_memory; ++i) w.adjoint[i] *= factor;
    clear(w.grad_registers, p.n_registers);
    blocks_forward<Batch, true, Real>(p, p.finish, w.registers, w.state, w.tape);
    blocks_adjoint<Batch, Real>(p, p.finish, w.registers, w.adjoint, w.tape, w.grad_registers);
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
        copy(kept, n_memory, w.state);
        copy(kept + n_memory, n_kept_registers(p), w.registers + p.n_constants);
        segments_forward<Real, 1>(p, 0, p.n_segments, w.registers);
        blocks_forward<Batch, true, Real>(p, p.step, w.registers, w.state, w.tape);

        clear(w.grad_registers, p.n_registers);
        for (int k = 0; k < p.n_carried; ++k) w.grad_registers[p.carried_out[k]] += w.grad_carried[k];
        blocks_adjoint<Batch, Real>(p, p.restore, w.registers, w.adjoint, w.tape, w.grad_registers);
        load_rows<Real>(grad_probabilities + t * n_outcomes, g.n_steps * n_outcomes, g.n_sequences, n_outcomes,
                        w.outcome);
        walsh(w.outcome, p.n_outcome);
        for (int j = 0; j < n_outcomes; ++j) {
            const int32_t place = p.outcomes[j];
            // The trace (j = 0) is a coefficient of the memory, too; all others belong to the outcomes alone.
            if (place >= 0) w.adjoint[place] = w.outcome[j] * weight + (j == 0 ? w.adjoint[place] : V{});
        }
        blocks_adjoint<Batch, Real>(p, p.step, w.registers, w.adjoint, w.tape, w.grad_registers);
        segments_adjoint<Real, 1>(p, 0, p.n_segments, w.registers, w.grad_registers);
        trigs_adjoint<Real, 1>(p, w.registers, w.grad_registers, w.grad_angles);
        for (int k = 0; k < p.n_carried; ++k) w.grad_carried[k] = w.grad_registers[p.carried_in + k];
        store_rows<Real>(grad_angles + t * p.n_angles, g.n_steps * p.n_angles, g.n_sequences, p.n_angles,
                         w.grad_angles);
    }
}

template <class Real>
void adjoint_finish(const PauliGroup<Real>& g, Real* grad_memory) {
    const Workspace<Real> w(*g.program, g.workspace, true);
    write_density(g, w.adjoint, Real(1), w, grad_memory);
}

template <class Real>
constexpr PauliKernel<Real> make_kernel() {
    return {Lanes<Real>::n, false,        workspace_size<Real>, kept_size<Real>, begin<Real>,
            forward<Real>,  finish<Real>, adjoint_begin<Real>,  adjoint<Real>,   adjoint_finish<Real>};
}

}  // namespace batch
}  // namespace
}  // namespace QRNN_ISA
}  // namespace qrnn
