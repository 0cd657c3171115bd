/* The plan: shapes first, then buffers. One code path measures and lays out, so the two cannot
 * differ. */
#include "core/network/network_plan.h"

#include <string.h>

#include "core/base/checked.h"
#include "core/dropout/dropout.h"
#include "core/layer/dense.h"

void bp_network_label(char *out, size_t size, const char *before, size_t index,
                      const char *separator, const char *after)
{
    char digits[24];
    size_t first = sizeof digits - 1;
    digits[first] = '\0';
    do {
        digits[--first] = (char)('0' + index % 10);
        index /= 10;
    } while (index > 0);
    const char *const parts[] = {before, digits + first, separator, after};
    size_t used = 0;
    for (size_t part = 0; part < 4; part++)
        for (const char *c = parts[part]; *c && used + 1 < size; c++)
            out[used++] = *c;
    out[used] = '\0';
}

void bp_network_layer_field(char *out, size_t size, size_t index, const char *field)
{
    bp_network_label(out, size, "/network/layers/", index, "/", field);
}

/* Records an error at `field` of a layer. */
static bp_status layer_error(bp_error *error, bp_status status, size_t index, const char *field,
                             const char *message)
{
    char where[BP_ERROR_WHERE_SIZE];
    bp_network_label(where, sizeof where, "/network/layers/", index, "", field);
    return bp_error_set(error, status, where, "%s", message);
}

static void *take_rows(bp_arena *arena, size_t rows, size_t width, size_t size)
{
    size_t count;
    if (!bp_checked_multiply(&count, rows, width)) {
        arena->overflow = true;
        return NULL;
    }
    return bp_arena_take(arena, count, size);
}

static bp_status check_spec(const bp_network_spec *spec, bp_error *error)
{
    if (spec->layer_count < 1 || spec->layer_count > BP_LAYER_LIMIT)
        return bp_error_set(error, BP_INVALID, "/network/layers", "must be 1 to %d layers",
                            BP_LAYER_LIMIT);
    if (spec->input_width < 1)
        return bp_error_set(error, BP_SHAPE, "/network", "there are no input features");
    if (spec->batch_rows < 1)
        return bp_error_set(error, BP_INVALID, "/training/batch_size", "must be at least 1");
    if (!spec->loss.member)
        return bp_error_set(error, BP_INVALID, "/loss", "a network needs a loss");
    size_t steps = 0; /* of all streams */
    if (!bp_checked_multiply(&steps, spec->sequence.streams, spec->sequence.steps) ||
        (spec->sequence.streams > 0 && steps != spec->batch_rows))
        return bp_error_set(error, BP_INVALID, "/training/batch_size",
                            "the rows of a batch must be its streams times their steps");
    return bp_network_check_tokens(spec, error);
}

/* What a type asks of the network around it. */
static bp_status check_place(const bp_layer *layer, bp_error *error)
{
    const bool has_sequences = layer->room.streams > 0;
    if (layer->type->cell && !has_sequences)
        return layer_error(error, BP_INVALID, layer->index, "/type",
                           "a recurrent layer wants sequences, and the data have none");
    if (layer->type->member.index == BP_LAYER_dropout &&
        layer->spec.layer.value[BP_DROPOUT_VARIATIONAL] != 0 && !has_sequences)
        return layer_error(error, BP_INVALID, layer->index, "/variational",
                           "one mask for all steps wants sequences, and the data have none");
    return BP_OK;
}

/* What a layer that chooses no activation may be given. */
static bp_status check_fixed_layer(const bp_layer_spec *layer, size_t index, bp_error *error)
{
    const bp_member *activation = layer->activation.member;
    if (activation && activation->index != BP_ACTIVATION_identity)
        return layer_error(error, BP_INVALID, index, "/activation",
                           "the activations of this layer are its own");
    return BP_OK;
}

/* What a layer that only hands on may be given. */
static bp_status check_mask_layer(const bp_layer_spec *layer, size_t index, bool last,
                                  bp_error *error)
{
    const bp_member *activation = layer->activation.member;
    if (activation && activation->index != BP_ACTIVATION_identity)
        return layer_error(error, BP_INVALID, index, "/activation", "this layer has no activation");
    if (last)
        return layer_error(error, BP_INVALID, index, "/type",
                           "the last layer's units are the answer, and this one has none");
    return BP_OK;
}

