// The coefficient program: angles to registers, and its adjoint.
//
// It can be run for several parts of a chunk of steps at once, which have registers and angles of their own, one part's
// after another's: following the program, and waiting for results, is shared by all of them.
namespace qrnn {
namespace QRNN_ISA {
namespace {

// The vectors of every part; those of a part are n.
template <class Real, int parts>
struct Parts {
    using V = VectorOf<Real>;
    V* first[parts];

    QRNN_INLINE Parts(V* vectors, int64_t n) {
        for (int h = 0; h < parts; ++h) first[h] = opaque(vectors + h * n);
    }
    QRNN_INLINE V& at(int h, int64_t bytes) const { return *moved(first[h], bytes); }
    QRNN_INLINE V& operator()(int h, int64_t k) const { return first[h][k]; }
};

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

template <class Real, int parts, int N, int mask>
QRNN_INLINE void segment_forward(const Segment& s, const int32_t* o, const Parts<Real, parts>& reg) {
    using V = VectorOf<Real>;
    int64_t dst = s.dst * static_cast<int64_t>(sizeof(V));
#pragma GCC unroll 4
    for (int i = s.n; i > 0; --i, o += 2 * N, dst += sizeof(V)) {
        V sum[parts];
        for (int t = 0; t < N; ++t) {
            const Operands at = operands(o + 2 * t);
            for (int h = 0; h < parts; ++h) {
                const V a = reg.at(h, at.a), b = reg.at(h, at.b);
                if (t == 0)
                    sum[h] = mask & 1 ? -(a * b) : a * b;
                else if (mask >> t & 1)
                    sum[h] -= a * b;
                else
                    sum[h] += a * b;
            }
        }
        for (int h = 0; h < parts; ++h) reg.at(h, dst) = sum[h];
    }
}

// Last instruction first.
template <class Real, int parts, int N, int mask>
QRNN_INLINE void segment_adjoint(const Segment& s, const int32_t* o, const Parts<const Real, parts>& reg,
                                 const Parts<Real, parts>& grad) {
    using V = VectorOf<Real>;
    int64_t dst = (s.dst + s.n) * static_cast<int64_t>(sizeof(V));
    const int constants = s.constant_mask;
    o += s.n * 2 * N;
    for (int i = s.n; i > 0; --i) {
        o -= 2 * N, dst -= sizeof(V);
        V g[parts], minus_g[parts];
        for (int h = 0; h < parts; ++h) {
            g[h] = grad.at(h, dst);
            minus_g[h] = -g[h];
        }
        for (int t = 0; t < N; ++t) {
            const Operands at = operands(o + 2 * t);
            const auto add = [&](int64_t sum, int64_t x) __attribute__((always_inline)) {
                for (int h = 0; h < parts; ++h) grad.at(h, sum) += (mask >> t & 1 ? minus_g[h] : g[h]) * reg.at(h, x);
            };
            if (!(constants >> t & 1)) add(at.a, at.b);
            add(at.b, at.a);
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
template <class Real, int parts>
void trigs_forward(const PauliProgram& p, const VectorOf<Real>* all_angles, VectorOf<Real>* registers,
                   VectorOf<Real>* poison) {
    using V = VectorOf<Real>;
    constexpr Real limit = SinCos<Real>::limit, two_over_pi = SinCos<Real>::two_over_pi, round = SinCos<Real>::round;
    const Parts<const Real, parts> angles(all_angles, p.n_angles);
    const Parts<Real, parts> reg(registers, p.n_registers);
    constexpr int64_t next = sizeof(V);
    V highest{}, lowest{};
    const auto fill = [&](const Trig& t, auto plain) __attribute__((always_inline)) {
        const Real scale = plain ? Real(1) : static_cast<Real>(t.scale);
        const Real offset = plain ? Real(0) : static_cast<Real>(t.offset);
        for (int h = 0; h < parts; ++h) {
            const V angle = angles.at(h, t.slot), x = plain ? angle : angle * scale + offset;
            const V shifted = angle * (scale * two_over_pi) + (offset * two_over_pi + round);
            sincos<Real>(x, shifted, reg.at(h, t.sine), reg.at(h, t.sine + next));
            highest = x > highest ? x : highest;
            lowest = x < lowest ? x : lowest;
        }
    };
    const Trig *t = p.trigs, *const end_of_plain = t + p.n_plain_trigs, *const end = t + p.n_trigs;
    for (; t != end_of_plain; ++t) fill(*t, Index<1>());
    for (; t != end; ++t) fill(*t, Index<0>());
    bool any_large = false;
    for (int l = 0; l < Lanes<Real>::n; ++l) any_large = any_large || highest[l] > limit || lowest[l] < -limit;
    if (any_large)
        for (t = p.trigs; t != end; ++t)
            for (int h = 0; h < parts; ++h) {
                const V x = angles.at(h, t->slot) * static_cast<Real>(t->scale) + static_cast<Real>(t->offset);
                mend_sincos<Real>(x, reg.at(h, t->sine), reg.at(h, t->sine + next));
            }
    constexpr int chains = parts == 1 ? 4 : 2;  // so that additions do not wait for each other
    for (int h = 0; h < parts; ++h) {
        V sum[chains] = {};
        int i = 0;
        for (; i + chains <= p.n_angles; i += chains)
            for (int j = 0; j < chains; ++j) sum[j] += angles(h, i + j) * Real(0);
        for (int j = 0; i < p.n_angles; ++i, ++j) sum[j] += angles(h, i) * Real(0);
        for (int j = 0; j < chains; ++j) poison[h] += sum[j];
    }
}

template <class Real, int parts>
void segments_forward(const PauliProgram& p, int first, int last, VectorOf<Real>* registers) {
    const Parts<Real, parts> reg(registers, p.n_registers);
    for (int i = first; i < last; ++i) {
        const Segment& s = p.segments[i];
        switch (16 * s.n_terms + s.sign_mask) {
#define CASE(N, mask)                                                        \
    case 16 * N + mask:                                                      \
        segment_forward<Real, parts, N, mask>(s, p.operands + s.begin, reg); \
        break;
            QRNN_FOR_SUMS(CASE)
#undef CASE
        }
    }
}

// `grads` holds the adjoints of what is computed from the registers; those of what the segments read are added.
template <class Real, int parts>
void segments_adjoint(const PauliProgram& p, int first, int last, const VectorOf<Real>* registers,
                      VectorOf<Real>* grads) {
    const Parts<const Real, parts> reg(registers, p.n_registers);
    const Parts<Real, parts> grad(grads, p.n_registers);
    for (int i = last; i-- > first;) {
        const Segment& s = p.segments[i];
        switch (16 * s.n_terms + s.sign_mask) {
#define CASE(N, mask)                                                              \
    case 16 * N + mask:                                                            \
        segment_adjoint<Real, parts, N, mask>(s, p.operands + s.begin, reg, grad); \
        break;
            QRNN_FOR_SUMS(CASE)
#undef CASE
        }
    }
}

// Sets grad_angles.
template <class Real, int parts>
void trigs_adjoint(const PauliProgram& p, const VectorOf<Real>* registers, const VectorOf<Real>* grads,
                   VectorOf<Real>* grad_angles) {
    using V = VectorOf<Real>;
    const Parts<const Real, parts> reg(registers, p.n_registers), grad(grads, p.n_registers);
    const Parts<Real, parts> out(grad_angles, p.n_angles);
    constexpr int64_t next = sizeof(V);
    clear(grad_angles, parts * int64_t{p.n_angles});
    for (int i = 0; i < p.n_trigs; ++i) {
        const Trig& t = p.trigs[i];
        for (int h = 0; h < parts; ++h)
            out.at(h, t.slot) += static_cast<Real>(t.scale) * (grad.at(h, t.sine) * reg.at(h, t.sine + next) -
                                                               grad.at(h, t.sine + next) * reg.at(h, t.sine));
    }
}

#undef QRNN_FOR_SUMS

}  // namespace
}  // namespace QRNN_ISA
}  // namespace qrnn
