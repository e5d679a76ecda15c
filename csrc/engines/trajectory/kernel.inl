// The kernels of one instruction set, for the file that defines it (simd/lanes.inl).
#include "engines/trajectory/kernel.hpp"
#include "simd/lanes.inl"

#include "engines/factor/matrices.inl"
#include "rng/philox.inl"

#include "engines/trajectory/tables.inl"

#include "engines/trajectory/sampling.inl"

#include "engines/trajectory/shots.inl"

namespace qrnn {
namespace QRNN_ISA {

extern const TrajectoryKernel<float> trajectory_float;
extern const TrajectoryKernel<double> trajectory_double;
const TrajectoryKernel<float> trajectory_float = trajectory::make_kernel<float>();
const TrajectoryKernel<double> trajectory_double = trajectory::make_kernel<double>();

}  // namespace QRNN_ISA
}  // namespace qrnn
