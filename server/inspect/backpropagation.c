#include "server/inspect/backpropagation.h"

#include <stdlib.h>
#include <string.h>

#include "schema/json/json_text.h"

static json_t *vector_json(const double *x, size_t count)
{
    json_t *array = json_array();
    int failed = !array;
    for (size_t i = 0; i < count && !failed; i++)
        failed |= json_array_append_new(array, bp_json_real(x[i]));
    if (failed) {
        json_decref(array);
        return NULL;
    }
    return array;
}

static json_t *matrix_json(const double *x, size_t rows, size_t columns)
{
    json_t *array = json_array();
    int failed = !array;
    for (size_t row = 0; row < rows && !failed; row++)
        failed |= json_array_append_new(array, vector_json(x + row * columns, columns));
    if (failed) {
        json_decref(array);
        return NULL;
    }
    return array;
}

/* (rows, columns) ids. */
static json_t *ids_json(const int32_t *ids, size_t rows, size_t columns)
{
    json_t *array = json_array();
    int failed = !array;
    for (size_t row = 0; row < rows && !failed; row++) {
        json_t *own = json_array();
        for (size_t i = 0; own && i < columns; i++)
            failed |= json_array_append_new(own, json_integer(ids[row * columns + i]));
        failed |= json_array_append_new(array, own);
    }
    if (failed) {
        json_decref(array);
        return NULL;
    }
    return array;
}

/* By the tensor's own shape: a vector or a matrix; more dimensions are flattened behind the first. */
static json_t *tensor_json(const bp_tensor *shape, const double *data)
{
    if (shape->rank < 2)
        return vector_json(data, shape->element_count);
    return matrix_json(data, shape->shape[0], shape->element_count / shape->shape[0]);
}

/* The layer's parameters or, likewise, their gradients. */
static json_t *tensors_json(const bp_layer *layer, void *const *data)
{
    json_t *json = json_object();
    int failed = !json;
    for (size_t i = 0; i < layer->shape.tensor_count; i++)
        failed |= json_object_set_new(json, layer->shape.tensor[i].name,
                                      tensor_json(&layer->shape.tensor[i], data[i]));
    if (failed) {
        json_decref(json);
        return NULL;
    }
    return json;
}

/* a of a last layer whose activation the loss has merged: f(z), read out of what a prediction shows,
 * which is f(z) itself or, of a binary loss, (1 − f(z), f(z)). */
static json_t *merged_json(const double *shown, size_t rows, size_t width, size_t shown_width)
{
    json_t *array = json_array();
    int failed = !array;
    for (size_t row = 0; row < rows && !failed; row++)
        failed |= json_array_append_new(
            array, vector_json(shown + row * shown_width + (shown_width - width), width));
    if (failed) {
        json_decref(array);
        return NULL;
    }
    return array;
}

/* of_ids: the layer hands on ids, which no embedding has turned into vectors yet. */
static json_t *layer_json(const bp_layer *layer, size_t rows, bool of_ids)
{
    const size_t width = layer->shape.output_width;
    json_t *json = json_pack("{s:I, s:s}", "index", (json_int_t)layer->index, "type",
                             layer->type->member.name);
    int failed = !json;
    if (of_ids) {
        failed |= json_object_set_new(json, "a", ids_json(layer->output, rows, width));
    } else if (layer->type->is_mask) {
        failed |= json_object_set_new(json, "a", matrix_json(layer->output, rows, width));
    } else {
        if (layer->spec.activation.member)
            failed |= json_object_set_new(json, "activation",
                                          json_string(layer->spec.activation.member->name));
        failed |= json_object_set_new(json, "parameters", tensors_json(layer, layer->parameter));
        if (!layer->type->is_fixed)
            failed |= json_object_set_new(json, "z", matrix_json(layer->z, rows, width));
        failed |= json_object_set_new(json, "a", matrix_json(layer->a, rows, width));
        failed |= json_object_set_new(json, "delta", matrix_json(layer->delta, rows, width));
        failed |= json_object_set_new(json, "gradients", tensors_json(layer, layer->gradient));
    }
    if (failed) {
        json_decref(json);
        return NULL;
    }
    return json;
}

static json_t *layers_json(const bp_network *network, size_t rows, bool of_tokens)
{
    json_t *layers = json_array();
    int failed = !layers;
    bool of_ids = of_tokens;
    for (size_t i = 0; i < bp_network_layer_count(network) && !failed; i++) {
        const bp_layer *layer = bp_network_layer(network, i);
        of_ids = of_ids && layer->type->member.index != BP_LAYER_embedding;
        failed |= json_array_append_new(layers, layer_json(layer, rows, of_ids));
    }
    if (failed) {
        json_decref(layers);
        return NULL;
    }
    return layers;
}

json_t *bp_backpropagation_json(bp_network *network, const void *input, size_t input_width,
                                size_t rows, const bp_targets *targets)
{
    const bool of_tokens = bp_network_layer(network, 0)->type->is_token_layer;
    const size_t losses = bp_network_loss(network)->paired ? rows / 2 : rows;
    double *row_loss = calloc(rows, sizeof *row_loss);
    json_t *json = json_object();
    int failed = !row_loss || !json;
    if (!failed) {
        bp_network_set_noise(network, (bp_noise){BP_NOISE_NONE, 0, 0});
        bp_network_forward(network, NULL, input, rows, true);
        bp_network_loss_value(network, NULL, targets, row_loss);
        const double loss = bp_network_backward(network, NULL, targets);
        failed |= json_object_set_new(json, "rows", json_integer((json_int_t)rows));
        failed |= json_object_set_new(json, "loss", bp_json_real(loss));
        failed |= json_object_set_new(json, "row_losses", vector_json(row_loss, losses));
        failed |= json_object_set_new(json, "input",
                                      of_tokens ? ids_json(input, rows, input_width)
                                                : matrix_json(input, rows, input_width));
        const size_t count = bp_network_layer_count(network);
        json_t *layers = layers_json(network, rows, of_tokens);
        failed |= json_object_set_new(json, "layers", layers); /* json keeps it */
        /* Last: it may take the place of the last layer's a. */
        const bp_layer *last = bp_network_layer(network, count - 1);
        const size_t width = bp_network_output_width(network);
        const size_t shown_width = bp_network_shown_width(network);
        const double *shown = bp_network_shown_output(network);
        failed |= json_object_set_new(json, "output", matrix_json(shown, rows, shown_width));
        if (!failed && last->spec.activation.member &&
            strcmp(last->activation->member.name, last->spec.activation.member->name) != 0)
            failed |= json_object_set_new(json_array_get(layers, count - 1), "a",
                                          merged_json(shown, rows, width, shown_width));
    }
    free(row_loss);
    if (failed) {
        json_decref(json);
        return NULL;
    }
    return json;
}
