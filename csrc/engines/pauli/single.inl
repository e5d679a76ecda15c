// One sequence alone. Coefficients do not depend on the state, so those of as many steps as a vector has lanes are
// computed side by side (a chunk); then the steps follow each other, with the numbers of one lane as coefficients and,
// where columns are neighbours, four or eight of them at a time. What a step saves for its outcomes waits for the end
// of the chunk, where those of all its steps are computed side by side again.
namespace qrnn {
namespace QRNN_ISA {
namespace {

namespace single {

// State, adjoint and tape hold numbers; registers and angles, single_parts vectors each with a step of the chunk in
// each lane; the late state and what else makes outcomes, one such vector each, for one part after the other.
template <class Real>
struct Workspace {
    using V = VectorOf<Real>;
    V *registers, *angles, *late, *outcome;
    Real *state, *density, *carried, *saved;
    V *grad_registers, *grad_angles, *late_adjoint, *late_tape;
    Real *adjoint, *grad_carried, *tape;
    int64_t size;

    Workspace(const PauliProgram& p, Real* memory, bool with_adjoint) {
        int64_t used = 0;
        const auto take = [&](int64_t n) {
            Real* place = memory + used;
            used += (n + single_lanes<Real> - 1) / single_lanes<Real> * single_lanes<Real>;
            return place;
        };
        const auto take_vectors = [&](int64_t n) { return reinterpret_cast<V*>(take(n * single_lanes<Real>)); };
        registers = take_vectors(p.n_registers);
        angles = take_vectors(p.n_angles);
        late = take_vectors(p.n_late_places);
        outcome = take_vectors(int64_t{1} << p.n_outcome);
        state = take(p.n_single_places);
        density = take(int64_t{2} << 2 * p.n_memory);
        carried = take(p.n_carried);
        saved = take(int64_t{single_lanes<Real>} * p.n_saved);  // by step of the chunk
        grad_registers = with_adjoint ? take_vectors(p.n_registers) : nullptr;
        grad_angles = with_adjoint ? take_vectors(p.n_angles) : nullptr;
        late_adjoint = with_adjoint ? take_vectors(p.n_late_places) : nullptr;
        late_tape = with_adjoint ? take_vectors(p.late.tape_size) : nullptr;
        adjoint = with_adjoint ? take(p.n_single_places) : nullptr;
        grad_carried = with_adjoint ? take(p.n_carried) : nullptr;
        tape = with_adjoint
                   ? take(p.single_step.tape_size > p.finish.tape_size ? p.single_step.tape_size : p.finish.tape_size)
                   : nullptr;
        size = used;
    }

    // The registers as one lane sees them.
    Real* lane(V* vectors, int l) const { return reinterpret_cast<Real*>(vectors) + l; }