/* Shape and activation of layer `index`, which stands on `input`. */
static bp_status plan_shape(bp_layer *layer, const bp_network *network, const bp_network_spec *spec,
                            size_t index, const bp_layer_input *input, bp_error *error)
{
    const bp_layer_spec *layer_spec = &spec->layers[index];
    const bool last = index + 1 == spec->layer_count;
    if (!layer_spec->layer.member)
        return layer_error(error, BP_INVALID, index, "/type", "a layer needs a type");
    const bp_layer_type *type = (const bp_layer_type *)layer_spec->layer.member;
    const bool chooses = !type->is_mask && !type->is_fixed;
    if (chooses && !layer_spec->activation.member)
        return layer_error(error, BP_INVALID, index, "/activation", "a layer needs an activation");
    if (!type->is_mask && !layer_spec->initializer.member)
        return layer_error(error, BP_INVALID, index, "/init", "a layer needs an initialiser");
    bp_status status = type->is_mask    ? check_mask_layer(layer_spec, index, last, error)
                       : type->is_fixed ? check_fixed_layer(layer_spec, index, error)
                                        : BP_OK;
    if (status != BP_OK)
        return status;

    *layer = (bp_layer){.type = type, .spec = *layer_spec, .index = index, .room = network->room};
    layer->activation = network->kernels->activations[chooses ? layer_spec->activation.member->index
                                                              : (size_t)BP_ACTIVATION_identity];
    if (layer->activation->rowwise && !last)
        return layer_error(error, BP_INVALID, index, "/activation",
                           "this activation works on whole rows and may only be on the last layer");
    const char *merges = network->loss->merges;
    const bool merged = last && merges && strcmp(merges, layer->activation->member.name) == 0;
    if (merged)
        layer->activation = network->kernels->activations[BP_ACTIVATION_identity];

    bp_error inner = {.status = BP_OK};
    status = type->plan(&layer->shape, layer_spec, input, &inner);
    if (status != BP_OK)
        return layer_error(error, status, index, inner.where, inner.message);
    for (size_t tensor = 0; tensor < layer->shape.tensor_count; tensor++)
        layer->shape.tensor[tensor].dtype = spec->dtype;
    status = check_place(layer, error);
    if (status != BP_OK)
        return status;
    status = bp_dropout_plan(layer, last, merged, &inner);
    return status == BP_OK ? BP_OK : layer_error(error, status, index, inner.where, inner.message);
}

/* Takes the layer's parameter tensors, in order, each aligned, from the block. */
static bool plan_parameters(bp_layer *layer, bp_network_size *size, bp_arena *block,
                            unsigned char *shared, size_t real_size)
{
    for (size_t tensor = 0; tensor < layer->shape.tensor_count; tensor++) {
        const size_t offset = block->used_bytes;
        const size_t count = layer->shape.tensor[tensor].element_count;
        void *data = bp_arena_take(block, count, real_size);
        if (block->overflow ||
            !bp_checked_add(&size->parameter_count, size->parameter_count, count))
            return false;
        size->tensor_count++;
        layer->parameter[tensor] = shared ? shared + offset : data;
    }
    return true;
}

/* Room for the weights under a mask. */
static void plan_masked_parameters(bp_layer *layer, bp_arena *arena, size_t real_size)
{
    for (size_t tensor = 0; tensor < layer->shape.tensor_count; tensor++)
        if (layer->shape.tensor_is_weight[tensor])
            layer->masked_parameter[tensor] =
                bp_arena_take(arena, layer->shape.tensor[tensor].element_count, real_size);
}

/* Takes what the layer carries from the block that holds it all. */
static void plan_state(bp_layer *layer, bp_arena *state, size_t real_size)
{
    for (size_t i = 0; i < layer->shape.state_count; i++)
        layer->state[i] =
            take_rows(state, layer->room.streams, layer->shape.output_width, real_size);
}

/* a of a recurrent layer, with room for one step before it; never shared, because a pass may begin
 * from the end of the last one. */
static void *take_steps(bp_arena *arena, const bp_layer *layer, size_t real_size)
{
    size_t row_bytes, before, bytes;
    if (!bp_checked_multiply(&row_bytes, layer->shape.output_width, real_size) ||
        !bp_checked_multiply(&before, layer->room.streams, row_bytes) ||
        !bp_checked_align(&before, before, BP_ALIGNMENT) ||
        !bp_checked_multiply(&bytes, layer->room.rows, row_bytes) ||
        !bp_checked_add(&bytes, bytes, before)) {
        arena->overflow = true;
        return NULL;
    }
    unsigned char *base = bp_arena_take(arena, bytes, 1);
    return base ? base + before : NULL;
}

/* Two layers never need their buffers at the same time unless they are neighbours, so buffers that
 * nobody looks at later alternate between two. A layer that only masks works in the buffer of the
 * one below, which nobody else wants. */
typedef struct alternating {
    size_t width[2]; /* widest of the layers that have buffer 0, and 1 */
    void *data[2];
} alternating;

