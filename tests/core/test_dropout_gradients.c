/* Dropout of units, connections and layers, and the dropout layer: gradients against differences with
 * the masks held fixed, and whether a wrong gradient would be noticed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/check/gradient_check.h"
#include "tests/core/support_dropout.h"

enum { ROWS = 6, IN = 5 };

/* regularizer: NULL: none. */
static bp_check_report check_with(const bp_layer_spec *layers, size_t count, const char *loss,
                                  const bp_member *regularizer, bp_noise noise)
{
    bp_network_spec spec = support_network_spec(layers, count, IN, ROWS, loss);
    spec.keep_z = true;
    bp_network *network = support_network_create(&spec);
    support_parameters(network, 17, 0.8);
    bp_network_set_noise(network, noise);
    double x[ROWS * IN], t[ROWS * SUPPORT_HIDDEN];
    int32_t label[ROWS];
    support_values(x, BP_FLOAT64, ROWS * IN, 1);
    support_values(t, BP_FLOAT64, ROWS * SUPPORT_HIDDEN, 2);
    const bp_loss *record = bp_loss_of(spec.loss.member);
    support_labels(label, ROWS, record->binary ? 2 : SUPPORT_OUT, 3);
    const bp_targets targets = {.label = label, .value = t};
    const bp_check_spec check_spec = {.difference = BP_DIFFERENCE_FOURTH_ORDER,
                                      .epsilon = 1e-3,
                                      .max_elements = SIZE_MAX,
                                      .regularizer_count = regularizer != NULL,
                                      .regularizers = {{.member = regularizer, .value = {0.3}}}};
    bp_check_report reports[2 * SUPPORT_LAYERS], sum = {.checked = 0};
    assert_int_equal(bp_gradient_check(reports, network, x, ROWS, &targets, &check_spec, NULL),
                     BP_OK);
    for (size_t index = 0; index < bp_network_tensor_count(network); index++) {
        sum.checked += reports[index].checked;
        sum.skipped += reports[index].skipped;
        sum.failed += reports[index].failed;
        sum.judged_relative += reports[index].judged_relative;
    }
    bp_network_free(network);
    return sum;
}

static bp_check_report check(const bp_layer_spec *layers, size_t count, const char *loss,
                             bp_noise noise)
{
    return check_with(layers, count, loss, NULL, noise);
}

/* Every form with every activation, loss and regulariser, under masks and without them. */
static void test_gradients(void **state)
{
    (void)state;
    size_t checked = 0, judged = 0, skipped = 0;
    const size_t activations = bp_activation_family.member_count;
    const size_t losses = bp_loss_family.member_count;
    const size_t penalties = bp_regularizer_family.member_count + 1; /* and none */
    for (size_t form = 0; form < SUPPORT_FORMS; form++)
        for (size_t which = 0; which < activations * losses * penalties * 2; which++) {
            const char *activation = bp_activation_family.members[which % activations]->name;
            const bp_member *loss = bp_loss_family.members[which / activations % losses];
            const size_t penalty = which / activations / losses % penalties;
            const bp_member *regularizer =
                penalty > 0 ? bp_regularizer_family.members[penalty - 1] : NULL;
            const bool noisy = which / activations / losses / penalties > 0;
            if (strcmp(activation, "softmax") == 0)
                continue;
            bp_layer_spec layers[SUPPORT_LAYERS];
            const size_t count = support_dropout_network(layers, form, activation, 0.85);
            layers[count - 1] =
                support_dense(bp_loss_output_width(bp_loss_of(loss), SUPPORT_OUT), "identity");
            const bp_check_report sum = check_with(layers, count, loss->name, regularizer,
                                                   noisy ? support_a_step : support_no_noise);
            if (sum.failed)
                fail_msg("%s, %s, %s, %s, noise %d: %zu failed", support_form_name(form),
                         activation, loss->name, regularizer ? regularizer->name : "free", noisy,
                         sum.failed);
            checked += sum.checked;
            judged += sum.judged_relative;
            skipped += sum.skipped;
        }
    print_message("%zu elements, %zu skipped at kinks, %zu judged by the relative part\n", checked,
                  skipped, judged);
    assert_true((double)judged >= 0.8 * (double)checked);
}

/* Where the layer form may be last, and where forms meet. */
static void test_gradients_of_stacks(void **state)
{
    (void)state;
    bp_layer_spec layers[SUPPORT_LAYERS] = {
        support_mask_layer(0.8), support_dense(SUPPORT_HIDDEN, "tanh"),
        support_dense(SUPPORT_HIDDEN, "sigmoid"), support_dense(SUPPORT_HIDDEN, "softmax")};
    layers[1].dropout = support_dropout(&bp_dropout_units, 0.7);
    layers[2].dropout = support_dropout(&bp_dropout_connections, 0.7);
    layers[3].dropout = support_dropout(&bp_dropout_layer, 0.5);
    assert_int_equal(check(layers, 4, "mean_squared_error", support_a_step).failed, 0);
    assert_int_equal(check(layers, 4, "mean_squared_error", support_no_noise).failed, 0);
    layers[1] = support_mask_layer(0.9);
    layers[2].dropout = support_dropout(&bp_dropout_units, 0.7);
    assert_int_equal(check(layers, 4, "mean_squared_error", support_a_step).failed, 0);
}

