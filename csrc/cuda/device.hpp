// What device code stands on: CUDA C++, compiled by NVRTC; or plain C++, where tests run the same code on a device that
// they emulate (tests/cuda/emulator.cpp), thread by thread.
//
// A kernel takes one argument, a plain struct, so that both ways of starting it hand over the same bytes.
#pragma once

#include <cstdint>

#ifdef __CUDACC__

#define QRNN_DEVICE __device__ __forceinline__
#define QRNN_TABLE static __device__ const
// Of at most `threads` in a block.
#define QRNN_KERNEL_OF(threads, name, Arguments) \
    extern "C" __global__ void __launch_bounds__(threads) name(const __grid_constant__ Arguments a)
#define QRNN_KERNEL(name, Arguments) QRNN_KERNEL_OF(256, name, Arguments)
#define QRNN_UNROLL _Pragma("unroll")
#define QRNN_ONE_BY_ONE _Pragma("unroll 1")
// For what is called from several places and would be copied into each: the compiler takes a minute more otherwise.
#define QRNN_DEVICE_ONCE __device__ __noinline__

namespace qrnn {
namespace cuda {

QRNN_DEVICE int thread_index() { return threadIdx.x; }
QRNN_DEVICE int block_size() { return blockDim.x; }
QRNN_DEVICE int block_index() { return blockIdx.x; }
QRNN_DEVICE int n_blocks() { return gridDim.x; }
QRNN_DEVICE void block_sync() { __syncthreads(); }
QRNN_DEVICE void* shared_memory() {
    extern __shared__ __align__(16) unsigned char bytes[];
    return bytes;
}

// Between blocks that wait for each other: what a thread wrote before release() is seen after acquire() has told the
// same count. Blocks that wait must all be on the device at once (a cooperative launch).
QRNN_DEVICE void release(unsigned* count) {
    __threadfence();
    atomicAdd(count, 1u);
}
QRNN_DEVICE unsigned acquire(unsigned* count) {
    const unsigned now = *static_cast<volatile unsigned*>(count);
    __threadfence();
    return now;
}

// Counts are integers, so that their sums do not depend on the order.
QRNN_DEVICE void count_one(std::int32_t* count) { atomicAdd(count, 1); }

QRNN_DEVICE void sine_cosine(float x, float* sine, float* cosine) { sincosf(x, sine, cosine); }
QRNN_DEVICE void sine_cosine(double x, double* sine, double* cosine) { sincos(x, sine, cosine); }
QRNN_DEVICE float root(float x) { return sqrtf(x); }
QRNN_DEVICE double root(double x) { return sqrt(x); }
QRNN_DEVICE unsigned multiply_high(unsigned a, unsigned b) { return __umulhi(a, b); }

}  // namespace cuda
}  // namespace qrnn

#else

#include <cmath>

#define QRNN_DEVICE inline
#define QRNN_TABLE static const
#define QRNN_KERNEL_OF(threads, name, Arguments) extern "C" void name(const Arguments& a)
#define QRNN_KERNEL(name, Arguments) QRNN_KERNEL_OF(256, name, Arguments)
#define QRNN_UNROLL
#define QRNN_ONE_BY_ONE
#define QRNN_DEVICE_ONCE inline

namespace qrnn {
namespace cuda {

// Defined by the emulator.
int thread_index();
int block_size();
int block_index();
int n_blocks();
void block_sync();
void* shared_memory();
void release(unsigned* count);
unsigned acquire(unsigned* count);  // lets other threads run

inline void count_one(std::int32_t* count) { ++*count; }

template <class Real>
void sine_cosine(Real x, Real* sine, Real* cosine) {
    *sine = std::sin(x);
    *cosine = std::cos(x);
}
template <class Real>
Real root(Real x) {
    return std::sqrt(x);
}
inline unsigned multiply_high(unsigned a, unsigned b) {
    return static_cast<unsigned>(static_cast<unsigned long long>(a) * b >> 32);
}

}  // namespace cuda
}  // namespace qrnn

#endif
