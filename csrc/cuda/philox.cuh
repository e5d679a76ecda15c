// Philox4x32-10 (Salmon, Moraes, Dror and Shaw, SC 2011): a block of four 32-bit numbers as a function of a key and a
// counter. The numbers of rng/philox.inl, one block at a time; 80 operations.
#pragma once

#include <cstdint>

namespace qrnn {
namespace cuda {

struct PhiloxBlock {
    std::uint32_t word[4];
};

QRNN_DEVICE_ONCE PhiloxBlock philox(std::uint64_t key, PhiloxBlock c) {
    std::uint32_t k0 = static_cast<std::uint32_t>(key), k1 = static_cast<std::uint32_t>(key >> 32);
    QRNN_UNROLL for (int round = 0; round < 10; ++round) {
        const std::uint32_t m0 = 0xD2511F53u, m1 = 0xCD9E8D57u;
        c = {{multiply_high(c.word[2], m1) ^ c.word[1] ^ k0, c.word[2] * m1,
              multiply_high(c.word[0], m0) ^ c.word[3] ^ k1, c.word[0] * m0}};
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    return c;
}

// A word as a number in [0, 1): of 24 bits for float, of 32 for double.
template <class Real>
QRNN_DEVICE Real fraction(std::uint32_t word) {
    return sizeof(Real) == 4 ? static_cast<Real>(word >> 8) * static_cast<Real>(1.0 / (1 << 24))
                             : static_cast<Real>(word) * static_cast<Real>(1.0 / 4294967296.0);
}

// The numbers of one shot and step. A block is kept until a number of another one is asked for.
class Draws {
  public:
    QRNN_DEVICE Draws(std::uint64_t key, std::uint32_t sequence, std::uint32_t shot)
        : key_(key), sequence_(sequence), shot_(shot), step_(0) {
        move_to(0);
    }

    QRNN_DEVICE void begin_step(std::uint32_t step) {
        step_ = step;
        move_to(0);
    }
    template <class Real>
    QRNN_DEVICE Real number(std::int32_t draw) {
        const std::uint32_t block = static_cast<std::uint32_t>(draw) / 4;
        if (block != at_) move_to(block);
        // The words stay in registers, which have no index.
        const std::uint32_t low = draw & 1 ? block_.word[1] : block_.word[0];
        const std::uint32_t high = draw & 1 ? block_.word[3] : block_.word[2];
        return fraction<Real>(draw & 2 ? high : low);
    }

  private:
    QRNN_DEVICE void move_to(std::uint32_t block) {
        at_ = block;
        block_ = philox(key_, {{sequence_, shot_, step_, block}});
    }

    std::uint64_t key_;
    std::uint32_t sequence_, shot_, step_, at_;
    PhiloxBlock block_;
};

}  // namespace cuda
}  // namespace qrnn
