#include "core/kernel/gemm_panel.h"

#include "core/base/checked.h"
#include "core/kernel/gemm_variant.h"

/* B's columns are adjacent in memory: rows are copied. */
static void pack_by_rows(bp_real *to, size_t width, const bp_real *b, size_t b_row_stride, size_t k,
                         size_t columns)
{
    if (columns == BP_PANEL && width == BP_PANEL) {
        for (size_t row = 0; row < k; row++, b += b_row_stride, to += BP_PANEL) {
            const bp_vector first = bp_vector_load(b), second = bp_vector_load(b + BP_LANES);
            bp_vector_store(to, first);
            bp_vector_store(to + BP_LANES, second);
        }
        return;
    }
    for (size_t row = 0; row < k; row++, b += b_row_stride, to += width)
        for (size_t column = 0; column < width; column += BP_LANES) {
            const size_t left = column < columns ? columns - column : 0;
            bp_vector_store(to + column,
                            bp_vector_load_partial(b + (left ? column : 0),
                                                   left < BP_LANES ? left : BP_LANES, 0));
        }
}

void BP_VARIANT(bp_square_load)(bp_vector x[BP_LANES], const bp_real *from, size_t stride,
                                size_t rows, size_t count)
{
    bp_vector row[BP_LANES];
#pragma GCC unroll 16
    for (size_t i = 0; i < BP_LANES; i++)
        row[i] = i < rows ? bp_vector_load_partial(from + i * stride, count, 0) : bp_vector_set(0);
    bp_vector_transpose(row);
#pragma GCC unroll 16
    for (size_t i = 0; i < BP_LANES; i++)
        x[i] = row[i];
}

/* B's rows are adjacent in memory: squares are transposed in registers. */
static void pack_by_columns(bp_real *to, size_t width, const bp_real *b, size_t b_column_stride,
                            size_t k, size_t columns)
{
    for (size_t column = 0; column < width; column += BP_LANES) {
        const size_t left = column < columns ? columns - column : 0;
        const bp_real *from = b + (left ? column * b_column_stride : 0);
        bp_real *out = to + column;
        size_t row = 0;
        if (left >= BP_LANES)
            for (; row + BP_LANES <= k; row += BP_LANES, from += BP_LANES) {
                bp_vector x[BP_LANES];
#pragma GCC unroll 16
                for (size_t i = 0; i < BP_LANES; i++)
                    x[i] = bp_vector_load(from + i * b_column_stride);
                bp_vector_transpose(x);
#pragma GCC unroll 16
                for (size_t i = 0; i < BP_LANES; i++, out += width)
                    bp_vector_store(out, x[i]);
            }
        for (; row < k; row += BP_LANES, from += BP_LANES) {
            bp_vector x[BP_LANES];
            const size_t count = k - row < BP_LANES ? k - row : BP_LANES;
            BP_VARIANT(bp_square_load)
            (x, from, b_column_stride, left < BP_LANES ? left : BP_LANES, count);
            for (size_t i = 0; i < count; i++, out += width)
                bp_vector_store(out, x[i]);
        }
    }
}

void BP_VARIANT(bp_panel_pack)(bp_real *to, size_t width, const bp_real *b, size_t b_row_stride,
                               size_t b_column_stride, size_t k, size_t columns)
{
    if (b_column_stride == 1)
        pack_by_rows(to, width, b, b_row_stride, k, columns);
    else
        pack_by_columns(to, width, b, b_column_stride, k, columns);
}

size_t BP_VARIANT(bp_gemm_packed_bytes)(size_t k, size_t n)
{
    size_t width, count, bytes;
    if (!bp_checked_align(&width, n, BP_LINE) || !bp_checked_multiply(&count, width, k) ||
        !bp_checked_multiply(&bytes, count, sizeof(bp_real)))
        return 0;
    return bytes;
}

typedef struct pack_job {
    bp_real *packed;
    const bp_real *b;
    size_t b_row_stride, b_column_stride, k, n;
} pack_job;

static void pack_task(void *argument, size_t index)
{
    const pack_job *job = argument;
    const size_t column = index * BP_PANEL;
    const size_t left = job->n - column;
    BP_VARIANT(bp_panel_pack)
    (job->packed + column * job->k, bp_panel_width(job->n, column),
     job->b + column * job->b_column_stride, job->b_row_stride, job->b_column_stride, job->k,
     left < BP_PANEL ? left : BP_PANEL);
}

void BP_VARIANT(bp_gemm_pack)(void *packed, const void *b, size_t b_row_stride,
                              size_t b_column_stride, size_t k, size_t n,
                              const bp_parallel *parallel)
{
    /* Below this many elements the hand-over to threads costs more than the copy. */
    enum { ALONE_LIMIT = 1 << 17 };
    pack_job job = {packed, b, b_row_stride, b_column_stride, k, n};
    bp_parallel_for(k * n < ALONE_LIMIT ? NULL : parallel, pack_task, &job,
                    (n + BP_PANEL - 1) / BP_PANEL);
}
