/* Making, freeing and asking; the layout is network_plan.c's, the mathematics network_pass.c's. */
#include "core/network/network.h"

#include <assert.h>
#include <string.h>

#include "core/network/network_plan.h"

/* Kernels for a plan that will never run: its sizes are the same on every instruction set. */
static const bp_kernels *kernels_for_sizes(const bp_network_spec *spec)
{
    const bp_kernels *kernels = bp_kernels_get(spec->dtype, spec->isa);
    return kernels ? kernels : bp_kernels_get(spec->dtype, BP_ISA_BASELINE);
}

bp_status bp_network_measure(bp_network_size *out, const bp_network_spec *spec, bp_error *error)
{
    bp_network network = {.kernels = kernels_for_sizes(spec)};
    bp_arena arena = bp_arena_measure(), block = bp_arena_measure();
    bp_network_size size;
    bp_arena_take(&arena, 1, sizeof network);
    bp_status status = bp_network_plan(&network, &size, &arena, &block, NULL, spec, error);
    if (status == BP_OK)
        *out = size;
    return status;
}

static bp_status create(bp_network **out, const bp_network_spec *spec, const void *shared,
                        bp_error *error)
{
    bp_network *network = NULL;
    bp_arena arena = bp_arena_measure(), block = bp_arena_measure();
    bp_network_size size;
    bp_status status = bp_network_measure(&size, spec, error);
    if (status != BP_OK)
        return status;
    const bp_kernels *kernels = bp_kernels_get(spec->dtype, spec->isa);
    const bp_kernels *kernels64 = bp_kernels_get(BP_FLOAT64, spec->isa);
    if (!kernels || !kernels64)
        return bp_error_set(error, BP_UNSUPPORTED, "",
                            "this processor or build has no %s instructions",
                            bp_isa_name(spec->isa));

    status = bp_arena_open(&arena, size.arena_bytes, error);
    if (status != BP_OK)
        goto done;
    if (!shared) {
        status = bp_arena_open(&block, size.parameter_bytes, error);
        if (status != BP_OK)
            goto done;
    }
    network = bp_arena_take(&arena, 1, sizeof *network);
    if (!network) {
        status = bp_error_set(error, BP_INTERNAL, "", "the plan of the network is too small");
        goto done;
    }
    *network = (bp_network){.kernels = kernels, .kernels64 = kernels64, .owns_parameters = !shared};
    status = bp_network_plan(network, &size, &arena, &block, shared, spec, error);
    if (status != BP_OK)
        goto done;
    network->arena = arena;
    network->block_arena = block;
    *out = network;
    return BP_OK;
done:
    bp_arena_done(&arena);
    bp_arena_done(&block);
    return status;
}

bp_status bp_network_create(bp_network **out, const bp_network_spec *spec, bp_error *error)
{
    return create(out, spec, NULL, error);
}

bp_status bp_network_create_shared(bp_network **out, const bp_network_spec *spec,
                                   const void *parameters, bp_error *error)
{
    if (spec->use != BP_USE_PREDICTION || !parameters)
        return bp_error_set(error, BP_INVALID, "", "parameters are shared for prediction only");
    return create(out, spec, parameters, error);
}

void bp_network_free(bp_network *network)
{
    if (!network)
        return;
    bp_arena arena = network->arena; /* the struct itself lies in it */
    bp_arena_done(&network->block_arena);
    bp_arena_done(&arena);
}

void bp_network_initialize(bp_network *network, uint64_t seed)
{
    assert(network->owns_parameters);
    assert(network->use == BP_USE_TRAINING || network->initialize_bytes == 0);
    for (size_t index = 0; index < network->layer_count; index++) {
        bp_layer *layer = &network->layers[index];
        layer->type->initialize(layer, network->kernels, seed, network->gradients);
    }
    if (network->initialize_bytes > 0)
        memset(network->gradients, 0, network->initialize_bytes);
    bp_network_parameters_changed(network);
}

void bp_network_parameters_changed(bp_network *network)
{
    for (size_t index = 0; index < network->layer_count; index++)
        network->layers[index].packed_is_current = false;
}

void bp_network_gradients_changed(bp_network *network)
{
    for (size_t index = 0; index < network->layer_count; index++)
        network->layers[index].gradient_is_full = network->layers[index].touches_rows;
}

