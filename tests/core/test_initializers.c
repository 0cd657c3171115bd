#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/initializer/initializer.h"

enum { ROWS = 1000, COLUMNS = 1000, COUNT = ROWS * COLUMNS };

/* Fills a (ROWS, COLUMNS) tensor with the member's defaults; fan_in and fan_out as in a layer. */
static void *filled(size_t index, bp_dtype dtype)
{
    void *data = malloc(COUNT * bp_dtype_size(dtype));
    memset(data, 0xff, COUNT * bp_dtype_size(dtype));
    const bp_initializer *initializer = bp_initializer_of(bp_initializer_family.members[index]);
    bp_choice choice = bp_choice_default(&initializer->member);
    bp_random random = bp_random_stream(5, 1, BP_RANDOM_INITIALIZE, 0);
    initializer->fill(data, dtype, ROWS, COLUMNS, COLUMNS, ROWS, &random, choice.value);
    return data;
}

/* Mean and variance within five standard errors; kurtosis E w⁴/(E w²)²: 3 is normal, 1.8 uniform. */
static void check_moments(size_t index, double deviation, double kurtosis)
{
    double *weight = filled(index, BP_FLOAT64);
    double mean = 0, square = 0, fourth = 0;
    for (size_t i = 0; i < COUNT; i++) {
        double unit = weight[i] / deviation;
        mean += unit / COUNT;
        square += unit * unit / COUNT;
        fourth += unit * unit * unit * unit / COUNT;
    }
    assert_true(fabs(mean) < 5e-3);
    assert_true(fabs(square - 1) < 5e-3 * sqrt(kurtosis - 1));
    assert_true(fabs(fourth / (square * square) - kurtosis) < 0.05);
    free(weight);
}

static void zeros_are_zero(void **state)
{
    (void)state;
    for (int dtype = 0; dtype < BP_DTYPE_COUNT; dtype++) {
        unsigned char *weight = filled(BP_INITIALIZER_zeros, (bp_dtype)dtype);
        for (size_t i = 0; i < COUNT * bp_dtype_size((bp_dtype)dtype); i++)
            assert_int_equal(weight[i], 0);
        free(weight);
    }
}

static void normal_has_its_moments(void **state)
{
    (void)state;
    check_moments(BP_INITIALIZER_normal, 0.01, 3);
}

static void xavier_normal_has_its_moments(void **state)
{
    (void)state;
    check_moments(BP_INITIALIZER_xavier_normal, sqrt(2.0 / (ROWS + COLUMNS)), 3);
}

static void xavier_uniform_has_its_moments_and_bounds(void **state)
{
    (void)state;
    double bound = sqrt(6.0 / (ROWS + COLUMNS)), low = 0, high = 0;
    check_moments(BP_INITIALIZER_xavier_uniform, bound / sqrt(3), 1.8);
    double *weight = filled(BP_INITIALIZER_xavier_uniform, BP_FLOAT64);
    for (size_t i = 0; i < COUNT; i++) {
        low = weight[i] < low ? weight[i] : low;
        high = weight[i] > high ? weight[i] : high;
    }
    assert_true(low >= -bound && low < -0.9999 * bound);
    assert_true(high < bound && high > 0.9999 * bound);
    free(weight);
}

/* fan_in and fan_out, not the shape, set the width. */
static void xavier_reads_the_fans(void **state)
{
    (void)state;
    const size_t members[] = {BP_INITIALIZER_xavier_uniform, BP_INITIALIZER_xavier_normal};
    for (size_t m = 0; m < 2; m++) {
        const bp_initializer *initializer =
            bp_initializer_of(bp_initializer_family.members[members[m]]);
        bp_random random = bp_random_stream(5, 1, BP_RANDOM_INITIALIZE, 0);
        double narrow[20], wide[20];
        initializer->fill(narrow, BP_FLOAT64, 4, 5, 100, 300, &random, NULL);
        initializer->fill(wide, BP_FLOAT64, 4, 5, 75, 25, &random, NULL);
        for (size_t i = 0; i < 20; i++)
            assert_true(fabs(wide[i] - 2 * narrow[i]) <= 1e-15);
    }
}

/* A weight is a function of its place: the same in a larger tensor, and rounded in float32. */
static void weights_are_functions_of_their_place(void **state)
{
    (void)state;
    for (size_t index = 0; index < BP_INITIALIZER_COUNT; index++) {
        double *wide = filled(index, BP_FLOAT64);
        float *narrow = filled(index, BP_FLOAT32);
        for (size_t i = 0; i < COUNT; i++)
            assert_true(narrow[i] == (float)wide[i]);
        const bp_initializer *initializer = bp_initializer_of(bp_initializer_family.members[index]);
        bp_choice choice = bp_choice_default(&initializer->member);
        bp_random random = bp_random_stream(5, 1, BP_RANDOM_INITIALIZE, 0);
        double small[3 * 7];
        initializer->fill(small, BP_FLOAT64, 3, 7, COLUMNS, ROWS, &random, choice.value);
        for (size_t row = 0; row < 3; row++)
            assert_memory_equal(small + row * 7, wide + row * COLUMNS, 7 * sizeof *small);
        free(wide);
        free(narrow);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(zeros_are_zero),
        cmocka_unit_test(normal_has_its_moments),
        cmocka_unit_test(xavier_normal_has_its_moments),
        cmocka_unit_test(xavier_uniform_has_its_moments_and_bounds),
        cmocka_unit_test(xavier_reads_the_fans),
        cmocka_unit_test(weights_are_functions_of_their_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
