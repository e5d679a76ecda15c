// One sequence through all steps; vectors of columns of the memory's factor.
namespace qrnn {
namespace QRNN_ISA {
namespace {

namespace factor {

// Blocks of columns are handed out in this many parts at most, whatever the number of threads: sums over columns are
// sums over parts, so that they do not depend on it.
constexpr int max_parts = 8;

template <class Real>
struct Workspace {
    using V = VectorOf<Real>;
    Shape shape;
    Trigonometry<Real>* trigs;
    Complex<Real>* matrices;
    V *angles, *carried_angles;
    Real *rho, *columns;  // the memory, and L with rho = L L^dagger
    Real* status;         // number of columns, -1 where rho is not positive; trace at the start
    double* cholesky;
    // What a part has found: its share of the next memory, of the outcomes, and of the matrices' gradient.
    Real *part_rho, *part_outcomes;
    Complex<Real>* part_gradients;
    // Every worker's own: blocks of columns, and sums over them.
    V *state, *other, *packed, *other_packed, *sums, *outcome;
    int64_t rows, packed_rows, n_entries, n_outcomes;
    // adjoint
    V *grad_angles, *grad_carried_angles;
    Real *lambda, *weight, *pending;  // `pending`: adjoints of the angles of the step before the last chunk
    int64_t size;

