/* Whitening, against its definition: covariance of the training rows, the directions, faults. */
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

typedef struct row_table {
    const double *raw;
    size_t width;
    size_t asked, refuse_at; /* questions without rows; the one that is refused, 0: none */
} row_table;

static bp_status read_table(void *context, double *out, size_t first, size_t count, bp_error *error)
{
    row_table *table = context;
    if (count == 0 && ++table->asked == table->refuse_at)
        return bp_error_set(error, BP_CANCELLED, NULL, "cancelled");
    memcpy(out, table->raw + first * table->width, count * table->width * sizeof *out);
    return BP_OK;
}

static bp_preparation_spec spec_of(const bp_feature_column *columns, size_t column_count,
                                   const char *scaling, const char *missing, double epsilon)
{
    return (bp_preparation_spec){.center = true,
                                 .scaling = support_choice(&bp_scaling_family, scaling),
                                 .missing = support_choice(&bp_missing_family, missing),
                                 .whiten = true,
                                 .whiten_epsilon = epsilon,
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

static double *apply(const bp_preparation *preparation, const double *raw, size_t count)
{
    double *out = malloc(sizeof *out * (count * preparation->prepared_width + 1));
    assert_non_null(out);
    bp_preparation_apply(preparation, out, BP_FLOAT64, raw, count);
    return out;
}

/* Mean 0 and covariance `variance` in [first, end) of prepared elements, nothing between them. */
static void assert_covariance(const double *x, size_t rows, size_t width, size_t first, size_t end,
                              double variance)
{
    for (size_t a = first; a < end; a++) {
        double mean = 0;
        for (size_t i = 0; i < rows; i++)
            mean += x[i * width + a] / (double)rows;
        assert_true(fabs(mean) < 1e-6);
        for (size_t b = first; b <= a; b++) {
            double sum = 0;
            for (size_t i = 0; i < rows; i++)
                sum += x[i * width + a] * x[i * width + b];
            assert_true(fabs(sum / (double)rows - (a == b ? variance : 0)) < 1e-6);
        }
    }
}

/* Correlated features of unequal size, more than a block of rows and more than one part of a product:
 * column j leans on column j − 1. */
static double *correlated(size_t rows, size_t width, uint64_t seed)
{
    double *raw = malloc(sizeof *raw * rows * width);
    assert_non_null(raw);
    support_values(raw, BP_FLOAT64, rows * width, seed);
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < width; j++)
            raw[i * width + j] = 3 + (double)(j % 5 + 1) * raw[i * width + j] +
                                 (j > 0 ? 0.7 * raw[i * width + j - 1] : 0);
    return raw;
}

static void test_covariance_is_identity(void **state)
{
    (void)state;
    enum { ROWS = 700, WIDTH = 230 };
    const bp_feature_column columns[] = {{.width = WIDTH - 30}, {.width = 30}};
    double *raw = correlated(ROWS, WIDTH, 1);
    static const char *const scalings[] = {"none", "standard", "minmax"};
    for (size_t s = 0; s < 3; s++) {
        const bp_preparation_spec spec = spec_of(columns, 2, scalings[s], "mean", 1e-9);
        bp_preparation p = fit(&spec, raw, ROWS);
        double *x = apply(&p, raw, ROWS);
        assert_covariance(x, ROWS, WIDTH, 0, WIDTH, 1);
        /* A row's bits are its own. */
        double *alone = apply(&p, raw + 17 * WIDTH, 1);
        assert_memory_equal(alone, x + 17 * WIDTH, sizeof *x * WIDTH);
        free(alone);
        free(x);
        bp_preparation_done(&p);
    }
    free(raw);
}

/* Two features with covariance [[2, 1], [1, 2]]: directions (1, 1) with variance 3, (1, −1) with 1. */
static void test_by_hand(void **state)
{
    (void)state;
    const double r = sqrt(6), q = sqrt(2);
    /* ±√6 (1, 1)/√2·… : rows ±√6 along (1, 1)/√2 and ±√2 along (1, −1)/√2, around (10, 20) */
    double raw[8];
    const double along[4][2] = {{r, 0}, {-r, 0}, {0, q}, {0, -q}};
    for (size_t i = 0; i < 4; i++) {
        raw[2 * i] = 10 + (along[i][0] + along[i][1]) / sqrt(2);
        raw[2 * i + 1] = 20 + (along[i][0] - along[i][1]) / sqrt(2);
    }
    const bp_feature_column columns[] = {{.width = 2}};
    bp_preparation_spec spec = spec_of(columns, 1, "none", "mean", 1e-5);
    bp_preparation p = fit(&spec, raw, 4);
    double *x = apply(&p, raw, 4);
    assert_true(fabs(x[0] - q) < 1e-12 && fabs(x[1]) < 1e-12); /* √6 / √3 */
    assert_true(fabs(fabs(x[5]) - q) < 1e-12 && fabs(x[4]) < 1e-12);
    free(x);
    bp_preparation_done(&p);

    /* ε between the two deviations √3 and 1 takes the place of the smaller. */
    spec.whiten_epsilon = 1.5;
    p = fit(&spec, raw, 4);
    x = apply(&p, raw, 4);
    assert_true(fabs(x[0] - q) < 1e-12);
    assert_true(fabs(fabs(x[5]) - q / 1.5) < 1e-12);
    free(x);
    bp_preparation_done(&p);
}

/* Numbers between categories; a constant and a repeated feature; values missing, which are filled with
 * something else than the mean. */
static void test_mixed_columns(void **state)
{
    (void)state;
    enum { ROWS = 300, RAW = 8, PREPARED = 12 };
    const bp_feature_column columns[] = {{.width = 2},
                                         {.categorical = true, .category_count = 3},
                                         {.width = 1},
                                         {.categorical = true, .category_count = 3},
                                         {.width = 3}};
    double *raw = correlated(ROWS, RAW, 2);
    for (size_t i = 0; i < ROWS; i++) {
        double *row = raw + i * RAW;
        row[2] = (double)(i % 4); /* 3: none of the categories */
        row[4] = (double)(i % 3);
        row[5] = 0.1;
        row[6] = 2 * row[0];
        if (i % 9 == 0)
            row[3] = NAN;
    }
    const bp_preparation_spec spec = spec_of(columns, 5, "standard", "zero", 1e-6);
    bp_preparation p = fit(&spec, raw, ROWS);
    assert_int_equal(p.numeric_width, 6);
    double *x = apply(&p, raw, ROWS), *numeric = malloc(sizeof *x * ROWS * 6);
    for (size_t i = 0; i < ROWS; i++) {
        const double *row = x + i * PREPARED;
        for (size_t c = 0; c < 3; c++) {
            assert_true(row[2 + c] == (i % 4 == c));
            assert_true(row[6 + c] == (i % 3 == c));
        }
        static const size_t places[6] = {0, 1, 5, 9, 10, 11};
        for (size_t c = 0; c < 6; c++)
            numeric[i * 6 + c] = row[places[c]];
    }
    assert_covariance(numeric, ROWS, 6, 0, 4, 1); /* four independent directions */
    assert_covariance(numeric, ROWS, 6, 4, 6, 0);
    float narrow[PREPARED];
    bp_preparation_apply(&p, narrow, BP_FLOAT32, raw + RAW, 1);
    for (size_t j = 0; j < PREPARED; j++)
        assert_true(narrow[j] == (float)x[PREPARED + j]);
    free(numeric);
    free(x);
    free(raw);
    bp_preparation_done(&p);
}

static void test_measure(void **state)
{
    (void)state;
    const bp_feature_column columns[] = {{.width = 50}, {.categorical = true, .category_count = 4}};
    double *raw = correlated(90, 51, 3);
    bp_preparation_spec spec = spec_of(columns, 2, "standard", "median", 1e-3);
    for (size_t i = 0; i < 2; i++) {
        size_t kept, working;
        spec.whiten = i > 0;
        assert_int_equal(bp_preparation_measure(&kept, &working, &spec, 90, NULL), BP_OK);
        bp_preparation p = fit(&spec, raw, 90);
        assert_int_equal(p.arena.used_bytes, kept);
        assert_true(working > 0);
        bp_preparation_done(&p);
    }
    free(raw);
}

static void test_faults(void **state)
{
    (void)state;
    const bp_feature_column columns[] = {{.width = 20}};
    double *raw = correlated(50, 20, 4);
    bp_preparation_spec spec = spec_of(columns, 1, "standard", "mean", 1e-5);
    row_table table = {.raw = raw, .width = 20, .refuse_at = 5};
    const bp_row_source source = {.context = &table, .row_count = 50, .read = read_table};
    bp_preparation p;
    bp_error error = {.status = BP_OK};
    assert_int_equal(bp_preparation_fit(&p, &spec, &source, &error), BP_CANCELLED);

    spec.center = false;
    error.status = BP_OK;
    assert_int_equal(bp_preparation_fit(&p, &spec, &source, &error), BP_INVALID);
    assert_string_equal(error.where, "/preprocess/whiten");
    spec.center = true;
    static const double bad[] = {0, -1, NAN, INFINITY};
    for (size_t i = 0; i < 4; i++) {
        spec.whiten_epsilon = bad[i];
        error.status = BP_OK;
        assert_int_equal(bp_preparation_fit(&p, &spec, &source, &error), BP_INVALID);
        assert_string_equal(error.where, "/preprocess/epsilon");
    }
    memset(raw, 0, sizeof *raw * 50 * 20);
    spec.whiten_epsilon = 1e-320;
    error.status = BP_OK;
    assert_int_equal(bp_preparation_fit(&p, &spec, &source, &error), BP_NOT_FINITE);
    free(raw);

    /* Categories alone: nothing to whiten. */
    const bp_feature_column categories[] = {{.categorical = true, .category_count = 2}};
    const double index[] = {0, 1, 1};
    spec = spec_of(categories, 1, "standard", "mean", 1e-5);
    p = fit(&spec, index, 3);
    double *x = apply(&p, index, 3);
    assert_true(x[0] == 1 && x[1] == 0 && x[4] == 0 && x[5] == 1);
    free(x);
    bp_preparation_done(&p);
}

/* The targets of a regression: to mean 0 and deviation 1, and back. */
static void test_restore(void **state)
{
    (void)state;
    const bp_feature_column columns[] = {{.width = 2}};
    const double raw[] = {1, 100, 3, 300, 5, 200};
    bp_preparation_spec spec = spec_of(columns, 1, "standard", "error", 0);
    spec.whiten = false;
    bp_preparation p = fit(&spec, raw, 3);
    double *x = apply(&p, raw, 3);
    assert_true(fabs(x[0] + sqrt(1.5)) < 1e-15 && x[2] == 0 && x[5] == 0);
    for (size_t i = 0; i < 3; i++) {
        bp_preparation_restore(&p, x + 2 * i);
        assert_true(fabs(x[2 * i] - raw[2 * i]) < 1e-15 * 8);
        assert_true(fabs(x[2 * i + 1] - raw[2 * i + 1]) < 1e-13);
    }
    free(x);
    bp_preparation_done(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_covariance_is_identity),
        cmocka_unit_test(test_by_hand),
        cmocka_unit_test(test_mixed_columns),
        cmocka_unit_test(test_measure),
        cmocka_unit_test(test_faults),
        cmocka_unit_test(test_restore),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
