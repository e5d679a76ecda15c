// The Pauli engine's kernels, one set per instruction set and precision. All arithmetic is vertical.
#pragma once

#include "engines/kernel.hpp"
#include "engines/pauli/plan/program.hpp"

namespace qrnn {

template <class Real>
using PauliGroup = Group<PauliProgram, Real>;
template <class Real>
using PauliKernel = Kernel<PauliProgram, Real>;

// `batch` runs one sequence per lane. `single` runs one sequence alone (its `lanes` is 1): coefficients of several
// steps side by side, since they do not depend on the state, and columns of the state four or eight at a time.
template <class Real>
struct PauliKernels {
    PauliKernel<Real> batch, single;
};

// The kernels of the instruction set chosen when the module was loaded.
template <class Real>
const PauliKernels<Real>& pauli_kernels();

}  // namespace qrnn
