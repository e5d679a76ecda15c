// Angles to tables, as engines/trajectory/tables.inl has them. Stands behind the tables of one plan
// (trajectory_source.cpp), which name the precision `Real`, the sizes `sizes` and `stages`, the step and the finish.
#pragma once

namespace qrnn {
namespace cuda {

struct Complex {
    Real re, im;

    QRNN_DEVICE Complex operator+(const Complex& b) const { return {re + b.re, im + b.im}; }
    QRNN_DEVICE Complex operator*(const Complex& b) const { return {re * b.re - im * b.im, re * b.im + im * b.re}; }
    QRNN_DEVICE Complex conjugate() const { return {re, -im}; }
};

// The angles of a step and of the one before, null before the first.
struct StepAngles {
    const Real *here, *before;
};

QRNN_DEVICE void trigonometry(const FactorTrig& t, const StepAngles& angles, Real* sine, Real* cosine) {
    *sine = t.slot < 0 ? Real(t.offset) : Real(0);
    *cosine = t.slot < 0 ? Real(t.scale) : Real(1);
    if (t.carried && !angles.before) {
        *sine = 0;
        *cosine = 1;
    } else if (t.slot >= 0) {
        sine_cosine((t.carried ? angles.before : angles.here)[t.slot] * Real(t.scale) + Real(t.offset), sine, cosine);
    }
}

// The gates first .. last - 1 act on `matrix`.
QRNN_DEVICE_ONCE void multiply_gates(const TrajectoryStage& stage, const TrajectoryElement& e, int first, int last,
                                     const StepAngles& angles, Complex* matrix) {
    const int n_in = e.n_in, n = e.n_local * n_in;
    Complex product[sizes.most_entries];
    QRNN_ONE_BY_ONE for (int k = first; k < last; ++k) {
        const FactorGate& gate = stage.gates[k];
        Real sine, cosine;
        trigonometry(stage.trigs[gate.trig], angles, &sine, &cosine);
        QRNN_ONE_BY_ONE for (int i = 0; i < n; ++i) product[i] = {};
        QRNN_ONE_BY_ONE for (int i = gate.entries; i < gate.entries + gate.n_entries; ++i) {
            const FactorEntry& f = stage.entries[i];
            const Complex value{Real(f.constant[0]) + cosine * Real(f.cosine[0]) + sine * Real(f.sine[0]),
                                Real(f.constant[1]) + cosine * Real(f.cosine[1]) + sine * Real(f.sine[1])};
            QRNN_ONE_BY_ONE for (int j = 0; j < n_in; ++j) product[n_in * f.row + j] =
                product[n_in * f.row + j] + value * matrix[n_in * f.col + j];
        }
        QRNN_ONE_BY_ONE for (int i = 0; i < n; ++i) matrix[i] = product[i];
    }
}

// The Kraus operator of a branch behind `in`, which is copied where nothing is drawn.
QRNN_DEVICE void project(const TrajectoryStage& stage, const TrajectoryElement& e, int branch, const Complex* in,
                         Complex* out) {
    const int n_in = e.n_in, n = e.n_local * n_in;
    QRNN_ONE_BY_ONE for (int i = 0; i < n; ++i) out[i] = e.draw >= 0 ? Complex{} : in[i];
    if (e.draw < 0) return;
    const std::int32_t* bounds = stage.bounds + e.branches + branch;
    QRNN_ONE_BY_ONE for (int k = bounds[0]; k < bounds[1]; ++k) {
        const KrausEntry& entry = stage.kraus[k];
        const Complex value{Real(entry.value[0]), Real(entry.value[1])};
        QRNN_ONE_BY_ONE for (int c = 0; c < n_in; ++c) out[n_in * entry.row + c] =
            out[n_in * entry.row + c] + value * in[n_in * entry.col + c];
    }
}

// The effect of a part, whose Kraus operator is `k`, in the order of its statistics.
QRNN_DEVICE void write_effect(const TrajectoryPart& part, const Real* k, Real* effect) {
    const int n_in = part.n_in;
    QRNN_ONE_BY_ONE for (int c = 0; c < n_in; ++c) QRNN_ONE_BY_ONE for (int d = 0; d <= c; ++d) {
        Complex sum{};
        QRNN_ONE_BY_ONE for (int r = 0; r < part.n_out; ++r) {
            const Real *left = k + 2 * (n_in * r + d), *right = k + 2 * (n_in * r + c);
            sum = sum + Complex{left[0], left[1]}.conjugate() * Complex{right[0], right[1]};
        }
        *effect++ = c == d ? sum.re : sum.re * Real(2);
        if (c != d) *effect++ = sum.im * Real(-2);
    }
}

QRNN_DEVICE void fill_element(const TrajectoryStage& stage, const TrajectoryElement& e, const StepAngles& angles,
                              Real* table) {
    Complex start[sizes.most_entries], branch[sizes.most_entries];
    const int n_in = e.n_in, after = e.gates + e.n_before;
    QRNN_ONE_BY_ONE for (int i = 0; i < e.n_local * n_in; ++i) start[i] = {};
    QRNN_ONE_BY_ONE for (int c = 0; c < n_in; ++c) start[(n_in + 1) * c].re = 1;
    multiply_gates(stage, e, e.gates, after, angles, start);
    Real *effects = table + e.table, *coefficients = effects + e.n_branches * e.n_statistics;
    QRNN_ONE_BY_ONE for (int j = 0; j < e.n_branches; ++j) {
        project(stage, e, j, start, branch);
        multiply_gates(stage, e, after, after + e.n_after, angles, branch);
        QRNN_ONE_BY_ONE for (int i = 0; i < e.n_parts; ++i) {
            const TrajectoryPart& part = stage.parts[e.parts + i];
            Real* out = coefficients + j * e.n_coefficients + part.coefficients;
            QRNN_ONE_BY_ONE for (int r = 0; r < part.n_out; ++r) {
                const int row = stage.local_rows[e.out_rows + e.n_out * j + part.local_out[r]];
                QRNN_ONE_BY_ONE for (int c = 0; c < part.n_in; ++c) {
                    const Complex k = branch[n_in * row + part.local_in[c]];
                    out[2 * (part.n_in * r + c)] = k.re;
                    out[2 * (part.n_in * r + c) + 1] = k.im;
                }
            }
            if (e.draw >= 0) write_effect(part, out, effects + j * e.n_statistics + part.statistics);
        }
    }
}

// The elements of the step, for every sequence and step, then those of the finish. The threads of a warp mostly work on
// the same element.
QRNN_KERNEL(trajectory_tables, TrajectoryArguments<Real>) {
    const std::int64_t n_pairs = a.n_sequences * a.n_steps;
    const std::int64_t n_step = stages[0].n_elements * n_pairs, n = n_step + stages[1].n_elements * a.n_sequences;
    const std::int64_t n_threads = static_cast<std::int64_t>(n_blocks()) * block_size();
    for (std::int64_t i = static_cast<std::int64_t>(block_index()) * block_size() + thread_index(); i < n;
         i += n_threads) {
        const bool finish = i >= n_step;
        const TrajectoryStage& stage = stages[finish];
        const std::int64_t task = finish ? i - n_step : i, n_tasks = finish ? a.n_sequences : n_pairs;
        const std::int64_t pair = task % n_tasks, sequence = finish ? pair : pair / a.n_steps;
        const std::int64_t t = finish ? a.n_steps : pair % a.n_steps;
        const Real* angles = a.angles + (sequence * a.n_steps + t) * sizes.n_angles;
        fill_element(stage, stage.elements[task / n_tasks], {angles, t > 0 ? angles - sizes.n_angles : nullptr},
                     a.tables + sequence * sizes.table_size(a.n_steps) + t * sizes.step_table);
    }
}

}  // namespace cuda
}  // namespace qrnn