/* ---- mutations: copies of the records, each with one thing wrong ---- */

static const bp_dropout *true_form;

static bool other_step_delta(bp_layer *layer, const bp_pass *pass, void *dx)
{
    bp_pass changed = *pass;
    changed.noise.step++;
    return true_form->delta(layer, &changed, dx);
}

static bool scaled_delta(bp_layer *layer, const bp_pass *pass, void *dx)
{
    const bool begun = true_form->delta(layer, pass, dx);
    pass->kernels->scale(layer->delta, 1 + 1e-5, pass->rows * layer->shape.output_width);
    return begun;
}

static bool not_past_delta(bp_layer *layer, const bp_pass *pass, void *dx)
{
    true_form->delta(layer, pass, dx);
    return false;
}

static void other_step_gradients(bp_layer *layer, const bp_pass *pass)
{
    bp_pass changed = *pass;
    changed.noise.step++;
    true_form->gradients(layer, &changed);
}

static void scaled_gradients(bp_layer *layer, const bp_pass *pass)
{
    true_form->gradients(layer, pass);
    pass->kernels->scale(layer->gradient[0], 1 + 1e-5, layer->shape.tensor[0].element_count);
}

static void unmasked_product(bp_layer *layer, const bp_pass *pass, void *dx)
{
    /* dx through W, not through the masked W. */
    const bp_dropout *form = layer->dropout;
    layer->dropout = NULL;
    bp_layer_dense.backward(layer, pass, dx);
    layer->dropout = form;
    form->gradients(layer, pass);
}

static size_t failures_of(const bp_dropout *mutant, bp_noise noise)
{
    bp_layer_spec layers[SUPPORT_LAYERS];
    const size_t count = support_dropout_network(layers, mutant->member.index, "tanh", 0.6);
    layers[1].dropout.member = &mutant->member;
    return check(layers, count, "mean_squared_error", noise).failed;
}

static void test_mutations(void **state)
{
    (void)state;
    for (size_t form = 0; form < BP_DROPOUT_COUNT; form++) {
        true_form = support_form(form);
        bp_dropout mutant = *true_form;
        assert_int_equal(failures_of(&mutant, support_a_step), 0);
        if (true_form->delta) {
            mutant.delta = NULL;
            assert_true(failures_of(&mutant, support_a_step) > 0);
            mutant.delta = other_step_delta;
            assert_true(failures_of(&mutant, support_a_step) > 0);
            mutant.delta = scaled_delta;
            assert_true(failures_of(&mutant, support_a_step) > 0);
        }
        if (true_form->gradients) {
            mutant.gradients = NULL;
            assert_true(failures_of(&mutant, support_a_step) > 0);
            mutant.gradients = other_step_gradients;
            assert_true(failures_of(&mutant, support_a_step) > 0);
            mutant.gradients = scaled_gradients;
            assert_true(failures_of(&mutant, support_a_step) > 0);
        }
    }
    true_form = &bp_dropout_layer;
    bp_dropout mutant = bp_dropout_layer;
    mutant.delta = not_past_delta;
    assert_true(failures_of(&mutant, support_a_step) > 0);
    assert_true(failures_of(&mutant, support_no_noise) > 0);

    bp_layer_type dense = bp_layer_dense;
    dense.backward = unmasked_product;
    bp_layer_spec layers[SUPPORT_LAYERS];
    size_t count = support_dropout_network(layers, BP_DROPOUT_connections, "tanh", 0.6);
    layers[1].layer.member = &dense.member;
    assert_true(check(layers, count, "mean_squared_error", support_a_step).failed > 0);
}

static void unmasked_backward(bp_layer *layer, const bp_pass *pass, void *dx)
{
    bp_pass changed = *pass;
    changed.noise = support_no_noise;
    bp_layer_dropout.backward(layer, &changed, dx);
}

static void other_step_backward(bp_layer *layer, const bp_pass *pass, void *dx)
{
    bp_pass changed = *pass;
    changed.noise.step++;
    bp_layer_dropout.backward(layer, &changed, dx);
}

static void test_mutations_of_the_layer(void **state)
{
    (void)state;
    void (*const backwards[])(bp_layer *, const bp_pass *, void *) = {unmasked_backward,
                                                                      other_step_backward};
    for (size_t i = 0; i < 2; i++) {
        bp_layer_type mutant = bp_layer_dropout;
        mutant.backward = backwards[i];
        bp_layer_spec layers[SUPPORT_LAYERS];
        const size_t count = support_dropout_network(layers, BP_DROPOUT_COUNT, "tanh", 0.6);
        layers[1].layer.member = &mutant.member;
        assert_true(check(layers, count, "mean_squared_error", support_a_step).failed > 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gradients),
        cmocka_unit_test(test_gradients_of_stacks),
        cmocka_unit_test(test_mutations),
        cmocka_unit_test(test_mutations_of_the_layer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
