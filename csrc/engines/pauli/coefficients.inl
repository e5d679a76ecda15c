// The coefficient program: angles to registers, and its adjoint.
namespace qrnn {
namespace QRNN_ISA {
namespace {

template <class Real, int N, int mask>
void segment_forward(const int32_t* o, int n, VectorOf<Real>* reg) {
    for (int i = 0; i < n; ++i, o += 1 + 2 * N) {
        VectorOf<Real> sum = *moved<1>(reg, o[1]) * *moved<1>(reg, o[2]);
        if (mask & 1) sum = -sum;
        for (int t = 1; t < N; ++t)
            if (mask >> t & 1)
                sum -= *moved<1>(reg, o[1 + 2 * t]) * *moved<1>(reg, o[2 + 2 * t]);
            else
                sum += *moved<1>(reg, o[1 + 2 * t]) * *moved<1>(reg, o[2 + 2 * t]);
        *moved<1>(reg, o[0]) = sum;
    }
}

// Last instruction first.
template <class Real, int N, int mask>
void segment_adjoint(const int32_t* o, int n, int constants, const VectorOf<Real>* reg, VectorOf<Real>* grad) {
    for (o += n * (1 + 2 * N); n > 0; --n) {
        o -= 1 + 2 * N;
        const VectorOf<Real> g = *moved<1>(grad, o[0]);
        for (int t = 0; t < N; ++t) {
            const int32_t a = o[1 + 2 * t], b = o[2 + 2 * t];
            const VectorOf<Real> signed_g = mask >> t & 1 ? -g : g;
            if (!(constants >> t & 1)) *moved<1>(grad, a) += signed_g * *moved<1>(reg, b);
            *moved<1>(grad, b) += signed_g * *moved<1>(reg, a);
        }
    }
}

// clang-format off
#define QRNN_FOR_SUMS(CASE) \
    CASE(1, 0) CASE(1, 1) CASE(2, 0) CASE(2, 2) CASE(3, 0) CASE(3, 2) CASE(3, 4) CASE(3, 6) \
    CASE(4, 0) CASE(4, 2) CASE(4, 4) CASE(4, 6) CASE(4, 8) CASE(4, 10) CASE(4, 12) CASE(4, 14)
// clang-format on

// Fills the registers of sines and cosines. Returns 0 times the sum of all angles: zero, or NaN in the lanes that hold
// an angle which is not finite.
template <class Real>
VectorOf<Real> trigs_forward(const PauliProgram& p, const VectorOf<Real>* angles, VectorOf<Real>* reg) {
    using V = VectorOf<Real>;
    constexpr Real limit = SinCos<Real>::limit, two_over_pi = SinCos<Real>::two_over_pi, round = SinCos<Real>::round;
    V highest{}, lowest{};
    for (int i = 0; i < p.n_trigs; ++i) {
        const Trig& t = p.trigs[i];
        const Real scale = static_cast<Real>(t.scale), offset = static_cast<Real>(t.offset);
        const V angle = angles[t.slot], x = angle * scale + offset;
        const V shifted = angle * (scale * two_over_pi) + (offset * two_over_pi + round);
        sincos<Real>(x, shifted, reg[t.sine], reg[t.sine + 1]);
        highest = x > highest ? x : highest;
        lowest = x < lowest ? x : lowest;
    }
    bool any_large = false;
    for (int l = 0; l < Lanes<Real>::n; ++l) any_large = any_large || highest[l] > limit || lowest[l] < -limit;
    if (any_large)
        for (int i = 0; i < p.n_trigs; ++i) {
            const Trig& t = p.trigs[i];
            const V x = angles[t.slot] * static_cast<Real>(t.scale) + static_cast<Real>(t.offset);
            for (int l = 0; l < Lanes<Real>::n; ++l)
                if (x[l] > limit || x[l] < -limit) {
                    reg[t.sine][l] = SinCos<Real>::slow_sine(x[l]);
                    reg[t.sine + 1][l] = SinCos<Real>::slow_cosine(x[l]);
                }
        }
    V poison[4] = {};  // four sums, so that additions do not wait for each other
    int i = 0;
    for (; i + 4 <= p.n_angles; i += 4)
        for (int j = 0; j < 4; ++j) poison[j] += angles[i + j] * Real(0);
    for (; i < p.n_angles; ++i) poison[0] += angles[i] * Real(0);
    return (poison[0] + poison[1]) + (poison[2] + poison[3]);
}

template <class Real>
void segments_forward(const PauliProgram& p, int first, int last, VectorOf<Real>* reg) {
    for (int i = first; i < last; ++i) {
        const Segment& s = p.segments[i];
        switch (16 * s.n_terms + s.sign_mask) {
#define CASE(N, mask)                                                   \
    case 16 * N + mask:                                                 \
        segment_forward<Real, N, mask>(p.operands + s.begin, s.n, reg); \
        break;
            QRNN_FOR_SUMS(CASE)
#undef CASE
        }
    }
}

// `grad` holds the adjoints of what is computed from the registers; those of what the segments read are added.
template <class Real>
void segments_adjoint(const PauliProgram& p, int first, int last, const VectorOf<Real>* reg, VectorOf<Real>* grad) {
    for (int i = last; i-- > first;) {
        const Segment& s = p.segments[i];
        switch (16 * s.n_terms + s.sign_mask) {
#define CASE(N, mask)                                                         \
    case 16 * N + mask:                                                       \
        segment_adjoint<Real, N, mask>(p.operands + s.begin, s.n, s.constant_mask, reg, grad); \
        break;
            QRNN_FOR_SUMS(CASE)
#undef CASE
        }
    }
}

// Sets grad_angles.
template <class Real>
void trigs_adjoint(const PauliProgram& p, const VectorOf<Real>* reg, const VectorOf<Real>* grad,
                   VectorOf<Real>* grad_angles) {
    for (int i = 0; i < p.n_angles; ++i) grad_angles[i] = VectorOf<Real>{};
    for (int i = 0; i < p.n_trigs; ++i) {
        const Trig& t = p.trigs[i];
        grad_angles[t.slot] +=
            static_cast<Real>(t.scale) * (grad[t.sine] * reg[t.sine + 1] - grad[t.sine + 1] * reg[t.sine]);
    }
}

#undef QRNN_FOR_SUMS

}  // namespace
}  // namespace QRNN_ISA
}  // namespace qrnn
