#include "core/dropout/dropout.h"

#include <math.h>

/* Masks are handed out in blocks of rows of about this many elements. */
enum { MASK_BLOCK_ELEMENTS = 16384 };

static bool is_noisy(const bp_pass *pass)
{
    return pass->noise.kind != BP_NOISE_NONE;
}

const void *bp_dropout_weights(bp_layer *layer, const bp_pass *pass, size_t tensor)
{
    if (layer->dropout && layer->dropout->weights && is_noisy(pass))
        layer->dropout->weights(layer, pass);
    return bp_dropout_same_weights(layer, pass, tensor);
}

const void *bp_dropout_same_weights(const bp_layer *layer, const bp_pass *pass, size_t tensor)
{
    const bool masked = layer->dropout && layer->dropout->weights && is_noisy(pass);
    return masked ? layer->masked_parameter[tensor] : layer->parameter[tensor];
}

void bp_dropout_output(bp_layer *layer, const bp_pass *pass)
{
    layer->output = layer->a;
    if (layer->dropout && layer->dropout->output)
        layer->dropout->output(layer, pass);
}

bool bp_dropout_delta(bp_layer *layer, const bp_pass *pass, void *dx)
{
    return layer->dropout && layer->dropout->delta && layer->dropout->delta(layer, pass, dx);
}

void bp_dropout_gradients(bp_layer *layer, const bp_pass *pass)
{
    if (layer->dropout && layer->dropout->gradients && is_noisy(pass))
        layer->dropout->gradients(layer, pass);
}

/* ---- masks ---- */

/* Words below it keep: p·2^32, rounded. */
static uint32_t threshold_of(double keep)
{
    const double threshold = floor(keep * 0x1p32 + 0.5);
    return threshold < 0x1p32 ? (uint32_t)threshold : UINT32_MAX;
}

static bp_random stream_of(const bp_pass *pass, size_t layer)
{
    const bp_noise *noise = &pass->noise;
    return bp_random_stream(noise->seed, (uint32_t)layer,
                            noise->kind == BP_NOISE_SAMPLE ? BP_RANDOM_SAMPLE : BP_RANDOM_DROPOUT,
                            noise->step);
}

typedef struct mask_job {
    const bp_kernels *kernels;
    bp_mask_call call; /* of all rows */
    size_t block_rows;
} mask_job;

static void mask_block(void *argument, size_t block)
{
    const mask_job *job = argument;
    const size_t first = block * job->block_rows, left = job->call.rows - first;
    const size_t offset = first * job->call.width * job->kernels->real_size;
    bp_mask_call call = job->call;
    call.out = (unsigned char *)call.out + offset;
    call.in = (const unsigned char *)call.in + offset;
    call.rows = left < job->block_rows ? left : job->block_rows;
    call.first_row += call.one_row ? 0 : first;
    job->kernels->mask(&call);
}

void bp_dropout_mask(const bp_dropout_masking *masking, const bp_pass *pass)
{
    const size_t rows = masking->rows, width = masking->width;
    mask_job job = {.kernels = pass->kernels,
                    .call = {.out = masking->out,
                             .in = masking->in,
                             .rows = rows,
                             .width = width,
                             .random = stream_of(pass, masking->layer),
                             .first_row = masking->first_row,
                             .one_row = masking->one_row,
                             .threshold = threshold_of(masking->keep),
                             .scale = 1 / masking->keep},
                    .block_rows = width < MASK_BLOCK_ELEMENTS ? MASK_BLOCK_ELEMENTS / width : 1};
    bp_parallel_for(pass->parallel, mask_block, &job, (rows + job.block_rows - 1) / job.block_rows);
}

bool bp_dropout_keeps_row(const bp_layer *layer, const bp_pass *pass, uint64_t row)
{
    const bp_random random = stream_of(pass, layer->index);
    uint32_t block[4];
    bp_random_block(block, &random, row, 0);
    return block[0] < threshold_of(layer->spec.dropout.value[BP_DROPOUT_KEEP]);
}