/* The buffer of the layer after one with `parity`; layers begin with buffer 0. */
static size_t next_parity(const bp_layer *layer, size_t parity)
{
    return layer->index > 0 && !layer->type->is_mask ? 1 - parity : parity;
}

static void alternating_take(alternating *pair, bp_arena *arena, size_t rows, size_t size)
{
    for (size_t parity = 0; parity < 2; parity++)
        pair->data[parity] = take_rows(arena, rows, pair->width[parity], size);
}

/* What is decided while the layers are walked through and needed afterwards. */
typedef struct plan {
    const bp_network_spec *spec;
    bool training;
    bool keep_all_a, keep_all_delta; /* of all layers until the end of the pass */
    size_t real_size;
    alternating a, delta;
    bp_arena state; /* what recurrent layers carry: measured first */
} plan;

/* Room for the layer's activations and errors, or a share in the alternating buffers. */
static void plan_buffers(bp_layer *layer, plan *p, bp_arena *arena, size_t parity)
{
    const size_t rows = p->spec->batch_rows, width = layer->shape.output_width;
    const bool keep_a = p->keep_all_a || layer->type->cell;
    const bool has_a = layer->type->member.index != BP_LAYER_window; /* whose output is x */
    if (layer->type->cell)
        layer->a = take_steps(arena, layer, p->real_size);
    else if (keep_a && has_a)
        layer->a = take_rows(arena, rows, width, p->real_size);
    else if (has_a && width > p->a.width[parity])
        p->a.width[parity] = width;
    const bool separate_z =
        !layer->type->is_mask && !layer->type->is_fixed &&
        (p->spec->keep_z || (p->training && layer->activation->derivative_from_z));
    layer->z = separate_z ? take_rows(arena, rows, width, p->real_size) : layer->a;
    layer->masked = layer->a;
    if (layer->dropout && layer->dropout->masks_output && keep_a)
        layer->masked = take_rows(arena, rows, width, p->real_size);
    plan_state(layer, &p->state, p->real_size);
    if (layer->dropout && layer->dropout->masks_weights)
        plan_masked_parameters(layer, arena, p->real_size);
    if (p->training && p->keep_all_delta)
        layer->delta = take_rows(arena, rows, width, p->real_size);
    else if (p->training && width > p->delta.width[parity])
        p->delta.width[parity] = width;
}

/* Whether training changes anything in the layer. */
static bool is_trained(const bp_layer *layer)
{
    for (size_t tensor = 0; tensor < layer->shape.tensor_count; tensor++)
        if (!layer->shape.tensor_is_frozen[tensor])
            return true;
    return false;
}

/* Everything that each layer has of its own; leaves the network's output width. */
static bp_status plan_layers(bp_network *network, plan *p, bp_network_size *size, bp_arena *arena,
                             bp_arena *block, unsigned char *shared, bp_error *error)
{
    const bp_network_spec *spec = p->spec;
    bp_layer_input input = bp_network_first_input(spec);
    size_t parity = 0;
    network->first_trained = spec->layer_count;
    for (size_t index = 0; index < spec->layer_count; index++) {
        bp_layer measured;
        bp_layer *layer = network->layers ? &network->layers[index] : &measured;
        bp_status status = plan_shape(layer, network, spec, index, &input, error);
        if (status != BP_OK)
            return status;
        input = bp_layer_above(input, &layer->type->member, &layer->shape);
        parity = next_parity(layer, parity);
        if (network->first_trained > index && is_trained(layer))
            network->first_trained = index;
        if (!plan_parameters(layer, size, block, shared, p->real_size))
            return layer_error(error, BP_TOO_LARGE, index, "", "the layer is too large");

        size_t packed_bytes, scratch_bytes;
        if (!layer->type->measure(&packed_bytes, &scratch_bytes, layer, network->kernels))
            return layer_error(error, BP_TOO_LARGE, index, "", "the layer is too large");
        if (layer->shape.initialize_bytes > network->initialize_bytes)
            network->initialize_bytes = layer->shape.initialize_bytes;
        layer->packed = bp_arena_take(arena, packed_bytes, 1);
        layer->scratch = bp_arena_take(arena, scratch_bytes, 1);
        plan_buffers(layer, p, arena, parity);
    }
    const size_t width = input.width;
    network->output_width = size->output_width = width;
    if (network->loss->binary && width != 1)
        return layer_error(
            error, BP_SHAPE, spec->layer_count - 1, "/units",
            "under this loss the last layer has one unit, whose output speaks for the "
            "second of two classes");
    if (network->loss->paired && width != 1)
        return layer_error(error, BP_SHAPE, spec->layer_count - 1, "/units",
                           "under this loss the last layer has one unit, the score of a row");
    return BP_OK;
}

