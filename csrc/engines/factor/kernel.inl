// The kernels of one instruction set, for the file that defines it (simd/lanes.inl).
#include "engines/factor/kernel.hpp"
#include "simd/lanes.inl"

#include "engines/factor/density.inl"
#include "engines/factor/matrices.inl"
#include "engines/factor/passes.inl"
#include "engines/factor/sequence.inl"

namespace qrnn {
namespace QRNN_ISA {

extern const FactorKernel<float> factor_float;
extern const FactorKernel<double> factor_double;
const FactorKernel<float> factor_float = factor::make_kernel<float>();
const FactorKernel<double> factor_double = factor::make_kernel<double>();

}  // namespace QRNN_ISA
}  // namespace qrnn
