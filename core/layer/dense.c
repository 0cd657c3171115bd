/* The dense layer: z = W x + b, a = f(z), for whole batches. With X (rows, in) and Δ (rows, out):
 *   forward   Z = X Wᵀ + b
 *   backward  Δ ← Δ ∘ f'(Z);  ∇W = Δᵀ X;  ∇b = Σ_rows Δ;  dX = Δ W
 * The gradient of the mean over a batch needs no division here: the loss has scaled Δ. A tied layer has the
 * table of the embedding for its W, with a row for each token as for each unit. */
#include <string.h>

#include "core/base/checked.h"
#include "core/dropout/dropout.h"
#include "core/initializer/initializer.h"
#include "core/layer/dense.h"
#include "core/layer/token_layers.h"

enum { WEIGHT_TENSOR, BIAS_TENSOR }; /* tensors; a tied layer has its bias as the first */

/* From so many rows on a product with weights as they are stored costs less than packing them first: it
 * packs the rows instead, and turns what comes out. Unless that is more than the weights. */
enum { UNPACKED_ROWS = 24 };

static bool wants_packed(size_t rows, size_t in, size_t out)
{
    return rows < UNPACKED_ROWS || (rows >= in && out >= in);
}

static const double units_limit = 2147483647.0;

/* Whether the table can be the weights. */
static bp_status check_tied(const bp_layer_spec *spec, const bp_layer_input *input, size_t units,
                            bp_error *error)
{
    const size_t tokens = input->table[0], dimension = input->table[1];
    const bp_member *dropout = spec->dropout.member;
    if (tokens == 0)
        return bp_error_set(error, BP_INVALID, "/tied",
                            "there is no embedding whose vectors the weights could be");
    if (units != tokens)
        return bp_error_set(error, BP_SHAPE, "/tied",
                            "%zu units cannot share the vectors of %zu tokens", units, tokens);
    if (input->width != dimension)
        return bp_error_set(error, BP_SHAPE, "/tied",
                            "the embedding's vectors have %zu numbers, and this layer has %zu "
                            "inputs",
                            dimension, input->width);
    if (dropout && dropout->index == BP_DROPOUT_connections)
        return bp_error_set(error, BP_INVALID, "/dropout/of",
                            "weights that are shared with the embedding are not dropped");
    return BP_OK;
}

static bp_status dense_plan(bp_layer_shape *shape, const bp_layer_spec *spec,
                            const bp_layer_input *input, bp_error *error)
{
    const size_t input_width = input->width;
    double units = spec->layer.value[BP_DENSE_UNITS];
    if (!(units >= 1 && units <= units_limit))
        return bp_error_set(error, BP_INVALID, "/units", "must be from 1 to %g", units_limit);
    size_t output_width = (size_t)units;
    const bool has_bias = spec->layer.value[BP_DENSE_BIAS] != 0;
    bp_layer_shape planned = {.input_width = input_width,
                              .output_width = output_width,
                              .tensor_count = has_bias,
                              .tensor = {{.name = "bias",
                                          .rank = 1,
                                          .shape = {output_width},
                                          .element_count = output_width}},
                              .fan_in = input_width,
                              .fan_out = output_width};
    if (spec->layer.value[BP_DENSE_TIED] != 0) {
        *shape = planned;
        return check_tied(spec, input, output_width, error);
    }
    planned.tensor[BIAS_TENSOR] = planned.tensor[0];
    planned.tensor[WEIGHT_TENSOR] =
        (bp_tensor){.name = "weight", .rank = 2, .shape = {output_width, input_width}};
    planned.tensor_is_weight[WEIGHT_TENSOR] = true;
    planned.tensor_count++;
    if (!bp_checked_multiply(&planned.tensor[WEIGHT_TENSOR].element_count, output_width,
                             input_width))
        return bp_error_set(error, BP_TOO_LARGE, "/units", "%zu units on %zu inputs are too many",
                            output_width, input_width);
    const bp_initializer *initializer = bp_initializer_of(spec->initializer.member);
    if (initializer && initializer->scratch_count &&
        !(initializer->scratch_count(&planned.initialize_bytes, output_width, input_width) &&
          bp_checked_multiply(&planned.initialize_bytes, planned.initialize_bytes, sizeof(double))))
        return bp_error_set(error, BP_TOO_LARGE, "/units",
                            "%zu units on %zu inputs are too many for this initialiser",
                            output_width, input_width);
    *shape = planned;
    return BP_OK;
}

