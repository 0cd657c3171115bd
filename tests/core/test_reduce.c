/* Sums against plain scalar loops that spell the order out, bit for bit, on every instruction set. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/core/support_kernels.h"

enum { LONGEST = 200, BIG = 100003 };

/* The definition: element i in lane i mod lanes, the upper half added to the lower until one is left.
 * kind 0: sum, 1: of squares, 2: of magnitudes. */
static double reference_32(const float *x, size_t count, int kind)
{
    float lane[16] = {0};
    for (size_t i = 0; i < count; i++)
        lane[i % 16] = kind == 1   ? fmaf(x[i], x[i], lane[i % 16])
                       : kind == 0 ? lane[i % 16] + x[i]
                                   : lane[i % 16] + fabsf(x[i]);
    for (size_t half = 8; half; half /= 2)
        for (size_t i = 0; i < half; i++)
            lane[i] += lane[i + half];
    return (double)lane[0];
}

static double reference_64(const double *x, size_t count, int kind)
{
    double lane[8] = {0};
    for (size_t i = 0; i < count; i++)
        lane[i % 8] = kind == 1   ? fma(x[i], x[i], lane[i % 8])
                      : kind == 0 ? lane[i % 8] + x[i]
                                  : lane[i % 8] + fabs(x[i]);
    for (size_t half = 4; half; half /= 2)
        for (size_t i = 0; i < half; i++)
            lane[i] += lane[i + half];
    return lane[0];
}

static void check_sums(const bp_kernels *kernels, const void *x, size_t count)
{
    double got[3] = {kernels->sum(x, count), kernels->sum_squares(x, count),
                     kernels->sum_absolute(x, count)};
    for (int kind = 0; kind < 3; kind++) {
        double expected = kernels->dtype == BP_FLOAT32 ? reference_32(x, count, kind)
                                                       : reference_64(x, count, kind);
        assert_memory_equal(&got[kind], &expected, sizeof expected);
    }
}

static void sums_of_chunks(void **state)
{
    (void)state;
    enum { COUNT = 700 };
    static const size_t chunks[] = {1, 7, 16, 37, 64, 100, 699, 700, 1000};
    double x[COUNT], got[COUNT];
    for (int dtype = 0; dtype < BP_DTYPE_COUNT; dtype++) {
        const bp_kernels *tables[BP_ISA_COUNT];
        const size_t table_count = support_tables(tables, (bp_dtype)dtype);
        for (size_t t = 0; t < table_count; t++) {
            const bp_kernels *kernels = tables[t];
            support_fill(kernels, x, COUNT, 5, -1, 1);
            for (size_t c = 0; c < sizeof chunks / sizeof *chunks; c++)
                for (size_t count = 0; count <= COUNT; count += 35) {
                    kernels->sum_squares_chunks(got, x, count, chunks[c]);
                    for (size_t i = 0; i * chunks[c] < count; i++) {
                        const size_t first = i * chunks[c], left = count - first;
                        const double expected =
                            kernels->sum_squares((const char *)x + first * kernels->real_size,
                                                 left < chunks[c] ? left : chunks[c]);
                        assert_memory_equal(&got[i], &expected, sizeof expected);
                    }
                }
        }
    }
}

static void sums_in_the_fixed_order(void **state)
{
    (void)state;
    double *x = malloc(BIG * sizeof *x);
    for (int dtype = 0; dtype < BP_DTYPE_COUNT; dtype++) {
        const bp_kernels *tables[BP_ISA_COUNT];
        size_t table_count = support_tables(tables, (bp_dtype)dtype);
        for (size_t t = 0; t < table_count; t++) {
            const bp_kernels *kernels = tables[t];
            support_fill(kernels, x, BIG, 3, -1, 1);
            check_sums(kernels, x, BIG);
            for (size_t count = 0; count <= LONGEST; count++) {
                size_t bytes = count * kernels->real_size;
                void *exact = malloc(bytes + 1);
                memcpy(exact, x, bytes);
                check_sums(kernels, exact, count);
                free(exact);
            }
        }
    }
    free(x);
}

static void nothing_sums_to_zero(void **state)
{
    (void)state;
    for (int dtype = 0; dtype < BP_DTYPE_COUNT; dtype++) {
        const bp_kernels *tables[BP_ISA_COUNT];
        size_t table_count = support_tables(tables, (bp_dtype)dtype);
        for (size_t t = 0; t < table_count; t++) {
            double zeros[20] = {0};
            for (size_t i = 0; i < 20; i++)
                support_put(tables[t], zeros, i, -0.0);
            for (size_t count = 0; count < 20; count++)
                assert_false(signbit(tables[t]->sum(zeros, count)));
        }
    }
}

static void divergence_is_seen(void **state)
{
    (void)state;
    for (int dtype = 0; dtype < BP_DTYPE_COUNT; dtype++) {
        const bp_kernels *tables[BP_ISA_COUNT];
        size_t table_count = support_tables(tables, (bp_dtype)dtype);
        for (size_t t = 0; t < table_count; t++)
            for (size_t bad = 0; bad < 37; bad++) {
                double x[37];
                support_fill(tables[t], x, 37, 4, -1, 1);
                support_put(tables[t], x, bad, (double)NAN);
                assert_true(isnan(tables[t]->sum(x, 37)));
                assert_true(isnan(tables[t]->sum_squares(x, 37)));
                assert_true(isnan(tables[t]->sum_absolute(x, 37)));
            }
    }
}

/* One accumulator per column, rows ascending. */
static void sums_rows_in_order(void **state)
{
    (void)state;
    enum { ROWS = 9, COLUMNS = 150 };
    for (int dtype = 0; dtype < BP_DTYPE_COUNT; dtype++) {
        const bp_kernels *tables[BP_ISA_COUNT];
        size_t table_count = support_tables(tables, (bp_dtype)dtype);
        double x[ROWS * COLUMNS], expected[COLUMNS];
        support_fill(tables[0], x, ROWS * COLUMNS, 5, -1, 1);
        for (size_t n = 0; n <= COLUMNS; n++) {
            for (size_t j = 0; j < n; j++) {
                double sum = 0;
                for (size_t i = 0; i < ROWS; i++) {
                    sum += support_get(tables[0], x, i * n + j);
                    if (dtype == BP_FLOAT32)
                        sum = (double)(float)sum;
                }
                support_put(tables[0], expected, j, sum);
            }
            for (size_t t = 0; t < table_count; t++) {
                void *out = malloc(n * tables[t]->real_size + 1);
                tables[t]->sum_rows(out, x, ROWS, n);
                assert_memory_equal(out, expected, n * tables[t]->real_size);
                tables[t]->sum_rows(out, x, 0, n);
                for (size_t j = 0; j < n; j++)
                    assert_true(support_get(tables[t], out, j) == 0);
                free(out);
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_in_the_fixed_order), cmocka_unit_test(sums_of_chunks),
        cmocka_unit_test(nothing_sums_to_zero),    cmocka_unit_test(divergence_is_seen),
        cmocka_unit_test(sums_rows_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