    Workspace(const FactorProgram& p, Real* memory, bool with_adjoint, int workers) : shape(Shape::of<Real>(p)) {
        int64_t used = 0;
        constexpr int64_t n = Lanes<Real>::n;
        const auto take = [&](int64_t count) {
            Real* place = memory + used;
            used += (count + n - 1) / n * n;
            return place;
        };
        const auto vectors = [&](int64_t count) { return reinterpret_cast<V*>(take(count * n)); };
        const auto larger = [](int64_t a, int64_t b) { return a > b ? a : b; };
        const FactorStage *s = &p.step, *f = &p.finish;
        rows = larger(int64_t{1} << s->n_wires, shape.dim);
        packed_rows = shape.dim * larger(packed_stride(*s), packed_stride(*f));
        n_entries = larger(s->n_entries, f->n_entries);
        n_outcomes = int64_t{1} << p.n_outcome;
        trigs = reinterpret_cast<Trigonometry<Real>*>(vectors(2 * larger(s->n_trigs, f->n_trigs)));
        matrices = reinterpret_cast<Complex<Real>*>(vectors(2 * n_entries));
        angles = vectors(p.n_angles);
        carried_angles = vectors(p.n_angles);
        rho = take(2 * shape.plane);
        columns = take(2 * shape.plane);
        status = take(2);
        cholesky =
            reinterpret_cast<double*>(take(2 * shape.plane * static_cast<int64_t>(sizeof(double) / sizeof(Real))));
        part_rho = take(max_parts * 2 * shape.plane);
        part_outcomes = take(max_parts * n_outcomes);
        part_gradients = reinterpret_cast<Complex<Real>*>(vectors(with_adjoint ? max_parts * 2 * n_entries : 0));
        state = vectors(workers * 2 * rows);
        other = vectors(with_adjoint ? workers * 2 * rows : 0);
        packed = vectors(workers * 2 * packed_rows);
        other_packed = vectors(workers * 2 * packed_rows);
        sums = vectors(workers * sums_size(shape));
        outcome = vectors(workers * n_outcomes);
        grad_angles = vectors(with_adjoint ? p.n_angles : 0);
        grad_carried_angles = vectors(with_adjoint ? p.n_angles : 0);
        lambda = take(with_adjoint ? 2 * shape.plane : 0);
        weight = take(with_adjoint ? n_outcomes : 0);
        pending = take(with_adjoint ? p.n_angles : 0);
        size = used;
    }
};

template <class Real>
Workspace<Real> workspace_of(const FactorGroup<Real>& g, bool with_adjoint) {
    return Workspace<Real>(*g.program, g.workspace, with_adjoint, g.team.workers);
}

template <class Real>
int64_t workspace_size(const FactorProgram& p, bool adjoint, int workers) {
    return Workspace<Real>(p, nullptr, adjoint, workers).size;
}

// Number of parts that n columns are handed out in.
template <class Real>
int64_t part_count(int64_t n_columns) {
    const int64_t n_blocks = (n_columns + Lanes<Real>::n - 1) / Lanes<Real>::n;
    return n_blocks < max_parts ? n_blocks : max_parts;
}

// Calls f(part, worker, first column, columns to the next block) for every part.
template <class Real, class F>
void for_each_part(const FactorGroup<Real>& g, int64_t n_columns, F f) {
    const int64_t n_parts = part_count<Real>(n_columns);
    const auto part = [&](int index, int worker) {
        f(index, worker, int64_t{index} * Lanes<Real>::n, n_parts * Lanes<Real>::n);
    };
    using Part = decltype(part);
    g.team.run(
        g.team, static_cast<int>(n_parts),
        [](void* context, int index, int worker) { (*static_cast<const Part*>(context))(index, worker); },
        const_cast<void*>(static_cast<const void*>(&part)));
}

template <class Real>
int64_t kept_size(const FactorProgram& p) {
    return 2 * Shape::of<Real>(p).plane;
}

// Factors rho anew.
template <class Real>
void refactor(const Workspace<Real>& w) {
    w.status[0] = static_cast<Real>(pivoted_cholesky<Real>(w.shape, w.rho, w.cholesky, w.columns));
}

template <class Real>
void begin(const FactorGroup<Real>& g, const Real* memory) {
    const Workspace<Real> w = workspace_of(g, false);
    for (int64_t i = 0; i < 2 * w.shape.plane; ++i) w.rho[i] = 0;
    if (memory)
        read_density<Real>(w.shape, memory, w.rho);
    else
        w.rho[0] = 1;
    w.status[1] = trace<Real>(w.shape, w.rho);
    refactor<Real>(w);
}

// Matrices of the n steps from t on. Returns 0 times the sum of the steps' angles: zero, or NaN where one of them is
// not finite.
template <class Real>
VectorOf<Real> chunk_matrices(const FactorGroup<Real>& g, const FactorStage& stage, const Workspace<Real>& w, int64_t t,
                              int n) {
    using V = VectorOf<Real>;
    const int n_angles = g.program->n_angles;
    V poison{};
    if (n_angles > 0) {
        load_step_angles<Real>(g.angles, n_angles, g.n_steps, t, n, w.angles, w.carried_angles);
        for (int i = 0; i < n_angles; ++i) poison += w.angles[i] * Real(0);
    }
    fill_trigs<Real>(stage.trigs, stage.n_trigs, w.angles, w.carried_angles, t == 0, w.trigs);
    fill_matrices<Real>(stage, w.trigs, w.matrices);
    return poison;
}

// rho becomes the sum over the stage of what L's columns become; or, where rho is not positive, of what rho's and the
// identity's become: sum_e (U rho)_e (U)_e^dagger. The outcomes' probabilities go to the first of w.part_outcomes.
template <class Real>
void run_stage(const FactorGroup<Real>& g, const FactorStage& stage, const StepMatrices<Real> m, int n_outcomes,
               const Workspace<Real>& w) {
    using V = VectorOf<Real>;
    const Shape& s = w.shape;
    const bool positive = w.status[0] >= 0;
    const int64_t n_columns = positive ? static_cast<int64_t>(w.status[0]) : s.dim;
    for_each_part<Real>(g, n_columns, [&](int part, int worker, int64_t begin, int64_t stride) {
        V *state = w.state + worker * 2 * w.rows, *sums = w.sums + worker * sums_size(s);
        V *packed = w.packed + worker * 2 * w.packed_rows, *right = packed,
          *outcome = w.outcome + worker * w.n_outcomes;
        for (int j = 0; j < n_outcomes; ++j) outcome[j] = V{};
        for (int64_t i = 0; i < sums_size(s); ++i) sums[i] = V{};
        for (int64_t first = begin; first < n_columns; first += stride) {
            load_columns<Real>(s, positive ? w.columns : w.rho, first, state);
            passes_forward<Real>(stage, m, state);
            pack<Real>(s, stage, state, packed);
            if (!positive) {
                right = w.other_packed + worker * 2 * w.packed_rows;
                load_identity_columns<Real>(s, first, state);
                passes_forward<Real>(stage, m, state);
                pack<Real>(s, stage, state, right);
            }
            if (n_outcomes > 0) add_outcomes<Real>(s, stage, packed, right, outcome);
            add_product<Real>(s, stage, packed, right, sums);
        }
        collect<Real>(s, sums, w.part_rho + part * 2 * s.plane);
        for (int j = 0; j < n_outcomes; ++j) w.part_outcomes[part * w.n_outcomes + j] = sum_of_lanes<Real>(outcome[j]);
    });
    const int64_t n_parts = part_count<Real>(n_columns);
    for (int64_t i = 0; i < s.dim; ++i)
        for (int64_t k = i * s.stride; k < i * s.stride + s.dim; ++k) {
            Real re = 0, im = 0;
            for (int64_t part = 0; part < n_parts; ++part) {
                re += w.part_rho[part * 2 * s.plane + k];
                im += w.part_rho[part * 2 * s.plane + s.plane + k];
            }
            w.rho[k] = re;
            w.rho[s.plane + k] = im;
        }
    for (int64_t part = 1; part < n_parts; ++part)
        for (int j = 0; j < n_outcomes; ++j) w.part_outcomes[j] += w.part_outcomes[part * w.n_outcomes + j];
}

// Rounding must not let the trace drift over thousands of steps. Returns the factor, which the outcomes take as well.
template <class Real>
Real restore_trace(const Workspace<Real>& w) {
    const Real now = trace<Real>(w.shape, w.rho);
    if (!(w.status[0] >= 0) || !(now > 0)) return 1;
    const Real factor = w.status[1] / now;
    for (int64_t i = 0; i < 2 * w.shape.plane; ++i) w.rho[i] *= factor;
    return factor;
}

template <class Real>
void forward(const FactorGroup<Real>& g, int64_t first, int64_t last) {
    const FactorProgram& p = *g.program;
    const Workspace<Real> w = workspace_of(g, false);
    const int n_outcomes = 1 << p.n_outcome;
    VectorOf<Real> poison{};
    for (int64_t t = first; t < last; ++t) {
        const int lane = static_cast<int>((t - first) % Lanes<Real>::n);
        if (lane == 0)
            poison = chunk_matrices<Real>(g, p.step, w, t,
                                          last - t < Lanes<Real>::n ? static_cast<int>(last - t) : Lanes<Real>::n);
        if (g.kept)
            for (int64_t i = 0; i < 2 * w.shape.plane; ++i) g.kept[t * 2 * w.shape.plane + i] = w.rho[i];
        run_stage<Real>(g, p.step, {w.matrices, lane}, n_outcomes, w);
        const Real factor = restore_trace<Real>(w);
        if (!(poison[lane] == 0))
            for (int64_t i = 0; i < 2 * w.shape.plane; ++i) w.rho[i] += poison[lane];
        refactor<Real>(w);
        if (g.probabilities)
            for (int j = 0; j < n_outcomes; ++j)
                g.probabilities[t * n_outcomes + j] = factor * w.part_outcomes[j] + poison[lane];
    }
}

template <class Real>
void finish(const FactorGroup<Real>& g, Real* memory) {
    const FactorProgram& p = *g.program;
    const Workspace<Real> w = workspace_of(g, false);
    if (p.finish.n_passes > 0 && g.n_steps > 0) {
        chunk_matrices<Real>(g, p.finish, w, g.n_steps, 1);
        run_stage<Real>(g, p.finish, {w.matrices, 0}, 0, w);
    }
    write_density<Real>(w.shape, w.rho, memory);
}

// ---- Adjoint. With the observable O of density.inl, the loss changes by 2 Re Tr(O dU X A...): X = U rho and A = O U,
// both column by column, are taken back through the passes together; what is left of A are the columns of the adjoint
// of rho. Five times the passes of forward(), and one product with O.
template <class Real>
void stage_adjoint(const FactorGroup<Real>& g, const FactorStage& stage, const StepMatrices<Real> m, const Real* rho,
                   const Workspace<Real>& w) {
    using V = VectorOf<Real>;
    const Shape& s = w.shape;
    for_each_part<Real>(g, s.dim, [&](int part, int worker, int64_t begin, int64_t stride) {
        V *state = w.state + worker * 2 * w.rows, *adjoint = w.other + worker * 2 * w.rows;
        for (int64_t first = begin; first < s.dim; first += stride) {
            load_identity_columns<Real>(s, first, state);
            passes_forward<Real>(stage, m, state);
            apply_observable<Real>(s, stage, w.lambda, w.weight, state, adjoint);
            load_columns<Real>(s, rho, first, state);
            passes_forward<Real>(stage, m, state);
            passes_adjoint<Real>(stage, m, state, adjoint, w.part_gradients + part * w.n_entries);
            store_columns<Real>(s, adjoint, first, w.columns);
        }
    });
    for (int64_t i = 0; i < 2 * s.plane; ++i) w.lambda[i] = w.columns[i];
}

template <class Real>
void clear_gradients(const FactorProgram& p, const Workspace<Real>& w) {
    for (int64_t i = 0; i < part_count<Real>(w.shape.dim) * w.n_entries; ++i) w.part_gradients[i] = Complex<Real>{};
    for (int i = 0; i < p.n_angles; ++i) w.grad_angles[i] = w.grad_carried_angles[i] = VectorOf<Real>{};
}

// From what stage_adjoint() has gathered to the angles.
template <class Real>
void angles_adjoint(const FactorStage& stage, const Workspace<Real>& w) {
    for (int64_t part = 1; part < part_count<Real>(w.shape.dim); ++part)
        for (int i = 0; i < stage.n_entries; ++i)
            w.part_gradients[i] = w.part_gradients[i] + w.part_gradients[part * w.n_entries + i];
    matrices_adjoint<Real>(stage, w.trigs, w.matrices, w.part_gradients, w.grad_angles, w.grad_carried_angles);
}

template <class Real>
void adjoint_begin(const FactorGroup<Real>& g, const Real* grad_memory) {
    const FactorProgram& p = *g.program;
    const Workspace<Real> w = workspace_of(g, true);
    for (int i = 0; i < p.n_angles; ++i) w.pending[i] = 0;
    if (!grad_memory) {
        for (int64_t i = 0; i < 2 * w.shape.plane; ++i) w.lambda[i] = 0;
        return;
    }
    read_density<Real>(w.shape, grad_memory, w.lambda);
    if (p.finish.n_passes == 0 || g.n_steps == 0) return;
    clear_gradients<Real>(p, w);
    chunk_matrices<Real>(g, p.finish, w, g.n_steps, 1);
    w.weight[0] = 0;
    stage_adjoint<Real>(g, p.finish, {w.matrices, 0}, w.rho, w);
    angles_adjoint<Real>(p.finish, w);
    for (int i = 0; i < p.n_angles; ++i) w.pending[i] = w.grad_carried_angles[i][0];
}

template <class Real>
void adjoint(const FactorGroup<Real>& g, int64_t first, int64_t last, const Real* grad_probabilities,
             Real* grad_angles) {
    const FactorProgram& p = *g.program;
    const Workspace<Real> w = workspace_of(g, true);
    constexpr int lanes = Lanes<Real>::n;
    const int n_outcomes = 1 << p.n_outcome;
    for (int64_t chunk = (last - first + lanes - 1) / lanes; chunk-- > 0;) {
        const int64_t t = first + chunk * lanes;
        const int n = last - t < lanes ? static_cast<int>(last - t) : lanes;
        clear_gradients<Real>(p, w);
        const VectorOf<Real> poison = chunk_matrices<Real>(g, p.step, w, t, n);
        for (int l = n; l-- > 0;) {
            for (int j = 0; j < n_outcomes; ++j) w.weight[j] = grad_probabilities[(t + l) * n_outcomes + j] + poison[l];
            stage_adjoint<Real>(g, p.step, {w.matrices, l}, g.kept + (t + l) * 2 * w.shape.plane, w);
        }
        angles_adjoint<Real>(p.step, w);
        for (int i = 0; i < p.n_angles; ++i) {
            for (int l = 0; l < n; ++l) {
                const Real later = l + 1 < n ? w.grad_carried_angles[i][l + 1] : w.pending[i];
                grad_angles[(t + l) * p.n_angles + i] = w.grad_angles[i][l] + later;
            }
            w.pending[i] = w.grad_carried_angles[i][0];
        }
    }
}

template <class Real>
void adjoint_finish(const FactorGroup<Real>& g, Real* grad_memory) {
    const Workspace<Real> w = workspace_of(g, true);
    write_density<Real>(w.shape, w.lambda, grad_memory);
}

template <class Real>
constexpr FactorKernel<Real> make_kernel() {
    return {1,
            true,
            workspace_size<Real>,
            kept_size<Real>,
            begin<Real>,
            forward<Real>,
            finish<Real>,
            adjoint_begin<Real>,
            adjoint<Real>,
            adjoint_finish<Real>};
}

}  // namespace factor
}  // namespace
}  // namespace QRNN_ISA
}  // namespace qrnn
