// The factor engine on a GPU, forward; the order of a step is that of the CPU (engines/factor/sequence.inl).
//
// Operations per sequence and step as on the CPU: those of the passes for every column, and 2 * 2^N * 2^m * 2^m
// multiply-adds for the sum over the wires; of the passes and sums every complex number is read and written once, and
// the sum reads 2^N * 2^m * 2^m / side of them from the caches. Barriers of the team: 5, one for each pass and chunk of
// columns, two for each chunk, and one for each column of the factor.
//
// echo_state(16, repeats=3), one sequence in float64, chunks of 32 of the 256 columns:
//   passes    86, of which 39 have 65,536 rows: 24 GB read and written, a chunk of 34 MB, most of it in the L2 cache
//   sum       2.2e9 complex multiply-adds, 17 GFLOP for 18 GB from L1 and L2
//   factor    256 columns of 65,536 elements: 0.5 GB from L2, 0.13 GFLOP
//   barriers  965, each of about 2 us
// At 4.3 TB/s, 33 TFLOP/s and without any overlap 5.6 + 4.2 + 0.6 + 1.9 ms: about 12 ms a step.
#pragma once

namespace qrnn {
namespace cuda {

// The memory at the start, and its columns: their number, -1 where it is not positive. `trace_at_start` is what
// rounding must not change.
QRNN_DEVICE_ONCE int begin(const Team& team, const FactorArguments<Real>& a, const Work& w, std::int64_t sequence,
                           Real* trace_at_start) {
    const Real* memory = a.memory ? a.memory + sequence * sizes.density_size() : nullptr;
    QRNN_ONE_BY_ONE for (int i = team.thread; i < dim * dim; i += team.n_threads)
        set_memory(w, i, memory ? hermitian_part(memory, i) : Complex{Real(i == 0), 0});
    begin_cholesky(team, w);
    if (team.thread == 0) w.status[0] = w.status[1] = 0;
    team_sync(team);
    *trace_at_start = trace(team, w.rho);
    block_sync();
    return pivoted_cholesky(team, w);
}

// w.next becomes the sum over the stage of what L's columns become; or, where rho is not positive, of what rho's and
// the identity's become side by side: sum_e (U rho)_e (U)_e^dagger. The settings' probabilities go to w.norms.
QRNN_DEVICE_ONCE void run_stage(const Team& team, const FactorStage& stage, int n_columns, const Work& w) {
    const bool is_positive = n_columns >= 0;
    const int n = is_positive ? n_columns : dim, most = is_positive ? width : width / 2;
    int collected = 0;
    QRNN_ONE_BY_ONE for (int first = 0; first < n; first += most) {
        const int shift = shift_of(n - first < most ? n - first : most), apart = is_positive ? 0 : 1 << shift;
        load_columns(team, is_positive ? w.columns : w.rho, first, shift, w.state);
        if (!is_positive) load_columns(team, nullptr, first, shift, w.state + apart);
        team_sync(team);
        passes_forward(team, stage, w.matrices, is_positive ? shift : shift + 1, w.state);
        sum_tiles(team, stage, w.state, shift, apart, first == 0, w.sums);
        sum_norms(team, stage, w.state, shift, apart, first == 0, w.norms);
        team_sync(team);
        if (first == 0) collected = 1 << shift;
    }
    collect(team, stage, collected, w);
    team_sync(team);
}

// All steps; rho is left in w.rho. Returns the number of columns of its factor, as begin() does.
QRNN_DEVICE_ONCE int forward_steps(const Team& team, const FactorArguments<Real>& a, const Work& w,
                                   std::int64_t sequence, Complex* kept) {
    const FactorStage stage = step_stage();
    const Real* angles = a.angles + sequence * a.n_steps * sizes.n_angles;
    Real trace_at_start;
    int n_columns = begin(team, a, w, sequence, &trace_at_start);
    for (std::int64_t t = 0; t < a.n_steps; ++t) {
        fill_trigs(team, stage, w, angles, t, a.n_steps);
        team_sync(team);
        fill_matrices(team, stage, w, t);
        if (kept)
            QRNN_ONE_BY_ONE for (int i = team.thread; i < dim * dim; i += team.n_threads) kept[t * dim * dim + i] =
                w.rho[i];
        team_sync(team);
        run_stage(team, stage, n_columns, w);

        const Real now = trace(team, w.next), poison = w.status[t & 1];
        const Real factor = n_columns >= 0 && now > 0 ? trace_at_start / now : Real(1);
        QRNN_ONE_BY_ONE for (int i = team.thread; i < dim * dim; i += team.n_threads) {
            const Complex z = w.next[i];
            set_memory(w, i, {factor * z.re + poison, factor * z.im + poison});
        }
        if (a.probabilities) {
            Real* out = a.probabilities + (sequence * a.n_steps + t) * sizes.n_outcomes();
            QRNN_ONE_BY_ONE for (int j = team.thread; j < sizes.n_outcomes(); j += team.n_threads) {
                Real sum = 0;
                QRNN_ONE_BY_ONE for (int k = outcome_begin[j]; k < outcome_begin[j + 1]; ++k) sum +=
                    w.norms[outcome_settings[k] * width];
                out[j] = factor * sum + poison;
            }
        }
        begin_cholesky(team, w);
        team_sync(team);
        n_columns = pivoted_cholesky(team, w);
    }
    return n_columns;
}

QRNN_KERNEL_OF(512, factor_forward, FactorArguments<Real>) {
    const FactorLayout layout(sizes, sizeof(Real), width, a.team_blocks, false);
    for_each_sequence(a, layout.size, false, [&](const Team& team, std::int64_t sequence) {
        const Work w(team, layout);
        const int n_columns = forward_steps(team, a, w, sequence, nullptr);
        const FactorStage stage = finish_stage();
        const bool is_last = stage.n_passes == 0 || a.n_steps == 0;
        if (!is_last) {
            fill_trigs(team, stage, w, a.angles + sequence * a.n_steps * sizes.n_angles, a.n_steps, a.n_steps);
            team_sync(team);
            fill_matrices(team, stage, w, a.n_steps);
            team_sync(team);
            run_stage(team, stage, n_columns, w);
        }
        write_density(team, is_last ? w.rho : w.next, a.memory_out + sequence * sizes.density_size());
        team_sync(team);
    });
}

}  // namespace cuda
}  // namespace qrnn