/* Hands the layers the buffers that they share, and their gradients. */
static void connect_layers(bp_network *network, plan *p)
{
    size_t parity = 0;
    for (size_t index = 0; index < network->layer_count; index++) {
        bp_layer *layer = &network->layers[index];
        parity = next_parity(layer, parity);
        plan_state(layer, &p->state, p->real_size);
        if (!p->keep_all_a && !layer->type->cell)
            layer->z = layer->a = layer->masked = p->a.data[parity];
        if (p->training && !p->keep_all_delta)
            layer->delta = p->delta.data[parity];
        const unsigned char *first = network->parameters;
        unsigned char *gradients = network->gradients;
        for (size_t tensor = 0; p->training && tensor < layer->shape.tensor_count; tensor++)
            layer->gradient[tensor] =
                gradients + ((const unsigned char *)layer->parameter[tensor] - first);
        if (layer->type->member.index != BP_LAYER_embedding)
            continue;
        const bp_layer_spec *last = &p->spec->layers[network->layer_count - 1];
        layer->is_tied =
            last->layer.member->index == BP_LAYER_dense && last->layer.value[BP_DENSE_TIED] != 0;
        layer->touches_rows = p->training && is_trained(layer) && !layer->is_tied;
        if (layer->is_tied)
            network->layers[network->layer_count - 1].tied_to = layer;
    }
}

bp_status bp_network_plan(bp_network *network, bp_network_size *size, bp_arena *arena,
                          bp_arena *block, const void *shared, const bp_network_spec *spec,
                          bp_error *error)
{
    bp_status status = check_spec(spec, error);
    if (status != BP_OK)
        return status;
    const bp_kernels *kernels = network->kernels;
    const bool training = spec->use == BP_USE_TRAINING;
    plan p = {.spec = spec,
              .training = training,
              .keep_all_a = training || spec->keep_z,
              .keep_all_delta = spec->keep_z,
              .state = bp_arena_measure(),
              .real_size = kernels->real_size};
    const size_t rows = spec->batch_rows;
    /* Through an integer, because layers of either use share one type: nothing writes the
     * parameters of a network for prediction. */
    unsigned char *shared_bytes = shared ? (unsigned char *)(uintptr_t)shared : NULL;

    *size = (bp_network_size){.parameter_count = 0};
    network->use = spec->use;
    network->input_width = spec->input_width;
    network->batch_rows = rows;
    network->layer_count = spec->layer_count;
    network->room = (bp_layer_room){rows, spec->sequence.streams, training};
    network->streams = spec->sequence.streams;
    network->loss_choice = spec->loss;
    network->loss = kernels->losses[spec->loss.member->index];
    network->layers = bp_arena_take(arena, spec->layer_count, sizeof *network->layers);
    status = plan_layers(network, &p, size, arena, block, shared_bytes, error);
    if (status != BP_OK)
        return status;

    network->state_bytes = size->state_bytes = p.state.used_bytes;
    network->state = bp_arena_take(arena, p.state.used_bytes, 1);
    alternating_take(&p.a, arena, rows, p.real_size);
    alternating_take(&p.delta, arena, rows, p.real_size);
    const size_t width = network->output_width;
    network->shown_width = size->shown_width = bp_loss_shown_width(network->loss, width);
    if (network->shown_width != width)
        network->shown_output = take_rows(arena, rows, network->shown_width, p.real_size);
    if (spec->class_weight)
        network->class_weight =
            bp_arena_take(arena, network->shown_width, sizeof *network->class_weight);
    network->row_loss = bp_arena_take(arena, rows, sizeof *network->row_loss);
    size->parameter_bytes = block->used_bytes;
    network->block_count = block->used_bytes / p.real_size;
    if (training) {
        const size_t bytes = block->used_bytes;
        const size_t lent = network->initialize_bytes;
        network->gradients = bp_arena_take(arena, bytes > lent ? bytes : lent, 1);
    }
    if (arena->overflow || p.state.overflow ||
        !bp_checked_add(&size->total_bytes, arena->used_bytes, block->used_bytes))
        return bp_error_set(error, BP_TOO_LARGE, "/network", "the network is too large");
    size->arena_bytes = arena->used_bytes;
    if (!network->layers)
        return BP_OK;

    network->parameters = shared_bytes ? shared_bytes : block->base;
    p.state = (bp_arena){.base = network->state, .size_bytes = network->state_bytes};
    connect_layers(network, &p);
    if (network->shown_width == width)
        network->shown_output = network->layers[spec->layer_count - 1].a;
    if (spec->class_weight)
        memcpy(network->class_weight, spec->class_weight,
               network->shown_width * sizeof *network->class_weight);
    return BP_OK;
}
