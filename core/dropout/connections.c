/* Dropout of connections: one mask over each weight matrix for a whole step (or a sampled network);
 * biases are kept. */
#include <string.h>

#include "core/dropout/dropout.h"

static bp_status connections_plan(const bp_layer *layer, bool last, bool merged, bp_error *error)
{
    (void)last;
    (void)merged;
    if (layer->type->is_token_layer)
        return bp_error_set(error, BP_INVALID, "/dropout/of",
                            "vectors of tokens are dropped by units");
    if ((layer->spec.dropout.value[BP_DROPOUT_VARIATIONAL] != 0) != (layer->type->cell != NULL))
        return bp_error_set(error, BP_INVALID, "/dropout/variational",
                            layer->type->cell
                                ? "connections of a recurrent layer are dropped for all steps at "
                                  "once: say so with true"
                                : "this layer's connections are dropped for all rows at once as "
                                  "it is; true is for recurrent layers");
    return BP_OK;
}

/* Of a tensor; the second weights of a recurrent layer are those of its state. */
static double keep_of(const bp_layer *layer, size_t tensor)
{
    return layer->type->cell ? (tensor == 0 ? layer->keep_input : layer->keep_recurrent)
                             : layer->spec.dropout.value[BP_DROPOUT_KEEP];
}

static void mask(const bp_layer *layer, const bp_pass *pass, size_t tensor, void *out,
                 const void *in)
{
    const bp_tensor *shape = &layer->shape.tensor[tensor];
    const double keep = keep_of(layer, tensor);
    if (keep == 1) {
        if (out != in)
            memcpy(out, in, shape->element_count * pass->kernels->real_size);
        return;
    }
    const bp_dropout_masking masking = {.layer = layer->index,
                                        .keep = keep,
                                        .out = out,
                                        .in = in,
                                        .rows = shape->shape[0],
                                        .width = shape->element_count / shape->shape[0],
                                        .first_row = tensor * BP_DROPOUT_ARRAY_ROWS};
    bp_dropout_mask(&masking, pass);
}

static void connections_weights(bp_layer *layer, const bp_pass *pass)
{
    for (size_t tensor = 0; tensor < layer->shape.tensor_count; tensor++)
        if (layer->shape.tensor_is_weight[tensor])
            mask(layer, pass, tensor, layer->masked_parameter[tensor], layer->parameter[tensor]);
}

static void connections_gradients(bp_layer *layer, const bp_pass *pass)
{
    for (size_t tensor = 0; tensor < layer->shape.tensor_count; tensor++)
        if (layer->shape.tensor_is_weight[tensor])
            mask(layer, pass, tensor, layer->gradient[tensor], layer->gradient[tensor]);
}

static const bp_hyperparameter parameters[] = {
    {.name = "keep",
     .meaning = "probability p that a weight is kept",
     .kind = BP_REAL_PARAMETER,
     .required = true,
     .exclusive_minimum = true,
     .default_value = 1,
     .minimum = 0,
     .maximum = 1},
    {.name = "variational",
     .meaning = "in recurrent layers, where it must be true: one mask for all steps, on the "
                "weights of the "
                "input and on those of the state",
     .kind = BP_BOOLEAN_PARAMETER,
     .default_value = 0,
     .minimum = 0,
     .maximum = 1},
    {.name = "keep_recurrent",
     .meaning = "in recurrent layers: probability that a weight of the state is kept; 0 stands for "
                "keep",
     .kind = BP_REAL_PARAMETER,
     .default_value = 0,
     .minimum = 0,
     .maximum = 1},
};

const bp_dropout bp_dropout_connections = {
    .member = {.name = "connections",
               .summary = "each weight is kept with probability p, for all rows of a training step",
               .formula = "training: z = (M o W / p) x + b, M_ij kept (1) with probability p, else "
                          "0; dW = M o (delta x^T) / p; prediction: z = W x + b",
               .reference = "Wan, Zeiler, Zhang, Le Cun & Fergus 2013, DropConnect",
               .pytorch = "none: torch.nn.functional.linear(x, "
                          "torch.nn.functional.dropout(W, 1 - keep), b) (other random numbers); in "
                          "recurrent layers likewise, of weight_ih and weight_hh before the first "
                          "step",
               .index = BP_DROPOUT_connections,
               .parameter_count = sizeof parameters / sizeof parameters[0],
               .parameters = parameters},
    .masks_weights = true,
    .plan = connections_plan,
    .weights = connections_weights,
    .gradients = connections_gradients,
};
