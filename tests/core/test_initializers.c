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

/* Fills a tensor as a choice says, over whatever memory held. */
static void fill(void *data, const bp_choice *choice, bp_dtype dtype, size_t rows, size_t columns,
                 size_t fan_in, size_t fan_out)
{
    const bp_initializer *initializer = bp_initializer_of(choice->member);
    size_t scratch_count = 0;
    if (initializer->scratch_count)
        assert_true(initializer->scratch_count(&scratch_count, rows, columns));
    double *scratch = malloc(scratch_count * sizeof *scratch + 1);
    memset(scratch, 0xff, scratch_count * sizeof *scratch);
    memset(data, 0xff, rows * columns * bp_dtype_size(dtype));
    bp_random random = bp_random_stream(5, 1, BP_RANDOM_INITIALIZE, 0);
    const bp_fill call = {.data = data,
                          .dtype = dtype,
                          .rows = rows,
                          .columns = columns,
                          .fan_in = fan_in,
                          .fan_out = fan_out,
                          .random = &random,
                          .value = choice->value,
                          .scratch = scratch};
    initializer->fill(&call);
    free(scratch);
}

/* A (ROWS, COLUMNS) tensor with the member's defaults; fan_in and fan_out as in a layer. */
static void *filled(size_t index, bp_dtype dtype)
{
    void *data = malloc(COUNT * bp_dtype_size(dtype));
    bp_choice choice = bp_choice_default(bp_initializer_family.members[index]);
    fill(data, &choice, dtype, ROWS, COLUMNS, COLUMNS, ROWS);
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

static void he_normal_has_its_moments(void **state)
{
    (void)state;
    check_moments(BP_INITIALIZER_he_normal, sqrt(2.0 / COLUMNS), 3);
}

/* Moments of U[−bound, bound], and that it is filled to its ends and not beyond. */
static void check_symmetric_uniform(size_t index, double bound)
{
    double low = 0, high = 0;
    check_moments(index, bound / sqrt(3), 1.8);
    double *weight = filled(index, BP_FLOAT64);
    for (size_t i = 0; i < COUNT; i++) {
        low = weight[i] < low ? weight[i] : low;
        high = weight[i] > high ? weight[i] : high;
    }
    assert_true(low >= -bound && low < -0.9999 * bound);
    assert_true(high <= bound && high > 0.9999 * bound);
    free(weight);
}

static void uniform_members_have_their_moments_and_bounds(void **state)
{
    (void)state;
    check_symmetric_uniform(BP_INITIALIZER_uniform, 0.05);
    check_symmetric_uniform(BP_INITIALIZER_xavier_uniform, sqrt(6.0 / (ROWS + COLUMNS)));
    check_symmetric_uniform(BP_INITIALIZER_he_uniform, sqrt(6.0 / COLUMNS));
}

static void uniform_takes_any_interval(void **state)
{
    (void)state;
    bp_choice choice = bp_choice_default(bp_initializer_family.members[BP_INITIALIZER_uniform]);
    const double ends[][2] = {{0.1, 0.3}, {0.3, 0.1}, {-2, -1}, {7, 7}, {-1.7e308, 1.7e308}};
    double *weight = malloc(COUNT * sizeof *weight);
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        choice.value[0] = ends[i][0];
        choice.value[1] = ends[i][1];
        double low = fmin(ends[i][0], ends[i][1]), high = fmax(ends[i][0], ends[i][1]);
        fill(weight, &choice, BP_FLOAT64, ROWS, COLUMNS, COLUMNS, ROWS);
        double mean = 0;
        for (size_t k = 0; k < COUNT; k++) {
            assert_true(weight[k] >= low && weight[k] <= high);
            mean += weight[k] / COUNT;
        }
        assert_true(fabs(mean - (low / 2 + high / 2)) <= (high / 2 - low / 2) * 3e-3 + 1e-9);
    }
    free(weight);
}

static void constant_is_its_value(void **state)
{
    (void)state;
    bp_choice choice = bp_choice_default(bp_initializer_family.members[BP_INITIALIZER_constant]);
    assert_string_equal(choice.member->parameters[0].name, "value");
    choice.value[0] = -0.7;
    double wide[15];
    float narrow[15];
    fill(wide, &choice, BP_FLOAT64, 3, 5, 5, 3);
    fill(narrow, &choice, BP_FLOAT32, 3, 5, 5, 3);
    for (size_t i = 0; i < 15; i++)
        assert_true(wide[i] == -0.7 && narrow[i] == -0.7F);
}

/* fan_in and fan_out, not the shape, set the width. */
static void xavier_reads_the_fans(void **state)
{
    (void)state;
    const size_t members[] = {BP_INITIALIZER_xavier_uniform, BP_INITIALIZER_xavier_normal};
    for (size_t m = 0; m < 2; m++) {
        bp_choice choice = bp_choice_default(bp_initializer_family.members[members[m]]);
        double narrow[20], wide[20];
        fill(narrow, &choice, BP_FLOAT64, 4, 5, 100, 300);
        fill(wide, &choice, BP_FLOAT64, 4, 5, 75, 25);
        for (size_t i = 0; i < 20; i++)
            assert_true(fabs(wide[i] - 2 * narrow[i]) <= 1e-15);
    }
}

