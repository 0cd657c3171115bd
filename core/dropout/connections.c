/* Dropout of connections: one mask over each weight matrix for a whole step (or a sampled network);
 * biases are kept. */
#include "core/dropout/dropout.h"

/* Rows of the masks of a layer's tensors lie this far apart, so that no two share a number. */
static const uint64_t tensor_rows = UINT64_C(1) << 40;

static void mask(const bp_layer *layer, const bp_pass *pass, size_t tensor, void *out,
                 const void *in)
{
    const bp_tensor *shape = &layer->shape.tensor[tensor];
    const bp_dropout_masking masking = {.layer = layer->index,
                                        .keep = layer->spec.dropout.value[BP_DROPOUT_KEEP],
                                        .out = out,
                                        .in = in,
                                        .rows = shape->shape[0],
                                        .width = shape->element_count / shape->shape[0],
                                        .first_row = tensor * tensor_rows};
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
};

const bp_dropout bp_dropout_connections = {
    .member = {.name = "connections",
               .summary = "each weight is kept with probability p, for all rows of a training step",
               .formula = "training: z = (M o W / p) x + b, M_ij kept (1) with probability p, else "
                          "0; dW = M o (delta x^T) / p; prediction: z = W x + b",
               .reference = "Wan, Zeiler, Zhang, Le Cun & Fergus 2013, DropConnect",
               .pytorch = "none: torch.nn.functional.linear(x, "
                          "torch.nn.functional.dropout(W, 1 - keep), b) (other random numbers)",
               .index = BP_DROPOUT_connections,
               .parameter_count = sizeof parameters / sizeof parameters[0],
               .parameters = parameters},
    .masks_weights = true,
    .weights = connections_weights,
    .gradients = connections_gradients,
};
