/* The check itself: what it counts, skips, samples, restores and refuses. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/check/gradient_check.h"
#include "tests/core/support_network.h"

enum { ROWS = 4, IN = 3, OUT = 2 };

typedef struct fixture {
    bp_layer_spec layers[2];
    bp_network_spec spec;
    double x[ROWS * IN], t[ROWS * OUT];
    bp_targets targets;
    bp_check_report reports[4];
} fixture;

static void set_up(fixture *f, size_t hidden, const char *activation)
{
    memset(f, 0, sizeof *f);
    f->layers[0] = support_dense(hidden, activation);
    f->layers[1] = support_dense(OUT, "identity");
    f->spec = support_network_spec(f->layers, 2, IN, ROWS, "mean_squared_error");
    f->spec.keep_z = true;
    support_values(f->x, BP_FLOAT64, ROWS * IN, 1);
    support_values(f->t, BP_FLOAT64, ROWS * OUT, 2);
    f->targets.value = f->t;
}

static bp_status check(fixture *f, bp_network *network, const bp_check_spec *spec)
{
    return bp_gradient_check(f->reports, network, f->x, ROWS, &f->targets, spec, NULL);
}

static void test_report(void **state)
{
    (void)state;
    fixture f;
    set_up(&f, 5, "tanh");
    bp_network *network = support_network_create(&f.spec);
    support_parameters(network, 3, 0.8);
    double before[64];
    const size_t bytes = bp_network_block_count(network) * sizeof(double);
    assert_true(bytes <= sizeof before);
    memcpy(before, bp_network_parameters(network), bytes);
    const bp_check_spec spec = {
        .difference = BP_DIFFERENCE_CENTRAL, .epsilon = 1e-5, .max_elements = SIZE_MAX};
    assert_int_equal(check(&f, network, &spec), BP_OK);
    assert_memory_equal(before, bp_network_parameters(network), bytes);
    for (size_t index = 0; index < 4; index++) {
        const bp_check_report *report = &f.reports[index];
        const bp_tensor gradient = bp_network_gradient_tensor(network, index);
        assert_int_equal(report->checked, gradient.element_count);
        assert_int_equal(report->skipped + report->failed, 0);
        assert_true(report->judged_relative > 0 && report->judged_relative <= report->checked);
        assert_true(report->worst_relative_error > 0 && report->worst_relative_error < 1e-6);
        assert_true(report->worst_excess > 0 && report->worst_excess <= 1);
        assert_true(report->worst_analytic ==
                    support_at(gradient.data, BP_FLOAT64, report->worst_index));
        assert_true(fabs(report->worst_analytic - report->worst_numerical) < 1e-8);
    }
    /* Nothing of the changed parameters lingers in the network. */
    bp_network_forward(network, NULL, f.x, ROWS, true);
    const double loss = bp_network_loss_value(network, NULL, &f.targets, NULL);
    bp_network_parameters_changed(network);
    bp_network_forward(network, NULL, f.x, ROWS, true);
    assert_true(loss == bp_network_loss_value(network, NULL, &f.targets, NULL));
    bp_network_free(network);
}

/* The forward difference is off by about ε f''/2: far less exact, as the theory says. */
static void test_forward_difference(void **state)
{
    (void)state;
    fixture f;
    set_up(&f, 5, "tanh");
    bp_network *network = support_network_create(&f.spec);
    support_parameters(network, 3, 0.8);
    bp_check_spec spec = {.epsilon = 1e-5, .max_elements = SIZE_MAX};
    double worst[3];
    for (bp_difference rule = BP_DIFFERENCE_CENTRAL; rule <= BP_DIFFERENCE_FOURTH_ORDER; rule++) {
        spec.difference = rule;
        spec.epsilon = rule == BP_DIFFERENCE_FOURTH_ORDER ? 1e-3 : 1e-5;
        assert_int_equal(check(&f, network, &spec), BP_OK);
        worst[rule] = f.reports[0].worst_relative_error;
    }
    assert_true(worst[BP_DIFFERENCE_FORWARD] > 10 * worst[BP_DIFFERENCE_CENTRAL]);
    assert_true(worst[BP_DIFFERENCE_FORWARD] < 1e-2);
    bp_network_free(network);
}

/* A ReLU whose z is within ε of 0: the difference straddles the kink and says nothing. */
static void test_kinks(void **state)
{
    (void)state;
    fixture f;
    set_up(&f, 1, "relu");
    bp_network *network = support_network_create(&f.spec);
    support_parameters(network, 3, 0.8);
    double *w = bp_network_tensor(network, 0).data, *b = bp_network_tensor(network, 1).data;
    w[0] = 1;
    w[1] = w[2] = 0;
    *b = -f.x[0] + 1e-7; /* the first row's z is 1e-7 */
    const bp_check_spec spec = {
        .difference = BP_DIFFERENCE_CENTRAL, .epsilon = 1e-5, .max_elements = SIZE_MAX};
    assert_int_equal(check(&f, network, &spec), BP_OK);
    assert_int_equal(f.reports[0].skipped, 3); /* every weight moves that z by more */
    assert_int_equal(f.reports[1].skipped, 1);
    assert_int_equal(f.reports[2].skipped + f.reports[3].skipped, 0); /* above the kink */
    for (size_t index = 0; index < 4; index++)
        assert_int_equal(f.reports[index].failed, 0);

    *b = -f.x[0] + 1e-3;
    assert_int_equal(check(&f, network, &spec), BP_OK);
    assert_int_equal(f.reports[0].skipped + f.reports[1].skipped, 0);
    bp_network_free(network);
}

