// Angles to tables: what a step's elements need, several steps side by side, one in each lane.
//
// An element's part of a step's table: for every branch j the effect E = K_j^dagger K_j, part by part, as the diagonal
// E_cc and for each c' < c the numbers 2 Re E_c'c and -2 Im E_c'c, so that |K_j psi|^2 is their product with the
// statistics of sampling.inl; then for every branch K_j, part by part, as (re, im) of [n_in * row + col].
namespace qrnn {
namespace QRNN_ISA {
namespace {

namespace trajectory {

using factor::Complex;
using factor::Trigonometry;

constexpr int max_entries = 16 * 4;  // of a matrix from the wires before to all wires of an element

template <class Real>
struct TableWorkspace {
    using V = VectorOf<Real>;
    Trigonometry<Real>* trigs;
    V *angles, *carried_angles, *table;
    int64_t size;

    TableWorkspace(const TrajectoryProgram& p, Real* memory) {
        int64_t used = 0;
        const auto vectors = [&](int64_t count) {
            V* place = reinterpret_cast<V*>(memory + used);
            used += count * Lanes<Real>::n;
            return place;
        };
        const auto larger = [](int64_t a, int64_t b) { return a > b ? a : b; };
        trigs = reinterpret_cast<Trigonometry<Real>*>(vectors(2 * larger(p.step.n_trigs, p.finish.n_trigs)));
        angles = vectors(p.n_angles);
        carried_angles = vectors(p.n_angles);
        table = vectors(larger(p.step.table_size, p.finish.table_size));
        size = used;
    }
};

template <class Real>
int64_t table_workspace_size(const TrajectoryProgram& p) {
    return TableWorkspace<Real>(p, nullptr).size;
}

// The gates first .. last - 1 act on `matrix`.
template <class Real>
void multiply_gates(const TrajectoryStage& stage, const TrajectoryElement& e, int first, int last,
                    const Trigonometry<Real>* trigs, Complex<Real>* matrix) {
    Complex<Real> product[max_entries];
    for (int k = first; k < last; ++k) {
        const FactorGate& gate = stage.gates[k];
        factor::from_left<Real>(stage.entries, gate, trigs[gate.trig], false, e.n_local, e.n_in, matrix, product);
        factor::copy<Real>(e.n_local * e.n_in, product, matrix);
    }
}

template <class Real>
void project(const TrajectoryStage& stage, const TrajectoryElement& e, int branch, const Complex<Real>* in,
             Complex<Real>* out) {
    for (int i = 0; i < e.n_local * e.n_in; ++i) out[i] = Complex<Real>{};
    for (int k = stage.bounds[e.branches + branch]; k < stage.bounds[e.branches + branch + 1]; ++k) {
        const KrausEntry& entry = stage.kraus[k];
        const Complex<Real> value{splat<Real>(static_cast<Real>(entry.value[0])),
                                  splat<Real>(static_cast<Real>(entry.value[1]))};
        for (int c = 0; c < e.n_in; ++c)
            out[e.n_in * entry.row + c] = out[e.n_in * entry.row + c] + value * in[e.n_in * entry.col + c];
    }
}

template <class Real>
void fill_element(const TrajectoryStage& stage, const TrajectoryElement& e, const Trigonometry<Real>* trigs,
                  VectorOf<Real>* table) {
    using V = VectorOf<Real>;
    Complex<Real> start[max_entries], branch[max_entries];
    for (int i = 0; i < e.n_local * e.n_in; ++i) start[i] = Complex<Real>{};
    for (int c = 0; c < e.n_in; ++c) start[(e.n_in + 1) * c].re = splat<Real>(1);
    const int after = e.gates + e.n_before;
    multiply_gates<Real>(stage, e, e.gates, after, trigs, start);
    V* effects = table + e.table;
    V* coefficients = effects + e.n_branches * e.n_statistics;
    for (int j = 0; j < e.n_branches; ++j) {
        if (e.draw >= 0)
            project<Real>(stage, e, j, start, branch);
        else
            factor::copy<Real>(e.n_local * e.n_in, start, branch);
        multiply_gates<Real>(stage, e, after, after + e.n_after, trigs, branch);
        for (int i = 0; i < e.n_parts; ++i) {
            const TrajectoryPart& part = stage.parts[e.parts + i];
            Complex<Real> k[16];
            for (int r = 0; r < part.n_out; ++r)
                for (int c = 0; c < part.n_in; ++c) {
                    const int row = stage.local_rows[e.out_rows + e.n_out * j + part.local_out[r]];
                    k[part.n_in * r + c] = branch[e.n_in * row + part.local_in[c]];
                }
            V* out = coefficients + j * e.n_coefficients + part.coefficients;
            for (int n = 0; n < part.n_in * part.n_out; ++n) {
                out[2 * n] = k[n].re;
                out[2 * n + 1] = k[n].im;
            }
            if (e.draw < 0) continue;
            V* effect = effects + j * e.n_statistics + part.statistics;
            for (int c = 0; c < part.n_in; ++c)
                for (int d = 0; d <= c; ++d) {
                    Complex<Real> sum{};
                    for (int r = 0; r < part.n_out; ++r)
                        sum = sum + k[part.n_in * r + d].conjugate() * k[part.n_in * r + c];
                    if (c == d) {
                        *effect++ = sum.re;
                    } else {
                        *effect++ = sum.re * Real(2);
                        *effect++ = sum.im * Real(-2);
                    }
                }
        }
    }
}

template <class Real>
void tables(const TrajectoryProgram& p, bool finish, const Real* angles, int64_t n_steps, int64_t first, int64_t last,
            Real* workspace, Real* out) {
    constexpr int lanes = Lanes<Real>::n;
    const TrajectoryStage& stage = finish ? p.finish : p.step;
    const TableWorkspace<Real> w(p, workspace);
    for (int64_t t = first; t < last; t += lanes) {
        const int n = last - t < lanes ? static_cast<int>(last - t) : lanes;
        factor::load_step_angles<Real>(angles, p.n_angles, n_steps, t, n, w.angles, w.carried_angles);
        factor::fill_trigs<Real>(stage.trigs, stage.n_trigs, w.angles, w.carried_angles, t == 0, w.trigs);
        for (int i = 0; i < stage.n_elements; ++i) fill_element<Real>(stage, stage.elements[i], w.trigs, w.table);
        store_rows<Real>(out + (t - first) * stage.table_size, stage.table_size, n, stage.table_size, w.table);
    }
}

}  // namespace trajectory
}  // namespace
}  // namespace QRNN_ISA
}  // namespace qrnn
