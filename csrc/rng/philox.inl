// Philox4x32-10 (Salmon, Moraes, Dror and Shaw, SC 2011): a block of four 32-bit numbers as a function of a key and a
// counter. For the file that defines the instruction set (simd/lanes.inl).
//
// Lanes are 64 bits wide and hold a 32-bit number in their lower half; what stands in the upper half has no meaning.
// 80 operations of a vector for a block.
namespace qrnn {
namespace QRNN_ISA {
namespace {

namespace philox {

constexpr int lanes = QRNN_VECTOR_BYTES / 8;
typedef uint64_t Wide __attribute__((vector_size(QRNN_VECTOR_BYTES), may_alias));
typedef int32_t Narrow __attribute__((vector_size(QRNN_VECTOR_BYTES), may_alias));

// 32 x 32 -> 64 bits. GCC does not see that a product of masked numbers is one instruction.
QRNN_INLINE Wide multiply(Wide a, uint32_t constant) {
    const Wide b = Wide{} + constant;
#if defined(__AVX512F__) && QRNN_VECTOR_BYTES == 64 && !defined(__clang__)
    typedef long long Product __attribute__((vector_size(64)));
    return (Wide)__builtin_ia32_pmuludq512_mask((Narrow)a, (Narrow)b, Product{}, 0xff);
#elif defined(__AVX2__) && QRNN_VECTOR_BYTES == 32 && !defined(__clang__)
    return (Wide)__builtin_ia32_pmuludq256((Narrow)a, (Narrow)b);
#elif defined(__SSE2__) && QRNN_VECTOR_BYTES == 16 && !defined(__clang__)
    return (Wide)__builtin_ia32_pmuludq128((Narrow)a, (Narrow)b);
#else
    return (a & 0xffffffffu) * b;
#endif
}

struct Block {
    Wide word[4];
};

// Counters to blocks, all with one key.
template <int n>
QRNN_INLINE void rounds(Block* b, uint64_t key) {
    uint32_t k0 = static_cast<uint32_t>(key), k1 = static_cast<uint32_t>(key >> 32);
    for (int round = 0; round < 10; ++round) {
        for (int i = 0; i < n; ++i) {
            const Block c = b[i];
            const Wide p0 = multiply(c.word[0], 0xD2511F53u), p1 = multiply(c.word[2], 0xCD9E8D57u);
            b[i] = {{(p1 >> 32) ^ c.word[1] ^ k0, p1, (p0 >> 32) ^ c.word[3] ^ k1, p0}};
        }
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
}

// A word as numbers in [0, 1): of 24 bits for float, of 32 for double. `high` is the block of the lanes that follow.
QRNN_INLINE void uniforms(Wide low, Wide high, VectorOf<float>& out) {
    const Narrow a = (Narrow)low, b = (Narrow)high;
#if QRNN_VECTOR_BYTES == 64
    const Narrow both = __builtin_shufflevector(a, b, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
#elif QRNN_VECTOR_BYTES == 32
    const Narrow both = __builtin_shufflevector(a, b, 0, 2, 4, 6, 8, 10, 12, 14);
#else
    const Narrow both = __builtin_shufflevector(a, b, 0, 2, 4, 6);
#endif
    out = __builtin_convertvector(both >> 8 & 0xffffff, VectorOf<float>) * 0x1p-24f;
}
QRNN_INLINE void uniforms(Wide low, Wide, VectorOf<double>& out) {
    // The number as the fraction of one between 2^52 and 2^53.
    out = ((VectorOf<double>)((low & 0xffffffffu) | 0x4330000000000000u) - 0x1p52) * 0x1p-32;
}

// Numbers 0 .. n - 1 of the counter (sequence, shot, step, block + number / 4): for shot + l in lane l, and for as many
// shots again in each of the other vectors, which follow `stride` apart. Several blocks at a time, since one is a
// chain.
template <class Real, int n_vectors>
void fill(uint64_t key, uint32_t sequence, uint32_t shot, uint32_t step, uint32_t first_block, int n,
          VectorOf<Real>* out, int64_t stride) {
    constexpr int per_vector = Lanes<Real>::n / lanes, at_once = n_vectors * per_vector;
    Wide shots[at_once];
    for (int i = 0; i < at_once; ++i) {
        shots[i] = Wide{} + (shot + static_cast<uint32_t>(i * lanes));
        for (int l = 0; l < lanes; ++l) shots[i][l] += static_cast<uint32_t>(l);
    }
    for (int first = 0; first < n; first += 4) {
        const Wide draw = Wide{} + (first_block + static_cast<uint32_t>(first / 4));
        Block b[at_once];
        for (int i = 0; i < at_once; ++i) b[i] = {{Wide{} + sequence, shots[i], Wide{} + step, draw}};
        rounds<at_once>(b, key);
        for (int v = 0; v < n_vectors; ++v)
            for (int i = 0; i < 4 && first + i < n; ++i)
                uniforms(b[v * per_vector].word[i], b[v * per_vector + per_vector - 1].word[i],
                         out[v * stride + first + i]);
    }
}

}  // namespace philox
}  // namespace
}  // namespace QRNN_ISA
}  // namespace qrnn
