// Outcomes drawn step by step from probabilities, each step by itself, with the random numbers of draw 0: the numbers
// of sample_steps (engines/trajectory/run.hpp). A block of threads takes one step of one sequence at a time.
#pragma once

namespace qrnn {
namespace cuda {

template <class Real>
struct MarginalArguments {
    std::int64_t n_sequences, n_steps, n_outcomes, n_shots;
    std::uint64_t seed;
    const Real* probabilities;         // (B, T, n_outcomes)
    const std::int64_t* sequence_ids;  // (B,)
    std::int32_t* outcomes;            // (B, n_shots, T), null where they are not wanted
    std::int32_t* counts;              // (B, T, n_outcomes), added to; null where they are not wanted
    double* workspace;                 // n_outcomes numbers per block, null where shared memory holds them
};

QRNN_KERNEL(marginal_outcomes, MarginalArguments<Real>) {
    const std::int64_t n = a.n_outcomes;
    double* cumulative = a.workspace ? a.workspace + block_index() * n : static_cast<double*>(shared_memory());
    for (std::int64_t pair = block_index(); pair < a.n_sequences * a.n_steps; pair += n_blocks()) {
        const std::int64_t sequence = pair / a.n_steps, t = pair % a.n_steps;
        for (std::int64_t i = thread_index(); i < n; i += block_size()) {
            const double p = a.probabilities[pair * n + i];
            cumulative[i] = p < 0 ? 0 : p;
        }
        block_sync();
        if (thread_index() == 0) {  // in one order
            double sum = 0;
            for (std::int64_t i = 0; i < n; ++i) cumulative[i] = sum += cumulative[i];
        }
        block_sync();
        const std::uint32_t id = static_cast<std::uint32_t>(a.sequence_ids[sequence]);
        for (std::int64_t shot = thread_index(); shot < a.n_shots; shot += block_size()) {
            const PhiloxBlock block =
                philox(a.seed, {{id, static_cast<std::uint32_t>(shot), static_cast<std::uint32_t>(t), 0}});
            const double x = fraction<double>(block.word[0]) * cumulative[n - 1];
            std::int64_t outcome = 0;  // the first whose cumulative number is above x, else the last
            for (std::int64_t left = n - 1; left > 0;) {
                const std::int64_t half = left / 2;
                const bool above = cumulative[outcome + half] > x;
                outcome += above ? 0 : half + 1;
                left = above ? half : left - half - 1;
            }
            if (a.outcomes) a.outcomes[(sequence * a.n_shots + shot) * a.n_steps + t] = static_cast<int>(outcome);
            if (a.counts) count_one(a.counts + pair * n + outcome);
        }
        block_sync();
    }
}

}  // namespace cuda
}  // namespace qrnn