static void he_reads_the_inputs_alone(void **state)
{
    (void)state;
    const size_t members[] = {BP_INITIALIZER_he_uniform, BP_INITIALIZER_he_normal};
    for (size_t m = 0; m < 2; m++) {
        bp_choice choice = bp_choice_default(bp_initializer_family.members[members[m]]);
        double narrow[20], wide[20];
        fill(narrow, &choice, BP_FLOAT64, 4, 5, 400, 300);
        fill(wide, &choice, BP_FLOAT64, 4, 5, 100, 25);
        for (size_t i = 0; i < 20; i++)
            assert_true(fabs(wide[i] - 2 * narrow[i]) <= 1e-15);
    }
}

/* Rows of a wide tensor, columns of a tall one, have length 1 and stand at right angles. */
static void check_orthogonal(size_t rows, size_t columns)
{
    bp_choice choice = bp_choice_default(bp_initializer_family.members[BP_INITIALIZER_orthogonal]);
    double *w = malloc(rows * columns * sizeof *w);
    float *narrow = malloc(rows * columns * sizeof *narrow);
    fill(w, &choice, BP_FLOAT64, rows, columns, columns, rows);
    fill(narrow, &choice, BP_FLOAT32, rows, columns, columns, rows);
    for (size_t i = 0; i < rows * columns; i++)
        assert_true(narrow[i] == (float)w[i]);
    const bool wide = rows < columns;
    const size_t count = wide ? rows : columns, length = wide ? columns : rows;
    const size_t vector_stride = wide ? columns : 1, stride = wide ? 1 : columns;
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j <= i; j++) {
            double sum = 0;
            for (size_t k = 0; k < length; k++)
                sum += w[i * vector_stride + k * stride] * w[j * vector_stride + k * stride];
            assert_true(fabs(sum - (i == j)) < 1e-12);
        }
    free(w);
    free(narrow);
}

static void orthogonal_is_orthogonal(void **state)
{
    (void)state;
    const size_t shapes[][2] = {{1, 1}, {1, 6},   {6, 1},   {2, 2},
                                {5, 5}, {37, 50}, {50, 37}, {300, 200}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        check_orthogonal(shapes[i][0], shapes[i][1]);
}

/* The factor of a decomposition whose R has a positive diagonal: Gram and Schmidt's way gives the same
 * one. */
static void orthogonal_is_the_factor_of_the_normal_matrix(void **state)
{
    (void)state;
    enum { N = 6, M = 9 };
    bp_choice choice = bp_choice_default(bp_initializer_family.members[BP_INITIALIZER_orthogonal]);
    double q[M * N], a[M * N];
    fill(q, &choice, BP_FLOAT64, M, N, N, M);
    bp_random random = bp_random_stream(5, 1, BP_RANDOM_INITIALIZE, 0);
    for (size_t row = 0; row < M; row++)
        for (size_t column = 0; column < N; column++)
            a[row * N + column] = bp_random_normal(&random, row, column);
    for (size_t j = 0; j < N; j++) {
        for (size_t k = 0; k <= j; k++) {
            double sum = 0;
            for (size_t i = 0; i < M; i++)
                sum += a[i * N + j] * a[i * N + k];
            for (size_t i = 0; i < M && k < j; i++)
                a[i * N + j] -= sum * a[i * N + k];
            for (size_t i = 0; i < M && k == j; i++)
                a[i * N + j] /= sqrt(sum);
        }
        for (size_t i = 0; i < M; i++)
            assert_true(fabs(a[i * N + j] - q[i * N + j]) < 1e-12);
    }
}

static void orthogonal_sizes_are_checked(void **state)
{
    (void)state;
    const bp_initializer *orthogonal =
        bp_initializer_of(bp_initializer_family.members[BP_INITIALIZER_orthogonal]);
    size_t count = 0;
    assert_true(orthogonal->scratch_count(&count, 30, 20));
    assert_true(count >= 30 * 20);
    assert_false(orthogonal->scratch_count(&count, SIZE_MAX / 2, 3));
    assert_false(orthogonal->scratch_count(&count, SIZE_MAX, 1));
}

/* A weight is a function of its place: the same in a larger tensor, and rounded in float32. */
static void weights_are_functions_of_their_place(void **state)
{
    (void)state;
    for (size_t index = 0; index < BP_INITIALIZER_COUNT; index++) {
        if (index == BP_INITIALIZER_orthogonal) /* of the whole tensor */
            continue;
        double *wide = filled(index, BP_FLOAT64);
        float *narrow = filled(index, BP_FLOAT32);
        for (size_t i = 0; i < COUNT; i++)
            assert_true(narrow[i] == (float)wide[i]);
        bp_choice choice = bp_choice_default(bp_initializer_family.members[index]);
        double small[3 * 7];
        fill(small, &choice, BP_FLOAT64, 3, 7, COLUMNS, ROWS);
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
        cmocka_unit_test(he_normal_has_its_moments),
        cmocka_unit_test(uniform_members_have_their_moments_and_bounds),
        cmocka_unit_test(uniform_takes_any_interval),
        cmocka_unit_test(constant_is_its_value),
        cmocka_unit_test(xavier_reads_the_fans),
        cmocka_unit_test(he_reads_the_inputs_alone),
        cmocka_unit_test(orthogonal_is_orthogonal),
        cmocka_unit_test(orthogonal_is_the_factor_of_the_normal_matrix),
        cmocka_unit_test(orthogonal_sizes_are_checked),
        cmocka_unit_test(weights_are_functions_of_their_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
