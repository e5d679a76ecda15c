// The factor engine's kernels, one per instruction set and precision; a group is one sequence.
#pragma once

#include "engines/factor/program.hpp"
#include "engines/kernel.hpp"

namespace qrnn {

template <class Real>
using FactorGroup = Group<FactorProgram, Real>;
template <class Real>
using FactorKernel = Kernel<FactorProgram, Real>;

// The kernel of the instruction set chosen when the module was loaded.
template <class Real>
const FactorKernel<Real>& factor_kernel();

}  // namespace qrnn