static bool dense_measure(size_t *packed_bytes, size_t *scratch_bytes, const bp_layer *layer,
                          const bp_kernels *kernels)
{
    *scratch_bytes = 0;
    *packed_bytes = kernels->gemm_packed_bytes(layer->shape.input_width, layer->shape.output_width);
    return *packed_bytes > 0;
}

static const void *weights_of(const bp_layer *layer)
{
    return layer->tied_to ? layer->tied_to->parameter[BP_EMBEDDING_WEIGHT]
                          : layer->parameter[WEIGHT_TENSOR];
}

/* What backward computes with. */
static const void *weights_again(const bp_layer *layer, const bp_pass *pass)
{
    return layer->tied_to ? weights_of(layer) : bp_dropout_same_weights(layer, pass, WEIGHT_TENSOR);
}

static void *weight_gradient_of(const bp_layer *layer)
{
    return layer->tied_to ? layer->tied_to->gradient[BP_EMBEDDING_WEIGHT]
                          : layer->gradient[WEIGHT_TENSOR];
}

/* Which of the layer's own tensors is the bias; SIZE_MAX: it has none. */
static size_t bias_tensor(const bp_layer *layer)
{
    const size_t tensor = layer->tied_to ? 0 : BIAS_TENSOR;
    return layer->shape.tensor_count > tensor ? tensor : SIZE_MAX;
}

static void dense_initialize(bp_layer *layer, const bp_kernels *kernels, uint64_t seed,
                             void *scratch)
{
    const bp_layer_shape *shape = &layer->shape;
    const size_t bias = bias_tensor(layer);
    if (bias != SIZE_MAX)
        memset(layer->parameter[bias], 0, shape->output_width * kernels->real_size);
    if (layer->tied_to)
        return;
    bp_random random = bp_random_stream(seed, (uint32_t)layer->index, BP_RANDOM_INITIALIZE, 0);
    const bp_fill fill = {.data = layer->parameter[WEIGHT_TENSOR],
                          .dtype = kernels->dtype,
                          .rows = shape->output_width,
                          .columns = shape->input_width,
                          .fan_in = shape->fan_in,
                          .fan_out = shape->fan_out,
                          .random = &random,
                          .value = layer->spec.initializer.value,
                          .scratch = scratch};
    bp_initializer_of(layer->spec.initializer.member)->fill(&fill);
}

static void dense_forward(bp_layer *layer, const bp_pass *pass)
{
    const bp_kernels *kernels = pass->kernels;
    const size_t in = layer->shape.input_width, out = layer->shape.output_width;
    const void *weight =
        layer->tied_to ? weights_of(layer) : bp_dropout_weights(layer, pass, WEIGHT_TENSOR);
    const bool weight_is_masked = weight != weights_of(layer);
    const size_t bias = bias_tensor(layer);
    if (weight_is_masked)
        layer->packed_is_current = false;
    if (!layer->packed_is_current && wants_packed(pass->rows, in, out)) {
        kernels->gemm_pack(layer->packed, weight, 1, in, in, out, pass->parallel);
        layer->packed_is_current = true;
    }
    const bp_activation *activation = layer->activation;
    const bool fused = !activation->rowwise;
    const bp_gemm_call product = {.m = pass->rows,
                                  .n = out,
                                  .k = in,
                                  .a = layer->x,
                                  .a_row_stride = in,
                                  .a_column_stride = 1,
                                  .b = weight, /* Wᵀ */
                                  .b_row_stride = 1,
                                  .b_column_stride = in,
                                  .packed_b = layer->packed_is_current ? layer->packed : NULL,
                                  .c = layer->z,
                                  .c_row_stride = out,
                                  .bias = bias != SIZE_MAX ? layer->parameter[bias] : NULL,
                                  .activation = fused ? activation : NULL,
                                  .activation_value = layer->spec.activation.value,
                                  .activated = fused ? layer->a : NULL,
                                  .parallel = pass->parallel};
    kernels->gemm(&product);
    if (!fused)
        activation->forward(layer->z, layer->a, pass->rows, out, layer->spec.activation.value);
    if (weight_is_masked)
        layer->packed_is_current = false;
    bp_dropout_output(layer, pass);
}

