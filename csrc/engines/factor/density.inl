// Density matrices and columns. A density matrix of the memory is held as two planes, real parts and imaginary parts,
// of K rows; a row has `stride` numbers, the K columns and zeros up to whole vectors.
namespace qrnn {
namespace QRNN_ISA {
namespace {

namespace factor {

struct Shape {
    int64_t dim, stride, plane;  // K = 2^m; numbers in a row; numbers in a plane
    template <class Real>
    static Shape of(const FactorProgram& p) {
        constexpr int64_t n = Lanes<Real>::n;
        const int64_t dim = int64_t{1} << p.n_memory, stride = (dim + n - 1) / n * n;
        return {dim, stride, dim * stride};
    }
};

// The Hermitian part of the caller's matrix (row, column, real and imaginary part).
template <class Real>
void read_density(const Shape& s, const Real* matrix, Real* rho) {
    for (int64_t i = 0; i < 2 * s.plane; ++i) rho[i] = 0;
    for (int64_t i = 0; i < s.dim; ++i)
        for (int64_t k = 0; k < s.dim; ++k) {
            const Real *x = matrix + 2 * (i * s.dim + k), *y = matrix + 2 * (k * s.dim + i);
            rho[i * s.stride + k] = (x[0] + y[0]) / 2;
            rho[s.plane + i * s.stride + k] = (x[1] - y[1]) / 2;
        }
}

template <class Real>
void write_density(const Shape& s, const Real* rho, Real* matrix) {
    for (int64_t i = 0; i < s.dim; ++i)
        for (int64_t k = 0; k < s.dim; ++k) {
            matrix[2 * (i * s.dim + k)] = rho[i * s.stride + k];
            matrix[2 * (i * s.dim + k) + 1] = rho[s.plane + i * s.stride + k];
        }
}

template <class Real>
Real trace(const Shape& s, const Real* rho) {
    Real sum = 0;
    for (int64_t i = 0; i < s.dim; ++i) sum += rho[i * (s.stride + 1)];
    return sum;
}

// rho = L L^dagger by Cholesky's method with the largest diagonal entry as the next pivot (Higham, Accuracy and
// Stability of Numerical Algorithms, section 10.3), in double precision whatever the states' is. What is left when all
// pivots are below the tolerance, rounding noise where rho is positive, is dropped. Returns the number of columns, or
// -1 where rho is not positive. 4 K^2 multiply-adds a column. `work`: 2 K stride numbers.
template <class Real>
int pivoted_cholesky(const Shape& s, const Real* rho, double* work, Real* factor) {
    // Noise of Real in the off-diagonal, divided by the square root of the pivot, must stay noise.
    constexpr double tolerance = sizeof(Real) == 8 ? 1e-16 : 3e-8, positive = sizeof(Real) == 8 ? 1e-13 : 1e-5;
    double *re = work, *im = work + s.plane;
    for (int64_t i = 0; i < 2 * s.plane; ++i) {
        work[i] = rho[i];
        factor[i] = 0;
    }
    double largest = 0;
    for (int64_t i = 0; i < s.dim; ++i)
        if (re[i * (s.stride + 1)] > largest) largest = re[i * (s.stride + 1)];
    int rank = 0;
    for (; rank < s.dim; ++rank) {
        int64_t pivot = 0;
        for (int64_t i = 1; i < s.dim; ++i)
            if (re[i * (s.stride + 1)] > re[pivot * (s.stride + 1)]) pivot = i;
        const double d = re[pivot * (s.stride + 1)];
        if (d <= tolerance * largest) break;
        // Column `rank` of L is the pivot's row, conjugated, over the root; rows are contiguous.
        const double scale = 1 / __builtin_sqrt(d);
        double* v_re = re + pivot * s.stride;
        double* v_im = im + pivot * s.stride;
        for (int64_t i = 0; i < s.dim; ++i) {
            v_re[i] *= scale;
            v_im[i] *= -scale;
            factor[i * s.stride + rank] = static_cast<Real>(v_re[i]);
            factor[s.plane + i * s.stride + rank] = static_cast<Real>(v_im[i]);
        }
        for (int64_t i = 0; i < s.dim; ++i) {
            if (i == pivot) continue;
            const double a = v_re[i], b = v_im[i];
            double *row_re = re + i * s.stride, *row_im = im + i * s.stride;
            for (int64_t k = 0; k < s.dim; ++k) {  // rho_ik -= v_i conj(v_k)
                row_re[k] -= a * v_re[k] + b * v_im[k];
                row_im[k] -= b * v_re[k] - a * v_im[k];
            }
        }
        for (int64_t k = 0; k < s.dim; ++k) {
            v_re[k] = v_im[k] = 0;
            re[k * s.stride + pivot] = im[k * s.stride + pivot] = 0;
        }
    }
    for (int64_t i = 0; i < s.dim; ++i)
        for (int64_t k = 0; k < s.dim; ++k) {
            const double rest = __builtin_fabs(re[i * s.stride + k]) + __builtin_fabs(im[i * s.stride + k]);
            if (rest > positive * (largest > 1 ? largest : 1)) return -1;
        }
    return rank;
}

// Columns first .. first + lanes - 1 of a matrix as the rows of a state block.
template <class Real>
QRNN_INLINE void load_columns(const Shape& s, const Real* matrix, int64_t first, VectorOf<Real>* state) {
    for (int64_t i = 0; i < s.dim; ++i) {
        state[2 * i] = load_unaligned(matrix + i * s.stride + first);
        state[2 * i + 1] = load_unaligned(matrix + s.plane + i * s.stride + first);
    }
}

template <class Real>
QRNN_INLINE void load_identity_columns(const Shape& s, int64_t first, VectorOf<Real>* state) {
    for (int64_t i = 0; i < s.dim; ++i) {
        state[2 * i] = state[2 * i + 1] = VectorOf<Real>{};
        if (i >= first && i < first + Lanes<Real>::n) state[2 * i][i - first] = 1;
    }
}

template <class Real>
QRNN_INLINE void store_columns(const Shape& s, const VectorOf<Real>* state, int64_t first, Real* matrix) {
    for (int64_t i = 0; i < s.dim; ++i) {
        store_unaligned(matrix + i * s.stride + first, state[2 * i]);
        store_unaligned(matrix + s.plane + i * s.stride + first, state[2 * i + 1]);
    }
}

// ---- The sum over the wires that are not carried, from blocks of columns X and Y to sum_e X_e Y_e^dagger.
// Rows are packed by memory state, so that the sum over e runs through neighbours: element (i, e) at
// packed[2 (i * packed_stride + e)]. The stride is odd: with a power of 2 all i would fall into one set of the cache.
QRNN_INLINE int64_t packed_stride(const FactorStage& stage) { return stage.n_environment + 1; }

template <class Real>
void pack(const Shape& s, const FactorStage& stage, const VectorOf<Real>* state, VectorOf<Real>* packed) {
    using V = VectorOf<Real>;
    for (int64_t e = 0; e < stage.n_environment; ++e)
        for (int64_t i = 0; i < s.dim; ++i) {
            V* to = packed + 2 * (i * packed_stride(stage) + e);
            if (stage.memory_rows[i] < 0) {
                to[0] = to[1] = V{};
            } else {
                const V* from = state + 2 * (stage.environment[e] + stage.memory_rows[i]);
                to[0] = from[0];
                to[1] = from[1];
            }
        }
}

// outcome[j] += the lanes' parts of sum Re(X conj(Y)) over the settings with outcome j: the outcome's probability.
template <class Real>
void add_outcomes(const Shape& s, const FactorStage& stage, const VectorOf<Real>* x, const VectorOf<Real>* y,
                  VectorOf<Real>* outcome) {
    for (int64_t i = 0; i < s.dim; ++i)
        for (int64_t e = 0; e < stage.n_environment; ++e) {
            const int64_t at = 2 * (i * packed_stride(stage) + e);
            outcome[stage.outcomes[e]] += x[at] * y[at] + x[at + 1] * y[at + 1];
        }
}

// A tile of N x N elements of sum_e X_e Y_e^dagger; every lane sums its own columns. 4 N^2 multiply-adds for 4 N loads.
template <class Real, int N>
QRNN_INLINE void add_tile(int64_t n, const VectorOf<Real>* x, const VectorOf<Real>* y, int64_t row_stride,
                          VectorOf<Real>* sums) {
    using V = VectorOf<Real>;
    V re[N * N], im[N * N];
    for (int j = 0; j < N * N; ++j) {
        re[j] = sums[2 * j];
        im[j] = sums[2 * j + 1];
    }
    for (int64_t e = 0; e < 2 * n; e += 2)
        for (int i = 0; i < N; ++i) {
            const V a_re = x[i * row_stride + e], a_im = x[i * row_stride + e + 1];
            for (int k = 0; k < N; ++k) {
                const V b_re = y[k * row_stride + e], b_im = y[k * row_stride + e + 1];
                re[i * N + k] += a_re * b_re;
                re[i * N + k] += a_im * b_im;
                im[i * N + k] += a_im * b_re;
                im[i * N + k] -= a_re * b_im;
            }
        }
    for (int j = 0; j < N * N; ++j) {
        sums[2 * j] = re[j];
        sums[2 * j + 1] = im[j];
    }
}

// The lower half of sum_e X_e Y_e^dagger, in tiles of 2 x 2 one after the other, 8 vectors each.
template <class Real>
void add_product(const Shape& s, const FactorStage& stage, const VectorOf<Real>* x, const VectorOf<Real>* y,
                 VectorOf<Real>* sums) {
    const int64_t row = 2 * packed_stride(stage);
    if (s.dim == 1) return add_tile<Real, 1>(stage.n_environment, x, y, row, sums);
    for (int64_t i = 0; i < s.dim; i += 2)
        for (int64_t k = 0; k <= i; k += 2, sums += 8)
            add_tile<Real, 2>(stage.n_environment, x + i * row, y + k * row, row, sums);
}

inline int64_t sums_size(const Shape& s) { return s.dim == 1 ? 2 : s.dim * (s.dim + 2); }

// The Hermitian matrix whose lower half stands in the sums.
template <class Real>
void collect(const Shape& s, const VectorOf<Real>* sums, Real* rho) {
    const int64_t tile = s.dim == 1 ? 1 : 2;
    for (int64_t i = 0; i < s.dim; i += tile)
        for (int64_t k = 0; k <= i; k += tile)
            for (int64_t a = 0; a < tile; ++a)
                for (int64_t b = 0; b < tile; ++b, sums += 2) {
                    const int64_t row = i + a, col = k + b;
                    if (col > row) continue;
                    const Real re = sum_of_lanes<Real>(sums[0]);
                    // Zero on the diagonal, but for what is not a number.
                    const Real im = row == col ? re - re : sum_of_lanes<Real>(sums[1]);
                    rho[row * s.stride + col] = rho[col * s.stride + row] = re;
                    rho[s.plane + row * s.stride + col] = im;
                    rho[s.plane + col * s.stride + row] = -im;
                }
}

// A = O X with the observable O = sum_e |e><e| (lambda + weight[outcome of e]): what a loss' derivatives by the next
// memory (lambda) and by the probabilities (weight) become on the columns. 2^N K complex multiply-adds; two settings e
// and two rows at once, so that 16 multiply-adds need 8 loads.
template <class Real>
void apply_observable(const Shape& s, const FactorStage& stage, const Real* lambda, const Real* weight,
                      const VectorOf<Real>* x, VectorOf<Real>* a) {
    using V = VectorOf<Real>;
    const int n_e = stage.n_environment > 1 ? 2 : 1, n_k = s.dim > 1 ? 2 : 1;
    for (int64_t e = 0; e < stage.n_environment; e += n_e)
        for (int64_t k = 0; k < s.dim; k += n_k) {
            V re[2][2] = {}, im[2][2] = {};
            for (int64_t i = 0; i < s.dim; ++i) {
                if (stage.memory_rows[i] < 0) continue;
                const V* from[2] = {x + 2 * (stage.environment[e] + stage.memory_rows[i]),
                                    x + 2 * (stage.environment[e + n_e - 1] + stage.memory_rows[i])};
                for (int q = 0; q < 2; ++q) {
                    const int64_t at = (k + (q < n_k ? q : 0)) * s.stride + i;
                    const V l_re = splat<Real>(lambda[at]), l_im = splat<Real>(lambda[s.plane + at]);
                    for (int p = 0; p < 2; ++p) {
                        re[p][q] += l_re * from[p][0];
                        re[p][q] -= l_im * from[p][1];
                        im[p][q] += l_re * from[p][1];
                        im[p][q] += l_im * from[p][0];
                    }
                }
            }
            for (int p = 0; p < n_e; ++p)
                for (int q = 0; q < n_k; ++q) {
                    if (stage.memory_rows[k + q] < 0) continue;
                    const int64_t at = 2 * (stage.environment[e + p] + stage.memory_rows[k + q]);
                    const Real w = weight[stage.outcomes[e + p]];
                    a[at] = re[p][q] + w * x[at];
                    a[at + 1] = im[p][q] + w * x[at + 1];
                }
        }
}

}  // namespace factor
}  // namespace
}  // namespace QRNN_ISA
}  // namespace qrnn
