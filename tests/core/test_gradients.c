/* Every activation under every loss at several depths, and with every regulariser: gradients against
 * differences. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/check/gradient_check.h"
#include "tests/core/support_network.h"

enum {
    ROWS = 6 /* even: some losses compare pairs */,
    IN = 4,
    HIDDEN = 6,
    OUT = 3,
    DEPTH_LIMIT = 4
};

typedef struct totals {
    size_t checked, skipped, failed, judged_relative;
} totals;

/* Weighed classes are checked with everything else: rows of weight 1 are among them. */
static const double class_weight[OUT] = {1, 2.5, 0.5};

/* regularizer: NULL: none. */
static totals check(const bp_layer_spec *layers, size_t depth, const char *loss,
                    const bp_member *regularizer, bp_difference difference, double epsilon)
{
    bp_network_spec spec = support_network_spec(layers, depth, IN, ROWS, loss);
    spec.keep_z = true;
    spec.class_weight = class_weight;
    bp_network *network = support_network_create(&spec);
    support_parameters(network, 17, 0.8);
    double x[ROWS * IN], t[ROWS * OUT];
    int32_t label[ROWS];
    support_values(x, BP_FLOAT64, ROWS * IN, 1);
    support_values(t, BP_FLOAT64, ROWS * OUT, 2);
    const bp_loss *record = bp_loss_of(spec.loss.member);
    support_labels(label, ROWS, bp_loss_shown_width(record, bp_loss_output_width(record, OUT)), 3);
    const bp_targets targets = {.label = label, .value = t};
    const bp_check_spec check_spec = {.difference = difference,
                                      .epsilon = epsilon,
                                      .max_elements = SIZE_MAX,
                                      .regularizer_count = regularizer != NULL,
                                      .regularizers = {{.member = regularizer, .value = {0.3}}}};
    bp_check_report reports[2 * DEPTH_LIMIT];
    assert_int_equal(bp_gradient_check(reports, network, x, ROWS, &targets, &check_spec, NULL),
                     BP_OK);
    totals sum = {0};
    for (size_t index = 0; index < bp_network_tensor_count(network); index++) {
        const bp_check_report *report = &reports[index];
        sum.checked += report->checked;
        sum.skipped += report->skipped;
        sum.failed += report->failed;
        sum.judged_relative += report->judged_relative;
        if (report->failed)
            print_message("%s, %zu layers, %s, %s: %s[%zu] analytic %.17g numerical %.17g\n",
                          layers[depth - 1].activation.member->name, depth, loss,
                          regularizer ? regularizer->name : "free",
                          bp_network_tensor(network, index).name, report->worst_index,
                          report->worst_analytic, report->worst_numerical);
    }
    bp_network_free(network);
    return sum;
}

static void add(totals *sum, totals more)
{
    sum->checked += more.checked;
    sum->skipped += more.skipped;
    sum->failed += more.failed;
    sum->judged_relative += more.judged_relative;
}

/* All combinations with one rule; says how strict it was. */
static totals check_all(bp_difference difference, double epsilon)
{
    totals sum = {0};
    for (size_t l = 0; l < bp_loss_family.member_count; l++) {
        const bp_loss *loss = bp_loss_of(bp_loss_family.members[l]);
        for (size_t last = 0; last < bp_activation_family.member_count; last++)
            for (size_t hidden = 0; hidden < bp_activation_family.member_count; hidden++)
                for (size_t depth = 1; depth <= DEPTH_LIMIT; depth++) {
                    const char *inner = bp_activation_family.members[hidden]->name;
                    /* One layer has no hidden activation: once is enough. Softmax works on whole
                     * rows and is refused below the last layer. */
                    if (strcmp(inner, "softmax") == 0 || (depth == 1 && hidden > 0))
                        continue;
                    const char *outer = bp_activation_family.members[last]->name;
                    if (bp_loss_output_width(loss, OUT) == 1 &&
                        strcmp(outer, "softmax") == 0) /* 1, whatever z is */
                        continue;
                    bp_layer_spec layers[DEPTH_LIMIT];
                    for (size_t i = 0; i < depth; i++)
                        layers[i] = support_dense(HIDDEN, inner);
                    layers[depth - 1] = support_dense(bp_loss_output_width(loss, OUT), outer);
                    for (size_t r = 0; r <= bp_regularizer_family.member_count; r++) {
                        /* With each regulariser once per pair, at depth 2. */
                        if (r > 0 && depth != 2)
                            break;
                        const bp_member *regularizer =
                            r > 0 ? bp_regularizer_family.members[r - 1] : NULL;
                        add(&sum, check(layers, depth, loss->member.name, regularizer, difference,
                                        epsilon));
                    }
                }
    }
    print_message("%zu elements, %zu skipped at kinks, %zu judged by the relative part\n",
                  sum.checked, sum.skipped, sum.judged_relative);
    return sum;
}

static void test_fourth_order(void **state)
{
    (void)state;
    const totals sum = check_all(BP_DIFFERENCE_FOURTH_ORDER, 1e-3);
    assert_int_equal(sum.failed, 0);
    /* Otherwise the floor, not the gradient, would have been tested. */
    assert_true((double)sum.judged_relative >= 0.8 * (double)sum.checked);
    assert_true((double)sum.skipped <= 0.05 * (double)sum.checked);
}

static void test_central(void **state)
{
    (void)state;
    const totals sum = check_all(BP_DIFFERENCE_CENTRAL, 1e-5);
    assert_int_equal(sum.failed, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fourth_order),
        cmocka_unit_test(test_central),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
