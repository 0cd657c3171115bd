/* Dropout of units: out = m ∘ a / p. In training each row of a batch has a mask of its own; a sampled
 * network has one, whatever row passes through it. */
#include "core/dropout/dropout.h"

static bp_status units_plan(const bp_layer_shape *shape, bool last, bool merged, bp_error *error)
{
    (void)shape;
    (void)merged;
    if (last)
        return bp_error_set(error, BP_INVALID, "",
                            "the last layer's units are the answer and cannot be dropped; dropout "
                            "of units belongs on the layers below");
    return BP_OK;
}

static void mask(const bp_layer *layer, const bp_pass *pass, void *out, const void *in)
{
    const bp_dropout_masking masking = {.layer = layer->index,
                                        .keep = layer->spec.dropout.value[BP_DROPOUT_KEEP],
                                        .out = out,
                                        .in = in,
                                        .rows = pass->rows,
                                        .width = layer->shape.output_width,
                                        .one_row = pass->noise.kind == BP_NOISE_SAMPLE};
    bp_dropout_mask(&masking, pass);
}

static void units_output(bp_layer *layer, const bp_pass *pass)
{
    if (pass->noise.kind == BP_NOISE_NONE)
        return;
    mask(layer, pass, layer->masked, layer->a);
    layer->output = layer->masked;
}

static bool units_delta(bp_layer *layer, const bp_pass *pass, void *dx)
{
    (void)dx;
    if (pass->noise.kind != BP_NOISE_NONE)
        mask(layer, pass, layer->delta, layer->delta);
    return false;
}

static const bp_hyperparameter parameters[] = {
    {.name = "keep",
     .meaning = "probability p that a unit is kept",
     .kind = BP_REAL_PARAMETER,
     .required = true,
     .exclusive_minimum = true,
     .default_value = 1,
     .minimum = 0,
     .maximum = 1},
};

const bp_dropout bp_dropout_units = {
    .member = {.name = "units",
               .summary = "each unit of each row is kept with probability p in training",
               .formula = "training: m o f(z) / p, m_i kept (1) with probability p, else 0; "
                          "delta passes through kept units only, times 1/p; prediction: f(z)",
               .reference =
                   "Srivastava, Hinton, Krizhevsky, Sutskever & Salakhutdinov 2014, Dropout",
               .pytorch = "torch.nn.Dropout(1 - keep) after the activation (other random numbers)",
               .index = BP_DROPOUT_units,
               .parameter_count = sizeof parameters / sizeof parameters[0],
               .parameters = parameters},
    .masks_output = true,
    .plan = units_plan,
    .output = units_output,
    .delta = units_delta,
};
