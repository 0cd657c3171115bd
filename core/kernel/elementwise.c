#include <stdbool.h>

#include "core/kernel/array_kernels.h"
#include "core/kernel/map.h"
#include "core/kernel/vector_math.h"

static bp_vector scale(bp_vector x, const double *factor)
{
    return x * (bp_real)*factor;
}

void BP_VARIANT(bp_scale)(void *x, double factor, size_t count)
{
    bp_map(x, x, count, &factor, scale);
}

static bp_vector axpy(bp_vector x, bp_vector y, const double *factor)
{
    return bp_vector_fma(bp_vector_set((bp_real)*factor), x, y);
}

void BP_VARIANT(bp_axpy)(void *y, double factor, const void *x, size_t count)
{
    bp_map2(y, x, y, count, &factor, axpy);
}

void BP_VARIANT(bp_from_double)(void *out, const double *x, size_t count)
{
    bp_real *real = out;
    for (size_t i = 0; i < count; i++)
        real[i] = (bp_real)x[i];
}

void BP_VARIANT(bp_to_double)(double *out, const void *x, size_t count)
{
    const bp_real *real = x;
    for (size_t i = 0; i < count; i++)
        out[i] = (double)real[i];
}

int BP_VARIANT(bp_all_finite)(const void *x, size_t count)
{
    const bp_real *real = x;
    const bp_vector infinity = bp_vector_set((bp_real)__builtin_inf());
    bp_bits finite = ~(bp_bits){0};
    size_t i = 0;
    for (; count - i >= BP_VECTOR_COUNT; i += BP_VECTOR_COUNT)
        finite &= bp_vector_less(bp_vector_absolute(bp_vector_load(real + i)), infinity);
    if (i < count) {
        bp_vector last = bp_vector_load_partial(real + i, count - i, 0);
        finite &= bp_vector_less(bp_vector_absolute(last), infinity);
    }
    bp_word all = ~(bp_word)0;
    for (size_t lane = 0; lane < BP_VECTOR_COUNT; lane++)
        all &= finite[lane];
    return all != 0;
}

/* Choices rather than jumps: which class wins cannot be foretold. */
static int32_t argmax(const bp_real *x, size_t n)
{
    const bp_real lowest = -(bp_real)__builtin_inf();
    bp_real largest = lowest;
    size_t best = 0;
    for (size_t j = 0; j < n; j++) {
        const bool wins = x[j] > largest;
        largest = wins ? x[j] : largest;
        best = wins ? j : best;
    }
    /* Nothing above −∞: that too may be the largest, NaN never. */
    for (size_t j = 0; largest == lowest && j < n; j++)
        if (x[j] == lowest)
            return (int32_t)j;
    return (int32_t)best;
}

void BP_VARIANT(bp_argmax_rows)(int32_t *out, const void *x, size_t m, size_t n)
{
    const bp_real *row = x;
    for (size_t i = 0; i < m; i++)
        out[i] = argmax(row + i * n, n);
}

void BP_VARIANT(bp_gather_rows)(void *out, const void *in, const size_t *index, size_t count,
                                size_t width)
{
    bp_real *row = out;
    const bp_real *source = in;
    const size_t row_bytes = width * sizeof *row;
    for (size_t i = 0; i < count; i++) {
        /* Rows lie far apart, where the processor does not look ahead by itself. */
        if (i + 1 < count) {
            const char *next = (const char *)(source + index[i + 1] * width);
            for (size_t offset = 0; offset < row_bytes; offset += 64)
                __builtin_prefetch(next + offset);
        }
        memcpy(row + i * width, source + index[i] * width, row_bytes);
    }
}

static bp_vector exp_of(bp_vector x, const double *unused)
{
    (void)unused;
    return bp_vector_exp(x);
}

void BP_VARIANT(bp_exp_array)(void *out, const void *x, size_t count)
{
    bp_map(out, x, count, NULL, exp_of);
}

static bp_vector log_of(bp_vector x, const double *unused)
{
    (void)unused;
    return bp_vector_log(x);
}

void BP_VARIANT(bp_log_array)(void *out, const void *x, size_t count)
{
    bp_map(out, x, count, NULL, log_of);
}

static bp_vector tanh_of(bp_vector x, const double *unused)
{
    (void)unused;
    return bp_vector_tanh(x);
}

void BP_VARIANT(bp_tanh_array)(void *out, const void *x, size_t count)
{
    bp_map(out, x, count, NULL, tanh_of);
}
