// The kernels of one instruction set, for the file that defines it (simd/lanes.inl).
#include "engines/pauli/kernel.hpp"
#include "simd/lanes.inl"

#include "engines/pauli/access.inl"
#include "engines/pauli/dense.inl"
#include "engines/pauli/forms.inl"

#include "engines/pauli/blocks.inl"
#include "engines/pauli/coefficients.inl"
#include "engines/pauli/transforms.inl"

#include "engines/pauli/batch.inl"
#include "engines/pauli/single.inl"

namespace qrnn {
namespace QRNN_ISA {

extern const PauliKernels<float> pauli_float;
extern const PauliKernels<double> pauli_double;
const PauliKernels<float> pauli_float = {batch::make_kernel<float>(), single::make_kernel<float>()};
const PauliKernels<double> pauli_double = {batch::make_kernel<double>(), single::make_kernel<double>()};

}  // namespace QRNN_ISA
}  // namespace qrnn
