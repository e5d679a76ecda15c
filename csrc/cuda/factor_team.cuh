// The factor engine on a GPU: teams of threads, their numbers, and the gates' matrices. Stands behind the tables of one
// plan (factor_source.cpp), which name the precision `Real`, the sizes `sizes`, the columns of a chunk `width`, and the
// two stages.
#pragma once

namespace qrnn {
namespace cuda {

template <class T>
struct alignas(2 * sizeof(T)) ComplexOf {
    T re, im;
};
using Complex = ComplexOf<Real>;

template <class T>
QRNN_DEVICE void add_product(ComplexOf<T>& sum, ComplexOf<T> a, ComplexOf<T> b) {
    sum.re += a.re * b.re;
    sum.re -= a.im * b.im;
    sum.im += a.re * b.im;
    sum.im += a.im * b.re;
}
template <class T>
QRNN_DEVICE ComplexOf<T> conjugate(ComplexOf<T> z) {
    return {z.re, -z.im};
}

constexpr int dim = static_cast<int>(sizes.dim());

// One thread's view of its team.
struct Team {
    int block, n_blocks;    // of the team
    int thread, n_threads;  // of the team
    unsigned* barrier;      // counts the blocks that have come to a barrier, of all so far
    Real* numbers;
    unsigned char* own;  // shared memory of this block (FactorScratch)
};

QRNN_DEVICE_ONCE void team_sync(const Team& team) {
    block_sync();
    if (team.n_blocks == 1) return;
    if (thread_index() == 0) {
        unsigned& phase = *reinterpret_cast<unsigned*>(team.own + FactorScratch(sizes, sizeof(Real), 0, false).phase);
        phase += team.n_blocks;
        release(team.barrier);
        while (static_cast<int>(acquire(team.barrier) - phase) < 0) {  // the counter may wrap
        }
    }
    block_sync();
}

// A team's workspace.
struct Work {
    Complex *trigs, *matrices;  // a trig is (cosine, sine)
    Real* status;
    Complex *rho, *next, *columns;
    ComplexOf<double>* cholesky;
    Complex* sums;
    Real* norms;
    Complex* state;
    Complex *other, *lambda, *next_lambda;
    Real* weights;
    Complex *block_gradients, *gradients;
    Real *gate_gradients, *waiting;

    QRNN_DEVICE Work(const Team& team, const FactorLayout& at)
        : trigs(complex(team, at.trigs)),
          matrices(complex(team, at.matrices)),
          status(team.numbers + at.status),
          rho(complex(team, at.rho)),
          next(complex(team, at.next)),
          columns(complex(team, at.columns)),
          cholesky(reinterpret_cast<ComplexOf<double>*>(team.numbers + at.cholesky)),
          sums(complex(team, at.sums)),
          norms(team.numbers + at.norms),
          state(complex(team, at.state)),
          other(complex(team, at.other)),
          lambda(complex(team, at.lambda)),
          next_lambda(complex(team, at.next_lambda)),
          weights(team.numbers + at.weights),
          block_gradients(complex(team, at.block_gradients)),
          gradients(complex(team, at.gradients)),
          gate_gradients(team.numbers + at.gate_gradients),
          waiting(team.numbers + at.waiting) {}

