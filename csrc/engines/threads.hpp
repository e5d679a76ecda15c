// Threads, and memory that they work in.
#pragma once

#include <cstdint>
#include <functional>
#include <new>

namespace qrnn {

// Runs f(0) .. f(threads - 1), each on a thread of its own; f(0) on the calling one. Denormals are zero meanwhile. In a
// forked process all run on one thread. f must not throw.
void for_each_slot(int threads, const std::function<void(int)>& f);

template <class Real>
class AlignedArray {
  public:
    explicit AlignedArray(std::int64_t n)
        : data_(static_cast<Real*>(::operator new(static_cast<size_t>(n) * sizeof(Real), std::align_val_t{64}))) {}
    ~AlignedArray() { ::operator delete(data_, std::align_val_t{64}); }
    AlignedArray(const AlignedArray&) = delete;
    AlignedArray& operator=(const AlignedArray&) = delete;
    Real* get() const { return data_; }

  private:
    Real* data_;
};

}  // namespace qrnn
