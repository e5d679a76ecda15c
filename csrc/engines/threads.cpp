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

// ThreadSanitizer does not see the barriers of an OpenMP library that is built without it. This file is left out of its
// watch and tells it that what was written before a parallel region is read in it, and what was written there, behind
// it.
#ifdef QRNN_THREAD_SANITIZER
extern "C" void __tsan_acquire(void* address);
extern "C" void __tsan_release(void* address);
void released(char& tag) { __tsan_release(&tag); }
void acquired(char& tag) { __tsan_acquire(&tag); }
#else
void released(char&) {}
void acquired(char&) {}
#endif

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
    char begin = 0, end = 0;
    released(begin);
#pragma omp parallel for schedule(static, 1) num_threads(threads)
    for (int slot = 0; slot < threads; ++slot) {
        acquired(begin);
        FlushDenormals flush;
        f(slot);
        released(end);
    }
    acquired(end);
}

}  // namespace qrnn
