#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/preparation/preparation.h"
#include "tests/core/support_network.h"

/* Rows in memory as a source. */
typedef struct row_table {
    const double *raw;
    size_t width;
    size_t reads, fail_at; /* fails at the fail_at-th read, counted from 1; 0: never */
} row_table;

static bp_status read_table(void *context, double *out, size_t first, size_t count, bp_error *error)
{
    row_table *table = context;
    if (++table->reads == table->fail_at)
        return bp_error_set(error, BP_INPUT_OUTPUT, "a column", "could not be read");
    memcpy(out, table->raw + first * table->width, count * table->width * sizeof *out);
    return BP_OK;
}

static bp_preparation_spec spec_of(const bp_feature_column *columns, size_t column_count,
                                   bool center, const char *scaling, const char *missing)
{
    return (bp_preparation_spec){.center = center,
                                 .scaling = support_choice(&bp_scaling_family, scaling),
                                 .missing = support_choice(&bp_missing_family, missing),
                                 .column_count = column_count,
                                 .columns = columns};
}

static bp_preparation fit(const bp_preparation_spec *spec, const double *raw, size_t row_count)
{
    size_t raw_width, prepared_width;
    assert_int_equal(bp_preparation_widths(&raw_width, &prepared_width, spec, NULL), BP_OK);
    row_table table = {.raw = raw, .width = raw_width};
    const bp_row_source source = {.context = &table, .row_count = row_count, .read = read_table};
    bp_error error = {.status = BP_OK};
    bp_preparation preparation = {0};
    if (bp_preparation_fit(&preparation, spec, &source, &error) != BP_OK)
        fail_msg("%s: %s", error.where, error.message);
    return preparation;
}

/* Four values and a gap, by hand: mean 4, population deviation √((9 + 16 + 1 + 0) / 4), range 7,
 * median (3 + 4) / 2. */
static const double gappy[5] = {1, NAN, 8, 3, 4};
static const bp_feature_column one_number[] = {{.width = 1}};

static void assert_fitted(bool center, const char *scaling, const char *missing, double fill,
                          double offset, double scale)
{
    const bp_preparation_spec spec = spec_of(one_number, 1, center, scaling, missing);
    bp_preparation p = fit(&spec, gappy, 5);
    assert_true(p.fill[0] == fill);
    assert_true(p.offset[0] == offset);
    assert_true(p.scale[0] == scale);
    double out[5];
    bp_preparation_apply(&p, out, BP_FLOAT64, gappy, 5);
    for (size_t i = 0; i < 5; i++)
        assert_true(out[i] == ((isnan(gappy[i]) ? fill : gappy[i]) - offset) / scale);
    bp_preparation_done(&p);
}

static void test_statistics(void **state)
{
    (void)state;
    const double deviation = sqrt(26.0 / 4);
    assert_fitted(true, "standard", "mean", 4, 4, deviation);
    assert_fitted(false, "standard", "median", 3.5, 0, deviation);
    assert_fitted(true, "minmax", "zero", 0, 4, 7);
    assert_fitted(false, "minmax", "mean", 4, 0, 7);
    assert_fitted(true, "none", "median", 3.5, 4, 1);
    assert_fitted(false, "none", "zero", 0, 0, 1);
    assert_fitted(true, "standard", "drop_row", 0, 4, deviation);
    assert_fitted(true, "standard", "error", 0, 4, deviation);
}

/* A constant feature must not be divided by 0, nor by the rounding error of its mean: the mean of
 * seven times 0.1, summed, is not 0.1. */
