/* Passes of a batch: forward, the loss, backward. */
#include <assert.h>

#include "core/network/network_plan.h"

enum {
    /* Rows of the loss are handed out in blocks of about this many numbers. */
    LOSS_BLOCK_ELEMENTS = 8192,
    /* Bytes of outputs from which a training pass goes through its last layer by blocks of rows, and
     * of such a block: a few of them and the weights fit a cache that threads share. Fewer rows would
     * read the weights more often than that saves. */
    HEAD_BYTES = 8 << 20,
    HEAD_BLOCK_BYTES = 8 << 20,
};

static bp_layer *last_layer(bp_network *network)
{
    return &network->layers[network->layer_count - 1];
}

/* Begins a pass, which goes through `layer_count` layers. */
static bp_pass begin(bp_network *network, const bp_parallel *parallel, const void *input,
                     size_t rows, bool training, size_t layer_count)
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
    network->layers[0].x = input;
    for (size_t index = 0; index < layer_count; index++) {
        bp_layer *layer = &network->layers[index];
        layer->type->forward(layer, &pass);
        if (index + 1 < network->layer_count)
            network->layers[index + 1].x = layer->output;
    }
    network->rows = rows;
    network->pass_streams = network->streams;
    network->training = training;
    network->pass_noise = pass.noise;
    network->shown = false;
    return pass;
}

const void *bp_network_forward(bp_network *network, const bp_parallel *parallel, const void *input,
                               size_t rows, bool training)
{
    begin(network, parallel, input, rows, training, network->layer_count);
    return last_layer(network)->output;
}

typedef struct loss_job {
    const bp_loss *loss;
    bp_loss_call call;
    size_t first, count; /* rows */
    size_t block_rows;
} loss_job;

static void loss_block(void *argument, size_t index)
{
    const loss_job *job = argument;
    const size_t done = index * job->block_rows, left = job->count - done;
    job->loss->rows(&job->call, job->first + done, left < job->block_rows ? left : job->block_rows);
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

/* Fills row_loss and, unless NULL, gradient of rows [first, first + count). */
static void loss_of_rows(const bp_network *network, const bp_parallel *parallel,
                         const bp_targets *targets, double *row_loss, void *gradient, size_t first,
                         size_t count)
{
    const size_t width = network->output_width;
    loss_job job = {
        .loss = network->loss,
        .call = call_of_pass(network, targets),
        .first = first,
        .count = count,
        .block_rows = width < LOSS_BLOCK_ELEMENTS ? LOSS_BLOCK_ELEMENTS / width : 1,
    };
    job.call.gradient = gradient;
    job.call.row_loss = row_loss;
    bp_parallel_for(parallel, loss_block, &job, (count + job.block_rows - 1) / job.block_rows);
}

static double mean_of(const bp_network *network, const double *row_loss)
{
    const size_t count = network->loss->paired ? network->rows / 2 : network->rows;
    return network->kernels64->sum(row_loss, count) / (double)count;
}

/* Fills row_loss and, unless NULL, gradient; returns the mean loss. */
static double mean_loss(bp_network *network, const bp_parallel *parallel, const bp_targets *targets,
                        double *row_loss, void *gradient)
{
    assert(network->rows >= 1 && !network->shown);
    assert(!network->loss->paired || network->rows % 2 == 0);
    loss_of_rows(network, parallel, targets, row_loss, gradient, 0, network->rows);
    return mean_of(network, row_loss);
}

double bp_network_loss_value(bp_network *network, const bp_parallel *parallel,
                             const bp_targets *targets, double *row_loss)
{
    return mean_loss(network, parallel, targets, row_loss ? row_loss : network->row_loss, NULL);
}

/* Backward through the layers below `count`, the highest of which has its delta. */
static void backward_from(bp_network *network, const bp_pass *pass, size_t count)
{
    const size_t lowest = network->first_trained;
    for (size_t index = count; index-- > lowest;) {
        bp_layer *layer = &network->layers[index];
        layer->type->backward(layer, pass,
                              index > lowest ? network->layers[index - 1].delta : NULL);
    }
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
    backward_from(network, &pass, network->layer_count);
    return loss;
}

/* Whether a training pass goes through the last layer by blocks of rows: its outputs are then used up
 * by their gradient. */
static bool goes_by_blocks(const bp_network *network, size_t rows)
{
    const bp_layer *last = &network->layers[network->layer_count - 1];
    const size_t row_bytes = network->output_width * network->kernels->real_size;
    return last->type->backward_rows && !network->loss->paired && !last->dropout &&
           last->z == last->a && last->activation->member.index == BP_ACTIVATION_identity &&
           network->layer_count - 1 >= network->first_trained && rows > HEAD_BYTES / row_bytes;
}

/* Row `row` of an array. */
static void *at_row(const bp_network *network, const void *array, size_t row, size_t width)
{
    const size_t offset = row * width * network->kernels->real_size;
    return array ? (unsigned char *)(uintptr_t)array + offset : NULL;
}

/* Forward, loss and δ of rows [first, first + count) of the last layer; dx of all rows, or NULL. */
static void head_block(bp_network *network, const bp_pass *all, const bp_targets *targets, void *dx,
                       size_t first, size_t count)
{
    bp_layer *last = last_layer(network), block = *last;
    const size_t in = last->shape.input_width, out = last->shape.output_width;
    bp_pass pass = *all;
    pass.rows = count;
    block.x = at_row(network, last->x, first, in);
    block.z = block.a = block.masked = block.delta = at_row(network, last->a, first, out);
    block.type->forward(&block, &pass);
    last->packed_is_current = block.packed_is_current;
    loss_of_rows(network, pass.parallel, targets, network->row_loss, last->a, first, count);
    block.type->backward_rows(&block, &pass, at_row(network, dx, first, in));
}

double bp_network_train(bp_network *network, const bp_parallel *parallel, const void *input,
                        size_t rows, const bp_targets *targets)
{
    if (!goes_by_blocks(network, rows)) {
        bp_network_forward(network, parallel, input, rows, true);
        return bp_network_backward(network, parallel, targets);
    }
    const size_t below = network->layer_count - 1;
    const bp_pass pass = begin(network, parallel, input, rows, true, below);
    bp_layer *last = last_layer(network);
    const size_t row_bytes = network->output_width * network->kernels->real_size;
    const size_t most = row_bytes < HEAD_BLOCK_BYTES ? HEAD_BLOCK_BYTES / row_bytes : 1;
    const size_t parts = (rows + most - 1) / most, step = (rows + parts - 1) / parts;
    void *dx = below > network->first_trained ? network->layers[below - 1].delta : NULL;
    last->output = last->a;
    for (size_t first = 0; first < rows; first += step)
        head_block(network, &pass, targets, dx, first, step < rows - first ? step : rows - first);
    bp_layer whole = *last;
    whole.delta = last->a;
    last->type->backward_weights(&whole, &pass);
    backward_from(network, &pass, below);
    network->shown = true; /* the outputs are gone */
    return mean_of(network, network->row_loss);
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
