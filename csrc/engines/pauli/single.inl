// One sequence alone. Coefficients do not depend on the state, so those of a chunk of steps are computed side by side,
// a step in each lane of up to most_parts vectors; then the steps follow each other, with the numbers of one lane as
// coefficients and, where columns are neighbours, four or eight of them at a time. What a step saves for its outcomes
// waits for the end of the chunk, where those of all its steps are computed side by side again.
namespace qrnn {
namespace QRNN_ISA {
namespace {

namespace single {

constexpr int most_parts = 3;
template <class Real>
constexpr int chunk_size = most_parts * Lanes<Real>::n;

// State, adjoint and tape hold numbers; registers and angles, vectors with a step of the chunk in each lane, those of
// one part after those of another; the late state and what else makes outcomes, such vectors of one part at a time.
template <class Real>
struct Workspace {
    using V = VectorOf<Real>;
    V *registers, *angles, *poison, *late, *outcome;
    Real *state, *density, *carried, *saved;
    V *grad_registers, *grad_angles, *late_adjoint, *late_tape;
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
        registers = take_vectors(most_parts * p.n_registers);
        angles = take_vectors(most_parts * p.n_angles);
        poison = take_vectors(most_parts);
        late = take_vectors(p.n_late_places);
        outcome = take_vectors(int64_t{1} << p.n_outcome);
        state = take(p.n_single_places);
        density = take(int64_t{2} << 2 * p.n_memory);
        carried = take(p.n_carried);
        saved = take(int64_t{chunk_size<Real>} * p.n_saved);  // by step of the chunk
        grad_registers = with_adjoint ? take_vectors(most_parts * p.n_registers) : nullptr;
        grad_angles = with_adjoint ? take_vectors(most_parts * p.n_angles) : nullptr;
        late_adjoint = with_adjoint ? take_vectors(p.n_late_places) : nullptr;
        late_tape = with_adjoint ? take_vectors(p.late.tape_size) : nullptr;
        adjoint = with_adjoint ? take(p.n_single_places) : nullptr;
        grad_carried = with_adjoint ? take(p.n_carried) : nullptr;
        tape = with_adjoint
                   ? take(p.single_step.tape_size > p.finish.tape_size ? p.single_step.tape_size : p.finish.tape_size)
                   : nullptr;
        size = used;
    }

