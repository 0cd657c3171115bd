#include "tests/core/support_recurrent.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/initializer/initializer.h"

static const struct {
    const char *layer, *activation;
} cells[RECURRENT_CELLS] = {
    {"rnn", "tanh"}, {"rnn", "relu"}, {"gru", "identity"}, {"lstm", "identity"}};

static const struct {
    const char *name, *of;
    double keep, variational, keep_recurrent;
} forms[RECURRENT_FORMS] = {
    {"none", NULL, 1, 0, 0},
    {"units", "units", 0.7, 0, 0},
    {"units, variational", "units", 0.7, 1, 0},
    {"units of the input, variational", "units", 0.6, 1, 1},
    {"units of the state, variational", "units", 1, 1, 0.6},
    {"connections, variational", "connections", 0.7, 1, 0.8},
    {"connections of the state, variational", "connections", 1, 1, 0.6},
    {"dropout layer, variational", "layer", 0.7, 1, 0},
    {"dropout layer", "layer", 0.7, 0, 0},
};

bp_layer_spec support_recurrent(size_t cell, size_t units)
{
    return (bp_layer_spec){
        .layer = support_choice_of(&bp_layer_family, cells[cell].layer, (double)units),
        .activation = support_choice(&bp_activation_family, cells[cell].activation),
        .initializer = support_choice(&bp_initializer_family, "xavier_uniform")};
}

const char *support_recurrent_name(size_t cell)
{
    return cell == 1 ? "rnn, relu" : cells[cell].layer;
}

const char *support_recurrent_form(size_t form)
{
    return forms[form].name;
}

static bool is_layer(size_t form)
{
    return forms[form].of && *forms[form].of == 'l';
}

size_t support_recurrent_network(bp_layer_spec layers[RECURRENT_LAYERS], size_t cell, size_t depth,
                                 size_t form)
{
    size_t count = 0;
    if (is_layer(form)) {
        bp_layer_spec mask = {.layer =
                                  support_choice_of(&bp_layer_family, "dropout", forms[form].keep)};
        mask.layer.value[BP_DROPOUT_VARIATIONAL] = forms[form].variational;
        layers[count++] = mask;
    }
    for (size_t i = 0; i < depth; i++) {
        layers[count] = support_recurrent(cell, 5 - i);
        if (forms[form].of && !is_layer(form)) {
            bp_choice *dropout = &layers[count].dropout;
            *dropout = support_choice_of(&bp_dropout_family, forms[form].of, forms[form].keep);
            dropout->value[BP_DROPOUT_VARIATIONAL] = forms[form].variational;
            dropout->value[BP_DROPOUT_KEEP_RECURRENT] = forms[form].keep_recurrent;
        }
        count++;
    }
    layers[count++] = support_dense(RECURRENT_OUT, "identity");
    return count;
}

bp_network_spec support_recurrent_spec(const bp_layer_spec *layers, size_t count, const char *loss)
{
    bp_network_spec spec = support_network_spec(layers, count, RECURRENT_IN, RECURRENT_ROWS, loss);
    spec.sequence.streams = RECURRENT_STREAMS;
    spec.sequence.steps = RECURRENT_STEPS;
    return spec;
}

static void fill_state(bp_network *network)
{
    for (size_t i = 0; i < bp_network_state_count(network); i++) {
        const bp_tensor state = bp_network_state_tensor(network, i);
        support_values(state.data, state.dtype, state.element_count, 50 + i);
    }
}

bp_check_report support_recurrent_check(const bp_layer_spec *layers, size_t count, const char *loss,
                                        bp_noise noise, bool print)
{
    bp_network_spec spec = support_recurrent_spec(layers, count, loss);
    spec.keep_z = true;
    bp_network *network = support_network_create(&spec);
    support_parameters(network, 17, 0.8);
    fill_state(network);
    bp_network_set_noise(network, noise);
    double x[RECURRENT_ROWS * RECURRENT_IN], t[RECURRENT_ROWS * RECURRENT_OUT];
    int32_t label[RECURRENT_ROWS];
    support_values(x, BP_FLOAT64, RECURRENT_ROWS * RECURRENT_IN, 1);
    support_values(t, BP_FLOAT64, RECURRENT_ROWS * RECURRENT_OUT, 2);
    support_labels(label, RECURRENT_ROWS, RECURRENT_OUT, 3);
    const bp_targets targets = {.label = label, .value = t};
    const bp_check_spec check = {
        .difference = BP_DIFFERENCE_FOURTH_ORDER, .epsilon = 1e-3, .max_elements = SIZE_MAX};
    bp_check_report reports[4 * RECURRENT_LAYERS], sum = {.checked = 0};
    assert_int_equal(bp_gradient_check(reports, network, x, RECURRENT_ROWS, &targets, &check, NULL),
                     BP_OK);
    for (size_t i = 0; i < bp_network_tensor_count(network); i++) {
        sum.checked += reports[i].checked;
        sum.skipped += reports[i].skipped;
        sum.failed += reports[i].failed;
        sum.judged_relative += reports[i].judged_relative;
        if (print && reports[i].failed)
            print_message("%s[%zu] analytic %.17g numerical %.17g\n",
                          bp_network_tensor(network, i).name, reports[i].worst_index,
                          reports[i].worst_analytic, reports[i].worst_numerical);
    }
    bp_network_free(network);
    return sum;
}
