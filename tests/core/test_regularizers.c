/* Each regulariser by itself: penalty, gradient, projection, and what happens at 0. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/check/gradient_check.h"
#include "tests/core/support_kernels.h"
#include "tests/core/support_network.h"

enum { ROWS = 3, COLUMNS = 13, COUNT = ROWS * COLUMNS };

static const double lambda = 0.3;

static const bp_regularizer *best(bp_dtype dtype, size_t index)
{
    return bp_kernels_get(dtype, bp_isa_detect())->regularizers[index];
}

static void weights(double *out, bp_dtype dtype)
{
    support_values(out, dtype, COUNT, 5);
    support_set(out, dtype, 4, 0);
    support_set(out, dtype, 5, -0.0);
}

static double plain_slope(size_t index, double w, double norm)
{
    switch (index) {
    case BP_REGULARIZER_l2:
        return 2 * lambda * w;
    case BP_REGULARIZER_l1:
        return lambda * ((w > 0) - (w < 0));
    default:
        return lambda * w / norm;
    }
}

static void test_penalties(void **state)
{
    (void)state;
    for (bp_dtype dtype = BP_FLOAT32; dtype <= BP_FLOAT64; dtype++)
        for (size_t index = 0; index < BP_REGULARIZER_COUNT; index++) {
            const double tolerance = dtype == BP_FLOAT32 ? 1e-5 : 1e-14;
            double w[COUNT], g[COUNT], squares = 0, absolute = 0;
            weights(w, dtype);
            for (size_t i = 0; i < COUNT; i++) {
                const double value = support_at(w, dtype, i);
                squares += value * value;
                absolute += fabs(value);
            }
            const double expected[BP_REGULARIZER_COUNT] = {[BP_REGULARIZER_l2] = squares,
                                                           [BP_REGULARIZER_l1] = absolute,
                                                           [BP_REGULARIZER_frobenius] =
                                                               sqrt(squares)};
            const bp_regularizer *r = best(dtype, index);
            assert_int_equal(r->penalty != NULL, index != BP_REGULARIZER_max_norm);
            assert_int_equal(r->penalty != NULL, r->project == NULL);
            if (!r->penalty)
                continue;
            const double sum = r->sum(w, COUNT);
            assert_true(fabs(r->penalty(&lambda, sum) - lambda * expected[index]) < tolerance);
            support_values(g, dtype, COUNT, 6);
            double before[COUNT];
            memcpy(before, g, sizeof g);
            r->add_gradient(g, w, COUNT, r->slope(&lambda, sum));
            for (size_t i = 0; i < COUNT; i++)
                assert_true(fabs(support_at(g, dtype, i) - support_at(before, dtype, i) -
                                 plain_slope(index, support_at(w, dtype, i), sqrt(squares))) <
                            tolerance);
            for (bp_isa isa = BP_ISA_BASELINE; isa < bp_isa_detect(); isa++) {
                const bp_kernels *kernels = bp_kernels_get(dtype, isa);
                if (!kernels)
                    continue;
                const bp_regularizer *other = kernels->regularizers[index];
                assert_true(other->sum(w, COUNT) == sum);
                double again[COUNT];
                memcpy(again, before, sizeof again);
                /* Split anywhere. */
                const size_t size = bp_dtype_size(dtype);
                other->add_gradient(again, w, 7, r->slope(&lambda, sum));
                other->add_gradient((unsigned char *)again + 7 * size,
                                    (unsigned char *)w + 7 * size, COUNT - 7,
                                    r->slope(&lambda, sum));
                assert_memory_equal(again, g, COUNT * size);
            }
        }
    const bp_regularizer *frobenius = best(BP_FLOAT64, BP_REGULARIZER_frobenius);
    assert_true(frobenius->slope(&lambda, 0) == 0);
}

