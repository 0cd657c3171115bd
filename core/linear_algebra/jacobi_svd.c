/* Rotations of pairs of rows, from the left, until all rows are orthogonal: A ← J A. Then the rows are
 * s_i v_iᵀ, so nothing needs to be accumulated. For a triangle R of a QR decomposition rows converge
 * sooner than columns would. */
#include "core/linear_algebra/jacobi_svd.h"

#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum {
    LANES = 8,       /* of a sum over a row: fixed, so that the bits are */
    MOST_SWEEPS = 60 /* some ten are usual */
};

/* After scaling the largest element is in [1, 2): a row with less than this as its sum of squares counts
 * as zero, which keeps subnormal numbers, with few digits, out of the tests. */
static const double zero_square = 1e-280;

static double lanes_total(const double *lane)
{
    return ((lane[0] + lane[4]) + (lane[2] + lane[6])) +
           ((lane[1] + lane[5]) + (lane[3] + lane[7]));
}

static double dot(const double *restrict x, const double *restrict y, size_t n)
{
    double lane[LANES] = {0};
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (size_t k = 0; k < LANES; k++)
            lane[k] += x[i + k] * y[i + k];
    for (size_t k = 0; i < n; i++, k++)
        lane[k] += x[i] * y[i];
    return lanes_total(lane);
}

/* x ← c x − s y, y ← s x + c y. */
static void rotate(double *restrict x, double *restrict y, size_t n, double c, double s)
{
    for (size_t i = 0; i < n; i++) {
        const double first = x[i], second = y[i];
        x[i] = c * first - s * second;
        y[i] = s * first + c * second;
    }
}

static void swap_rows(double *restrict x, double *restrict y, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const double kept = x[i];
        x[i] = y[i];
        y[i] = kept;
    }
}

static void swap_numbers(double *x, double *y)
{
    const double kept = *x;
    *x = *y;
    *y = kept;
}

/* Makes rows p < q orthogonal, the longer one first. square holds the rows' sums of squares. True when
 * they were not orthogonal before. */
static bool orthogonalize(double *a, double *square, size_t n, size_t p, size_t q, double tolerance)
{
    double *x = a + p * n, *y = a + q * n;
    if (square[p] < square[q]) {
        swap_rows(x, y, n);
        swap_numbers(&square[p], &square[q]);
    }
    if (square[q] < zero_square)
        return false;
    const double product = dot(x, y, n);
    if (fabs(product) <= tolerance * sqrt(square[p]) * sqrt(square[q]))
        return false;
    /* The smaller root of t² + 2 ζ t − 1 = 0: it makes the longer row longer. */
    const double zeta = (square[q] - square[p]) / (2 * product);
    const double size = fabs(zeta);
    const double root = size < 1e150 ? 1 / (size + sqrt(1 + size * size)) : 1 / (2 * size);
    const double t = zeta < 0 ? -root : root;
    const double c = 1 / sqrt(1 + t * t);
    rotate(x, y, n, c, c * t);
    square[p] = dot(x, x, n);
    square[q] = dot(y, y, n);
    return true;
}

/* The power of two at or below the largest size, 0 for a zero (or subnormal) matrix. */
static double scale_of(const double *a, size_t count)
{
    double largest = 0;
    for (size_t i = 0; i < count; i++)
        largest = fabs(a[i]) > largest ? fabs(a[i]) : largest;
    uint64_t bits;
    memcpy(&bits, &largest, sizeof bits);
    bits &= UINT64_C(0x7ff) << 52;
    memcpy(&largest, &bits, sizeof largest);
    return largest;
}

static bp_status sweep_until_orthogonal(double *square, double *a, size_t n,
                                        const bp_patience *patience, bp_error *error)
{
    const double tolerance = (double)n * DBL_EPSILON;
    for (size_t i = 0; i < n; i++)
        square[i] = dot(a + i * n, a + i * n, n);
    for (size_t sweep = 0; sweep < MOST_SWEEPS; sweep++) {
        bool rotated = false;
        for (size_t p = 0; p < n; p++) {
            if (patience && patience->ask) {
                bp_status status = patience->ask(patience->context, error);
                if (status != BP_OK)
                    return status;
            }
            for (size_t q = p + 1; q < n; q++)
                rotated |= orthogonalize(a, square, n, p, q, tolerance);
        }
        if (!rotated)
            return BP_OK;
    }
    return bp_error_set(error, BP_INTERNAL, NULL,
                        "the singular value decomposition did not converge in %d sweeps",
                        MOST_SWEEPS);
}

/* Falling order; pairs were kept in order while they were rotated, so little is left to do. */
static void sort_rows(double *square, double *a, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        size_t largest = i;
        for (size_t j = i + 1; j < n; j++)
            if (square[j] > square[largest])
                largest = j;
        if (largest != i) {
            swap_rows(a + i * n, a + largest * n, n);
            swap_numbers(&square[i], &square[largest]);
        }
    }
}

/* Row k becomes a unit vector orthogonal to the k rows above it: what is left of the axis that they
 * cover least, projected twice, since once leaves what rounding left. */
static void complete_row(double *a, size_t n, size_t k)
{
    double *row = a + k * n;
    memset(row, 0, n * sizeof *row);
    for (size_t i = 0; i < k; i++)
        for (size_t j = 0; j < n; j++)
            row[j] += a[i * n + j] * a[i * n + j];
    size_t axis = 0;
    for (size_t j = 1; j < n; j++)
        if (row[j] < row[axis])
            axis = j;
    memset(row, 0, n * sizeof *row);
    row[axis] = 1;
    for (size_t pass = 0; pass < 2; pass++)
        for (size_t i = 0; i < k; i++) {
            const double product = dot(a + i * n, row, n);
            for (size_t j = 0; j < n; j++)
                row[j] -= product * a[i * n + j];
        }
    const double length = sqrt(dot(row, row, n));
    for (size_t j = 0; j < n; j++)
        row[j] /= length;
}

static void fix_sign(double *row, size_t n)
{
    size_t largest = 0;
    for (size_t j = 1; j < n; j++)
        if (fabs(row[j]) > fabs(row[largest]))
            largest = j;
    if (row[largest] < 0)
        for (size_t j = 0; j < n; j++)
            row[j] = -row[j];
}

bp_status bp_jacobi_svd(double *s, double *a, size_t n, const bp_patience *patience,
                        bp_error *error)
{
    for (size_t i = 0; i < n * n; i++)
        if (!isfinite(a[i]))
            return bp_error_set(error, BP_NOT_FINITE, NULL,
                                "a matrix to be decomposed is not finite");
    const double scale = scale_of(a, n * n);
    for (size_t i = 0; scale > 0 && i < n * n; i++)
        a[i] /= scale;
    bp_status status = sweep_until_orthogonal(s, a, n, patience, error);
    if (status != BP_OK)
        return status;
    sort_rows(s, a, n);
    for (size_t i = 0; i < n; i++) {
        if (s[i] < zero_square) {
            s[i] = 0;
            complete_row(a, n, i);
        } else {
            const double length = sqrt(s[i]);
            for (size_t j = 0; j < n; j++)
                a[i * n + j] /= length;
            s[i] = length * scale;
        }
        fix_sign(a + i * n, n);
    }
    return BP_OK;
}
