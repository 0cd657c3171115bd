/* Whitening: R of the centred rows by QR, block after block, then the singular value decomposition of R,
 * which has the singular values and the right singular vectors of the rows themselves. The covariance
 * XᵀX is never formed: it would square the condition. */
#include "core/preparation/whitening.h"

#include <math.h>

#include "core/base/checked.h"
#include "core/linear_algebra/jacobi_svd.h"
#include "core/linear_algebra/qr_fold.h"

enum {
    FIT_ROWS = 256, /* of a block: part of what defines the bits of W */
    /* A product is made in parts of this size, on the stack. */
    APPLY_ROWS = 16,
    APPLY_INNER = 128,
    APPLY_COMPONENTS = 192,
};

/* A run of numeric elements that lie together: raw and prepared positions. */
typedef struct numeric_run {
    size_t column, within; /* where it goes on */
    size_t raw, prepared;  /* of the run's first element */
    size_t numeric, count;
} numeric_run;

/* The first run at or after numeric element `numeric`; then next_run until count is 0. */
static void next_run(const bp_preparation *preparation, numeric_run *run, size_t end)
{
    run->numeric += run->count;
    run->raw += run->count;
    run->prepared += run->count;
    run->within += run->count;
    run->count = 0;
    while (run->numeric < end) {
        const bp_feature_column *column = &preparation->columns[run->column];
        const size_t left = column->categorical ? 0 : column->width - run->within;
        if (left > 0) {
            run->count = left < end - run->numeric ? left : end - run->numeric;
            return;
        }
        run->raw += column->categorical;
        run->prepared += column->categorical ? column->category_count : 0;
        run->column++;
        run->within = 0;
    }
}

static numeric_run first_run(const bp_preparation *preparation, size_t first, size_t end)
{
    numeric_run run = {.count = 0};
    next_run(preparation, &run, first);
    while (run.numeric + run.count < first)
        next_run(preparation, &run, first);
    next_run(preparation, &run, end);
    return run;
}

/* Numeric elements [first, end) of raw rows, filled, offset and scaled: x (count, stride). */
static void take_numeric(const bp_preparation *preparation, double *x, size_t stride,
                         const double *raw, size_t count, size_t first, size_t end)
{
    for (numeric_run run = first_run(preparation, first, end); run.count > 0;
         next_run(preparation, &run, end)) {
        const double *fill = preparation->fill + run.numeric;
        const double *offset = preparation->offset + run.numeric;
        const double *scale = preparation->scale + run.numeric;
        for (size_t row = 0; row < count; row++) {
            const double *restrict from = raw + row * preparation->raw_width + run.raw;
            double *restrict to = x + row * stride + (run.numeric - first);
            for (size_t j = 0; j < run.count; j++) {
                const double v = from[j] == from[j] ? from[j] : fill[j];
                to[j] = (v - offset[j]) / scale[j];
            }
        }
    }
}

static void put_numeric(const bp_preparation *preparation, void *out, bp_dtype dtype,
                        const double *x, size_t stride, size_t count, size_t first, size_t end)
{
    for (numeric_run run = first_run(preparation, first, end); run.count > 0;
         next_run(preparation, &run, end))
        for (size_t row = 0; row < count; row++) {
            const double *restrict from = x + row * stride + (run.numeric - first);
            const size_t at = row * preparation->prepared_width + run.prepared;
            for (size_t j = 0; j < run.count; j++)
                bp_dtype_put(dtype, out, at + j, from[j]);
        }
}

