/* The triangle R of a QR decomposition A = Q R of a matrix with any number of rows, which come a block
 * at a time: [R; block] is decomposed anew and leaves the next R. Q is never formed. RᵀR = AᵀA up to
 * rounding errors that are those of an orthogonal method: relative to A, not to AᵀA.
 *
 * Reflections are gathered in panels and applied as matrix products (block reflectors). The bits depend
 * on the rows and on how they are cut into blocks, not on the instruction set.
 *
 * Source: Golub & Van Loan 2013, Matrix Computations, sections 5.2.2 to 5.2.3 (compact WY form) and
 * 6.5.3 (appended rows); Demmel, Grigori, Hoemmen & Langou 2012, SIAM J. Sci. Comput. 34, A206. */
#ifndef BP_CORE_LINEAR_ALGEBRA_QR_FOLD_H
#define BP_CORE_LINEAR_ALGEBRA_QR_FOLD_H

#include "core/base/error.h"
#include "core/kernel/kernels.h"

/* Doubles of scratch that bp_qr_fold wants for rows of `width`. False on overflow. */
BP_CHECK_RESULT bool bp_qr_scratch_count(size_t *out, size_t width);

/* Folds a block into the triangle.
 *   r       (width, width) row-major; on and above the diagonal R, zero before the first block; below
 *           it neither read nor written
 *   rows    (row_count, width) row-major, finite; destroyed
 *   scratch (bp_qr_scratch_count)
 *   kernels of BP_FLOAT64
 * Allocates nothing. Any thread. */
void bp_qr_fold(double *r, size_t width, double *rows, size_t row_count, double *scratch,
                const bp_kernels *kernels);

#endif
