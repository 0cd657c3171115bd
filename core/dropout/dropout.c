#include "core/dropout/dropout.h"

#include <math.h>

/* Masks are handed out in blocks of rows of about this many elements. */
enum { MASK_BLOCK_ELEMENTS = 16384 };

static bool is_noisy(const bp_pass *pass)
{
    return pass->noise.kind != BP_NOISE_NONE;
}

bp_status bp_dropout_plan(bp_layer *layer, bool last, bool merged, bp_error *error)
{
    const bp_choice *choice = &layer->spec.dropout;
    layer->dropout = NULL;
    layer->keep_input = layer->keep_recurrent = 1;
    if (!choice->member)
        return BP_OK;
    if (layer->type->is_mask)
        return bp_error_set(error, BP_INVALID, "/dropout",
                            "this layer has no units of its own to drop");
    const double keep = choice->value[BP_DROPOUT_KEEP];
    if (!(keep > 0 && keep <= 1))
        return bp_error_set(error, BP_INVALID, "/dropout/keep", "must be above 0 and at most 1");
    const bp_dropout *dropout = (const bp_dropout *)choice->member;
    const bool has_state_part = dropout->member.parameter_count > BP_DROPOUT_KEEP_RECURRENT;
    const double given = has_state_part ? choice->value[BP_DROPOUT_KEEP_RECURRENT] : 0;
    const bool variational = has_state_part && choice->value[BP_DROPOUT_VARIATIONAL] != 0;
    if (!(given >= 0 && given <= 1))
        return bp_error_set(error, BP_INVALID, "/dropout/keep_recurrent", "must be from 0 to 1");
    if (given > 0 && !(layer->type->cell && variational))
        return bp_error_set(error, BP_INVALID, "/dropout/keep_recurrent",
                            "only variational dropout in a recurrent layer is on its state");
    bp_status status = dropout->plan ? dropout->plan(layer, last, merged, error) : BP_OK;
    if (status != BP_OK)
        return status;
    const double keep_recurrent = given > 0 ? given : keep;
    if (layer->type->cell && variational) {
        layer->keep_input = keep;
        layer->keep_recurrent = keep_recurrent;
    }
    layer->dropout = keep < 1 || (variational && keep_recurrent < 1) ? dropout : NULL;
    return BP_OK;
}

uint64_t bp_dropout_period(const bp_choice *choice, const bp_pass *pass)
{
    if (pass->noise.kind == BP_NOISE_SAMPLE)
        return 1;
    return choice->value[BP_DROPOUT_VARIATIONAL] != 0 ? pass->streams : 0;
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
    call.passed = first;
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
                             .period = masking->period,
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
