#include "tests/core/support_tokens.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/initializer/initializer.h"
#include "core/layer/dense.h"
#include "tests/core/support_kernels.h"
#include "tests/core/support_recurrent.h"

bp_layer_spec support_embedding(size_t dimension, bool trainable, bool sparse)
{
    bp_layer_spec layer = {.layer =
                               support_choice_of(&bp_layer_family, "embedding", (double)dimension),
                           .activation = support_choice(&bp_activation_family, "identity"),
                           .initializer = support_choice(&bp_initializer_family, "xavier_uniform")};
    layer.layer.value[BP_EMBEDDING_TRAINABLE] = trainable;
    layer.layer.value[BP_EMBEDDING_SPARSE] = sparse;
    return layer;
}

bp_layer_spec support_window(size_t width)
{
    return (bp_layer_spec){.layer = support_choice_of(&bp_layer_family, "window", (double)width)};
}

size_t support_token_network(bp_layer_spec layers[TOKENS_LAYERS], size_t begin,
                             bp_layer_spec embedding, const char *loss)
{
    const bp_loss *record = bp_loss_of(bp_family_find(&bp_loss_family, loss));
    size_t count = 0;
    if (begin == TOKENS_WINDOW_FIRST)
        layers[count++] = support_window(TOKENS_WIDTH);
    layers[count++] = embedding;
    if (begin == TOKENS_EMBEDDING_FIRST)
        layers[count++] = support_window(TOKENS_WIDTH);
    layers[count++] = support_dense(4, "sigmoid");
    layers[count++] = support_dense(bp_loss_output_width(record, TOKENS_OUT), "identity");
    return count;
}

size_t support_language_model(bp_layer_spec layers[TOKENS_LAYERS], size_t depth, size_t cell,
                              bool tied)
{
    enum { WIDTH = 4 };
    size_t count = 0;
    layers[count++] = support_embedding(WIDTH, true, false);
    for (size_t i = 0; i < depth; i++)
        layers[count++] = support_recurrent(cell, WIDTH);
    layers[count] = support_dense(TOKENS_VOCABULARY, "identity");
    layers[count++].layer.value[BP_DENSE_TIED] = tied;
    return count;
}

bp_network_spec support_language_spec(const bp_layer_spec *layers, size_t count)
{
    bp_network_spec spec =
        support_network_spec(layers, count, 1, RECURRENT_ROWS, "softmax_cross_entropy");
    spec.input_kind = BP_INPUT_TOKENS;
    spec.token_count = TOKENS_VOCABULARY;
    spec.sequence.streams = RECURRENT_STREAMS;
    spec.sequence.steps = RECURRENT_STEPS;
    return spec;
}

bp_network_spec support_token_spec(const bp_layer_spec *layers, size_t count, const char *loss)
{
    size_t width = 1;
    for (size_t i = 0; i < count; i++)
        if (layers[i].layer.member->index == BP_LAYER_window)
            width = (size_t)layers[i].layer.value[BP_WINDOW_WIDTH];
    bp_network_spec spec = support_network_spec(layers, count, width, TOKENS_ROWS, loss);
    spec.input_kind = BP_INPUT_TOKENS;
    spec.token_count = TOKENS_VOCABULARY;
    return spec;
}

void support_ids(int32_t *out, size_t count, size_t tokens, uint64_t seed)
{
    for (size_t i = 0; i < count; i++) {
        const size_t id = support_bits(&seed) % tokens;
        out[i] = (int32_t)(id % 3 == 2 ? id - 1 : id);
    }
}

bp_check_report support_token_check(bp_check_report *embedding, const bp_network_spec *spec,
                                    const bp_choice *regularizer, bool print)
{
    bp_network_spec kept = *spec;
    kept.keep_z = true;
    bp_network *network = support_network_create(&kept);
    support_parameters(network, 17, 0.8);
    bp_network_set_noise(network, (bp_noise){BP_NOISE_TRAINING, 3, 5});
    const size_t positions = spec->batch_rows * spec->input_width;
    const size_t out = bp_network_output_width(network);
    int32_t *ids = calloc(positions, sizeof *ids), *label = calloc(spec->batch_rows, sizeof *label);
    double *value = calloc(spec->batch_rows * out, sizeof *value);
    assert_true(ids && label && value);
    support_values(value, BP_FLOAT64, spec->batch_rows * out, 2);
    support_labels(label, spec->batch_rows, out, 3);
    const bp_targets targets = {.label = label, .value = value};
    for (size_t i = 0; i < positions; i++) /* among them those that the batch has not */
        ids[i] = (int32_t)(i % spec->token_count);
    bp_network_train(network, NULL, ids, spec->batch_rows, &targets);
    support_ids(ids, positions, spec->token_count, 7);

    bp_check_spec check = {
        .difference = BP_DIFFERENCE_FOURTH_ORDER, .epsilon = 1e-3, .max_elements = SIZE_MAX};
    if (regularizer) {
        check.regularizer_count = 1;
        check.regularizers[0] = *regularizer;
    }
    const size_t tensors = bp_network_tensor_count(network);
    bp_check_report *reports = calloc(tensors, sizeof *reports), sum = {.checked = 0};
    assert_non_null(reports);
    assert_int_equal(
        bp_gradient_check(reports, network, ids, spec->batch_rows, &targets, &check, NULL), BP_OK);
    for (size_t i = 0; i < tensors; i++) {
        sum.checked += reports[i].checked;
        sum.skipped += reports[i].skipped;
        sum.failed += reports[i].failed;
        sum.judged_relative += reports[i].judged_relative;
        if (print && reports[i].failed)
            print_message("%s[%zu] analytic %.17g numerical %.17g\n",
                          bp_network_tensor(network, i).name, reports[i].worst_index,
                          reports[i].worst_analytic, reports[i].worst_numerical);
    }
    if (embedding)
        *embedding = reports[0]; /* nothing before it has tensors */
    free(reports);
    free(ids);
    free(label);
    free(value);
    bp_network_free(network);
    return sum;
}
