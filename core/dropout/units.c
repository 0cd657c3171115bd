/* Dropout of units: out = m ∘ a / p. In training each row of a batch has a mask of its own, or, where
 * variational, each stream has one for all its steps; a sampled network has one, whatever row passes
 * through it. Variational in a recurrent layer the masks are not on a but on x and on h before their
 * products: the layer does that itself (keep_input, keep_recurrent), and nothing here does. */
#include "core/dropout/dropout.h"

static bp_status units_plan(const bp_layer *layer, bool last, bool merged, bp_error *error)
{
    (void)merged;
    const bool variational = layer->spec.dropout.value[BP_DROPOUT_VARIATIONAL] != 0;
    if (variational && layer->room.streams == 0)
        return bp_error_set(error, BP_INVALID, "/dropout/variational",
                            "one mask for all steps wants sequences, and the data have none");
    if (last && !(layer->type->cell && variational)) /* which is not on outputs */
        return bp_error_set(error, BP_INVALID, "/dropout",
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
                                        .period = bp_dropout_period(&layer->spec.dropout, pass)};
    bp_dropout_mask(&masking, pass);
}

/* Whether outputs are under a mask. */
static bool is_on_outputs(const bp_layer *layer, const bp_pass *pass)
{
    return pass->noise.kind != BP_NOISE_NONE &&
           !(layer->type->cell && layer->spec.dropout.value[BP_DROPOUT_VARIATIONAL] != 0);
}

static void units_output(bp_layer *layer, const bp_pass *pass)
{
    if (!is_on_outputs(layer, pass))
        return;
    mask(layer, pass, layer->masked, layer->a);
    layer->output = layer->masked;
}

static bool units_delta(bp_layer *layer, const bp_pass *pass, void *dx)
{
    (void)dx;
    if (is_on_outputs(layer, pass))
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
    {.name = "variational",
     .meaning =
         "over sequences: one mask for all steps of a sequence, a new one for each sequence and "
         "training step; in recurrent layers of the input and of the state before its product "
         "rather than of the output",
     .kind = BP_BOOLEAN_PARAMETER,
     .default_value = 0,
     .minimum = 0,
     .maximum = 1},
    {.name = "keep_recurrent",
     .meaning =
         "in recurrent layers, variational: probability that an element of the state is kept; 0 "
         "stands for keep",
     .kind = BP_REAL_PARAMETER,
     .default_value = 0,
     .minimum = 0,
     .maximum = 1},
};

const bp_dropout bp_dropout_units = {
    .member = {.name = "units",
               .summary = "each unit of each row is kept with probability p in training",
               .formula = "training: m o f(z) / p, m_i kept (1) with probability p, else 0; "
                          "delta passes through kept units only, times 1/p; prediction: f(z). "
                          "Variational in recurrent layers: m_x o x_t / p and m_h o h_(t-1) / q "
                          "in the products, q = keep_recurrent, the same m_x and m_h at all t",
               .reference =
                   "Srivastava, Hinton, Krizhevsky, Sutskever & Salakhutdinov 2014, Dropout; Gal & "
                   "Ghahramani 2016, A Theoretically Grounded Application of Dropout in Recurrent "
                   "Neural Networks",
               .pytorch = "torch.nn.Dropout(1 - keep) after the activation (other random numbers); "
                          "variational: none in recurrent layers",
               .index = BP_DROPOUT_units,
               .parameter_count = sizeof parameters / sizeof parameters[0],
               .parameters = parameters},
    .masks_output = true,
    .plan = units_plan,
    .output = units_output,
    .delta = units_delta,
};
