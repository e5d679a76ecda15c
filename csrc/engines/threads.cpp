#include "engines/threads.hpp"

#include <pthread.h>

#include <atomic>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace qrnn {
namespace {

// Random circuits shrink coefficients to denormals over hundreds of steps, which are slow and worth nothing.
class FlushDenormals {
  public:
#if defined(__x86_64__)
    FlushDenormals() : saved_(_mm_getcsr()) { _mm_setcsr(saved_ | 0x8040); }  // flush to zero, denormals are zero
    ~FlushDenormals() { _mm_setcsr(saved_); }

  private:
    unsigned saved_;
#elif defined(__aarch64__)
    FlushDenormals() {
        __asm__ __volatile__("mrs %0, fpcr" : "=r"(saved_));
        __asm__ __volatile__("msr fpcr, %0" : : "r"(saved_ | (1ull << 24)));
    }
    ~FlushDenormals() { __asm__ __volatile__("msr fpcr, %0" : : "r"(saved_)); }

  private:
    unsigned long long saved_;
#endif
};

// An OpenMP team does not survive a fork; a child process runs on one thread.
std::atomic<bool> forked{false};
const int at_fork = pthread_atfork(nullptr, nullptr, [] { forked = true; });

}  // namespace

void for_each_slot(int threads, const std::function<void(int)>& f) {
    if (threads == 1 || forked) {
        FlushDenormals flush;
        for (int slot = 0; slot < threads; ++slot) f(slot);
        return;
    }
#pragma omp parallel for schedule(static, 1) num_threads(threads)
    for (int slot = 0; slot < threads; ++slot) {
        FlushDenormals flush;
        f(slot);
    }
}

}  // namespace qrnn