static void test_constant_and_empty(void **state)
{
    (void)state;
    const bp_feature_column columns[] = {{.width = 2}};
    double raw[14];
    for (size_t row = 0; row < 7; row++) {
        raw[2 * row] = 0.1;
        raw[2 * row + 1] = NAN;
    }
    const char *const scalings[] = {"none", "standard", "minmax"};
    const char *const policies[] = {"mean", "median"};
    for (size_t s = 0; s < 3; s++)
        for (size_t m = 0; m < 2; m++) {
            const bp_preparation_spec spec = spec_of(columns, 1, true, scalings[s], policies[m]);
            bp_preparation p = fit(&spec, raw, 7);
            assert_true(p.fill[0] == 0.1 && p.offset[0] == 0.1 && p.scale[0] == 1);
            assert_true(p.fill[1] == 0 && p.offset[1] == 0 && p.scale[1] == 1);
            float out[2];
            bp_preparation_apply(&p, out, BP_FLOAT32, raw, 1);
            assert_true(out[0] == 0 && out[1] == 0);
            bp_preparation_done(&p);
        }
}

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Medians of every length, with negatives, repeats and huge spreads, against sorting. */
static void test_medians(void **state)
{
    (void)state;
    double raw[65], sorted[65];
    for (size_t count = 1; count <= 65; count++)
        for (uint64_t seed = 0; seed < 20; seed++) {
            support_values(raw, BP_FLOAT64, count, 100 * count + seed);
            for (size_t i = 0; i < count; i++) {
                if (seed % 4 == 1)
                    raw[i] = floor(4 * raw[i]); /* many equal */
                else if (seed % 4 == 2)
                    raw[i] = ldexp(raw[i], (int)(i * 37 % 200) - 100);
                else if (seed % 4 == 3)
                    raw[i] = 1 + raw[i] * DBL_EPSILON; /* differ in the last digits only */
            }
            memcpy(sorted, raw, sizeof sorted);
            qsort(sorted, count, sizeof *sorted, compare);
            const double expected = (sorted[(count - 1) / 2] + sorted[count / 2]) / 2;
            const bp_preparation_spec spec = spec_of(one_number, 1, false, "none", "median");
            bp_preparation p = fit(&spec, raw, count);
            assert_true(p.fill[0] == expected);
            bp_preparation_done(&p);
        }
}

static void test_layout(void **state)
{
    (void)state;
    const bp_feature_column columns[] = {{.width = 2},
                                         {.categorical = true, .category_count = 3},
                                         {.width = 1},
                                         {.categorical = true, .category_count = 2}};
    /* numbers, category, number, category */
    const double raw[] = {
        0, 10, 2,   7, 1,   /**/
        2, 30, NAN, 9, 0,   /* a missing category */
        4, 50, 3,   8, 1,   /* one that the training rows did not have */
        6, 70, 0,   8, NAN, /**/
    };
    const double expected[] = {
        -3, -30, 0, 0, 1, -1, 0, 1, /**/
        -1, -10, 0, 0, 0, 1,  1, 0, /**/
        1,  10,  0, 0, 0, 0,  0, 1, /**/
        3,  30,  1, 0, 0, 0,  0, 0, /**/
    };
    const bp_preparation_spec spec = spec_of(columns, 4, true, "none", "mean");
    bp_preparation p = fit(&spec, raw, 4);
    assert_int_equal(p.raw_width, 5);
    assert_int_equal(p.prepared_width, 8);
    assert_int_equal(p.numeric_width, 3);
    for (bp_dtype dtype = BP_FLOAT32; dtype <= BP_FLOAT64; dtype++) {
        double out[32];
        bp_preparation_apply(&p, out, dtype, raw, 4);
        for (size_t i = 0; i < 32; i++)
            assert_true(support_at(out, dtype, i) == expected[i]);
    }

    /* One made from what was fitted gives the same. */
    bp_preparation again;
    assert_int_equal(bp_preparation_create(&again, columns, 4, false, NULL), BP_OK);
    double out[32];
    bp_preparation_apply(&again, out, BP_FLOAT64, raw, 1);
    assert_true(out[1] == 10 && out[5] == 7); /* as they are until told otherwise */
    for (size_t i = 0; i < 3; i++) {
        again.fill[i] = p.fill[i];
        again.offset[i] = p.offset[i];
        again.scale[i] = p.scale[i];
    }
    bp_preparation_apply(&again, out, BP_FLOAT64, raw, 4);
    assert_memory_equal(out, expected, sizeof out);
    bp_preparation_done(&again);
    bp_preparation_done(&p);
    bp_preparation_done(&p); /* released already */
}

