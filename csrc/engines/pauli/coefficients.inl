// The coefficient program: angles to registers, and its adjoint.
//
// An angle or register is `stride` vectors that are neighbours, of which the first `parts` are worked on: following the
// program, and waiting for results, is shared by all of them.
namespace qrnn {
namespace QRNN_ISA {
namespace {

// Operands are counted in bytes of vectors.
template <int stride, class V>
QRNN_INLINE V* operand(V* registers, int64_t bytes) {
    return reinterpret_cast<V*>(reinterpret_cast<int64_t>(registers) + stride * bytes);
}

// Both operands of a product by one load: what limits the segments is how many loads a cycle has room for.
struct Operands {
    int64_t a, b;
};
QRNN_INLINE Operands operands(const int32_t* pair) {
    if constexpr (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__) {
        int64_t both = 0;
        __builtin_memcpy(&both, pair, sizeof both);
        return {static_cast<int32_t>(both), both >> 32};
    }
    return {pair[0], pair[1]};
}

template <class Real, int stride, int parts, int N, int mask>
void segment_forward(const Segment& s, const int32_t* o, VectorOf<Real>* reg) {
    using V = VectorOf<Real>;
    V* dst = reg + stride * s.dst;
#pragma GCC unroll 4
    for (int i = s.n; i > 0; --i, o += 2 * N, dst += stride) {
        V sum[parts];
        for (int t = 0; t < N; ++t) {
            const Operands at = operands(o + 2 * t);
            const V *a = operand<stride>(reg, at.a), *b = operand<stride>(reg, at.b);
            for (int h = 0; h < parts; ++h)
                if (t == 0)
                    sum[h] = mask & 1 ? -(a[h] * b[h]) : a[h] * b[h];
                else if (mask >> t & 1)
                    sum[h] -= a[h] * b[h];
                else
                    sum[h] += a[h] * b[h];
        }
        for (int h = 0; h < parts; ++h) dst[h] = sum[h];
    }
}

// Last instruction first.
template <class Real, int stride, int parts, int N, int mask>
void segment_adjoint(const Segment& s, const int32_t* o, const VectorOf<Real>* reg, VectorOf<Real>* grad) {
    using V = VectorOf<Real>;
    const auto add = [&](int64_t sum, const V* g, int64_t x) __attribute__((always_inline)) {
        for (int h = 0; h < parts; ++h) operand<stride>(grad, sum)[h] += g[h] * operand<stride>(reg, x)[h];
    };
    const V* dst = grad + stride * (s.dst + s.n);
    const int constants = s.constant_mask;
    o += s.n * 2 * N;
    for (int i = s.n; i > 0; --i) {
        o -= 2 * N, dst -= stride;
        V g[parts], minus_g[parts];
        for (int h = 0; h < parts; ++h) {
            g[h] = dst[h];
            minus_g[h] = -g[h];
        }
        for (int t = 0; t < N; ++t) {
            const Operands at = operands(o + 2 * t);
            if (!(constants >> t & 1)) add(at.a, mask >> t & 1 ? minus_g : g, at.b);
            add(at.b, mask >> t & 1 ? minus_g : g, at.a);
        }
    }
}

// clang-format off
#define QRNN_FOR_SUMS(CASE) \
    CASE(1, 0) CASE(1, 1) CASE(2, 0) CASE(2, 2) CASE(3, 0) CASE(3, 2) CASE(3, 4) CASE(3, 6) \
    CASE(4, 0) CASE(4, 2) CASE(4, 4) CASE(4, 6) CASE(4, 8) CASE(4, 10) CASE(4, 12) CASE(4, 14)
// clang-format on

// Fills the registers of sines and cosines. Adds 0 times the sum of all angles to `poison`: nothing, or NaN in the
// lanes that hold an angle which is not finite.
template <class Real, int stride, int parts>
void trigs_forward(const PauliProgram& p, const VectorOf<Real>* angles, VectorOf<Real>* reg, VectorOf<Real>* poison) {
    using V = VectorOf<Real>;
    constexpr Real limit = SinCos<Real>::limit, two_over_pi = SinCos<Real>::two_over_pi, round = SinCos<Real>::round;
    V highest{}, lowest{};
    const auto fill = [&](const Trig& t, Real scale, Real offset) __attribute__((always_inline)) {
        V *sine = reg + stride * t.sine, *cosine = sine + stride;
        for (int h = 0; h < parts; ++h) {
            const V angle = angles[stride * t.slot + h], x = angle * scale + offset;
            const V shifted = angle * (scale * two_over_pi) + (offset * two_over_pi + round);
            sincos<Real>(x, shifted, sine[h], cosine[h]);
            highest = x > highest ? x : highest;
            lowest = x < lowest ? x : lowest;
        }
    };
    for (int i = 0; i < p.n_trigs; ++i) {
        const Trig& t = p.trigs[i];
        if (t.scale == 1 && t.offset == 0)  // of most: with constants
            fill(t, 1, 0);
        else
            fill(t, static_cast<Real>(t.scale), static_cast<Real>(t.offset));
    }
    bool any_large = false;
    for (int l = 0; l < Lanes<Real>::n; ++l) any_large = any_large || highest[l] > limit || lowest[l] < -limit;
    if (any_large)
        for (int i = 0; i < p.n_trigs; ++i) {
            const Trig& t = p.trigs[i];
            V *sine = reg + stride * t.sine, *cosine = sine + stride;
            for (int h = 0; h < parts; ++h) {
                const V x = angles[stride * t.slot + h] * static_cast<Real>(t.scale) + static_cast<Real>(t.offset);
                mend_sincos<Real>(x, sine[h], cosine[h]);
            }
        }
    constexpr int chains = 4 / parts;  // so that additions do not wait for each other
    V sum[chains][parts] = {};
    int i = 0;
    for (; i + chains <= p.n_angles; i += chains)
        for (int j = 0; j < chains; ++j)
            for (int h = 0; h < parts; ++h) sum[j][h] += angles[stride * (i + j) + h] * Real(0);
    for (int j = 0; i < p.n_angles; ++i, ++j)
        for (int h = 0; h < parts; ++h) sum[j][h] += angles[stride * i + h] * Real(0);
    for (int j = 0; j < chains; ++j)
        for (int h = 0; h < parts; ++h) poison[h] += sum[j][h];
}

template <class Real, int stride, int parts>
void segments_forward(const PauliProgram& p, int first, int last, VectorOf<Real>* reg) {
    for (int i = first; i < last; ++i) {
        const Segment& s = p.segments[i];
        switch (16 * s.n_terms + s.sign_mask) {
#define CASE(N, mask)                                                                \
    case 16 * N + mask:                                                              \
        segment_forward<Real, stride, parts, N, mask>(s, p.operands + s.begin, reg); \
        break;
            QRNN_FOR_SUMS(CASE)
#undef CASE
        }
    }
}

// `grad` holds the adjoints of what is computed from the registers; those of what the segments read are added.
template <class Real, int stride, int parts>
void segments_adjoint(const PauliProgram& p, int first, int last, const VectorOf<Real>* reg, VectorOf<Real>* grad) {
    for (int i = last; i-- > first;) {
        const Segment& s = p.segments[i];
        switch (16 * s.n_terms + s.sign_mask) {
#define CASE(N, mask)                                                                      \
    case 16 * N + mask:                                                                    \
        segment_adjoint<Real, stride, parts, N, mask>(s, p.operands + s.begin, reg, grad); \
        break;
            QRNN_FOR_SUMS(CASE)
#undef CASE
        }
    }
}

// Sets grad_angles.
template <class Real, int stride, int parts>
void trigs_adjoint(const PauliProgram& p, const VectorOf<Real>* reg, const VectorOf<Real>* grad,
                   VectorOf<Real>* grad_angles) {
    using V = VectorOf<Real>;
    for (int i = 0; i < p.n_angles; ++i)
        for (int h = 0; h < parts; ++h) grad_angles[stride * i + h] = V{};
    for (int i = 0; i < p.n_trigs; ++i) {
        const Trig& t = p.trigs[i];
        const V *r = reg + stride * t.sine, *g = grad + stride * t.sine;
        for (int h = 0; h < parts; ++h)
            grad_angles[stride * t.slot + h] +=
                static_cast<Real>(t.scale) * (g[h] * r[stride + h] - g[stride + h] * r[h]);
    }
}

#undef QRNN_FOR_SUMS

}  // namespace
}  // namespace QRNN_ISA
}  // namespace qrnn
