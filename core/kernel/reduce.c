#include "core/kernel/array_kernels.h"
#include "core/kernel/lanes.h"

static bp_vector add(bp_vector sum, bp_vector x)
{
    return sum + x;
}

static bp_vector add_square(bp_vector sum, bp_vector x)
{
    return bp_vector_fma(x, x, sum);
}

static bp_vector add_absolute(bp_vector sum, bp_vector x)
{
    return sum + bp_vector_absolute(x);
}

/* A sum that starts at +0 is never −0, so that adding the filler +0 changes no lane. */
double BP_VARIANT(bp_sum)(const void *x, size_t count)
{
    bp_lanes lanes = bp_lanes_fold(x, count, 0, 0, add);
    return (double)bp_lanes_sum(&lanes);
}

double BP_VARIANT(bp_sum_squares)(const void *x, size_t count)
{
    bp_lanes lanes = bp_lanes_fold(x, count, 0, 0, add_square);
    return (double)bp_lanes_sum(&lanes);
}

/* `width` whole chunks, a constant. */
BP_INLINE void sum_chunks(double *out, const bp_real *x, size_t chunk, size_t width)
{
    bp_lanes lanes[4];
    for (size_t k = 0; k < width; k++)
        lanes[k] = bp_lanes_set(0);
    for (size_t i = 0; i < chunk; i += BP_LANE_COUNT)
        for (size_t k = 0; k < width; k++) {
            bp_lanes next = bp_lanes_load(x + k * chunk + i, chunk - i, 0);
            for (size_t part = 0; part < BP_LANE_PARTS; part++)
                lanes[k].part[part] = add_square(lanes[k].part[part], next.part[part]);
        }
    for (size_t k = 0; k < width; k++)
        out[k] = (double)bp_lanes_sum(&lanes[k]);
}

void BP_VARIANT(bp_sum_squares_chunks)(double *out, const void *x, size_t count, size_t chunk)
{
    const bp_real *real = x;
    size_t i = 0;
    for (; count - i >= 4 * chunk; i += 4 * chunk, out += 4)
        sum_chunks(out, real + i, chunk, 4);
    for (; count - i >= 2 * chunk; i += 2 * chunk, out += 2)
        sum_chunks(out, real + i, chunk, 2);
    for (size_t left; i < count; i += left, out++) {
        left = count - i < chunk ? count - i : chunk;
        *out = BP_VARIANT(bp_sum_squares)(real + i, left);
    }
}

double BP_VARIANT(bp_sum_absolute)(const void *x, size_t count)
{
    bp_lanes lanes = bp_lanes_fold(x, count, 0, 0, add_absolute);
    return (double)bp_lanes_sum(&lanes);
}

/* Sums of `width` vectors of columns, held in registers over all rows. */
BP_INLINE void sum_columns(bp_real *out, const bp_real *x, size_t m, size_t n, size_t width)
{
    bp_vector sum[4] = {0};
    for (size_t i = 0; i < m; i++)
        for (size_t v = 0; v < width; v++)
            sum[v] += bp_vector_load(x + i * n + v * BP_VECTOR_COUNT);
    for (size_t v = 0; v < width; v++)
        bp_vector_store(out + v * BP_VECTOR_COUNT, sum[v]);
}

void BP_VARIANT(bp_sum_rows)(void *out, const void *x, size_t m, size_t n)
{
    bp_real *sum = out;
    const bp_real *column = x;
    size_t j = 0;
    for (; n - j >= 4 * BP_VECTOR_COUNT; j += 4 * BP_VECTOR_COUNT)
        sum_columns(sum + j, column + j, m, n, 4);
    for (; n - j >= BP_VECTOR_COUNT; j += BP_VECTOR_COUNT)
        sum_columns(sum + j, column + j, m, n, 1);
    if (j < n) {
        bp_vector last = {0};
        for (size_t i = 0; i < m; i++)
            last += bp_vector_load_partial(column + i * n + j, n - j, 0);
        bp_vector_store_partial(sum + j, last, n - j);
    }
}

/* All ones where x ≤ low or x ≥ high. */
BP_INLINE bp_bits outside(bp_vector x, bp_vector low, bp_vector high)
{
    return bp_vector_less_equal(x, low) | bp_vector_less_equal(high, x);
}

size_t BP_VARIANT(bp_outside_columns)(const void *x, size_t m, size_t n, double low, double high)
{
    const bp_real *column = x;
    const bp_vector below = bp_vector_set((bp_real)low), above = bp_vector_set((bp_real)high);
    size_t count = 0;
    for (size_t j = 0; j < n; j += BP_VECTOR_COUNT) {
        const size_t left = n - j;
        bp_bits all = ~(bp_bits){0};
        for (size_t i = 0; i < m; i++) {
            const bp_real *from = column + i * n + j;
            bp_vector next = left >= BP_VECTOR_COUNT ? bp_vector_load(from)
                                                     : bp_vector_load_partial(from, left, 0);
            all &= outside(next, below, above);
        }
        for (size_t lane = 0; lane < BP_VECTOR_COUNT && lane < left; lane++)
            count += all[lane] != 0;
    }
    return count;
}
