/* Matrix product with fused bias and activation: C = A·B, or C + A·B.
 *
 * Every element of C is one accumulator, summed with fused multiply-add over k ascending, from 0 (or
 * from C when accumulating): acc = fma(a[i][k], b[k][j], acc). So its bits depend on its row of A and
 * its column of B alone: not on m, n, blocking, threads or instruction set. */
#ifndef BP_CORE_KERNEL_GEMM_H
#define BP_CORE_KERNEL_GEMM_H

#include <stdbool.h>
#include <stddef.h>

#include "core/base/parallel.h"

struct bp_activation;

/* Numbers are of the kernel table's width; strides are in elements. */
typedef struct bp_gemm_call {
    size_t m, n, k; /* C is (m, n); k 0 gives zeros (or leaves C) */
    const void *a;  /* a[i·a_row_stride + k·a_column_stride]: one of the two strides is 1 */
    size_t a_row_stride, a_column_stride;
    const void *b; /* b[k·b_row_stride + j·b_column_stride]: one of the two strides is 1 */
    size_t b_row_stride, b_column_stride;
    const void *packed_b; /* B as bp_kernels.gemm_pack left it; then b is not read. Or NULL. */
    void *c;              /* (m, n), rows c_row_stride apart; aliases neither a nor b */
    size_t c_row_stride;
    bool accumulate;                        /* start from C instead of 0 */
    const void *bias;                       /* (n) added once the sum over k is done, or NULL */
    const struct bp_activation *activation; /* applied after the bias, or NULL for none */
    const double *activation_value;         /* its hyperparameters */
    void *activated; /* (m, n), same row stride as c: f(C); may alias c. Only with activation. */
    const bp_parallel *parallel; /* may be NULL; below about 1 MFLOP it is not used */
} bp_gemm_call;

#endif
