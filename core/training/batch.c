#include "core/training/batch.h"

#include <assert.h>
#include <string.h>

#include "core/base/checked.h"

/* Rows of features are gathered in blocks of about this many bytes. */
enum { GATHER_BLOCK_BYTES = 65536 };

bp_status bp_batch_room_size(bp_batch_room *room, const bp_training_spec *spec, size_t row_count,
                             bp_error *error)
{
    if (room->kind != BP_EXAMPLES_STREAMS) {
        room->rows = spec->batch_size < row_count ? spec->batch_size : row_count;
        return BP_OK;
    }
    const bp_token_source text = {.count = row_count};
    bp_token_streams streams;
    const bp_status status = bp_token_streams_cut(&streams, &text, spec->batch_size, error);
    if (status != BP_OK)
        return status;
    room->streams = streams.stream_count;
    room->steps = bp_token_streams_chunk_steps(&streams, spec->sequence_length, 0);
    room->rows = room->streams * room->steps; /* at most row_count */
    return BP_OK;
}

static void *take_rows(bp_arena *arena, size_t rows, size_t width, size_t size)
{
    size_t count;
    if (!bp_checked_multiply(&count, rows, width)) {
        arena->overflow = true;
        return NULL;
    }
    return bp_arena_take(arena, count, size);
}

void bp_batch_room_plan(bp_batch_room *room, bp_arena *arena, bool gathers)
{
    const size_t rows = room->rows, size = room->kernels->real_size;
    const bool by_class = room->target_kind == BP_TARGET_CLASS && !room->paired;
    if (room->kind == BP_EXAMPLES_ROWS && !gathers)
        return;
    if (room->kind == BP_EXAMPLES_ROWS)
        room->features = take_rows(arena, rows, room->input_width, size);
    else if (room->paired)
        room->ids = take_rows(arena, rows, room->input_width, 2 * sizeof *room->ids);
    else
        room->ids = take_rows(arena, rows, room->input_width, sizeof *room->ids);
    if (by_class)
        room->label = bp_arena_take(arena, rows, sizeof *room->label);
    else if (!room->paired)
        room->value = take_rows(arena, rows, room->output_width, size);
    if (room->kind == BP_EXAMPLES_STREAMS)
        room->scratch = bp_arena_take(arena, room->steps + 1, sizeof *room->scratch);
}

bp_status bp_batches_cut(bp_batches *out, const bp_batch_room *room, const bp_examples *examples,
                         bp_error *error)
{
    bp_batches batches = {.examples = examples, .row_count = examples->row_count};
    assert(examples->kind == room->kind);
    if (room->kind == BP_EXAMPLES_STREAMS) {
        const bp_status status =
            bp_token_streams_cut(&batches.streams, &examples->text, room->streams, error);
        if (status != BP_OK)
            return status;
        batches.batch_count = bp_token_streams_chunk_count(&batches.streams, room->steps);
        batches.row_count = batches.streams.stream_count * batches.streams.stream_length;
    } else {
        batches.batch_count = examples->row_count / room->rows;
        batches.batch_count += examples->row_count % room->rows != 0;
    }
    *out = batches;
    return BP_OK;
}

/* ---- rows of numbers ---- */

static bp_batch rows_in_place(const bp_batch_room *room, const bp_examples *examples, size_t first,
                              size_t rows)
{
    const size_t size = room->kernels->real_size;
    bp_batch batch = {.pass_rows = rows,
                      .rows = rows,
                      .input = (const unsigned char *)examples->features +
                               first * room->input_width * size};
    if (room->target_kind == BP_TARGET_CLASS)
        batch.targets.label = examples->label + first;
    else
        batch.targets.value =
            (const unsigned char *)examples->value + first * room->output_width * size;
    return batch;
}

typedef struct gather_job {
    const bp_batch_room *room;
    const void *features;
    const size_t *index; /* of the batch's rows */
    size_t rows, block_rows;
} gather_job;

static void gather_block(void *argument, size_t block)
{
    const gather_job *job = argument;
    const bp_batch_room *room = job->room;
    const size_t first = block * job->block_rows, left = job->rows - first;
    const size_t count = left < job->block_rows ? left : job->block_rows;
    const size_t row_bytes = room->input_width * room->kernels->real_size;
    room->kernels->gather_rows((unsigned char *)room->features + first * row_bytes, job->features,
                               job->index + first, count, room->input_width);
}