/* Components [first, end) of up to APPLY_ROWS rows. */
static void apply_part(const bp_preparation *preparation, void *out, bp_dtype dtype,
                       const double *raw, size_t count, size_t first, size_t end)
{
    _Alignas(64) double x[APPLY_ROWS * APPLY_INNER];
    _Alignas(64) double y[APPLY_ROWS * APPLY_COMPONENTS];
    const size_t width = preparation->numeric_width;
    for (size_t k = 0, inner; k < width; k += inner) {
        inner = width - k < APPLY_INNER ? width - k : APPLY_INNER;
        take_numeric(preparation, x, APPLY_INNER, raw, count, k, k + inner);
        preparation->kernels->gemm(&(bp_gemm_call){.m = count,
                                                   .n = end - first,
                                                   .k = inner,
                                                   .a = x,
                                                   .a_row_stride = APPLY_INNER,
                                                   .a_column_stride = 1,
                                                   .b = preparation->whitening + first * width + k,
                                                   .b_row_stride = 1,
                                                   .b_column_stride = width,
                                                   .c = y,
                                                   .c_row_stride = APPLY_COMPONENTS,
                                                   .accumulate = k > 0});
    }
    put_numeric(preparation, out, dtype, y, APPLY_COMPONENTS, count, first, end);
}

void bp_whitening_apply(const bp_preparation *preparation, void *out, bp_dtype dtype,
                        const double *raw, size_t count)
{
    const size_t width = preparation->numeric_width;
    const size_t row_bytes = preparation->prepared_width * bp_dtype_size(dtype);
    for (size_t row = 0; row < count; row += APPLY_ROWS) {
        const size_t rows = count - row < APPLY_ROWS ? count - row : APPLY_ROWS;
        for (size_t first = 0; first < width; first += APPLY_COMPONENTS) {
            const size_t left = width - first;
            apply_part(preparation, (unsigned char *)out + row * row_bytes, dtype,
                       raw + row * preparation->raw_width, rows, first,
                       first + (left < APPLY_COMPONENTS ? left : APPLY_COMPONENTS));
        }
    }
}

bool bp_whitening_plan(bp_whitening_work *out, bp_arena *arena, size_t raw_width,
                       size_t numeric_width)
{
    size_t raw, block, scratch;
    if (!bp_checked_multiply(&raw, FIT_ROWS, raw_width) ||
        !bp_checked_multiply(&block, FIT_ROWS, numeric_width) ||
        !bp_qr_scratch_count(&scratch, numeric_width))
        return false;
    *out = (bp_whitening_work){.raw_width = raw_width, .block_rows = FIT_ROWS};
    out->raw = bp_arena_take(arena, raw, sizeof(double));
    out->block = bp_arena_take(arena, block, sizeof(double));
    out->value = bp_arena_take(arena, numeric_width, sizeof(double));
    out->scratch = bp_arena_take(arena, scratch, sizeof(double));
    return !arena->overflow;
}

typedef struct asking {
    const bp_row_source *source;
    double *rows;
} asking;

static bp_status ask_source(void *context, bp_error *error)
{
    const asking *who = context;
    return who->source->read(who->source->context, who->rows, 0, 0, error);
}

bp_status bp_whitening_fit(bp_preparation *preparation, bp_whitening_work *work, double epsilon,
                           const bp_row_source *source, bp_error *error)
{
    const size_t width = preparation->numeric_width;
    double *matrix = preparation->whitening; /* R, then the singular vectors, then W */
    for (size_t first = 0, count; first < source->row_count; first += count) {
        const size_t left = source->row_count - first;
        count = left < work->block_rows ? left : work->block_rows;
        bp_status status = source->read(source->context, work->raw, first, count, error);
        if (status != BP_OK)
            return status;
        take_numeric(preparation, work->block, width, work->raw, count, 0, width);
        bp_qr_fold(matrix, width, work->block, count, work->scratch, preparation->kernels);
    }
    asking who = {source, work->raw};
    const bp_patience patience = {ask_source, &who};
    bp_status status = bp_jacobi_svd(work->value, matrix, width, &patience, error);
    if (status != BP_OK)
        return status;
    const double root = sqrt((double)source->row_count);
    for (size_t component = 0; component < width; component++) {
        const double deviation = work->value[component] / root;
        const double divisor = deviation > epsilon ? deviation : epsilon;
        for (size_t j = 0; j < width; j++)
            matrix[component * width + j] /= divisor;
    }
    if (!preparation->kernels->all_finite(matrix, width * width))
        return bp_error_set(error, BP_NOT_FINITE, "/preprocess/epsilon",
                            "is too small: a whitened feature would be infinite");
    return BP_OK;
}
