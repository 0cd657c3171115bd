/* One const table of kernels per width and instruction set. Everything above this line of the house
 * is written once and calls through a table; arrays behind void* are of the table's width.
 *
 * All members of one width give the same bits on every instruction set. Nothing here allocates; any
 * thread may call anything. */
#ifndef BP_CORE_KERNEL_KERNELS_H
#define BP_CORE_KERNEL_KERNELS_H

#include <stddef.h>
#include <stdint.h>

#include "core/activation/activation.h"
#include "core/base/dtype.h"
#include "core/kernel/cell.h"
#include "core/kernel/gemm.h"
#include "core/kernel/mask.h"
#include "core/loss/loss.h"
#include "core/optimizer/optimizer.h"
#include "core/regularizer/regularizer.h"

/* In order of preference, worst first. */
typedef enum bp_isa { BP_ISA_BASELINE, BP_ISA_AVX2, BP_ISA_AVX512 } bp_isa;
enum { BP_ISA_COUNT = 3 };

typedef struct bp_kernels {
    bp_dtype dtype;
    bp_isa isa;
    size_t real_size; /* bytes */

    /* ---- matrix product: core/kernel/gemm.h ---- */
    void (*gemm)(const bp_gemm_call *call);
    /* Bytes that gemm_pack writes for a (k, n) B; the same formula on every instruction set, so that
     * memory plans do not depend on the processor. 0 on overflow. */
    size_t (*gemm_packed_bytes)(size_t k, size_t n);
    /* Lays B out for repeated products. packed: 64-byte aligned; the layout is private to this table. */
    void (*gemm_pack)(void *packed, const void *b, size_t b_row_stride, size_t b_column_stride,
                      size_t k, size_t n, const bp_parallel *parallel);

    /* ---- sums: 64 bytes of logical lanes (16 floats, 8 doubles), tail in lane i mod lanes, one
     *      fixed tree at the end; count 0 gives 0. Returned widened to double. ---- */
    double (*sum)(const void *x, size_t count);
    double (*sum_squares)(const void *x, size_t count);
    /* sum_squares of each `chunk` elements, the last ones fewer: several at a time, since one sum waits
     * for its own additions. out: (count / chunk, rounded up). chunk ≥ 1. */
    void (*sum_squares_chunks)(double *out, const void *x, size_t count, size_t chunk);
    double (*sum_absolute)(const void *x, size_t count);
    /* (m, n) row-major, rows ascending, one accumulator per column: out[j] = Σ_i x[i][j]. */
    void (*sum_rows)(void *out, const void *x, size_t m, size_t n);
    /* How many columns of (m, n) row-major have every element ≤ low or ≥ high; NaN is neither. */
    size_t (*outside_columns)(const void *x, size_t m, size_t n, double low, double high);

    /* ---- elementwise ---- */
    void (*scale)(void *x, double factor, size_t count);               /* x ← factor·x */
    void (*axpy)(void *y, double factor, const void *x, size_t count); /* y ← fma(factor, x, y) */
    void (*from_double)(void *out, const double *x, size_t count);     /* rounded to nearest */
    void (*to_double)(double *out, const void *x, size_t count);
    /* All finite? Stops at nothing: constant time. */
    int (*all_finite)(const void *x, size_t count);
    /* Index of the largest of each row, the first among equals; NaN never wins. (m, n) row-major. */
    void (*argmax_rows)(int32_t *out, const void *x, size_t m, size_t n);
    /* out[i] ← in[index[i]], rows of `width` elements. */
    void (*gather_rows)(void *out, const void *in, const size_t *index, size_t count, size_t width);

    /* ---- functions, exposed for tests and for layers (core/kernel/vector_math.h inlines them) ---- */
    void (*exp)(void *out, const void *x, size_t count);
    void (*log)(void *out, const void *x, size_t count);
    void (*tanh)(void *out, const void *x, size_t count);

    /* ---- dropout masks: core/kernel/mask.h ---- */
    void (*mask)(const bp_mask_call *call);

    /* ---- cells of recurrent layers: core/kernel/cell.h; rows [first, first + count) of a step ---- */
    void (*lstm_forward)(const bp_lstm_call *call, size_t first, size_t count);
    void (*lstm_backward)(const bp_lstm_call *call, size_t first, size_t count);
    void (*gru_forward)(const bp_gru_call *call, size_t first, size_t count);
    void (*gru_backward)(const bp_gru_call *call, size_t first, size_t count);

    /* ---- families, indexed by member.index ---- */
    const bp_activation *const *activations;
    const bp_loss *const *losses;
    const bp_optimizer *const *optimizers;
    const bp_regularizer *const *regularizers;
} bp_kernels;

/* "baseline", "avx2", "avx512". */
const char *bp_isa_name(bp_isa isa);

/* Best instruction set that this processor, its operating system and this build can run. */
bp_isa bp_isa_detect(void);

/* The table, or NULL where this build or processor lacks the instruction set. */
const bp_kernels *bp_kernels_get(bp_dtype dtype, bp_isa isa);

/* Sets rounding to nearest and denormals on (never flush to zero) for the calling thread. Every
 * thread that runs kernels calls it once. */
void bp_kernels_thread_start(void);

#endif
