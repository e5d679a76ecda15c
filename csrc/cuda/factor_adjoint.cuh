// The factor engine on a GPU, adjoint; stands behind factor.cuh.
//
// One launch: every sequence goes through its steps and keeps the memory before each; then, last step first: with the
// observable O below, the loss changes by 2 Re Tr(O dU X A...): X = U rho and A = O U, column by column, are taken back
// through the passes together; what is left of A are the columns of the adjoint of rho. For all 2^m columns five times
// the passes of the forward step, and 2^N * 2^m * 2^m complex multiply-adds for O U.
//
// echo_state(16, repeats=3), counted as in factor.cuh: 96 GB for the passes, 34 GFLOP for 34 GB from L1 and L2 for O U,
// 2,100 barriers: 22 + 8 + 4 ms, about 35 ms a step besides the step itself.
#pragma once

namespace qrnn {
namespace cuda {

// A = O X with the observable O = sum_e |e><e| (lambda + weight[outcome of e]): what a loss' derivatives by the next
// memory (lambda) and by the probabilities (weight) become on the columns. A thread for every column and tile of N_K
// rows and N_E settings: N_K N_E multiply-adds for N_K + N_E loads.
template <int N_E>
QRNN_DEVICE_ONCE void apply_observable(const Team& team, const FactorStage& stage, const Complex* lambda,
                                       const Real* weights, const Complex* state, int shift, Complex* out) {
    constexpr int N_K = dim < 4 ? dim : 4;
    const int n = (stage.n_environment / N_E * (dim / N_K)) << shift;
    QRNN_ONE_BY_ONE for (int i = team.thread; i < n; i += team.n_threads) {
        const int column = i & ((1 << shift) - 1), tile = i >> shift;
        const int k_first = tile % (dim / N_K) * N_K, e_first = tile / (dim / N_K) * N_E;
        int from[N_E];
        Complex sums[N_E * N_K];
        QRNN_UNROLL for (int e = 0; e < N_E; ++e) {
            from[e] = static_cast<int>(stage.environment[e_first + e]) * width + column;
            QRNN_UNROLL for (int k = 0; k < N_K; ++k) sums[e * N_K + k] = {0, 0};
        }
        QRNN_ONE_BY_ONE for (int j = 0; j < dim; ++j) {
            if (stage.memory_rows[j] < 0) continue;
            const int row = static_cast<int>(stage.memory_rows[j]) * width;
            Complex x[N_E];
            QRNN_UNROLL for (int e = 0; e < N_E; ++e) x[e] = state[from[e] + row];
            QRNN_UNROLL for (int k = 0; k < N_K; ++k) {
                const Complex l = lambda[(k_first + k) * dim + j];
                QRNN_UNROLL for (int e = 0; e < N_E; ++e) add_product(sums[e * N_K + k], l, x[e]);
            }
        }
        QRNN_UNROLL for (int k = 0; k < N_K; ++k) {
            if (stage.memory_rows[k_first + k] < 0) continue;
            const int row = static_cast<int>(stage.memory_rows[k_first + k]) * width;
            QRNN_UNROLL for (int e = 0; e < N_E; ++e) {
                const Real weight = weights[stage.outcomes[e_first + e]];
                const Complex x = state[from[e] + row];
                out[from[e] + row] = {sums[e * N_K + k].re + weight * x.re, sums[e * N_K + k].im + weight * x.im};
            }
        }
    }
}

// From the adjoint of the memory after a stage, w.lambda, to that of the memory `rho` before it, w.next_lambda, and the
// blocks' gradients.
QRNN_DEVICE_ONCE void stage_adjoint(const Team& team, const FactorStage& stage, const Complex* rho, const Work& w) {
    Complex* gradients = w.block_gradients + team.block * sizes.n_entries;
    for (int i = thread_index(); i < stage.n_entries; i += block_size()) gradients[i] = {0, 0};
    QRNN_ONE_BY_ONE for (int first = 0; first < dim; first += width) {
        const int shift = shift_of(dim < width ? dim : width);
        load_columns(team, nullptr, first, shift, w.state);
        team_sync(team);
        passes_forward(team, stage, w.matrices, shift, w.state);
        constexpr int most = sizes.n_environment < 4 ? sizes.n_environment : 4;
        if (stage.n_environment % most == 0)
            apply_observable<most>(team, stage, w.lambda, w.weights, w.state, shift, w.other);
        else
            apply_observable<1>(team, stage, w.lambda, w.weights, w.state, shift, w.other);
        team_sync(team);
        load_columns(team, rho, first, shift, w.state);
        team_sync(team);
        passes_forward(team, stage, w.matrices, shift, w.state);
        passes_adjoint(team, stage, w.matrices, shift, w.state, w.other, gradients);
        QRNN_ONE_BY_ONE for (int i = team.thread; i < dim << shift; i += team.n_threads) {
            const int row = i >> shift, column = i & ((1 << shift) - 1);
            w.next_lambda[row * dim + first + column] = w.other[row * width + column];
        }
    }
    team_sync(team);
    QRNN_ONE_BY_ONE for (int i = team.thread; i < dim * dim; i += team.n_threads) w.lambda[i] = w.next_lambda[i];
    QRNN_ONE_BY_ONE for (int i = team.thread; i < stage.n_entries; i += team.n_threads) {
        Complex sum{0, 0};
        QRNN_ONE_BY_ONE for (int block = 0; block < team.n_blocks; ++block) {
            sum.re += w.block_gradients[block * sizes.n_entries + i].re;
            sum.im += w.block_gradients[block * sizes.n_entries + i].im;
        }
        w.gradients[i] = sum;
    }
    team_sync(team);
}

// Adjoints of the gates' angles from those of the matrices (engines/factor/matrices.inl): with Y = U G^T the gate F
// that acts last changes the loss by Im Tr(H Y), and Y -> F^dagger Y F goes on to the gate before. A thread for every
// unitary.
QRNN_DEVICE_ONCE void gates_adjoint(const Team& team, const FactorStage& stage, const Work& w) {
    QRNN_ONE_BY_ONE for (int u = team.thread; u < stage.n_unitaries; u += team.n_threads) {
        const FactorUnitary& unitary = stage.unitaries[u];
        const int n = unitary.dim;
        const Complex *matrix = w.matrices + unitary.matrix, *grad = w.gradients + unitary.matrix;
        Complex y[16], next[16];
        QRNN_ONE_BY_ONE for (int i = 0; i < n * n; ++i) {
            y[i] = {0, 0};
            QRNN_ONE_BY_ONE for (int k = 0; k < n; ++k) add_product(y[i], matrix[i / n * n + k], grad[i % n * n + k]);
        }
        QRNN_ONE_BY_ONE for (int k = unitary.gates + unitary.n_gates; k-- > unitary.gates;) {
            const FactorGate& gate = stage.gates[k];
            const Complex trig = w.trigs[gate.trig];
            Real derivative = 0;
            QRNN_ONE_BY_ONE for (int i = gate.generator; i < gate.generator + gate.n_generator; ++i) {
                const GeneratorEntry& h = stage.generators[i];
                const Complex z = y[n * h.col + h.row];
                derivative += Real(h.value[0]) * z.im + Real(h.value[1]) * z.re;
            }
            w.gate_gradients[k] = Real(gate.scale) * derivative;
            if (k == unitary.gates) break;
            QRNN_ONE_BY_ONE for (int i = 0; i < n * n; ++i) next[i] = {0, 0};
            QRNN_ONE_BY_ONE for (int i = gate.entries; i < gate.entries + gate.n_entries; ++i) {
                const FactorEntry& e = stage.entries[i];
                const Complex f = conjugate(entry_value(e, trig));
                QRNN_ONE_BY_ONE for (int j = 0; j < n; ++j) add_product(next[n * e.col + j], f, y[n * e.row + j]);
            }
            QRNN_ONE_BY_ONE for (int i = 0; i < n * n; ++i) y[i] = {0, 0};
            QRNN_ONE_BY_ONE for (int i = gate.entries; i < gate.entries + gate.n_entries; ++i) {
                const FactorEntry& e = stage.entries[i];
                const Complex f = entry_value(e, trig);
                QRNN_ONE_BY_ONE for (int j = 0; j < n; ++j) add_product(y[n * j + e.col], next[n * j + e.row], f);
            }
        }
    }
}

// Adds up the gates of every angle: those of the step to grad_angles, with what the step after it has carried; those
// that are carried wait for the step before. A thread for every angle.
QRNN_DEVICE_ONCE void angles_adjoint(const Team& team, const SlotGates slots, const Work& w, Real* grad_angles) {
    QRNN_ONE_BY_ONE for (int slot = team.thread; slot < sizes.n_angles; slot += team.n_threads) {
        Real own = 0, carried = 0;
        QRNN_ONE_BY_ONE for (int i = slots.begin[2 * slot]; i < slots.begin[2 * slot + 1]; ++i) own +=
            w.gate_gradients[slots.gates[i]];
        QRNN_ONE_BY_ONE for (int i = slots.begin[2 * slot + 1]; i < slots.begin[2 * slot + 2]; ++i) carried +=
            w.gate_gradients[slots.gates[i]];
        if (grad_angles) grad_angles[slot] = own + w.waiting[slot];
        w.waiting[slot] = carried;
    }
}

QRNN_DEVICE_ONCE void adjoint_begin(const Team& team, const FactorArguments<Real>& a, const Work& w,
                                    std::int64_t sequence) {
    const Real* grad = a.grad_memory_out ? a.grad_memory_out + sequence * sizes.density_size() : nullptr;
    const FactorStage stage = finish_stage();
    QRNN_ONE_BY_ONE for (int i = team.thread; i < dim * dim; i += team.n_threads) w.lambda[i] =
        grad ? hermitian_part(grad, i) : Complex{0, 0};
    QRNN_ONE_BY_ONE for (int i = team.thread; i < sizes.n_angles; i += team.n_threads) w.waiting[i] = 0;
    if (!grad || stage.n_passes == 0 || a.n_steps == 0) return team_sync(team);
    fill_trigs(team, stage, w, a.angles + sequence * a.n_steps * sizes.n_angles, a.n_steps, a.n_steps);
    if (team.thread == 0) w.weights[0] = 0;
    team_sync(team);
    fill_matrices(team, stage, w, a.n_steps);
    team_sync(team);
    stage_adjoint(team, stage, w.rho, w);
    gates_adjoint(team, stage, w);
    team_sync(team);
    angles_adjoint(team, finish_slots(), w, nullptr);
}

QRNN_DEVICE_ONCE void adjoint_step(const Team& team, const FactorArguments<Real>& a, const Work& w,
                                   std::int64_t sequence, std::int64_t t, const Complex* rho) {
    const FactorStage stage = step_stage();
    fill_trigs(team, stage, w, a.angles + sequence * a.n_steps * sizes.n_angles, t, a.n_steps);
    team_sync(team);
    fill_matrices(team, stage, w, t);
    const Real* grad = a.grad_probabilities + (sequence * a.n_steps + t) * sizes.n_outcomes();
    QRNN_ONE_BY_ONE for (int j = team.thread; j < sizes.n_outcomes(); j += team.n_threads) w.weights[j] =
        grad[j] + w.status[t & 1];
    team_sync(team);
    stage_adjoint(team, stage, rho, w);
    gates_adjoint(team, stage, w);
    team_sync(team);
    angles_adjoint(team, step_slots(), w, a.grad_angles + (sequence * a.n_steps + t) * sizes.n_angles);
}

QRNN_KERNEL_OF(512, factor_adjoint, FactorArguments<Real>) {
    const FactorLayout layout(sizes, sizeof(Real), width, a.team_blocks, true);
    for_each_sequence(a, layout.size, true, [&](const Team& team, std::int64_t sequence) {
        const Work w(team, layout);
        Complex* kept = reinterpret_cast<Complex*>(a.kept) +
                        block_index() / static_cast<int>(a.team_blocks) * (a.n_steps * dim * dim);
        forward_steps(team, a, w, sequence, kept);
        adjoint_begin(team, a, w, sequence);
        for (std::int64_t t = a.n_steps; t-- > 0;) adjoint_step(team, a, w, sequence, t, kept + t * dim * dim);
        write_density(team, w.lambda, a.grad_memory + sequence * sizes.density_size());
        team_sync(team);
    });
}

}  // namespace cuda
}  // namespace qrnn
