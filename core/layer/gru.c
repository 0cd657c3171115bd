/* The gated recurrent unit, in the form whose reset gate works after the product. */
#include "core/layer/recurrent.h"

typedef struct job {
    const bp_kernels *kernels;
    bp_gru_call call;
} job;

static void forward_rows(const void *argument, size_t first, size_t count)
{
    const job *work = argument;
    work->kernels->gru_forward(&work->call, first, count);
}

static void backward_rows(const void *argument, size_t first, size_t count)
{
    const job *work = argument;
    work->kernels->gru_backward(&work->call, first, count);
}

static job job_of(const bp_cell_step *step)
{
    return (job){.kernels = step->pass->kernels,
                 .call = {.units = step->layer->shape.output_width,
                          .gates = step->gates,
                          .state_part = step->state_part,
                          .h_before = step->h_before,
                          .h = step->h,
                          .dh = step->delta,
                          .dh_before = step->delta_before}};
}

static void gru_forward(const bp_cell_step *step)
{
    const job work = job_of(step);
    bp_recurrent_rows(step, forward_rows, &work);
}

static void gru_backward(const bp_cell_step *step)
{
    const job work = job_of(step);
    bp_recurrent_rows(step, backward_rows, &work);
}

static const bp_cell cell = {
    .gate_count = 3, .parts_state = true, .forward = gru_forward, .backward = gru_backward};

static const bp_hyperparameter parameters[] = {
    {.name = "units",
     .meaning = "number of units H: the width of the output and of the state",
     .kind = BP_INTEGER_PARAMETER,
     .required = true,
     .minimum = 1,
     .maximum = 2147483647.0},
};

const bp_layer_type bp_layer_gru = {
    .member = {.name = "gru",
               .summary = "a recurrent layer whose gates mix each unit's state with a new one",
               .formula =
                   "r, z = sigmoid(W_ih x_t + b_ih + W_hh h_(t-1) + b_hh); n = tanh(W_in x_t "
                   "+ b_in + r o (W_hn h_(t-1) + b_hn)), blocks of rows in the order r z n; "
                   "h_t = (1 - z) o n + z o h_(t-1)",
               .reference = "Cho et al. 2014, Learning phrase representations using RNN "
                            "encoder-decoder, with the reset gate after the product",
               .pytorch = "torch.nn.GRU(in_features, units)",
               .index = BP_LAYER_gru,
               .parameter_count = sizeof parameters / sizeof parameters[0],
               .parameters = parameters},
    .cell = &cell,
    .is_fixed = true,
    .plan = bp_recurrent_plan,
    .measure = bp_recurrent_measure,
    .initialize = bp_recurrent_initialize,
    .forward = bp_recurrent_forward,
    .backward = bp_recurrent_backward,
};