/* A margin met within ε: the hinge's own kink. */
static void test_hinge_kinks(void **state)
{
    (void)state;
    const bp_layer_spec layers[] = {support_dense(3, "identity")};
    bp_network_spec network_spec = support_network_spec(layers, 1, 2, 1, "hinge");
    network_spec.keep_z = true;
    bp_network *network = support_network_create(&network_spec);
    double *b = bp_network_tensor(network, 1).data;
    const double x[2] = {0.5, 0};
    const int32_t label[1] = {0};
    const bp_targets targets = {.label = label};
    const bp_check_spec spec = {
        .difference = BP_DIFFERENCE_CENTRAL, .epsilon = 1e-5, .max_elements = SIZE_MAX};
    bp_check_report reports[2];
    b[0] = 2;
    b[1] = 1 + 1e-7; /* beyond the margin by less than ε */
    b[2] = 1.5;
    assert_int_equal(bp_gradient_check(reports, network, x, 1, &targets, &spec, NULL), BP_OK);
    assert_int_equal(reports[1].skipped, 2); /* the true class and the one at the margin */
    assert_int_equal(reports[1].checked, 1);
    assert_int_equal(reports[0].skipped, 2); /* the second input is 0 and moves nothing */
    assert_int_equal(reports[0].failed + reports[1].failed, 0);
    b[1] = 1 + 1e-3;
    assert_int_equal(bp_gradient_check(reports, network, x, 1, &targets, &spec, NULL), BP_OK);
    assert_int_equal(reports[0].skipped + reports[1].skipped, 0);
    assert_int_equal(reports[0].failed + reports[1].failed, 0);
    bp_network_free(network);
}

static void test_sample(void **state)
{
    (void)state;
    fixture f;
    set_up(&f, 50, "tanh");
    bp_network *network = support_network_create(&f.spec);
    support_parameters(network, 3, 0.8);
    bp_check_spec spec = {
        .difference = BP_DIFFERENCE_CENTRAL, .epsilon = 1e-5, .max_elements = 20, .seed = 1};
    assert_int_equal(check(&f, network, &spec), BP_OK);
    const size_t expected[] = {20, 20, 20, 2};
    for (size_t index = 0; index < 4; index++)
        assert_int_equal(f.reports[index].checked, expected[index]);
    bp_check_report first[4];
    memcpy(first, f.reports, sizeof first);
    assert_int_equal(check(&f, network, &spec), BP_OK);
    for (size_t index = 0; index < 4; index++)
        assert_int_equal(first[index].worst_index, f.reports[index].worst_index);
    spec.seed = 2; /* other elements */
    assert_int_equal(check(&f, network, &spec), BP_OK);
    assert_true(first[0].worst_excess != f.reports[0].worst_excess ||
                first[1].worst_excess != f.reports[1].worst_excess);
    bp_network_free(network);
}

static void test_faults(void **state)
{
    (void)state;
    fixture f;
    set_up(&f, 5, "relu");
    bp_check_spec spec = {.epsilon = 1e-5, .max_elements = SIZE_MAX};
    const double steps[] = {0, -1, NAN, INFINITY};
    bp_network *network = support_network_create(&f.spec);
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        spec.epsilon = steps[i];
        assert_int_equal(check(&f, network, &spec), BP_INVALID);
    }
    bp_network_free(network);
    spec.epsilon = 1e-5;

    f.spec.dtype = BP_FLOAT32;
    network = support_network_create(&f.spec);
    assert_int_equal(check(&f, network, &spec), BP_INVALID);
    bp_network_free(network);
    f.spec.dtype = BP_FLOAT64;

    f.spec.keep_z = false; /* kinks could not be seen */
    network = support_network_create(&f.spec);
    assert_int_equal(check(&f, network, &spec), BP_INVALID);
    bp_network_free(network);
    f.spec.keep_z = true;

    f.spec.use = BP_USE_PREDICTION;
    network = support_network_create(&f.spec);
    assert_int_equal(check(&f, network, &spec), BP_INVALID);
    bp_network_free(network);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_report), cmocka_unit_test(test_forward_difference),
        cmocka_unit_test(test_kinks),  cmocka_unit_test(test_hinge_kinks),
        cmocka_unit_test(test_sample), cmocka_unit_test(test_faults),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
