// Lane vectors and what all kernels do with them. Compiled once per instruction set: the including file defines
// QRNN_ISA (a namespace) and QRNN_VECTOR_BYTES. Nothing here may emit a function that another file could share, so no
// standard header but these is included.
#include <stdint.h>
#ifdef __AVX__
#include <immintrin.h>
#endif

#define QRNN_INLINE inline __attribute__((always_inline))

// Before a loop none of whose iterations reads or writes what another one writes.
#ifdef __clang__
#define QRNN_INDEPENDENT _Pragma("clang loop vectorize(assume_safety)")
#else
#define QRNN_INDEPENDENT _Pragma("GCC ivdep")
#endif

namespace qrnn {
namespace QRNN_ISA {
namespace {

template <class Real>
struct Lanes;

template <>
struct Lanes<double> {
    static constexpr int n = QRNN_VECTOR_BYTES / 8;
    typedef double Vector __attribute__((vector_size(QRNN_VECTOR_BYTES), may_alias));
    typedef int64_t Bits __attribute__((vector_size(QRNN_VECTOR_BYTES), may_alias));
    typedef int64_t Int;
};

template <>
struct Lanes<float> {
    static constexpr int n = QRNN_VECTOR_BYTES / 4;
    typedef float Vector __attribute__((vector_size(QRNN_VECTOR_BYTES), may_alias));
    typedef int32_t Bits __attribute__((vector_size(QRNN_VECTOR_BYTES), may_alias));
    typedef int32_t Int;
};

template <class Real>
struct Lanes<const Real> {
    typedef const typename Lanes<Real>::Vector Vector;
};

template <class Real>
using VectorOf = typename Lanes<Real>::Vector;

template <class Real>
QRNN_INLINE VectorOf<Real> splat(Real x) {
    return VectorOf<Real>{} + x;
}

template <class Real>
QRNN_INLINE VectorOf<Real> load_unaligned(const Real* p) {
    VectorOf<Real> v;
    __builtin_memcpy(&v, p, sizeof v);
    return v;
}

template <class Real>
QRNN_INLINE void store_unaligned(Real* p, VectorOf<Real> v) {
    __builtin_memcpy(p, &v, sizeof v);
}

template <class Real>
QRNN_INLINE Real sum_of_lanes(VectorOf<Real> v) {
    Real sum = v[0];
    for (int l = 1; l < Lanes<Real>::n; ++l) sum += v[l];
    return sum;
}

// Bounds are handed over as numbers: what is read through a pointer would be read anew after every write.
template <class T>
void copy(const T* from, int64_t n, T* to) {
    for (int64_t i = 0; i < n; ++i) to[i] = from[i];
}

template <class T>
void clear(T* x, int64_t n) {
    for (int64_t i = 0; i < n; ++i) x[i] = T{};
}

// ---- Sine and cosine.
// Reduction by multiples of pi/2 in two parts, or in three short ones where there is no fused multiply-add (Cody and
// Waite 1980), for arguments up to `limit`; minimax polynomials of fdlibm (double) and Cephes (float) on [-pi/4, pi/4],
// evaluated in pairs of terms (Estrin 1960) because a processor that looks some hundred instructions ahead waits for
// the latency of a chain, not for its multiplications. Error below 1 ulp of 1. 22 operations a pair (17 for float).
template <class Real>
struct SinCos;

template <>
struct SinCos<double> {
    static constexpr double limit = 8e5, two_over_pi = 0.63661977236758134308, round = 6755399441055744.0;
    template <class V>
    static QRNN_INLINE V reduced(V x, V q) {
#ifdef __FMA__
        return x - q * 1.5707963267948966 - q * 6.123233995736766e-17;
#else
        return x - q * 1.57079632673412561417 - q * 6.07710050630396597660e-11 - q * 2.02226624879595063154e-21;
#endif
    }
    // r: reduced argument; z = r^2.
    template <class V>
    static QRNN_INLINE void both(V r, V z, V& sine, V& cosine) {
        const V z2 = z * z, z4 = z2 * z2;
        const V s0 = z * 8.33333333332248946124e-03 - 1.66666666666666324348e-01;
        const V s2 = z * 2.75573137070700676789e-06 - 1.98412698298579493134e-04;
        const V s4 = z * 1.58969099521155010221e-10 - 2.50507602534068634195e-08;
        const V c0 = z * -1.38888888888741095749e-03 + 4.16666666666666019037e-02;
        const V c2 = z * -2.75573143513906633035e-07 + 2.48015872894767294178e-05;
        const V c4 = z * -1.13596475577881948265e-11 + 2.08757232129817482790e-09;
        sine = r + r * z * (s0 + z2 * s2 + z4 * s4);
        cosine = (1.0 - z * 0.5) + z2 * (c0 + z2 * c2 + z4 * c4);
    }
    static double slow_sine(double x) { return __builtin_sin(x); }
    static double slow_cosine(double x) { return __builtin_cos(x); }
};

template <>
struct SinCos<float> {
    static constexpr float limit = 8e3f, two_over_pi = 0.636619772f, round = 12582912.0f;
    template <class V>
    static QRNN_INLINE V reduced(V x, V q) {
#ifdef __FMA__
        return x - q * 1.57079637f - q * -4.37113883e-8f;
#else
        return x - q * 1.5703125f - q * 4.837512969970703125e-4f - q * 7.54978995489188216e-8f;
#endif
    }
    template <class V>
    static QRNN_INLINE void both(V r, V z, V& sine, V& cosine) {
        const V z2 = z * z;
        sine = r + r * z * ((z * 8.3321608736e-3f - 1.6666654611e-1f) - z2 * 1.9515295891e-4f);
        cosine = (1.0f - z * 0.5f) +
                 z2 * ((z * -1.388731625493765e-3f + 4.166664568298827e-2f) + z2 * 2.443315711809948e-5f);
    }
    static float slow_sine(float x) { return static_cast<float>(__builtin_sin(x)); }
    static float slow_cosine(float x) { return static_cast<float>(__builtin_cos(x)); }
};

// Lane by lane b where the highest bit of `bits` is set, otherwise a.
template <class V, class Bits>
QRNN_INLINE V choose(Bits bits, V a, V b) {
#ifdef __AVX__
    // One instruction, for which compilers take the comparison with zero to be another.
    if constexpr (sizeof(V) == 32 && sizeof(a[0]) == 8)
        return (V)_mm256_blendv_pd((__m256d)a, (__m256d)b, (__m256d)bits);
    if constexpr (sizeof(V) == 32 && sizeof(a[0]) == 4) return (V)_mm256_blendv_ps((__m256)a, (__m256)b, (__m256)bits);
#endif
    return bits < 0 ? b : a;
}

// Of x, given x * two_over_pi + round, which callers can have as early as x itself.
template <class Real>
QRNN_INLINE void sincos(VectorOf<Real> x, VectorOf<Real> shifted, VectorOf<Real>& sine, VectorOf<Real>& cosine) {
    using V = VectorOf<Real>;
    using Bits = typename Lanes<Real>::Bits;
    using F = SinCos<Real>;
    constexpr int sign = 8 * sizeof(Real) - 1;
    const Bits quadrant = (Bits)shifted, sign_bit = (Bits{} + 1) << sign;
    const V r = F::reduced(x, shifted - F::round);
    V s, c;
    F::both(r, r * r, s, c);
    const Bits odd = quadrant << sign;
    sine = (V)((Bits)choose(odd, s, c) ^ (quadrant << (sign - 1) & sign_bit));
    cosine = (V)((Bits)choose(odd, c, s) ^ ((quadrant + 1) << (sign - 1) & sign_bit));
}

// Whether a lane holds an argument too large for sincos().
template <class Real>
QRNN_INLINE bool beyond_limit(VectorOf<Real> x) {
    const auto outside = (x > SinCos<Real>::limit) | (x < -SinCos<Real>::limit);
    bool any = false;
    for (int l = 0; l < Lanes<Real>::n; ++l) any = any || outside[l] != 0;
    return any;
}

// Puts right what sincos() made of such lanes.
template <class Real>
void mend_sincos(VectorOf<Real> x, VectorOf<Real>& sine, VectorOf<Real>& cosine) {
    for (int l = 0; l < Lanes<Real>::n; ++l)
        if (x[l] > SinCos<Real>::limit || x[l] < -SinCos<Real>::limit) {
            sine[l] = SinCos<Real>::slow_sine(x[l]);
            cosine[l] = SinCos<Real>::slow_cosine(x[l]);
        }
}

// ---- Rows of memory to lanes and back: lane l of vector i is element i of row l.
template <int... index>
struct Indices {};
template <int n, int... index>
struct MakeIndices : MakeIndices<n - 1, n - 1, index...> {};
template <int... index>
struct MakeIndices<0, index...> {
    using type = Indices<index...>;
};

// Calls f(Index<0>()), f(Index<1>()), ...: a loop that is gone before the compiler looks at arrays, whose elements can
// then stay in registers.
template <int i>
struct Index {
    constexpr operator int() const { return i; }
};
template <class F, int... i>
QRNN_INLINE void for_indices(Indices<i...>, F f) {
    (f(Index<i>()), ...);
}
template <int n, class F>
QRNN_INLINE void for_each_index(F f) {
    for_indices(typename MakeIndices<n>::type{}, f);
}

// Lanes first, first + 1, ... of a and then b.
template <int first, class V, int... l>
QRNN_INLINE V window(V a, V b, Indices<l...>) {
    return __builtin_shufflevector(a, b, (first + l)...);
}

// What lane l of the result holds is in lane l - 1 of x, or in the last one of `before`.
template <class Real>
QRNN_INLINE VectorOf<Real> lane_before(VectorOf<Real> before, VectorOf<Real> x) {
    return window<Lanes<Real>::n - 1>(before, x, typename MakeIndices<Lanes<Real>::n>::type{});
}
// In lane l + 1 of x, or in the first one of `after`.
template <class Real>
QRNN_INLINE VectorOf<Real> lane_after(VectorOf<Real> x, VectorOf<Real> after) {
    return window<1>(x, after, typename MakeIndices<Lanes<Real>::n>::type{});
}

template <int half, class V, int... l>
QRNN_INLINE void exchange(V& a, V& b, Indices<l...>) {
    constexpr int n = sizeof...(l);
    const V low = __builtin_shufflevector(a, b, ((l & half) ? n + l - half : l)...);
    b = __builtin_shufflevector(a, b, ((l & half) ? n + l : l + half)...);
    a = low;
}

// Transposes the 4 x 4 numbers of four bytes in every four lanes of four rows, by what one instruction can do.
template <class V, int... l>
QRNN_INLINE void transpose_fours(V& a, V& b, V& c, V& d, Indices<l...>) {
    constexpr int n = sizeof...(l);
    const V ab = __builtin_shufflevector(a, b, (l / 4 * 4 + l % 4 / 2 + (l % 2 ? n : 0))...);
    const V ab2 = __builtin_shufflevector(a, b, (l / 4 * 4 + 2 + l % 4 / 2 + (l % 2 ? n : 0))...);
    const V cd = __builtin_shufflevector(c, d, (l / 4 * 4 + l % 4 / 2 + (l % 2 ? n : 0))...);
    const V cd2 = __builtin_shufflevector(c, d, (l / 4 * 4 + 2 + l % 4 / 2 + (l % 2 ? n : 0))...);
    a = __builtin_shufflevector(ab, cd, (l % 4 < 2 ? l : n + l - 2)...);
    b = __builtin_shufflevector(ab, cd, (l % 4 < 2 ? l + 2 : n + l)...);
    c = __builtin_shufflevector(ab2, cd2, (l % 4 < 2 ? l : n + l - 2)...);
    d = __builtin_shufflevector(ab2, cd2, (l % 4 < 2 ? l + 2 : n + l)...);
}

// Transposes the n x n numbers in every n lanes of n rows, 2 * half being n.
template <int half, int n, class V>
QRNN_INLINE void transpose_stage(V* rows) {
    constexpr int lanes = sizeof(V) / sizeof(rows[0][0]);
    using AllLanes = typename MakeIndices<lanes>::type;
    if constexpr (half == 2 && sizeof(rows[0][0]) == 4) {
        for_each_index<n / 4>([&](auto i) __attribute__((always_inline)) {
            transpose_fours(rows[4 * i], rows[4 * i + 1], rows[4 * i + 2], rows[4 * i + 3], AllLanes{});
        });
    } else if constexpr (half > 0) {
        for_each_index<n>([&](auto i) __attribute__((always_inline)) {
            if constexpr (!(i & half)) exchange<half>(rows[i], rows[i + half], AllLanes{});
        });
        transpose_stage<half / 2, n>(rows);
    }
}

// A row's tail is covered by a last window that overlaps the one before; rows shorter than a vector go one by one.
// Lanes past the last row repeat it.
template <class Real>
QRNN_INLINE void load_rows(const Real* base, int64_t stride, int n_rows, int length, VectorOf<Real>* out) {
    constexpr int n = Lanes<Real>::n;
    if (length < n) {
        for (int i = 0; i < length; ++i)
            for (int l = 0; l < n; ++l) out[i][l] = base[(l < n_rows ? l : n_rows - 1) * stride + i];
        return;
    }
    for (int start = 0; start < length; start += n) {
        const int at = start + n <= length ? start : length - n;
        VectorOf<Real> rows[n];
        for_each_index<n>([&](auto l) __attribute__((always_inline)) {
            rows[l] = load_unaligned(base + (l < n_rows ? l : n_rows - 1) * stride + at);
        });
        transpose_stage<n / 2, n>(rows);
        for_each_index<n>([&](auto i) __attribute__((always_inline)) { out[at + i] = rows[i]; });
    }
}

template <class Real>
QRNN_INLINE void store_rows(Real* base, int64_t stride, int n_rows, int length, const VectorOf<Real>* in) {
    constexpr int n = Lanes<Real>::n;
    if (length < n) {
        for (int i = 0; i < length; ++i)
            for (int l = 0; l < n_rows; ++l) base[l * stride + i] = in[i][l];
        return;
    }
    for (int start = 0; start < length; start += n) {
        const int at = start + n <= length ? start : length - n;
        VectorOf<Real> rows[n];
        for_each_index<n>([&](auto i) __attribute__((always_inline)) { rows[i] = in[at + i]; });
        transpose_stage<n / 2, n>(rows);
        for_each_index<n>([&](auto l) __attribute__((always_inline)) {
            if (l < n_rows) store_unaligned(base + l * stride + at, rows[l]);
        });
    }
}

}  // namespace
}  // namespace QRNN_ISA
}  // namespace qrnn