static bp_batch rows_gathered(const bp_batch_room *room, const bp_parallel *parallel,
                              const bp_examples *examples, const size_t *index, size_t rows)
{
    const size_t row_bytes = room->input_width * room->kernels->real_size;
    gather_job job = {.room = room,
                      .features = examples->features,
                      .index = index,
                      .rows = rows,
                      .block_rows =
                          row_bytes < GATHER_BLOCK_BYTES ? GATHER_BLOCK_BYTES / row_bytes : 1};
    bp_parallel_for(parallel, gather_block, &job, (rows + job.block_rows - 1) / job.block_rows);
    bp_batch batch = {.pass_rows = rows, .rows = rows, .input = room->features};
    if (room->target_kind == BP_TARGET_CLASS) {
        for (size_t row = 0; row < rows; row++)
            room->label[row] = examples->label[index[row]];
        batch.targets.label = room->label;
    } else {
        room->kernels->gather_rows(room->value, examples->value, index, rows, room->output_width);
        batch.targets.value = room->value;
    }
    return batch;
}

/* ---- windows ---- */

static void gather_windows(const bp_batch_room *room, const bp_batches *batches, size_t first,
                           size_t rows)
{
    const bp_examples *examples = batches->examples;
    for (size_t i = 0; i < rows; i++) {
        size_t row = batches->order ? batches->order[first + i] : first + i;
        if (examples->window_row)
            row = examples->window_row[row];
        bp_token_windows_gather(room->ids + i * room->input_width,
                                room->paired ? NULL : room->label + i, &examples->windows, &row, 0,
                                1);
    }
}

/* Behind the true windows, the wrong ones: each is drawn by its place among the batches' rows. */
static void corrupt_windows(const bp_batch_room *room, const bp_batches *batches, size_t first,
                            size_t rows)
{
    const bp_corruption *corruption = &batches->examples->corruption;
    const size_t width = room->input_width;
    int32_t *wrong = room->ids + rows * width;
    if (corruption->kind == BP_CORRUPT_BY_OTHER) {
        bp_token_windows_corrupt_by_other(wrong, &batches->examples->windows, corruption->others,
                                          corruption->other_count, first, rows,
                                          &batches->corruption);
        return;
    }
    memcpy(wrong, room->ids, rows * width * sizeof *wrong);
    bp_token_windows_corrupt_centre(wrong, width, corruption->low, corruption->high, first, rows,
                                    &batches->corruption);
}

static bp_batch windows_gathered(const bp_batch_room *room, const bp_batches *batches, size_t first,
                                 size_t rows)
{
    gather_windows(room, batches, first, rows);
    if (room->paired)
        corrupt_windows(room, batches, first, rows);
    return (bp_batch){.pass_rows = room->paired ? 2 * rows : rows,
                      .rows = rows,
                      .input = room->ids,
                      .targets = {.label = room->paired ? NULL : room->label}};
}

/* ---- a text ---- */

static bp_status chunk_read(bp_batch *out, const bp_batch_room *room, const bp_batches *batches,
                            size_t index, bp_error *error)
{
    const bp_token_streams *streams = &batches->streams;
    const bp_status status = bp_token_streams_read(streams, room->ids, room->label, room->scratch,
                                                   room->steps, index, error);
    if (status != BP_OK)
        return status;
    const size_t rows =
        streams->stream_count * bp_token_streams_chunk_steps(streams, room->steps, index);
    *out = (bp_batch){
        .pass_rows = rows, .rows = rows, .input = room->ids, .targets = {.label = room->label}};
    return BP_OK;
}

bp_status bp_batch_take(bp_batch *out, bp_batch_room *room, const bp_parallel *parallel,
                        const bp_batches *batches, size_t index, bp_error *error)
{
    assert(index < batches->batch_count);
    if (room->kind == BP_EXAMPLES_STREAMS)
        return chunk_read(out, room, batches, index, error);
    const size_t first = index * room->rows, left = batches->row_count - first;
    const size_t rows = left < room->rows ? left : room->rows;
    if (room->kind == BP_EXAMPLES_WINDOWS)
        *out = windows_gathered(room, batches, first, rows);
    else if (batches->order)
        *out = rows_gathered(room, parallel, batches->examples, batches->order + first, rows);
    else
        *out = rows_in_place(room, batches->examples, first, rows);
    return BP_OK;
}
