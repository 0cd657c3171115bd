/* Long short-term memory, without peepholes. */
#include "core/layer/recurrent.h"

typedef struct job {
    const bp_kernels *kernels;
    bp_lstm_call call;
} job;

static void forward_rows(const void *argument, size_t first, size_t count)
{
    const job *work = argument;
    work->kernels->lstm_forward(&work->call, first, count);
}

static void backward_rows(const void *argument, size_t first, size_t count)
{
    const job *work = argument;
    work->kernels->lstm_backward(&work->call, first, count);
}

static job job_of(const bp_cell_step *step)
{
    return (job){.kernels = step->pass->kernels,
                 .call = {.units = step->layer->shape.output_width,
                          .gates = step->gates,
                          .c_before = step->c_before,
                          .c = step->c,
                          .tanh_c = step->tanh_c,
                          .h = step->h,
                          .dh = step->delta,
                          .dc = step->carry}};
}

static void lstm_forward(const bp_cell_step *step)
{
    const job work = job_of(step);
    bp_recurrent_rows(step, forward_rows, &work);
}

static void lstm_backward(const bp_cell_step *step)
{
    const job work = job_of(step);
    bp_recurrent_rows(step, backward_rows, &work);
}

static const bp_cell cell = {
    .gate_count = 4, .keeps_c = true, .forward = lstm_forward, .backward = lstm_backward};

static const bp_hyperparameter parameters[] = {
    {.name = "units",
     .meaning = "number of units H: the width of the output and of the state",
     .kind = BP_INTEGER_PARAMETER,
     .required = true,
     .minimum = 1,
     .maximum = 2147483647.0},
};

const bp_layer_type bp_layer_lstm = {
    .member = {.name = "lstm",
               .summary = "a recurrent layer whose gates decide what its cells forget, take in and "
                          "show",
               .formula =
                   "i, f, o = sigmoid and g = tanh of W_ih x_t + b_ih + W_hh h_(t-1) + b_hh, "
                   "each with its own block of rows, in the order i f g o; "
                   "c_t = f o c_(t-1) + i o g; h_t = o o tanh(c_t)",
               .reference = "Hochreiter & Schmidhuber 1997, Long Short-Term Memory; Gers, "
                            "Schmidhuber & Cummins 2000, Learning to forget",
               .pytorch = "torch.nn.LSTM(in_features, units)",
               .index = BP_LAYER_lstm,
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
