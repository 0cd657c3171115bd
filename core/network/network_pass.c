/* Passes of a batch: forward, the loss, backward. */
#include <assert.h>

#include "core/network/network_plan.h"

/* Rows of the loss are handed out in blocks of about this many numbers. */
enum { LOSS_BLOCK_ELEMENTS = 8192 };

static bp_layer *last_layer(bp_network *network)
{
    return &network->layers[network->layer_count - 1];
}

const void *bp_network_forward(bp_network *network, const bp_parallel *parallel, const void *input,
                               size_t rows, bool training)
{
    assert(rows >= 1 && rows <= network->batch_rows);
    assert(!training || network->use == BP_USE_TRAINING);
    assert(network->streams == 0 || rows % network->streams == 0);
    const bp_noise_kind kind = training ? BP_NOISE_TRAINING : BP_NOISE_SAMPLE;
    const bp_pass pass = {.kernels = network->kernels,
                          .parallel = parallel,
                          .rows = rows,
                          .streams = network->streams,
                          .holds_state = network->holds_state,
                          .training = training,
                          .noise = network->noise.kind == kind ? network->noise
                                                               : (bp_noise){BP_NOISE_NONE, 0, 0}};
    const void *x = input;
    for (size_t index = 0; index < network->layer_count; index++) {
        bp_layer *layer = &network->layers[index];
        layer->x = x;
        layer->type->forward(layer, &pass);
        x = layer->output;
    }
    network->rows = rows;
    network->pass_streams = network->streams;
    network->training = training;
    network->pass_noise = pass.noise;
    network->shown = false;
    return x;
}

typedef struct loss_job {
    const bp_loss *loss;
    bp_loss_call call;
    size_t block_rows;
} loss_job;

static void loss_block(void *argument, size_t index)
{
    const loss_job *job = argument;
    const size_t first = index * job->block_rows, left = job->call.rows - first;
    job->loss->rows(&job->call, first, left < job->block_rows ? left : job->block_rows);
}

/* The last forward's outputs under the loss. */
static bp_loss_call call_of_pass(const bp_network *network, const bp_targets *targets)
{
    return (bp_loss_call){.output = network->layers[network->layer_count - 1].output,
                          .width = network->output_width,
                          .rows = network->rows,
                          .label = targets->label,
                          .target = targets->value,
                          .class_weight = network->class_weight,
                          .value = network->loss_choice.value};
}

/* Fills row_loss and, unless NULL, gradient; returns the mean loss. */
static double mean_loss(bp_network *network, const bp_parallel *parallel, const bp_targets *targets,
                        double *row_loss, void *gradient)
{
    assert(network->rows >= 1 && !network->shown);
    const size_t width = network->output_width, rows = network->rows;
    loss_job job = {
        .loss = network->loss,
        .call = call_of_pass(network, targets),
        .block_rows = width < LOSS_BLOCK_ELEMENTS ? LOSS_BLOCK_ELEMENTS / width : 1,
    };
    job.call.gradient = gradient;
    job.call.row_loss = row_loss;
    bp_parallel_for(parallel, loss_block, &job, (rows + job.block_rows - 1) / job.block_rows);
    return network->kernels64->sum(row_loss, rows) / (double)rows;
}

double bp_network_loss_value(bp_network *network, const bp_parallel *parallel,
                             const bp_targets *targets, double *row_loss)
{
    return mean_loss(network, parallel, targets, row_loss ? row_loss : network->row_loss, NULL);
}

double bp_network_backward(bp_network *network, const bp_parallel *parallel,
                           const bp_targets *targets)
{
    assert(network->training);
    const bp_pass pass = {.kernels = network->kernels,
                          .parallel = parallel,
                          .rows = network->rows,
                          .streams = network->pass_streams,
                          .training = true,
                          .noise = network->pass_noise};
    const double loss =
        mean_loss(network, parallel, targets, network->row_loss, last_layer(network)->delta);
    const size_t lowest = network->first_trained;
    for (size_t index = network->layer_count; index-- > lowest;) {
        bp_layer *layer = &network->layers[index];
        layer->type->backward(layer, &pass,
                              index > lowest ? network->layers[index - 1].delta : NULL);
    }
    return loss;
}

const void *bp_network_shown_output(bp_network *network)
{
    assert(network->rows >= 1);
    if (!network->shown)
        network->loss->output(last_layer(network)->output, network->shown_output, network->rows,
                              network->output_width, network->loss_choice.value);
    network->shown = true;
    return network->shown_output;
}

void bp_network_loss_piece(const bp_network *network, const bp_targets *targets,
                           unsigned char *piece)
{
    assert(network->rows >= 1 && !network->shown);
    const bp_loss_call call = call_of_pass(network, targets);
    network->loss->piece(&call, piece);
}
