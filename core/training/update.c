#include "core/training/update.h"

#include <math.h>

/* Elements of a block: a function of nothing, so that the same sums come out for any number of
 * threads; 64 KiB of floats, which stay in a core's own cache between the passes of a step. */
enum { BLOCK_ELEMENTS = 16384 };

typedef struct update_job {
    const bp_update *update;
    const double *scalar;
} update_job;

static size_t block_count(size_t count)
{
    return count / BLOCK_ELEMENTS + (count % BLOCK_ELEMENTS != 0);
}

static size_t block_size(const bp_update *update, size_t index)
{
    const size_t left = update->count - index * BLOCK_ELEMENTS;
    return left < BLOCK_ELEMENTS ? left : BLOCK_ELEMENTS;
}

static size_t block_offset_bytes(const bp_update *update, size_t index)
{
    return index * BLOCK_ELEMENTS * update->kernels->real_size;
}

static const void *block_gradient(const bp_update *update, size_t index)
{
    return (const unsigned char *)update->gradient + block_offset_bytes(update, index);
}

void bp_update_plan(bp_update *update, bp_arena *arena)
{
    for (size_t slot = 0; slot < update->optimizer->slot_count; slot++)
        update->slot[slot] = bp_arena_take(arena, update->count, update->kernels->real_size);
    update->partial = bp_arena_take(arena, block_count(update->count), sizeof *update->partial);
}

static void finite_block(void *argument, size_t index)
{
    const bp_update *update = ((const update_job *)argument)->update;
    update->partial[index] =
        update->kernels->all_finite(block_gradient(update, index), block_size(update, index));
}

bool bp_update_is_finite(const bp_update *update, const bp_parallel *parallel)
{
    const size_t blocks = block_count(update->count);
    update_job job = {.update = update};
    bp_parallel_for(parallel, finite_block, &job, blocks);
    for (size_t index = 0; index < blocks; index++)
        if (update->partial[index] == 0)
            return false;
    return true;
}

static void square_block(void *argument, size_t index)
{
    const bp_update *update = ((const update_job *)argument)->update;
    update->partial[index] =
        update->kernels->sum_squares(block_gradient(update, index), block_size(update, index));
}

double bp_update_norm(const bp_update *update, const bp_parallel *parallel)
{
    const size_t blocks = block_count(update->count);
    update_job job = {.update = update};
    bp_parallel_for(parallel, square_block, &job, blocks);
    double squares = 0;
    for (size_t index = 0; index < blocks; index++)
        squares += update->partial[index];
    return sqrt(squares);
}

static void apply_block(void *argument, size_t index)
{
    const update_job *job = argument;
    const bp_update *update = job->update;
    const size_t offset = block_offset_bytes(update, index);
    void *slot[BP_SLOT_LIMIT] = {NULL};
    for (size_t i = 0; i < update->optimizer->slot_count; i++)
        slot[i] = (unsigned char *)update->slot[i] + offset;
    update->optimizer->update((unsigned char *)update->theta + offset,
                              block_gradient(update, index), slot, block_size(update, index),
                              job->scalar);
}

void bp_update_apply(bp_update *update, const bp_parallel *parallel, double learning_rate,
                     uint64_t t)
{
    double scalar[BP_STEP_SCALAR_LIMIT] = {0};
    const bp_update_context context = {.learning_rate = learning_rate, .t = t, .is_weight = true};
    update->optimizer->prepare(scalar, update->choice.value, &context);
    update_job job = {.update = update, .scalar = scalar};
    bp_parallel_for(parallel, apply_block, &job, block_count(update->count));
}