static void test_max_norm(void **state)
{
    (void)state;
    for (bp_dtype dtype = BP_FLOAT32; dtype <= BP_FLOAT64; dtype++) {
        const size_t size = bp_dtype_size(dtype);
        double w[COUNT], before[COUNT], norm[ROWS];
        weights(w, dtype);
        for (size_t j = 0; j < COLUMNS; j++) /* the first row is short */
            support_set(w, dtype, j, support_at(w, dtype, j) / 100);
        memcpy(before, w, sizeof w);
        const double limit = 0.7;
        const bp_regularizer *r = best(dtype, BP_REGULARIZER_max_norm);
        r->project(w, ROWS, COLUMNS, &limit);
        assert_memory_equal(w, before, COLUMNS * size);
        for (size_t i = 1; i < ROWS; i++) {
            norm[i] = 0;
            double now = 0;
            for (size_t j = i * COLUMNS; j < (i + 1) * COLUMNS; j++) {
                norm[i] += support_at(before, dtype, j) * support_at(before, dtype, j);
                now += support_at(w, dtype, j) * support_at(w, dtype, j);
            }
            assert_true(sqrt(norm[i]) > limit);
            assert_true(fabs(sqrt(now) - limit) < (dtype == BP_FLOAT32 ? 1e-6 : 1e-15));
            for (size_t j = i * COLUMNS; j < (i + 1) * COLUMNS; j++)
                assert_true(fabs(support_at(w, dtype, j) -
                                 support_at(before, dtype, j) * limit / sqrt(norm[i])) < 1e-7);
        }
        /* What has left the numbers is left alone: it must be seen. */
        support_set(w, dtype, 0, INFINITY);
        support_set(w, dtype, COLUMNS, NAN);
        memcpy(before, w, sizeof w);
        r->project(w, 2, COLUMNS, &limit);
        assert_memory_equal(w, before, 2 * COLUMNS * size);
    }
}

/* Weights at a kink of their penalty are skipped; where the other rule lies on one piece they pass. */
static void test_kinks_in_the_check(void **state)
{
    (void)state;
    const bp_layer_spec layers[] = {support_dense(2, "identity")};
    bp_network_spec spec = support_network_spec(layers, 1, 3, 2, "mean_squared_error");
    bp_network *network = support_network_create(&spec);
    support_parameters(network, 3, 1);
    double x[6], t[4];
    support_values(x, BP_FLOAT64, 6, 1);
    support_values(t, BP_FLOAT64, 4, 2);
    const bp_targets targets = {.value = t};
    bp_check_spec check = {
        .difference = BP_DIFFERENCE_CENTRAL,
        .epsilon = 1e-5,
        .max_elements = SIZE_MAX,
        .regularizer_count = 1,
        .regularizers = {support_choice_of(&bp_regularizer_family, "l1", lambda)}};
    bp_check_report reports[2];
    double *w = bp_network_tensor(network, 0).data;
    w[1] = 0;
    w[2] = 5e-6;
    bp_network_parameters_changed(network);
    assert_int_equal(bp_gradient_check(reports, network, x, 2, &targets, &check, NULL), BP_OK);
    assert_int_equal(reports[0].skipped, 2);
    assert_int_equal(reports[0].failed + reports[1].failed + reports[1].skipped, 0);

    check.regularizers[0] = support_choice_of(&bp_regularizer_family, "frobenius", lambda);
    memset(w, 0, 6 * sizeof *w);
    assert_int_equal(bp_gradient_check(reports, network, x, 2, &targets, &check, NULL), BP_OK);
    assert_int_equal(reports[0].failed + reports[0].skipped, 0); /* even on both sides */
    check.difference = BP_DIFFERENCE_FORWARD;
    assert_int_equal(bp_gradient_check(reports, network, x, 2, &targets, &check, NULL), BP_OK);
    assert_int_equal(reports[0].skipped, 6);

    check.regularizer_count = 2;
    check.regularizers[1] = check.regularizers[0];
    bp_error error = {.status = BP_OK};
    assert_int_equal(bp_gradient_check(reports, network, x, 2, &targets, &check, &error),
                     BP_INVALID);
    assert_string_equal(error.where, "/regularization");
    bp_network_free(network);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_penalties),
        cmocka_unit_test(test_max_norm),
        cmocka_unit_test(test_kinks_in_the_check),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
