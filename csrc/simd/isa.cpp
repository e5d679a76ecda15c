#include "simd/isa.hpp"

#include <cstdlib>
#include <stdexcept>

#include "engines/factor/kernel.hpp"
#include "engines/pauli/kernel.hpp"
#include "engines/trajectory/kernel.hpp"

namespace qrnn {

#define QRNN_DECLARE(isa)                                    \
    namespace isa {                                          \
    extern const PauliKernels<float> pauli_float;            \
    extern const PauliKernels<double> pauli_double;          \
    extern const FactorKernel<float> factor_float;           \
    extern const FactorKernel<double> factor_double;         \
    extern const TrajectoryKernel<float> trajectory_float;   \
    extern const TrajectoryKernel<double> trajectory_double; \
    }
QRNN_DECLARE(baseline)
#ifdef QRNN_X86
QRNN_DECLARE(avx2)
QRNN_DECLARE(avx512)
#endif
#undef QRNN_DECLARE

std::string isa_name(Isa isa) {
    switch (isa) {
        case Isa::baseline:
            return "baseline";
        case Isa::avx2:
            return "avx2";
        case Isa::avx512:
            return "avx512";
    }
    return "";
}

std::vector<Isa> available_isas() {
    std::vector<Isa> isas{Isa::baseline};
#ifdef QRNN_X86
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) isas.push_back(Isa::avx2);
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("fma"))
        isas.push_back(Isa::avx512);
#endif
    return isas;
}

Isa chosen_isa() {
    static const Isa chosen = [] {
        const std::vector<Isa> available = available_isas();
        const char* wanted = std::getenv("QRNN_FAST_ISA");
        if (!wanted || !*wanted) return available.back();
        std::string names;
        for (Isa isa : available) {
            if (isa_name(isa) == wanted) return isa;
            names += (names.empty() ? "" : ", ") + isa_name(isa);
        }
        throw std::runtime_error("QRNN_FAST_ISA is '" + std::string(wanted) + "'; this processor runs: " + names);
    }();
    return chosen;
}

#ifdef QRNN_X86
#define QRNN_CHOOSE(kernels)          \
    switch (chosen_isa()) {           \
        case Isa::avx512:             \
            return avx512::kernels;   \
        case Isa::avx2:               \
            return avx2::kernels;     \
        default:                      \
            return baseline::kernels; \
    }
#else
#define QRNN_CHOOSE(kernels) return baseline::kernels;
#endif

template <>
const PauliKernels<float>& pauli_kernels<float>() {
    QRNN_CHOOSE(pauli_float)
}

template <>
const PauliKernels<double>& pauli_kernels<double>() {
    QRNN_CHOOSE(pauli_double)
}

template <>
const FactorKernel<float>& factor_kernel<float>() {
    QRNN_CHOOSE(factor_float)
}

template <>
const FactorKernel<double>& factor_kernel<double>() {
    QRNN_CHOOSE(factor_double)
}

template <>
const TrajectoryKernel<float>& trajectory_kernel<float>() {
    QRNN_CHOOSE(trajectory_float)
}

template <>
const TrajectoryKernel<double>& trajectory_kernel<double>() {
    QRNN_CHOOSE(trajectory_double)
}

}  // namespace qrnn
