// The factor engine on a GPU: columns from density matrices and back. Sums are taken in an order that depends on
// nothing but the plan and the number of columns.
#pragma once

namespace qrnn {
namespace cuda {

// The shift of a chunk of n columns: 2^shift is the power of 2 from n on.
QRNN_DEVICE int shift_of(int n) {
    int shift = 0;
    while (1 << shift < n) ++shift;
    return shift;
}

// Columns first .. first + 2^shift - 1 of a matrix, or of the identity where it is null, as the rows of a chunk.
QRNN_DEVICE_ONCE void load_columns(const Team& team, const Complex* matrix, int first, int shift, Complex* state) {
    QRNN_ONE_BY_ONE for (int i = team.thread; i < dim << shift; i += team.n_threads) {
        const int row = i >> shift, column = i & ((1 << shift) - 1);
        state[row * width + column] =
            matrix ? matrix[row * dim + first + column] : Complex{Real(row == first + column), 0};
    }
}

// ---- The sum over the wires that are not carried, from columns X and Y to sum_e X_e Y_e^dagger. Column k of Y stands
// `apart` columns behind column k of X.
constexpr FactorTiles tiles(sizes);
constexpr int tile_size = tiles.side * tiles.side;

// Tile t of the lower half: a triangle of rows folded into a rectangle.
struct TilePlace {
    int row, col;
    QRNN_DEVICE explicit TilePlace(int t) : row(0), col(0) {
        constexpr int n = tiles.per_row, half = n / 2;
        if (n == 1) return;
        const int a = t / (half > 0 ? half : 1), b = t % (half > 0 ? half : 1);
        row = tiles.side * (a > b ? a - 1 : n - 1 - a);
        col = tiles.side * (a > b ? b : n - 1 - b);
    }
};

// A thread for every tile and column of a chunk: sums over e, 4 side^2 multiply-adds for 4 side loads. `is_first`
// overwrites what stands in `sums`, side^2 numbers of `width` columns for each tile.
QRNN_DEVICE_ONCE void sum_tiles(const Team& team, const FactorStage& stage, const Complex* state, int shift, int apart,
                                bool is_first, Complex* sums) {
    constexpr int side = tiles.side;
    QRNN_ONE_BY_ONE for (int i = team.thread; i < tiles.count() << shift; i += team.n_threads) {
        const int column = i & ((1 << shift) - 1);
        const TilePlace place(i >> shift);
        int x_at[side], y_at[side];
        QRNN_UNROLL for (int k = 0; k < side; ++k) {
            const std::int64_t row = stage.memory_rows[place.row + k], col = stage.memory_rows[place.col + k];
            x_at[k] = row < 0 ? -1 : static_cast<int>(row) * width;
            y_at[k] = col < 0 ? -1 : static_cast<int>(col) * width;
        }
        Complex sum[tile_size];
        QRNN_UNROLL for (int k = 0; k < tile_size; ++k) sum[k] = {0, 0};
        QRNN_ONE_BY_ONE for (int e = 0; e < stage.n_environment; ++e) {
            const Complex* at = state + (static_cast<int>(stage.environment[e]) * width + column);
            Complex x[side], y[side];
            QRNN_UNROLL for (int k = 0; k < side; ++k) {
                x[k] = x_at[k] < 0 ? Complex{0, 0} : at[x_at[k]];
                y[k] = y_at[k] < 0 ? Complex{0, 0} : conjugate(at[y_at[k] + apart]);
            }
            QRNN_UNROLL for (int j = 0; j < side; ++j) QRNN_UNROLL for (int k = 0; k < side; ++k)
                add_product(sum[j * side + k], x[j], y[k]);
        }
        Complex* to = sums + (i >> shift) * (tile_size * width) + column;
        QRNN_UNROLL for (int k = 0; k < tile_size; ++k) {
            const Complex before = is_first ? Complex{0, 0} : to[k * width];
            to[k * width] = {before.re + sum[k].re, before.im + sum[k].im};
        }
    }
}

// A thread for every setting e and column: their part of sum Re(X conj(Y)), the setting's probability.
QRNN_DEVICE_ONCE void sum_norms(const Team& team, const FactorStage& stage, const Complex* state, int shift, int apart,
                                bool is_first, Real* norms) {
    QRNN_ONE_BY_ONE for (int i = team.thread; i < stage.n_environment << shift; i += team.n_threads) {
        const int e = i >> shift, column = i & ((1 << shift) - 1);
        const Complex* at = state + (static_cast<int>(stage.environment[e]) * width + column);
        Real sum = 0;
        for (int k = 0; k < dim; ++k) {
            if (stage.memory_rows[k] < 0) continue;
            const int place = static_cast<int>(stage.memory_rows[k]) * width;
            const Complex x = at[place], y = at[place + apart];
            sum += x.re * y.re + x.im * y.im;
        }
        norms[e * width + column] = (is_first ? Real(0) : norms[e * width + column]) + sum;
    }
}

// Adds up the columns' parts, `n_columns` of them: the next memory, and the settings' probabilities as norms[e *
// width].
QRNN_DEVICE_ONCE void collect(const Team& team, const FactorStage& stage, int n_columns, const Work& w) {
    QRNN_ONE_BY_ONE for (int i = team.thread; i < tiles.count() * tile_size; i += team.n_threads) {
        const TilePlace place(i / tile_size);
        const int row = place.row + i % tile_size / tiles.side, col = place.col + i % tiles.side;
        if (col > row) continue;
        Complex sum{0, 0};
        for (int k = 0; k < n_columns; ++k) {
            sum.re += w.sums[i * width + k].re;
            sum.im += w.sums[i * width + k].im;
        }
        if (row == col) sum.im = sum.re - sum.re;  // zero, but for what is not a number
        w.next[row * dim + col] = sum;
        w.next[col * dim + row] = conjugate(sum);
    }
    QRNN_ONE_BY_ONE for (int e = team.thread; e < stage.n_environment; e += team.n_threads) {
        Real sum = 0;
        for (int k = 0; k < n_columns; ++k) sum += w.norms[e * width + k];
        w.norms[e * width] = sum;
    }
}

// ---- The diagonal, found by every block for itself: parts of it, then all parts in order.
constexpr int diagonal_parts =
    dim < FactorScratch::diagonal_parts ? dim : static_cast<int>(FactorScratch::diagonal_parts);

QRNN_DEVICE_ONCE Real trace(const Team& team, const Complex* matrix) {
    double* values = reinterpret_cast<double*>(team.own + FactorScratch(sizes, sizeof(Real), 0, false).values);
    for (int part = thread_index(); part < diagonal_parts; part += block_size()) {
        Real sum = 0;
        QRNN_ONE_BY_ONE for (int i = part * (dim / diagonal_parts); i < (part + 1) * (dim / diagonal_parts); ++i) sum +=
            matrix[i * (dim + 1)].re;
        values[part] = sum;
    }
    block_sync();
    Real sum = 0;
    QRNN_ONE_BY_ONE for (int part = 0; part < diagonal_parts; ++part) sum += Real(values[part]);
    return sum;
}

// The first of the largest entries of the diagonal that are not taken yet.
struct Pivot {
    double value;
    int place;  // -1: all are taken
};

QRNN_DEVICE Pivot find_pivot(const Team& team, const ComplexOf<double>* matrix, const int* taken) {
    const FactorScratch scratch(sizes, sizeof(Real), 0, false);
    double* values = reinterpret_cast<double*>(team.own + scratch.values);
    int* places = reinterpret_cast<int*>(team.own + scratch.places);
    for (int part = thread_index(); part < diagonal_parts; part += block_size()) {
        Pivot best{0, -1};
        QRNN_ONE_BY_ONE for (int i = part * (dim / diagonal_parts); i < (part + 1) * (dim / diagonal_parts); ++i) {
            if (taken[i] < dim) continue;
            const double value = matrix[i * (dim + 1)].re;
            if (best.place < 0 || value > best.value) best = {value, i};
        }
        values[part] = best.value;
        places[part] = best.place;
    }
    block_sync();
    Pivot best{0, -1};
    QRNN_ONE_BY_ONE for (int part = 0; part < diagonal_parts;
                         ++part) if (places[part] >= 0 && (best.place < 0 || values[part] > best.value))
        best = {values[part], places[part]};
    return best;
}

// ---- Factors.
// rho, which has to be written element by element by set_memory() with a barrier after it, as L L^dagger: Cholesky's
// method as on the CPU (engines/factor/density.inl). One barrier for each column; rows and columns of pivots stay as
// they are and count as zero. Returns the number of columns, or -1 where rho is not positive.
QRNN_DEVICE void set_memory(const Work& w, int i, Complex z) {
    w.rho[i] = z;
    w.cholesky[i] = {z.re, z.im};
    w.columns[i] = {0, 0};
}

QRNN_DEVICE int* taken_of(const Team& team) {  // by row: the column that took it as its pivot, dim before
    return reinterpret_cast<int*>(team.own + FactorScratch(sizes, sizeof(Real), 0, false).taken);
}

QRNN_DEVICE void begin_cholesky(const Team& team, const Work& w) {
    int* taken = taken_of(team);
    for (int i = thread_index(); i < dim; i += block_size()) taken[i] = dim;
    if (team.thread == 0) w.status[2] = 0;
}

QRNN_DEVICE_ONCE int pivoted_cholesky(const Team& team, const Work& w) {
    constexpr double tolerance = sizeof(Real) == 8 ? 1e-16 : 3e-8, positive = sizeof(Real) == 8 ? 1e-13 : 1e-5;
    int* taken = taken_of(team);
    double largest = 0;
    int rank = 0;
    QRNN_ONE_BY_ONE for (; rank < dim; ++rank) {
        const Pivot pivot = find_pivot(team, w.cholesky, taken);
        if (rank == 0 && pivot.value > 0) largest = pivot.value;
        if (pivot.value <= tolerance * largest) break;
        // Column `rank` of L is the pivot's row, conjugated, over the root.
        const double scale = 1 / root(pivot.value);
        const ComplexOf<double>* pivot_row = w.cholesky + pivot.place * dim;
        const auto factor = [&](int i) {
            const ComplexOf<double> z = pivot_row[i];
            return ComplexOf<double>{z.re * scale, -z.im * scale};
        };
        QRNN_ONE_BY_ONE for (int i = team.thread; i < dim * dim; i += team.n_threads) {
            const int row = i / dim, col = i % dim;
            if (taken[row] < rank) continue;
            const ComplexOf<double> a = factor(row), b = conjugate(factor(col));
            if (col == 0) w.columns[row * dim + rank] = {Real(a.re), Real(a.im)};
            if (row == pivot.place || col == pivot.place || taken[col] < rank) continue;
            ComplexOf<double>& z = w.cholesky[i];
            z.re -= a.re * b.re - a.im * b.im;
            z.im -= a.re * b.im + a.im * b.re;
        }
        if (thread_index() == 0) taken[pivot.place] = rank;  // for those that still compare: as if it were free
        team_sync(team);
    }
    const double limit = positive * (largest > 1 ? largest : 1);
    QRNN_ONE_BY_ONE for (int i = team.thread; i < dim * dim; i += team.n_threads) {
        if (taken[i / dim] < dim || taken[i % dim] < dim) continue;
        const ComplexOf<double> rest = w.cholesky[i];
        if ((rest.re < 0 ? -rest.re : rest.re) + (rest.im < 0 ? -rest.im : rest.im) > limit) w.status[2] = 1;
    }
    team_sync(team);
    return w.status[2] == 0 ? rank : -1;
}

}  // namespace cuda
}  // namespace qrnn