/* Δ from dJ/da. */
static void through_activation(bp_layer *layer, const bp_pass *pass)
{
    const bp_activation *activation = layer->activation;
    activation->backward(activation->derivative_from_z ? layer->z : layer->a, layer->delta,
                         pass->rows, layer->shape.output_width, layer->spec.activation.value);
}

static void dense_backward_weights(bp_layer *layer, const bp_pass *pass)
{
    const bp_kernels *kernels = pass->kernels;
    const size_t in = layer->shape.input_width, out = layer->shape.output_width;
    const bp_gemm_call weight_gradient = {.m = out,
                                          .n = in,
                                          .k = pass->rows,
                                          .a = layer->delta, /* Δᵀ */
                                          .a_row_stride = 1,
                                          .a_column_stride = out,
                                          .b = layer->x,
                                          .b_row_stride = in,
                                          .b_column_stride = 1,
                                          .c = weight_gradient_of(layer),
                                          .c_row_stride = in,
                                          .parallel = pass->parallel};
    kernels->gemm(&weight_gradient);
    bp_dropout_gradients(layer, pass);
    const size_t bias = bias_tensor(layer);
    if (bias != SIZE_MAX)
        kernels->sum_rows(layer->gradient[bias], layer->delta, pass->rows, out);
}

/* dx = Δ W, or that added to what dx has already. */
static void to_inputs(const bp_layer *layer, const bp_pass *pass, void *dx, bool dx_is_begun)
{
    const size_t in = layer->shape.input_width, out = layer->shape.output_width;
    if (!dx)
        return;
    const bp_gemm_call input_gradient = {.m = pass->rows,
                                         .n = in,
                                         .k = out,
                                         .a = layer->delta,
                                         .a_row_stride = out,
                                         .a_column_stride = 1,
                                         .b = weights_again(layer, pass),
                                         .b_row_stride = in,
                                         .b_column_stride = 1,
                                         .c = dx,
                                         .c_row_stride = in,
                                         .accumulate = dx_is_begun,
                                         .parallel = pass->parallel};
    pass->kernels->gemm(&input_gradient);
}

static void dense_backward(bp_layer *layer, const bp_pass *pass, void *dx)
{
    const bool dx_is_begun = bp_dropout_delta(layer, pass, dx);
    through_activation(layer, pass);
    dense_backward_weights(layer, pass);
    to_inputs(layer, pass, dx, dx_is_begun);
}

static void dense_backward_rows(bp_layer *layer, const bp_pass *pass, void *dx)
{
    through_activation(layer, pass);
    to_inputs(layer, pass, dx, false);
}

static const bp_hyperparameter parameters[] = {
    {.name = "units",
     .meaning =
         "number of units: the width of the layer's output; \"auto\" on the last layer takes "
         "the number of classes or targets",
     .kind = BP_INTEGER_PARAMETER,
     .required = true,
     .accepts_auto = true,
     .minimum = 1,
     .maximum = 2147483647.0},
    {.name = "bias",
     .meaning = "whether each unit adds a bias b, a weight on a constant 1",
     .kind = BP_BOOLEAN_PARAMETER,
     .default_value = 1,
     .minimum = 0,
     .maximum = 1},
    {.name = "tied",
     .meaning =
         "on the last layer of a language model: W is the embedding's table, which both uses "
         "train; a unit for each token, an input for each number of a vector",
     .kind = BP_BOOLEAN_PARAMETER,
     .default_value = 0,
     .minimum = 0,
     .maximum = 1},
};

const bp_layer_type bp_layer_dense = {
    .member = {.name = "dense",
               .summary = "every unit sees every input",
               .formula = "z = W x + b, a = f(z)",
               .reference = "Goodfellow, Bengio & Courville 2016, section 6.1",
               .pytorch = "torch.nn.Linear(in_features, units, bias); tied: with its weight = "
                          "embedding.weight, the same Parameter",
               .index = BP_LAYER_dense,
               .parameter_count = sizeof parameters / sizeof parameters[0],
               .parameters = parameters},
    .plan = dense_plan,
    .measure = dense_measure,
    .initialize = dense_initialize,
    .forward = dense_forward,
    .backward = dense_backward,
    .backward_rows = dense_backward_rows,
    .backward_weights = dense_backward_weights,
};