    // All lanes of register k.
    Real* all_lanes(V* vectors, int k) const { return lane(vectors + k * single_parts, 0); }
};

template <class Real>
int64_t workspace_size(const PauliProgram& p, bool adjoint, int) {
    return Workspace<Real>(p, nullptr, adjoint).size;
}

// Kept of every step: the memory, what the step before handed on, and what the step saved.
template <class Real>
int64_t kept_size(const PauliProgram& p) {
    return (int64_t{1} << 2 * p.n_memory) + p.n_carried + p.n_saved;
}

template <class Real>
Real* kept_of(const PauliGroup<Real>& g, int64_t t) {
    return g.kept + t * kept_size<Real>(*g.program);
}

template <class Real>
void begin(const PauliGroup<Real>& g, const Real* memory) {
    const PauliProgram& p = *g.program;
    const Workspace<Real> w(p, g.workspace, false);
    if (memory)
        density_to_pauli(memory, w.density, p.n_memory, w.state);
    else
        zero_state<Real>(p.n_memory, w.state);
    for (int i = 0; i < p.n_constants; ++i) {
        Real* lanes = w.all_lanes(w.registers, p.constants[i].reg);
        for (int l = 0; l < single_lanes<Real>; ++l) lanes[l] = static_cast<Real>(p.constants[i].value);
    }
    for (int k = 0; k < p.n_carried; ++k) w.carried[k] = static_cast<Real>(p.carried_start[k]);
}

// How many of n steps belong to a part.
template <class Real>
int steps_of_part(int n, int part) {
    const int left = n - part * Lanes<Real>::n;
    return left < Lanes<Real>::n ? left : Lanes<Real>::n;
}

// Coefficients of the n steps from t on, one in each lane, and what trigs_forward() adds to `poison`. What a step hands
// on does not depend on what it was handed: it is computed first and moved by one lane, then the rest.
template <class Real, int parts>
void part_coefficients(const PauliGroup<Real>& g, const Workspace<Real>& w, int64_t t, int n, VectorOf<Real>* poison) {
    const PauliProgram& p = *g.program;
    for (int part = 0; part < parts; ++part) {
        // Lanes past the last step repeat it.
        const int first = part * Lanes<Real>::n;
        load_rows<Real>(g.angles + (t + first) * p.n_angles, p.n_angles, n - first, p.n_angles, w.angles + part,
                        single_parts);
    }
    trigs_forward<Real, single_parts, parts>(p, w.angles, w.registers, poison);
    segments_forward<Real, single_parts, parts>(p, 0, p.n_early_segments, w.registers);
    for (int k = 0; k < p.n_carried; ++k) {
        const VectorOf<Real>* out = w.registers + p.carried_out[k] * single_parts;
        VectorOf<Real>* in = w.registers + (p.carried_in + k) * single_parts;
        VectorOf<Real> before = splat(w.carried[k]);
        for (int part = 0; part < parts; ++part) {
            in[part] = lane_before<Real>(before, out[part]);
            before = out[part];
        }
        w.carried[k] = w.all_lanes(w.registers, p.carried_out[k])[n - 1];
    }
    segments_forward<Real, single_parts, parts>(p, p.n_early_segments, p.n_segments, w.registers);
}

template <class Real>
void chunk_coefficients(const PauliGroup<Real>& g, const Workspace<Real>& w, int64_t t, int n, VectorOf<Real>* poison) {
    if (n > Lanes<Real>::n)
        part_coefficients<Real, single_parts>(g, w, t, n, poison);
    else
        part_coefficients<Real, 1>(g, w, t, n, poison);
}

// From what n steps saved, at `saved` and so on, to their outcomes' Walsh coefficients: those of one part of the chunk.
template <bool taped, class Real>
void late_forward(const PauliProgram& p, const Workspace<Real>& w, int part, int n, const Real* saved, int64_t stride) {
    load_rows<Real>(saved, stride, n, p.n_saved, w.late);
    blocks_forward<Batch<single_parts>, taped, Real>(p, p.late, w.registers + part, w.late,
                                                     taped ? w.late_tape : w.late);
}

template <class Real>
void forward(const PauliGroup<Real>& g, int64_t first, int64_t last) {
    using V = VectorOf<Real>;
    const PauliProgram& p = *g.program;
    const Workspace<Real> w(p, g.workspace, false);
    const int64_t n_memory = int64_t{1} << 2 * p.n_memory;
    const int n_outcomes = 1 << p.n_outcome;
    const Real weight = Real(1) / Real(n_outcomes);
    for (int64_t t = first; t < last; t += single_lanes<Real>) {
        const int n = static_cast<int>(last - t < single_lanes<Real> ? last - t : single_lanes<Real>);
        if (g.kept)
            for (int k = 0; k < p.n_carried; ++k) kept_of(g, t)[n_memory + k] = w.carried[k];
        V poison[single_parts] = {};
        chunk_coefficients(g, w, t, n, poison);
        const int64_t stride = g.kept ? kept_size<Real>(p) : p.n_saved;
        Real* const saved = g.kept ? kept_of(g, t) + n_memory + p.n_carried : w.saved;
        for (int l = 0; l < n; ++l) {
            const Real* registers = w.lane(w.registers, l);
            if (g.kept)
                for (int64_t i = 0; i < n_memory; ++i) kept_of(g, t + l)[i] = w.state[i];
            w.state[0] += poison[l / Lanes<Real>::n][l % Lanes<Real>::n];
            blocks_forward<Single, false, Real>(p, p.single_step, registers, w.state, w.state);
            for (int i = 0; i < p.n_saved; ++i) saved[l * stride + i] = w.state[p.first_saved + i];
            blocks_forward<Single, false, Real>(p, p.restore, registers, w.state, w.state);
        }
        if (!g.probabilities) continue;
        for (int part = 0; part * Lanes<Real>::n < n; ++part) {
            const int steps = steps_of_part<Real>(n, part), at = part * Lanes<Real>::n;
            late_forward<false, Real>(p, w, part, steps, saved + at * stride, stride);
            for (int j = 0; j < n_outcomes; ++j)
                w.outcome[j] = p.late_outcomes[j] < 0 ? V{} : w.late[p.late_outcomes[j]] * weight;
            walsh(w.outcome, p.n_outcome);
            store_rows<Real>(g.probabilities + (t + at) * n_outcomes, n_outcomes, steps, n_outcomes, w.outcome);
        }
    }
}

// The carried ops' coefficients, for the ops that are applied after the last step.
template <class Real>
void load_carried(const PauliProgram& p, const Workspace<Real>& w) {
    for (int k = 0; k < p.n_carried; ++k) w.all_lanes(w.registers, p.carried_in + k)[0] = w.carried[k];
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
    for (int i = 0; i < p.n_single_places; ++i) w.adjoint[i] = 0;
    for (int k = 0; k < p.n_carried; ++k) w.grad_carried[k] = 0;
    if (!grad_memory) return;
    density_to_pauli(grad_memory, w.density, p.n_memory, w.adjoint);
    const Real factor = Real(1) / Real(int64_t{1} << p.n_memory);
    for (int64_t i = 0; i < n_memory; ++i) w.adjoint[i] *= factor;
    for (int i = 0; i < p.n_registers * single_parts; ++i) w.grad_registers[i] = VectorOf<Real>{};
    load_carried(p, w);
    blocks_forward<Single, true, Real>(p, p.finish, w.lane(w.registers, 0), w.state, w.tape);
    blocks_adjoint<Single, Real>(p, p.finish, w.lane(w.registers, 0), w.adjoint, w.tape, w.lane(w.grad_registers, 0));
    for (int k = 0; k < p.n_carried; ++k) w.grad_carried[k] = w.all_lanes(w.grad_registers, p.carried_in + k)[0];
}

// Adjoints of a chunk's coefficients to those of its angles; those of what the steps were handed are moved by one lane
// on their way.
template <class Real, int parts>
void part_adjoint(const PauliProgram& p, const Workspace<Real>& w, int n) {
    segments_adjoint<Real, single_parts, parts>(p, p.n_early_segments, p.n_segments, w.registers, w.grad_registers);
    for (int k = 0; k < p.n_carried; ++k) {
        Real* in = w.all_lanes(w.grad_registers, p.carried_in + k);
        VectorOf<Real>* out = w.grad_registers + p.carried_out[k] * single_parts;
        VectorOf<Real> after = splat(w.grad_carried[k]);
        if (n < parts * Lanes<Real>::n) in[n] = after[0];
        for (int part = parts; part-- > 0;) {
            const VectorOf<Real> x = w.grad_registers[(p.carried_in + k) * single_parts + part];
            out[part] += lane_after<Real>(x, after);
            after = x;
        }
        w.grad_carried[k] = in[0];
    }
    segments_adjoint<Real, single_parts, parts>(p, 0, p.n_early_segments, w.registers, w.grad_registers);
    trigs_adjoint<Real, single_parts, parts>(p, w.registers, w.grad_registers, w.grad_angles);
}

template <class Real>
void chunk_adjoint(const PauliProgram& p, const Workspace<Real>& w, int n) {
    if (n > Lanes<Real>::n)
        part_adjoint<Real, single_parts>(p, w, n);
    else
        part_adjoint<Real, 1>(p, w, n);
}

// The adjoint of what the steps saved, into w.saved.
template <class Real>
void late_adjoint(const PauliGroup<Real>& g, const Workspace<Real>& w, int64_t t, int n,
                  const Real* grad_probabilities) {
    using V = VectorOf<Real>;
    const PauliProgram& p = *g.program;
    const int64_t n_memory = int64_t{1} << 2 * p.n_memory;
    const int n_outcomes = 1 << p.n_outcome;
    const Real weight = Real(1) / Real(n_outcomes);
    for (int part = 0; part * Lanes<Real>::n < n; ++part) {
        const int steps = steps_of_part<Real>(n, part), at = part * Lanes<Real>::n;
        late_forward<true, Real>(p, w, part, steps, kept_of(g, t + at) + n_memory + p.n_carried, kept_size<Real>(p));
        load_rows<Real>(grad_probabilities + (t + at) * n_outcomes, n_outcomes, steps, n_outcomes, w.outcome);
        walsh(w.outcome, p.n_outcome);
        for (int i = 0; i < p.n_late_places; ++i) w.late_adjoint[i] = V{};
        for (int j = 0; j < n_outcomes; ++j)
            if (p.late_outcomes[j] >= 0) w.late_adjoint[p.late_outcomes[j]] = w.outcome[j] * weight;
        blocks_adjoint<Batch<single_parts>, Real>(p, p.late, w.registers + part, w.late_adjoint, w.late_tape,
                                                  w.grad_registers + part);
        store_rows<Real>(w.saved + at * p.n_saved, p.n_saved, steps, p.n_saved, w.late_adjoint);
    }
}

template <class Real>
void adjoint(const PauliGroup<Real>& g, int64_t first, int64_t last, const Real* grad_probabilities,
             Real* grad_angles) {
    const PauliProgram& p = *g.program;
    const Workspace<Real> w(p, g.workspace, true);
    const int64_t n_memory = int64_t{1} << 2 * p.n_memory;
    const int64_t n_chunks = (last - first + single_lanes<Real> - 1) / single_lanes<Real>;
    for (int64_t chunk = n_chunks; chunk-- > 0;) {
        const int64_t t = first + chunk * single_lanes<Real>;
        const int n = static_cast<int>(last - t < single_lanes<Real> ? last - t : single_lanes<Real>);
        for (int k = 0; k < p.n_carried; ++k) w.carried[k] = kept_of(g, t)[n_memory + k];
        VectorOf<Real> poison[single_parts] = {};
        chunk_coefficients(g, w, t, n, poison);
        const int64_t n_grads = p.n_registers * single_parts;  // not read anew after every write
        for (int64_t i = 0; i < n_grads; ++i) w.grad_registers[i] = VectorOf<Real>{};
        late_adjoint(g, w, t, n, grad_probabilities);
        for (int l = n; l-- > 0;) {
            const Real* kept = kept_of(g, t + l);
            const Real* registers = w.lane(w.registers, l);
            Real* grad = w.lane(w.grad_registers, l);
            for (int64_t i = 0; i < n_memory; ++i) w.state[i] = kept[i];
            w.state[0] += poison[l / Lanes<Real>::n][l % Lanes<Real>::n];
            blocks_forward<Single, true, Real>(p, p.single_step, registers, w.state, w.tape);
            blocks_adjoint<Single, Real>(p, p.restore, registers, w.adjoint, w.tape, grad);
            for (int i = 0; i < p.n_saved; ++i) w.adjoint[p.first_saved + i] = w.saved[l * p.n_saved + i];
            blocks_adjoint<Single, Real>(p, p.single_step, registers, w.adjoint, w.tape, grad);
        }
        chunk_adjoint(p, w, n);
        for (int part = 0; part * Lanes<Real>::n < n; ++part)
            store_rows<Real>(grad_angles + (t + part * Lanes<Real>::n) * p.n_angles, p.n_angles,
                             steps_of_part<Real>(n, part), p.n_angles, w.grad_angles + part, single_parts);
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
