/* Singular value decomposition of a square matrix by one-sided Jacobi rotations, A = U S Vᵀ: the
 * singular values and the right singular vectors. Small singular values come out to high relative
 * accuracy where the matrix allows it. The order of rotations is fixed, so the same matrix gives the
 * same bits.
 *
 * Source: Demmel & Veselić 1992, SIAM J. Matrix Anal. Appl. 13, 1204 (rotations and the relative test);
 * de Rijk 1989, SIAM J. Sci. Stat. Comput. 10, 359 (keeping the longer row first); Golub & Van Loan
 * 2013, Matrix Computations, section 8.6.3. */
#ifndef BP_CORE_LINEAR_ALGEBRA_JACOBI_SVD_H
#define BP_CORE_LINEAR_ALGEBRA_JACOBI_SVD_H

#include <stddef.h>

#include "core/base/error.h"

/* Asked now and then whether to go on; what it returns other than BP_OK ends the work. */
typedef struct bp_patience {
    bp_status (*ask)(void *context, bp_error *error); /* NULL: never asked */
    void *context;
} bp_patience;

/* In: a (n, n) row-major, finite. Out: row i of a is the i-th right singular vector, a unit vector whose
 * largest component (the first among equals) is positive; s (n) holds the singular values, falling.
 * Vectors of singular values that are 0 complete the others to an orthonormal basis.
 * On failure a and s hold nothing of use: BP_NOT_FINITE, BP_INTERNAL (no convergence), patience's.
 * Allocates nothing. Any thread. */
BP_CHECK_RESULT bp_status bp_jacobi_svd(double *s, double *a, size_t n, const bp_patience *patience,
                                        bp_error *error);

#endif
