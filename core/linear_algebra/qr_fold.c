/* Column j of [R; B] is zero below R's diagonal but for B, so its reflection is I − τ (e; v)(e; v)ᵀ
 * with v as long as B: v takes the place of B's column, and the rows of R above and below j stay. */
#include "core/linear_algebra/qr_fold.h"

#include <math.h>
#include <string.h>

#include "core/base/checked.h"

enum { PANEL = 32 }; /* reflections applied at once */

typedef struct folding {
    double *r, *rows;
    size_t width, row_count;
    const bp_kernels *kernels;
    double *t;       /* (PANEL, PANEL), −T: see finish_panel */
    double *product; /* (PANEL, PANEL) */
    double *tau;     /* (PANEL) */
    double *above;   /* (PANEL, width) */
    double *change;  /* (PANEL, width) */
} folding;

bool bp_qr_scratch_count(size_t *out, size_t width)
{
    size_t count;
    if (!bp_checked_multiply(&count, width, 2 * PANEL) ||
        !bp_checked_add(&count, count, 2 * PANEL * PANEL + PANEL))
        return false;
    *out = count;
    return true;
}

/* Turns column j of the block into v and R's diagonal into the column's new length; returns τ. */
static double reflect(folding *fold, size_t j)
{
    const size_t width = fold->width;
    double *diagonal = fold->r + j * width + j, *column = fold->rows + j;
    const double alpha = *diagonal;
    double largest = 0;
    for (size_t i = 0; i < fold->row_count; i++) {
        const double size = fabs(column[i * width]);
        largest = size > largest ? size : largest;
    }
    if (largest == 0)
        return 0;
    largest = fabs(alpha) > largest ? fabs(alpha) : largest;
    double sum = alpha / largest * (alpha / largest);
    for (size_t i = 0; i < fold->row_count; i++) {
        const double x = column[i * width] / largest;
        sum += x * x;
    }
    const double length = largest * sqrt(sum);
    const double beta = alpha > 0 ? -length : length; /* no cancellation in alpha − beta */
    for (size_t i = 0; i < fold->row_count; i++)
        column[i * width] /= alpha - beta;
    *diagonal = beta;
    return (beta - alpha) / beta;
}

/* Applies the reflection of column j to the columns behind it, up to `end`. */
static void reflect_panel(folding *fold, size_t j, size_t end, double tau)
{
    const size_t width = fold->width, count = end - j - 1;
    double sum[PANEL];
    double *restrict r = fold->r + j * width + j + 1;
    memcpy(sum, r, count * sizeof *sum);
    for (size_t i = 0; i < fold->row_count; i++) {
        const double *row = fold->rows + i * width + j;
        const double v = row[0];
        for (size_t c = 0; c < count; c++)
            sum[c] += v * row[1 + c];
    }
    for (size_t c = 0; c < count; c++) {
        sum[c] *= tau;
        r[c] -= sum[c];
    }
    for (size_t i = 0; i < fold->row_count; i++) {
        double *row = fold->rows + i * width + j;
        const double v = row[0];
        for (size_t c = 0; c < count; c++)
            row[1 + c] -= v * sum[c];
    }
}

/* The panel's reflections together are I − V T Vᵀ, T upper triangular (Golub & Van Loan, 5.2.3, with
 * their sign); what is kept is −T. The unit parts of different columns are orthogonal. */
static void finish_panel(folding *fold, size_t first, size_t count)
{
    const double *v = fold->rows + first;
    fold->kernels->gemm(&(bp_gemm_call){.m = count,
                                        .n = count,
                                        .k = fold->row_count,
                                        .a = v,
                                        .a_row_stride = 1,
                                        .a_column_stride = fold->width,
                                        .b = v,
                                        .b_row_stride = fold->width,
                                        .b_column_stride = 1,
                                        .c = fold->product,
                                        .c_row_stride = PANEL});
    memset(fold->t, 0, PANEL * PANEL * sizeof *fold->t);
    for (size_t i = 0; i < count; i++) {
        for (size_t row = 0; row < i; row++) {
            double sum = 0;
            for (size_t k = row; k < i; k++)
                sum += fold->t[row * PANEL + k] * fold->product[k * PANEL + i];
            fold->t[row * PANEL + i] = -fold->tau[i] * sum;
        }
        fold->t[i * PANEL + i] = fold->tau[i];
    }
    for (size_t i = 0; i < (size_t)PANEL * PANEL; i++)
        fold->t[i] = -fold->t[i];
}

/* Applies (I − V T Vᵀ)ᵀ to the columns behind the panel. */
static void apply_panel(folding *fold, size_t first, size_t count)
{
    const size_t width = fold->width, next = first + count, left = width - next;
    if (left == 0)
        return;
    for (size_t i = 0; i < count; i++)
        memcpy(fold->above + i * width, fold->r + (first + i) * width + next,
               left * sizeof *fold->above);
    bp_gemm_call call = {.m = count,
                         .n = left,
                         .k = fold->row_count,
                         .a = fold->rows + first,
                         .a_row_stride = 1,
                         .a_column_stride = width,
                         .b = fold->rows + next,
                         .b_row_stride = width,
                         .b_column_stride = 1,
                         .c = fold->above,
                         .c_row_stride = width,
                         .accumulate = true};
    fold->kernels->gemm(&call);
    call.k = count;
    call.a = fold->t;
    call.a_column_stride = PANEL;
    call.b = fold->above;
    call.c = fold->change;
    call.accumulate = false;
    fold->kernels->gemm(&call);
    for (size_t i = 0; i < count; i++) {
        double *restrict r = fold->r + (first + i) * width + next;
        const double *restrict change = fold->change + i * width;
        for (size_t c = 0; c < left; c++)
            r[c] += change[c];
    }
    call.m = fold->row_count;
    call.a = fold->rows + first;
    call.a_row_stride = width;
    call.a_column_stride = 1;
    call.b = fold->change;
    call.c = fold->rows + next;
    call.accumulate = true;
    fold->kernels->gemm(&call);
}

void bp_qr_fold(double *r, size_t width, double *rows, size_t row_count, double *scratch,
                const bp_kernels *kernels)
{
    folding fold = {.r = r,
                    .rows = rows,
                    .width = width,
                    .row_count = row_count,
                    .kernels = kernels,
                    .t = scratch,
                    .product = scratch + PANEL * PANEL,
                    .tau = scratch + 2 * PANEL * PANEL,
                    .above = scratch + 2 * PANEL * PANEL + PANEL};
    fold.change = fold.above + PANEL * width;
    for (size_t first = 0, count; first < width; first += count) {
        count = width - first < PANEL ? width - first : PANEL;
        for (size_t i = 0; i < count; i++) {
            fold.tau[i] = reflect(&fold, first + i);
            if (fold.tau[i] != 0)
                reflect_panel(&fold, first + i, first + count, fold.tau[i]);
        }
        finish_panel(&fold, first, count);
        apply_panel(&fold, first, count);
    }
}
