/* The window: says how many tokens a row is. Rows come with their windows laid out, so there is nothing to
 * compute: what is below is handed on, ids or vectors. */
#include <string.h>

#include "core/layer/token_layers.h"

static bp_status window_plan(bp_layer_shape *shape, const bp_layer_spec *spec,
                             const bp_layer_input *input, bp_error *error)
{
    const double width = spec->layer.value[BP_WINDOW_WIDTH];
    if (!(width >= 1) || (size_t)width % 2 == 0)
        return bp_error_set(error, BP_INVALID, "/width",
                            "must be odd, so that one token is in the middle");
    *shape = (bp_layer_shape){.input_width = input->width,
                              .output_width = input->width,
                              .fan_in = input->width,
                              .fan_out = input->width};
    return BP_OK;
}

static bool window_measure(size_t *packed_bytes, size_t *scratch_bytes, const bp_layer *layer,
                           const bp_kernels *kernels)
{
    (void)layer;
    (void)kernels;
    *packed_bytes = *scratch_bytes = 0;
    return true;
}

static void window_initialize(bp_layer *layer, const bp_kernels *kernels, uint64_t seed,
                              void *scratch)
{
    (void)layer; /* nothing to initialise */
    (void)kernels;
    (void)seed;
    (void)scratch;
}

static void window_forward(bp_layer *layer, const bp_pass *pass)
{
    (void)pass;
    layer->output = layer->x;
}

static void window_backward(bp_layer *layer, const bp_pass *pass, void *dx)
{
    if (dx && dx != layer->delta)
        memcpy(dx, layer->delta, pass->rows * layer->shape.output_width * pass->kernels->real_size);
}

static const bp_hyperparameter parameters[] = {
    {.name = "width",
     .meaning =
         "number of tokens: as many to the left of the one in the middle as to the right, so "
         "an odd number",
     .kind = BP_INTEGER_PARAMETER,
     .required = true,
     .minimum = 1,
     .maximum = 1023},
};

const bp_layer_type bp_layer_window = {
    .member = {.name = "window",
               .summary = "a token with the tokens around it, padding where its sentence has none",
               .formula = "x_t becomes [x_(t-w) ... x_t ... x_(t+w)], width = 2 w + 1: below an "
                          "embedding the tokens, above it their vectors, on end",
               .reference = "Collobert, Weston, Bottou, Karlen, Kavukcuoglu & Kuksa 2011, Natural "
                            "Language Processing (Almost) from Scratch, section 3.2.1",
               .pytorch =
                   "torch.nn.functional.pad, then Tensor.unfold(0, width, 1), for a sentence "
                   "of token ids",
               .index = BP_LAYER_window,
               .parameter_count = sizeof parameters / sizeof parameters[0],
               .parameters = parameters},
    .is_mask = true,
    .is_token_layer = true,
    .plan = window_plan,
    .measure = window_measure,
    .initialize = window_initialize,
    .forward = window_forward,
    .backward = window_backward,
};
