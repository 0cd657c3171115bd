/* The orthogonal factor of a random normal matrix. A wide tensor is turned, so that A here is always
 * tall: (length, count), length ≥ count, stored by columns. Householder reflections H_j = I − τ v vᵀ
 * make A = Q R; they replace A below its diagonal, and Q then replaces them. R is not kept but for
 * the signs of its diagonal: with these, Q is distributed evenly over all orthogonal matrices.
 * Source: Golub & Van Loan 2013, Matrix Computations, algorithms 5.2.1 and 5.1.6, section 5.1.6;
 * the signs: Mezzadri 2007, How to generate random matrices from the classical compact groups. */
#include <math.h>

#include "core/base/checked.h"
#include "core/initializer/fill.h"

typedef struct factors {
    size_t length, count;
    double *column; /* (count, length) */
    double *tau;    /* (count) */
    double *sign;   /* (count) of R's diagonal */
} factors;

static bool scratch_count(size_t *count, size_t rows, size_t columns)
{
    const size_t shorter = rows < columns ? rows : columns;
    size_t matrix;
    return bp_checked_multiply(&matrix, rows, columns) &&
           bp_checked_add(&matrix, matrix, shorter) && bp_checked_add(count, matrix, shorter);
}

/* Four sums side by side, always the same ones, so that additions need not wait for each other. */
static double dot(const double *x, const double *y, size_t count)
{
    double sum[4] = {0};
    size_t i = 0;
    for (; count - i >= 4; i += 4)
        for (size_t lane = 0; lane < 4; lane++)
            sum[lane] += x[i + lane] * y[i + lane];
    for (; i < count; i++)
        sum[0] += x[i] * y[i];
    return (sum[0] + sum[2]) + (sum[1] + sum[3]);
}

/* x ← (I − τ v vᵀ) x, where v begins with a 1 that is not stored: v and x are past it. */
static void reflect(double *first, double *x, const double *v, double tau, size_t count)
{
    const double share = tau * (*first + dot(v, x, count));
    *first -= share;
    for (size_t i = 0; i < count; i++)
        x[i] -= share * v[i];
}

/* The reflection that leaves nothing of column j below its diagonal, put in the column's place. */
static void factor_column(const factors *f, size_t j)
{
    double *diagonal = f->column + j * f->length + j, *rest = diagonal + 1;
    const size_t below = f->length - j - 1;
    const double norm = sqrt(*diagonal * *diagonal + dot(rest, rest, below));
    const double beta = *diagonal < 0 ? norm : -norm; /* away from the diagonal: no cancellation */
    f->sign[j] = beta < 0 ? -1 : 1;
    f->tau[j] = norm > 0 ? (beta - *diagonal) / beta : 0;
    for (size_t i = 0; i < below && norm > 0; i++)
        rest[i] /= *diagonal - beta;
    for (size_t k = j + 1; k < f->count; k++) {
        double *other = f->column + k * f->length + j;
        reflect(other, other + 1, rest, f->tau[j], below);
    }
}

/* Column j of Q = H_0 ⋯ H_(count−1) is H_0 ⋯ H_j e_j; the later columns, which are finished up to
 * H_(j+1), get H_j here. */
static void form_column(const factors *f, size_t j)
{
    double *diagonal = f->column + j * f->length + j, *rest = diagonal + 1;
    const size_t below = f->length - j - 1;
    for (size_t k = j + 1; k < f->count; k++) {
        double *other = f->column + k * f->length + j;
        *other = 0;
        reflect(other, other + 1, rest, f->tau[j], below);
    }
    *diagonal = 1 - f->tau[j];
    for (size_t i = 0; i < below; i++)
        rest[i] *= -f->tau[j];
}

static void fill_tensor(const bp_fill *fill)
{
    const bool wide = fill->rows < fill->columns;
    const size_t length = wide ? fill->columns : fill->rows;
    const size_t count = wide ? fill->rows : fill->columns;
    const factors f = {.length = length,
                       .count = count,
                       .column = fill->scratch,
                       .tau = fill->scratch + length * count,
                       .sign = fill->scratch + length * count + count};
    for (size_t j = 0; j < count; j++)
        for (size_t i = 0; i < length; i++)
            f.column[j * length + i] = bp_random_normal(fill->random, wide ? j : i, wide ? i : j);
    for (size_t j = 0; j < count; j++)
        factor_column(&f, j);
    for (size_t j = count; j-- > 0;)
        form_column(&f, j);
    for (size_t j = 0; j < count; j++)
        for (size_t i = 0; i < length; i++)
            bp_fill_put(fill, wide ? j * length + i : i * count + j,
                        f.sign[j] * f.column[j * length + i]);
}

extern const bp_initializer bp_initializer_orthogonal;
const bp_initializer bp_initializer_orthogonal = {
    .member = {.name = "orthogonal",
               .summary = "Rows or columns of length 1 at right angles: signals keep their length",
               .formula = "A = Q R, A_ij ~ N(0, 1), R_ii > 0; W = Q, or the transpose of that of "
                          "the transpose where W has more columns than rows",
               .reference = "Saxe, McClelland & Ganguli 2014, Exact solutions to the nonlinear "
                            "dynamics of learning in deep linear neural networks",
               .pytorch = "torch.nn.init.orthogonal_(w, gain=1)",
               .index = BP_INITIALIZER_orthogonal},
    .fill = fill_tensor,
    .scratch_count = scratch_count,
};
