/* The plain recurrent layer. Its forward is the product alone, with f fused into it; P is z. */
#include "core/activation/activation.h"
#include "core/layer/recurrent.h"

static bp_status rnn_plan(bp_layer_shape *shape, const bp_layer_spec *spec,
                          const bp_layer_input *input, bp_error *error)
{
    const bp_member *activation = spec->activation.member;
    if (activation && activation->index != BP_ACTIVATION_tanh &&
        activation->index != BP_ACTIVATION_relu)
        return bp_error_set(error, BP_INVALID, "/activation",
                            "a recurrent layer has tanh or relu, not %s", activation->name);
    return bp_recurrent_plan(shape, spec, input, error);
}

static void rnn_backward(const bp_cell_step *step)
{
    const bp_layer *layer = step->layer;
    layer->activation->backward(step->h, step->delta, step->streams, layer->shape.output_width,
                                layer->spec.activation.value);
}

static const bp_cell cell = {.gate_count = 1, .backward = rnn_backward};

static const bp_hyperparameter parameters[] = {
    {.name = "units",
     .meaning = "number of units H: the width of the output and of the state",
     .kind = BP_INTEGER_PARAMETER,
     .required = true,
     .minimum = 1,
     .maximum = 2147483647.0},
};

const bp_layer_type bp_layer_rnn = {
    .member = {.name = "rnn",
               .summary =
                   "a state carried through time: every unit sees the input and all units of "
                   "the step before",
               .formula = "h_t = f(W_ih x_t + b_ih + W_hh h_(t-1) + b_hh), f tanh or relu",
               .reference = "Elman 1990, Finding structure in time; Goodfellow, Bengio & Courville "
                            "2016, section 10.2",
               .pytorch = "torch.nn.RNN(in_features, units, nonlinearity='tanh' or 'relu')",
               .index = BP_LAYER_rnn,
               .parameter_count = sizeof parameters / sizeof parameters[0],
               .parameters = parameters},
    .cell = &cell,
    .default_activation = "tanh",
    .plan = rnn_plan,
    .measure = bp_recurrent_measure,
    .initialize = bp_recurrent_initialize,
    .forward = bp_recurrent_forward,
    .backward = bp_recurrent_backward,
};
