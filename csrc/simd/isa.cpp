#include "simd/isa.hpp"

#include <cstdlib>
#include <stdexcept>

#include "engines/pauli/kernel.hpp"

namespace qrnn {

namespace baseline {
extern const PauliKernels<float> pauli_float;
extern const PauliKernels<double> pauli_double;
}  // namespace baseline
#ifdef QRNN_X86
namespace avx2 {
extern const PauliKernels<float> pauli_float;
extern const PauliKernels<double> pauli_double;
}  // namespace avx2
namespace avx512 {
extern const PauliKernels<float> pauli_float;
extern const PauliKernels<double> pauli_double;
}  // namespace avx512
#endif

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

template <>
const PauliKernels<float>& pauli_kernels<float>() {
    switch (chosen_isa()) {
#ifdef QRNN_X86
        case Isa::avx512:
            return avx512::pauli_float;
        case Isa::avx2:
            return avx2::pauli_float;
#endif
        default:
            return baseline::pauli_float;
    }
}

template <>
const PauliKernels<double>& pauli_kernels<double>() {
    switch (chosen_isa()) {
#ifdef QRNN_X86
        case Isa::avx512:
            return avx512::pauli_double;
        case Isa::avx2:
            return avx2::pauli_double;
#endif
        default:
            return baseline::pauli_double;
    }
}

}  // namespace qrnn