  private:
    QRNN_DEVICE static Complex* complex(const Team& team, std::int64_t at) {
        return reinterpret_cast<Complex*>(team.numbers + at);
    }
};

// ---- Angles to matrices.
// Sines and cosines of step t, or of what is carried beyond the last one. An angle that is not finite poisons the step.
// `angles`: those of the sequence's first step.
QRNN_DEVICE_ONCE void fill_trigs(const Team& team, const FactorStage& stage, const Work& w, const Real* angles,
                                 std::int64_t t, std::int64_t n_steps) {
    const Real* here = angles + (t < n_steps ? t : n_steps - 1) * sizes.n_angles;
    const Real* before = angles + (t - 1) * sizes.n_angles;
    QRNN_ONE_BY_ONE for (int i = team.thread; i < stage.n_trigs; i += team.n_threads) {
        const FactorTrig& trig = stage.trigs[i];
        Complex out{1, 0};
        if (trig.slot < 0) {
            if (!trig.carried || t > 0) out = {Real(trig.scale), Real(trig.offset)};
        } else if (!trig.carried || t > 0) {
            const Real x = (trig.carried ? before : here)[trig.slot] * Real(trig.scale) + Real(trig.offset);
            sine_cosine(x, &out.im, &out.re);
        }
        w.trigs[i] = out;
    }
    QRNN_ONE_BY_ONE for (int i = team.thread; i < sizes.n_angles; i += team.n_threads) {
        const Real zero = Real(0) * here[i];
        if (!(zero == 0)) w.status[t & 1] = zero;
    }
}

QRNN_DEVICE Complex entry_value(const FactorEntry& e, Complex trig) {
    return {Real(e.constant[0]) + trig.re * Real(e.cosine[0]) + trig.im * Real(e.sine[0]),
            Real(e.constant[1]) + trig.re * Real(e.cosine[1]) + trig.im * Real(e.sine[1])};
}

// A thread for every column of every unitary. Clears the other steps' poison, too, which has been read by now.
QRNN_DEVICE_ONCE void fill_matrices(const Team& team, const FactorStage& stage, const Work& w, std::int64_t t) {
    if (team.thread == 0) w.status[(t + 1) & 1] = 0;
    QRNN_ONE_BY_ONE for (int i = team.thread; i < 4 * stage.n_unitaries; i += team.n_threads) {
        const FactorUnitary& unitary = stage.unitaries[i / 4];
        const int size = unitary.dim, col = i % 4;
        if (col >= size) continue;
        Complex x[4], y[4];
        QRNN_ONE_BY_ONE for (int row = 0; row < size; ++row) x[row] = {Real(row == col), 0};
        QRNN_ONE_BY_ONE for (int k = unitary.gates; k < unitary.gates + unitary.n_gates; ++k) {
            const FactorGate& gate = stage.gates[k];
            const Complex trig = w.trigs[gate.trig];
            QRNN_ONE_BY_ONE for (int row = 0; row < size; ++row) y[row] = {0, 0};
            QRNN_ONE_BY_ONE for (int j = gate.entries; j < gate.entries + gate.n_entries; ++j) {
                const FactorEntry& e = stage.entries[j];
                add_product(y[e.row], entry_value(e, trig), x[e.col]);
            }
            QRNN_ONE_BY_ONE for (int row = 0; row < size; ++row) x[row] = y[row];
        }
        QRNN_ONE_BY_ONE for (int row = 0; row < size; ++row) w.matrices[unitary.matrix + size * row + col] = x[row];
    }
}

// ---- Density matrices of the caller.
// The Hermitian part of element i of a matrix.
QRNN_DEVICE Complex hermitian_part(const Real* matrix, int i) {
    const Real *x = matrix + 2 * i, *y = matrix + 2 * (i % dim * dim + i / dim);
    return {(x[0] + y[0]) / 2, (x[1] - y[1]) / 2};
}

QRNN_DEVICE void write_density(const Team& team, const Complex* rho, Real* matrix) {
    QRNN_ONE_BY_ONE for (int i = team.thread; i < dim * dim; i += team.n_threads) {
        matrix[2 * i] = rho[i].re;
        matrix[2 * i + 1] = rho[i].im;
    }
}

// Calls f(team, sequence) for every sequence that this thread's team runs.
template <class F>
QRNN_DEVICE void for_each_sequence(const FactorArguments<Real>& a, std::int64_t workspace_size, bool with_adjoint,
                                   F f) {
    const int n_blocks_of_team = static_cast<int>(a.team_blocks), index = block_index() / n_blocks_of_team;
    const int n_teams = n_blocks() / n_blocks_of_team, block = block_index() % n_blocks_of_team;
    unsigned char* own = static_cast<unsigned char*>(shared_memory());
    const FactorScratch scratch(sizes, sizeof(Real), block_size(), with_adjoint);
    Real* numbers = a.workspace ? a.workspace + index * workspace_size : reinterpret_cast<Real*>(own + scratch.size);
    const Team team{block,
                    n_blocks_of_team,
                    block * block_size() + thread_index(),
                    n_blocks_of_team * block_size(),
                    a.barriers + index * FactorArguments<Real>::barrier_stride,
                    numbers,
                    own};
    if (thread_index() == 0) *reinterpret_cast<unsigned*>(own + scratch.phase) = 0;
    for (std::int64_t sequence = index; sequence < a.n_sequences; sequence += n_teams) f(team, sequence);
}

}  // namespace cuda
}  // namespace qrnn
