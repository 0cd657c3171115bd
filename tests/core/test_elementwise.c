#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "tests/core/support_kernels.h"

enum { LONGEST = 70 };

typedef void check_function(const bp_kernels *kernels, size_t count);

/* Every table, every length up to LONGEST. */
static void for_all(check_function *check)
{
    for (int dtype = 0; dtype < BP_DTYPE_COUNT; dtype++) {
        const bp_kernels *tables[BP_ISA_COUNT];
        size_t table_count = support_tables(tables, (bp_dtype)dtype);
        for (size_t t = 0; t < table_count; t++)
            for (size_t count = 0; count <= LONGEST; count++)
                check(tables[t], count);
    }
}

/* An allocation of exactly count numbers, so that the sanitizer sees one too many. */
static void *exact_array(const bp_kernels *kernels, size_t count, uint64_t seed)
{
    void *array = malloc(count * kernels->real_size + 1);
    support_fill(kernels, array, count, seed, -2, 2);
    return array;
}

static double rounded(const bp_kernels *kernels, double x)
{
    return kernels->dtype == BP_FLOAT32 ? (double)(float)x : x;
}

static void check_scale(const bp_kernels *kernels, size_t count)
{
    void *x = exact_array(kernels, count, 1), *before = exact_array(kernels, count, 1);
    kernels->scale(x, 0.3, count);
    double factor = rounded(kernels, 0.3);
    for (size_t i = 0; i < count; i++)
        assert_true(support_get(kernels, x, i) ==
                    rounded(kernels, support_get(kernels, before, i) * factor));
    free(x);
    free(before);
}

static void check_axpy(const bp_kernels *kernels, size_t count)
{
    void *x = exact_array(kernels, count, 1), *y = exact_array(kernels, count, 2);
    void *before = exact_array(kernels, count, 2);
    kernels->axpy(y, -0.7, x, count);
    for (size_t i = 0; i < count; i++) {
        double expected = kernels->dtype == BP_FLOAT32
                              ? (double)fmaf(-0.7F, ((float *)x)[i], ((float *)before)[i])
                              : fma(-0.7, ((double *)x)[i], ((double *)before)[i]);
        assert_true(support_get(kernels, y, i) == expected);
    }
    free(x);
    free(y);
    free(before);
}

static void check_conversions(const bp_kernels *kernels, size_t count)
{
    double *x = malloc(count * sizeof *x + 1), *back = malloc(count * sizeof *x + 1);
    void *real = exact_array(kernels, count, 1);
    uint64_t state = 7;
    for (size_t i = 0; i < count; i++)
        x[i] = support_uniform(&state, -1, 1);
    kernels->from_double(real, x, count);
    kernels->to_double(back, real, count);
    for (size_t i = 0; i < count; i++)
        assert_true(back[i] == rounded(kernels, x[i]));
    free(x);
    free(back);
    free(real);
}

static void check_all_finite(const bp_kernels *kernels, size_t count)
{
    void *x = exact_array(kernels, count, 1);
    assert_true(kernels->all_finite(x, count));
    const double bad[] = {(double)NAN, (double)INFINITY, -(double)INFINITY};
    for (size_t i = 0; i < count; i++) {
        double before = support_get(kernels, x, i);
        support_put(kernels, x, i, bad[i % 3]);
        assert_false(kernels->all_finite(x, count));
        support_put(kernels, x, i, before);
    }
    if (count) {
        support_put(kernels, x, count / 2, rounded(kernels, 3.4028234e38));
        assert_true(kernels->all_finite(x, count));
    }
    free(x);
}

static void check_argmax(const bp_kernels *kernels, size_t count)
{
    if (!count)
        return;
    double x[3 * LONGEST];
    int32_t index[3];
    support_fill(kernels, x, 3 * count, 11, -1, 1);
    support_put(kernels, x, count / 3, 5);
    support_put(kernels, x, count - 1, 5); /* an equal one later */
    for (size_t i = 0; i < count; i++)
        support_put(kernels, x, count + i, -(double)INFINITY);
    support_put(kernels, x, count, (double)NAN); /* NaN, then −∞ */
    for (size_t i = 0; i < count; i++)
        support_put(kernels, x, 2 * count + i, (double)NAN);
    kernels->argmax_rows(index, x, 3, count);
    assert_int_equal(index[0], count / 3);
    assert_int_equal(index[1], count > 1 ? 1 : 0);
    assert_int_equal(index[2], 0);
}

static void check_gather(const bp_kernels *kernels, size_t width)
{
    const size_t index[] = {3, 0, 3, 2};
    void *in = exact_array(kernels, 4 * width, 1), *out = exact_array(kernels, 4 * width, 2);
    kernels->gather_rows(out, in, index, 4, width);
    for (size_t i = 0; i < 4; i++)
        assert_memory_equal((char *)out + i * width * kernels->real_size,
                            (char *)in + index[i] * width * kernels->real_size,
                            width * kernels->real_size);
    free(in);
    free(out);
}

static void scales(void **state)
{
    (void)state;
    for_all(check_scale);
}

static void adds_multiples(void **state)
{
    (void)state;
    for_all(check_axpy);
}

static void converts(void **state)
{
    (void)state;
    for_all(check_conversions);
}

static void finds_what_is_not_finite(void **state)
{
    (void)state;
    for_all(check_all_finite);
}

static void finds_the_largest(void **state)
{
    (void)state;
    for_all(check_argmax);
}

static void gathers_rows(void **state)
{
    (void)state;
    for_all(check_gather);
}

static void tables_know_what_they_are(void **state)
{
    (void)state;
    assert_non_null(bp_kernels_get(BP_FLOAT32, bp_isa_detect()));
    assert_non_null(bp_kernels_get(BP_FLOAT32, BP_ISA_BASELINE));
    for (int isa = 0; isa < BP_ISA_COUNT; isa++) {
        assert_true(strlen(bp_isa_name((bp_isa)isa)) > 3);
        for (int dtype = 0; dtype < BP_DTYPE_COUNT; dtype++) {
            const bp_kernels *kernels = bp_kernels_get((bp_dtype)dtype, (bp_isa)isa);
            if (!kernels)
                continue;
            assert_int_equal(kernels->dtype, dtype);
            assert_int_equal(kernels->isa, isa);
            assert_int_equal(kernels->real_size, bp_dtype_size((bp_dtype)dtype));
        }
    }
}

/* Numbers below the normal range are computed with, whatever the thread was set to before. */
static void keeps_small_numbers(void **state)
{
    (void)state;
#if defined(__x86_64__)
    _mm_setcsr(_mm_getcsr() | 0x8040); /* flush to zero, denormals are zero */
#endif
    bp_kernels_thread_start();
    for (int isa = 0; isa < BP_ISA_COUNT; isa++) {
        const bp_kernels *kernels = bp_kernels_get(BP_FLOAT32, (bp_isa)isa);
        if (!kernels)
            continue;
        float x[17];
        for (size_t i = 0; i < 17; i++)
            x[i] = 0x1p-126F;
        kernels->scale(x, 0.25, 17);
        const float expected =
            0x1p-128F; /* compared as bits: else 0 would do where denormals are 0 */
        for (size_t i = 0; i < 17; i++)
            assert_memory_equal(&x[i], &expected, sizeof expected);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scales),
        cmocka_unit_test(adds_multiples),
        cmocka_unit_test(converts),
        cmocka_unit_test(finds_what_is_not_finite),
        cmocka_unit_test(finds_the_largest),
        cmocka_unit_test(gathers_rows),
        cmocka_unit_test(tables_know_what_they_are),
        cmocka_unit_test(keeps_small_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
