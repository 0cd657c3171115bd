/* Dropout of layers: a row goes through the layer, or past it. */
#include <string.h>

#include "core/dropout/dropout.h"

static bp_status layer_plan(const bp_layer *layer, bool last, bool merged, bp_error *error)
{
    const bp_layer_shape *shape = &layer->shape;
    if (layer->type->cell)
        return bp_error_set(error, BP_INVALID, "/dropout",
                            "rows cannot go past a recurrent layer, whose state would then have "
                            "holes; drop units or connections");
    if (layer->type->is_token_layer)
        return bp_error_set(error, BP_INVALID, "/dropout/of",
                            "ids cannot go past an embedding; drop units");
    if (shape->input_width != shape->output_width)
        return bp_error_set(error, BP_SHAPE, "/dropout",
                            "dropout of a layer lets rows past it, so its %zu inputs and %zu units "
                            "must be as many",
                            shape->input_width, shape->output_width);
    if (last && merged)
        return bp_error_set(error, BP_INVALID, "/dropout",
                            "the loss applies this layer's activation itself, so there is no f(x) "
                            "to drop; dropout of layers belongs below");
    return BP_OK;
}

static uint64_t mask_row(const bp_pass *pass, size_t row)
{
    return pass->noise.kind == BP_NOISE_SAMPLE ? 0 : row;
}

static void layer_output(bp_layer *layer, const bp_pass *pass)
{
    const bp_kernels *kernels = pass->kernels;
    const size_t width = layer->shape.output_width, row_bytes = width * kernels->real_size;
    unsigned char *out = layer->masked;
    layer->output = layer->masked;
    if (layer->masked != layer->a)
        memcpy(out, layer->a, pass->rows * row_bytes);
    if (pass->noise.kind == BP_NOISE_NONE) {
        const double keep = layer->spec.dropout.value[BP_DROPOUT_KEEP];
        kernels->scale(out, keep, pass->rows * width);
        kernels->axpy(out, 1 - keep, layer->x, pass->rows * width);
        return;
    }
    for (size_t row = 0; row < pass->rows; row++)
        if (!bp_dropout_keeps_row(layer, pass, mask_row(pass, row)))
            memcpy(out + row * row_bytes, (const unsigned char *)layer->x + row * row_bytes,
                   row_bytes);
}

static bool layer_delta(bp_layer *layer, const bp_pass *pass, void *dx)
{
    const bp_kernels *kernels = pass->kernels;
    const size_t width = layer->shape.output_width, row_bytes = width * kernels->real_size;
    unsigned char *delta = layer->delta, *past = dx;
    if (past)
        memcpy(past, delta, pass->rows * row_bytes);
    if (pass->noise.kind == BP_NOISE_NONE) {
        const double keep = layer->spec.dropout.value[BP_DROPOUT_KEEP];
        if (past)
            kernels->scale(past, 1 - keep, pass->rows * width);
        kernels->scale(delta, keep, pass->rows * width);
        return past;
    }
    for (size_t row = 0; row < pass->rows; row++) {
        const bool kept = bp_dropout_keeps_row(layer, pass, mask_row(pass, row));
        unsigned char *stopped = kept ? past : delta;
        if (stopped)
            memset(stopped + row * row_bytes, 0, row_bytes);
    }
    return past;
}

static const bp_hyperparameter parameters[] = {
    {.name = "keep",
     .meaning = "probability p that a row goes through the layer, not past it",
     .kind = BP_REAL_PARAMETER,
     .required = true,
     .exclusive_minimum = true,
     .default_value = 1,
     .minimum = 0,
     .maximum = 1},
};

const bp_dropout bp_dropout_layer = {
    .member = {.name = "layer",
               .summary =
                   "each row goes through the layer with probability p in training, else past "
                   "it; as many units as inputs",
               .formula =
                   "training: h = m f(x) + (1 - m) x, m kept (1) with probability p per row, "
                   "else 0; prediction: h = p f(x) + (1 - p) x",
               .reference = "Huang, Sun, Liu, Sedra & Weinberger 2016, Deep Networks with "
                            "Stochastic Depth",
               .pytorch = "none: torch.where(torch.rand(rows, 1) < keep, f(x), x) in training, "
                          "torch.lerp(x, f(x), keep) at prediction",
               .index = BP_DROPOUT_layer,
               .parameter_count = sizeof parameters / sizeof parameters[0],
               .parameters = parameters},
    .masks_output = true,
    .plan = layer_plan,
    .output = layer_output,
    .delta = layer_delta,
};