/* Long and wide enough for several blocks of rows: the sums are those of one pass in row order. */
static void test_many_rows(void **state)
{
    (void)state;
    enum { ROWS = 1000, WIDTH = 61 };
    double *raw = malloc(sizeof *raw * ROWS * WIDTH);
    assert_non_null(raw);
    support_values(raw, BP_FLOAT64, (size_t)ROWS * WIDTH, 3);
    for (size_t i = 0; i < (size_t)ROWS * WIDTH; i += 7)
        raw[i] = NAN;
    const bp_feature_column columns[] = {{.width = WIDTH}};
    const bp_preparation_spec spec = spec_of(columns, 1, true, "standard", "median");
    bp_preparation p = fit(&spec, raw, ROWS);
    for (size_t j = 0; j < WIDTH; j++) {
        double sum = 0, count = 0, square = 0;
        for (size_t i = 0; i < ROWS; i++)
            if (!isnan(raw[i * WIDTH + j])) {
                sum += raw[i * WIDTH + j];
                count++;
            }
        for (size_t i = 0; i < ROWS; i++)
            if (!isnan(raw[i * WIDTH + j])) {
                const double d = raw[i * WIDTH + j] - sum / count;
                square += d * d;
            }
        assert_true(p.offset[j] == sum / count);
        assert_true(p.scale[j] == sqrt(square / count));
    }
    bp_preparation_done(&p);
    free(raw);
}

static void test_faults(void **state)
{
    (void)state;
    size_t raw_width, prepared_width;
    bp_preparation_spec spec = spec_of(one_number, 0, true, "none", "mean");
    assert_int_equal(bp_preparation_widths(&raw_width, &prepared_width, &spec, NULL), BP_SHAPE);
    const bp_feature_column huge[] = {{.width = SIZE_MAX}, {.width = 1}};
    spec = spec_of(huge, 2, true, "none", "mean");
    assert_int_equal(bp_preparation_widths(&raw_width, &prepared_width, &spec, NULL), BP_TOO_LARGE);
    bp_preparation p;
    spec.column_count = 1;
    row_table table = {.raw = gappy, .width = 1};
    const bp_row_source source = {.context = &table, .row_count = 5, .read = read_table};
    assert_int_equal(bp_preparation_fit(&p, &spec, &source, NULL), BP_TOO_LARGE);

    spec = spec_of(one_number, 1, true, "standard", "median");
    for (size_t fail_at = 1; fail_at <= 3; fail_at++) { /* in each of the passes */
        table.reads = 0;
        table.fail_at = fail_at;
        bp_error error = {.status = BP_OK};
        assert_int_equal(bp_preparation_fit(&p, &spec, &source, &error), BP_INPUT_OUTPUT);
        assert_string_equal(error.where, "a column");
    }
    table.fail_at = 0;
    const double infinite[] = {1, INFINITY, 2, 3, 4}, large[] = {-1e308, 1e308, 0, 0, 0};
    table.raw = infinite;
    assert_int_equal(bp_preparation_fit(&p, &spec, &source, NULL), BP_NOT_FINITE);
    table.raw = large;
    assert_int_equal(bp_preparation_fit(&p, &spec, &source, NULL), BP_NOT_FINITE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_statistics), cmocka_unit_test(test_constant_and_empty),
        cmocka_unit_test(test_medians),    cmocka_unit_test(test_layout),
        cmocka_unit_test(test_many_rows),  cmocka_unit_test(test_faults),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
