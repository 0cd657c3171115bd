/* The dropout layer: dropout of its input's units, as a layer of its own (of the features, too, where
 * it is the first). It has no weights and no activation, and works in place where it can. */
#include <string.h>

#include "core/dropout/dropout.h"

static bp_status dropout_plan(bp_layer_shape *shape, const bp_layer_spec *spec,
                              const bp_layer_input *input, bp_error *error)
{
    const size_t width = input->width;
    const double keep = spec->layer.value[BP_DROPOUT_KEEP];
    if (!(keep > 0 && keep <= 1))
        return bp_error_set(error, BP_INVALID, "/keep", "must be above 0 and at most 1");
    *shape = (bp_layer_shape){
        .input_width = width, .output_width = width, .fan_in = width, .fan_out = width};
    return BP_OK;
}

static bool dropout_measure(size_t *packed_bytes, size_t *scratch_bytes, const bp_layer *layer,
                            const bp_kernels *kernels)
{
    (void)layer;
    (void)kernels;
    *packed_bytes = *scratch_bytes = 0;
    return true;
}

static void dropout_initialize(bp_layer *layer, const bp_kernels *kernels, uint64_t seed,
                               void *scratch)
{
    (void)layer; /* nothing to initialise */
    (void)kernels;
    (void)seed;
    (void)scratch;
}

static bool is_passed(const bp_layer *layer, const bp_pass *pass)
{
    return pass->noise.kind == BP_NOISE_NONE || layer->spec.layer.value[BP_DROPOUT_KEEP] == 1;
}

static void mask(const bp_layer *layer, const bp_pass *pass, void *out, const void *in)
{
    const bp_dropout_masking masking = {.layer = layer->index,
                                        .keep = layer->spec.layer.value[BP_DROPOUT_KEEP],
                                        .out = out,
                                        .in = in,
                                        .rows = pass->rows,
                                        .width = layer->shape.output_width,
                                        .period = bp_dropout_period(&layer->spec.layer, pass)};
    bp_dropout_mask(&masking, pass);
}

static void dropout_forward(bp_layer *layer, const bp_pass *pass)
{
    layer->output = layer->x;
    if (is_passed(layer, pass))
        return;
    mask(layer, pass, layer->a, layer->x);
    layer->output = layer->a;
}

static void dropout_backward(bp_layer *layer, const bp_pass *pass, void *dx)
{
    if (!dx)
        return;
    if (!is_passed(layer, pass))
        mask(layer, pass, dx, layer->delta);
    else if (dx != layer->delta)
        memcpy(dx, layer->delta, pass->rows * layer->shape.output_width * pass->kernels->real_size);
}

static const bp_hyperparameter parameters[] = {
    {.name = "keep",
     .meaning = "probability p that an input is kept",
     .kind = BP_REAL_PARAMETER,
     .required = true,
     .exclusive_minimum = true,
     .default_value = 1,
     .minimum = 0,
     .maximum = 1},
    {.name = "variational",
     .meaning =
         "one mask for all steps of a sequence, a new one for each sequence and training step",
     .kind = BP_BOOLEAN_PARAMETER,
     .default_value = 0,
     .minimum = 0,
     .maximum = 1},
};

const bp_layer_type bp_layer_dropout = {
    .member = {.name = "dropout",
               .summary = "keeps each of its inputs with probability p in training",
               .formula = "training: a = m o x / p, m_i kept (1) with probability p, else 0; "
                          "prediction: a = x",
               .reference =
                   "Srivastava, Hinton, Krizhevsky, Sutskever & Salakhutdinov 2014, Dropout",
               .pytorch = "torch.nn.Dropout(1 - keep) (other random numbers); variational: x * "
                          "torch.nn.functional.dropout(torch.ones(sequences, features), 1 - keep), "
                          "x being [steps, sequences, features]",
               .index = BP_LAYER_dropout,
               .parameter_count = sizeof parameters / sizeof parameters[0],
               .parameters = parameters},
    .is_mask = true,
    .plan = dropout_plan,
    .measure = dropout_measure,
    .initialize = dropout_initialize,
    .forward = dropout_forward,
    .backward = dropout_backward,
};