void bp_network_set_noise(bp_network *network, bp_noise noise)
{
    network->noise = noise;
}

void bp_network_set_streams(bp_network *network, size_t streams)
{
    assert(streams >= 1 && streams <= network->room.streams);
    network->streams = streams;
}

bool bp_network_hold_state(bp_network *network, bool hold)
{
    const bool held = network->holds_state;
    network->holds_state = hold;
    return held;
}

void bp_network_state_reset(bp_network *network)
{
    if (network->state_bytes > 0)
        memset(network->state, 0, network->state_bytes);
}

void *bp_network_state(bp_network *network)
{
    return network->state;
}

size_t bp_network_state_bytes(const bp_network *network)
{
    return network->state_bytes;
}

size_t bp_network_state_count(const bp_network *network)
{
    size_t count = 0;
    for (size_t index = 0; index < network->layer_count; index++)
        count += network->layers[index].shape.state_count;
    return count;
}

bp_tensor bp_network_state_tensor(const bp_network *network, size_t index)
{
    const bp_layer *layer = network->layers;
    while (index >= layer->shape.state_count) {
        index -= layer->shape.state_count;
        layer++;
        assert(layer < network->layers + network->layer_count);
    }
    const size_t streams = network->room.streams, width = layer->shape.output_width;
    bp_tensor tensor = {.dtype = network->kernels->dtype,
                        .rank = 2,
                        .shape = {streams, width},
                        .element_count = streams * width,
                        .data = layer->state[index]};
    bp_network_label(tensor.name, sizeof tensor.name, "layers.", layer->index, ".",
                     layer->shape.state_name[index]);
    return tensor;
}

const bp_kernels *bp_network_kernels(const bp_network *network)
{
    return network->kernels;
}

size_t bp_network_layer_count(const bp_network *network)
{
    return network->layer_count;
}

const bp_layer *bp_network_layer(const bp_network *network, size_t index)
{
    assert(index < network->layer_count);
    return &network->layers[index];
}

size_t bp_network_output_width(const bp_network *network)
{
    return network->output_width;
}

size_t bp_network_shown_width(const bp_network *network)
{
    return network->shown_width;
}

const bp_loss *bp_network_loss(const bp_network *network)
{
    return network->loss;
}

size_t bp_network_tensor_count(const bp_network *network)
{
    size_t count = 0;
    for (size_t index = 0; index < network->layer_count; index++)
        count += network->layers[index].shape.tensor_count;
    return count;
}

/* The layer of the index-th tensor; *tensor is its number there. */
static const bp_layer *tensor_layer(size_t *tensor, const bp_network *network, size_t index)
{
    const bp_layer *layer = network->layers;
    while (index >= layer->shape.tensor_count) {
        index -= layer->shape.tensor_count;
        layer++;
        assert(layer < network->layers + network->layer_count);
    }
    *tensor = index;
    return layer;
}

static bp_tensor tensor_view(const bp_network *network, size_t index, bool gradient)
{
    size_t number;
    const bp_layer *layer = tensor_layer(&number, network, index);
    bp_tensor tensor = layer->shape.tensor[number];
    bp_network_label(tensor.name, sizeof tensor.name, "layers.", layer->index, ".",
                     layer->shape.tensor[number].name);
    tensor.data = gradient ? layer->gradient[number] : layer->parameter[number];
    return tensor;
}

bp_tensor bp_network_tensor(const bp_network *network, size_t index)
{
    return tensor_view(network, index, false);
}

bp_tensor bp_network_gradient_tensor(const bp_network *network, size_t index)
{
    return tensor_view(network, index, true);
}

bool bp_network_tensor_is_weight(const bp_network *network, size_t index)
{
    size_t number;
    const bp_layer *layer = tensor_layer(&number, network, index);
    return layer->shape.tensor_is_weight[number];
}

bool bp_network_tensor_is_frozen(const bp_network *network, size_t index)
{
    size_t number;
    const bp_layer *layer = tensor_layer(&number, network, index);
    return layer->shape.tensor_is_frozen[number];
}

void *bp_network_parameters(bp_network *network)
{
    return network->parameters;
}

void *bp_network_gradients(bp_network *network)
{
    return network->gradients;
}

size_t bp_network_block_count(const bp_network *network)
{
    return network->block_count;
}
