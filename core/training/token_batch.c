#include "core/training/token_batch.h"

#include <assert.h>

#include "core/base/checked.h"
#include "core/training/batch.h"
#include "core/training/row_order.h"

static void plan(bp_batch_room *room, bp_row_order *order, bp_arena *arena, bool shuffle)
{
    bp_batch_room_plan(room, arena, shuffle);
    if (shuffle)
        order->index = bp_arena_take(arena, order->row_count, sizeof *order->index);
}

static bp_status fill(bp_token_batch *out, bp_batch_room *room, bp_row_order *order,
                      const bp_training_spec *spec, const bp_examples *examples, bp_error *error)
{
    bp_batches batches;
    bp_batch batch;
    bp_status status = bp_batches_cut(&batches, room, examples, error);
    if (status != BP_OK)
        return status;
    batches.order = bp_row_order_of(order, 0);
    batches.corruption = bp_random_stream(spec->seed, 0, BP_RANDOM_CORRUPTION, 0);
    status = bp_batch_take(&batch, room, NULL, &batches, 0, error);
    if (status != BP_OK)
        return status;
    out->rows = batch.pass_rows;
    out->streams = room->streams;
    out->steps = room->steps;
    out->ids = room->ids;
    out->targets = batch.targets;
    return BP_OK;
}

bp_status bp_token_batch_first(bp_token_batch *out, const bp_training_spec *spec,
                               const bp_examples *examples, bp_error *error)
{
    const bp_kernels *kernels = bp_kernels_get(spec->network.dtype, spec->network.isa);
    assert(spec->kind == examples->kind && spec->kind != BP_EXAMPLES_ROWS);
    if (!kernels)
        return bp_error_set(error, BP_UNSUPPORTED, NULL, "no kernels for this instruction set");
    const bp_loss *loss = kernels->losses[spec->network.loss.member->index];
    const bool shuffle = spec->shuffle && spec->kind != BP_EXAMPLES_STREAMS;
    bp_batch_room room = {.kernels = kernels,
                          .kind = spec->kind,
                          .target_kind = loss->target_kind,
                          .paired = loss->paired,
                          .input_width = spec->network.input_width};
    bp_row_order order = {.seed = spec->seed, .row_count = examples->row_count};
    bp_token_batch batch = {.rows = 0};
    bp_status status = bp_batch_room_size(&room, spec, examples->row_count, error);
    if (status != BP_OK)
        return status;
    bp_arena measure = bp_arena_measure();
    plan(&room, &order, &measure, shuffle);
    if (measure.overflow)
        return bp_error_set(error, BP_TOO_LARGE, "/training/batch_size", "the batch is too large");
    status = bp_arena_open(&batch.arena, measure.used_bytes, error);
    if (status != BP_OK)
        return status;
    plan(&room, &order, &batch.arena, shuffle);
    status = fill(&batch, &room, &order, spec, examples, error);
    if (status == BP_OK)
        *out = batch;
    else
        bp_arena_done(&batch.arena);
    return status;
}

void bp_token_batch_done(bp_token_batch *batch)
{
    bp_arena_done(&batch->arena);
    *batch = (bp_token_batch){.rows = 0};
}