    // Registers as step l of the chunk sees them.
    QRNN_INLINE static Real* of_step(V* registers, const PauliProgram& p, int l) {
        constexpr int n = Lanes<Real>::n;
        return reinterpret_cast<Real*>(registers + l / n * static_cast<int64_t>(p.n_registers)) + l % n;
    }
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
    for (int part = 0; part < most_parts; ++part)
        for (int i = 0; i < p.n_constants; ++i)
            w.registers[part * p.n_registers + p.constants[i].reg] =
                splat<Real>(static_cast<Real>(p.constants[i].value));
    for (int k = 0; k < p.n_carried; ++k) w.carried[k] = static_cast<Real>(p.carried_start[k]);
}

// How many of n steps belong to a part.
template <class Real>
int steps_of_part(int n, int part) {
    const int left = n - part * Lanes<Real>::n;
    return left < Lanes<Real>::n ? left : Lanes<Real>::n;
}

// Calls f with the number of parts that n steps fill.
template <int parts, class Real, class F>
QRNN_INLINE void for_parts(int n, F f) {
    if (parts == 1 || n > (parts - 1) * Lanes<Real>::n)
        f(Index<parts>());
    else if constexpr (parts > 1)
        for_parts<parts - 1, Real>(n, f);
}

// Coefficients of the n steps from t on, one in each lane, and their poison (trigs_forward()). What a step hands on
// does not depend on what it was handed: it is computed first and moved by one lane, then the rest.
template <class Real, int parts>
void part_coefficients(const PauliGroup<Real>& g, const Workspace<Real>& w, int64_t t, int n) {
    const PauliProgram& p = *g.program;
    for (int part = 0; part < parts; ++part) {
        // Lanes past the last step repeat it.
        const int first = part * Lanes<Real>::n;
        load_rows<Real>(g.angles + (t + first) * p.n_angles, p.n_angles, n - first, p.n_angles,
                        w.angles + part * p.n_angles);
    }
    clear(w.poison, parts);
    trigs_forward<Real, parts>(p, w.angles, w.registers, w.poison);
    segments_forward<Real, parts>(p, 0, p.n_early_segments, w.registers);
    const Parts<Real, parts> reg(w.registers, p.n_registers);
    const Real* last = w.of_step(w.registers, p, n - 1);
    for (int k = 0; k < p.n_carried; ++k) {
        VectorOf<Real> before = splat(w.carried[k]);
        for (int part = 0; part < parts; ++part) {
            const VectorOf<Real> out = reg(part, p.carried_out[k]);
            reg(part, p.carried_in + k) = lane_before<Real>(before, out);
            before = out;
        }
        w.carried[k] = last[p.carried_out[k] * Lanes<Real>::n];
    }
    segments_forward<Real, parts>(p, p.n_early_segments, p.n_segments, w.registers);
}

template <class Real>
void chunk_coefficients(const PauliGroup<Real>& g, const Workspace<Real>& w, int64_t t, int n) {
    for_parts<most_parts, Real>(n, [&](auto parts) { part_coefficients<Real, parts>(g, w, t, n); });
}

// From what n steps saved, at `saved` and so on, to their outcomes' Walsh coefficients: those of one part of the chunk.
template <bool taped, class Real>
void late_forward(const PauliProgram& p, const Workspace<Real>& w, int part, int n, const Real* saved, int64_t stride) {
    load_rows<Real>(saved, stride, n, p.n_saved, w.late);
    blocks_forward<Batch, taped, Real>(p, p.late, w.registers + part * p.n_registers, w.late,
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
    int n = static_cast<int>((last - first - 1) % chunk_size<Real>) + 1;  // the first chunk takes what is over
    for (int64_t t = first; t < last; t += n, n = chunk_size<Real>) {
        if (g.kept) copy(w.carried, p.n_carried, kept_of(g, t) + n_memory);
        chunk_coefficients(g, w, t, n);
        const int64_t stride = g.kept ? kept_size<Real>(p) : p.n_saved;
        Real* const saved = g.kept ? kept_of(g, t) + n_memory + p.n_carried : w.saved;
        for (int l = 0; l < n; ++l) {
            const Real* registers = w.of_step(w.registers, p, l);
            if (g.kept) copy(w.state, n_memory, kept_of(g, t + l));
            w.state[0] += reinterpret_cast<const Real*>(w.poison)[l];
            blocks_forward<Single, false, Real>(p, p.single_step, registers, w.state, w.state);
            copy(w.state + p.first_saved, p.n_saved, saved + l * stride);
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
    for (int k = 0; k < p.n_carried; ++k) w.registers[p.carried_in + k][0] = w.carried[k];
}

template <class Real>
void finish(const PauliGroup<Real>& g, Real* memory) {
    const PauliProgram& p = *g.program;
    const Workspace<Real> w(p, g.workspace, false);
    load_carried(p, w);
    blocks_forward<Single, false, Real>(p, p.finish, w.of_step(w.registers, p, 0), w.state, w.state);
    pauli_to_density(w.state, Real(1) / Real(int64_t{1} << p.n_memory), w.density, p.n_memory, memory);
}

template <class Real>
void adjoint_begin(const PauliGroup<Real>& g, const Real* grad_memory) {
    const PauliProgram& p = *g.program;
    const Workspace<Real> w(p, g.workspace, true);
    const int64_t n_memory = int64_t{1} << 2 * p.n_memory;
    clear(w.adjoint, p.n_single_places);
    clear(w.grad_carried, p.n_carried);
    if (!grad_memory) return;
    density_to_pauli(grad_memory, w.density, p.n_memory, w.adjoint);
    const Real factor = Real(1) / Real(int64_t{1} << p.n_memory);
    for (int64_t i = 0; i < n_memory; ++i) w.adjoint[i] *= factor;
    clear(w.grad_registers, p.n_registers);
    load_carried(p, w);
    blocks_forward<Single, true, Real>(p, p.finish, w.of_step(w.registers, p, 0), w.state, w.tape);
    blocks_adjoint<Single, Real>(p, p.finish, w.of_step(w.registers, p, 0), w.adjoint, w.tape,
                                 w.of_step(w.grad_registers, p, 0));
    for (int k = 0; k < p.n_carried; ++k) w.grad_carried[k] = w.grad_registers[p.carried_in + k][0];
}

// Adjoints of a chunk's coefficients to those of its angles; those of what the steps were handed are moved by one lane
// on their way.
template <class Real, int parts>
void part_adjoint(const PauliProgram& p, const Workspace<Real>& w, int n) {
    segments_adjoint<Real, parts>(p, p.n_early_segments, p.n_segments, w.registers, w.grad_registers);
    const Parts<Real, parts> grad(w.grad_registers, p.n_registers);
    for (int k = 0; k < p.n_carried; ++k) {
        if (n < parts * Lanes<Real>::n)
            w.of_step(w.grad_registers, p, n)[(p.carried_in + k) * Lanes<Real>::n] = w.grad_carried[k];
        VectorOf<Real> after = splat(w.grad_carried[k]);
        for (int part = parts; part-- > 0;) {
            const VectorOf<Real> in = grad(part, p.carried_in + k);
            grad(part, p.carried_out[k]) += lane_after<Real>(in, after);
            after = in;
        }
        w.grad_carried[k] = after[0];
    }
    segments_adjoint<Real, parts>(p, 0, p.n_early_segments, w.registers, w.grad_registers);
    trigs_adjoint<Real, parts>(p, w.registers, w.grad_registers, w.grad_angles);
}

template <class Real>
void chunk_adjoint(const PauliProgram& p, const Workspace<Real>& w, int n) {
    for_parts<most_parts, Real>(n, [&](auto parts) { part_adjoint<Real, parts>(p, w, n); });
}

// The adjoint of what the steps saved, into w.saved.
template <class Real>
void late_adjoint(const PauliGroup<Real>& g, const Workspace<Real>& w, int64_t t, int n,
                  const Real* grad_probabilities) {
    const PauliProgram& p = *g.program;
    const int64_t n_memory = int64_t{1} << 2 * p.n_memory;
    const int n_outcomes = 1 << p.n_outcome;
    const Real weight = Real(1) / Real(n_outcomes);
    for (int part = 0; part * Lanes<Real>::n < n; ++part) {
        const int steps = steps_of_part<Real>(n, part), at = part * Lanes<Real>::n;
        late_forward<true, Real>(p, w, part, steps, kept_of(g, t + at) + n_memory + p.n_carried, kept_size<Real>(p));
        load_rows<Real>(grad_probabilities + (t + at) * n_outcomes, n_outcomes, steps, n_outcomes, w.outcome);
        walsh(w.outcome, p.n_outcome);
        clear(w.late_adjoint, p.n_late_places);
        for (int j = 0; j < n_outcomes; ++j)
            if (p.late_outcomes[j] >= 0) w.late_adjoint[p.late_outcomes[j]] = w.outcome[j] * weight;
        blocks_adjoint<Batch, Real>(p, p.late, w.registers + part * p.n_registers, w.late_adjoint, w.late_tape,
                                    w.grad_registers + part * p.n_registers);
        store_rows<Real>(w.saved + at * p.n_saved, p.n_saved, steps, p.n_saved, w.late_adjoint);
    }
}

template <class Real>
void adjoint(const PauliGroup<Real>& g, int64_t first, int64_t last, const Real* grad_probabilities,
             Real* grad_angles) {
    const PauliProgram& p = *g.program;
    const Workspace<Real> w(p, g.workspace, true);
    const int64_t n_memory = int64_t{1} << 2 * p.n_memory;
    for (int64_t end = last, t = 0; end > first; end = t) {
        const int n = static_cast<int>(end - first < chunk_size<Real> ? end - first : chunk_size<Real>);
        t = end - n;
        copy(kept_of(g, t) + n_memory, p.n_carried, w.carried);
        if (end == g.n_steps)  // forward() ended with them; adjoint_begin() put others where the carried ones were
            load_carried(p, w);
        else
            chunk_coefficients(g, w, t, n);
        clear(w.grad_registers, int64_t{n + Lanes<Real>::n - 1} / Lanes<Real>::n * p.n_registers);
        late_adjoint(g, w, t, n, grad_probabilities);
        for (int l = n; l-- > 0;) {
            const Real* kept = kept_of(g, t + l);
            const Real* registers = w.of_step(w.registers, p, l);
            Real* grad = w.of_step(w.grad_registers, p, l);
            copy(kept, n_memory, w.state);
            w.state[0] += reinterpret_cast<const Real*>(w.poison)[l];
            blocks_forward<Single, true, Real>(p, p.single_step, registers, w.state, w.tape);
            blocks_adjoint<Single, Real>(p, p.restore, registers, w.adjoint, w.tape, grad);
            copy(w.saved + l * p.n_saved, p.n_saved, w.adjoint + p.first_saved);
            blocks_adjoint<Single, Real>(p, p.single_step, registers, w.adjoint, w.tape, grad);
        }
        chunk_adjoint(p, w, n);
        for (int part = 0; part * Lanes<Real>::n < n; ++part)
            store_rows<Real>(grad_angles + (t + part * Lanes<Real>::n) * p.n_angles, p.n_angles,
                             steps_of_part<Real>(n, part), p.n_angles, w.grad_angles + part * p.n_angles);
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
