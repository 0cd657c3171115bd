/* idle ──start──► busy (hashing, then one write after the other) ──► idle
 *
 * The snapshot is the trainer's while idle and the writer's while busy. Only one write is on its way at a
 * time. A failure, or weights that are not finite, ends a checkpoint; what it has left in the store is
 * swept at once where that works, and otherwise when the daemon starts. */
#include "server/checkpoint/checkpoint_writer.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/base/arena.h"
#include "schema/checkpoint/checkpoint_state.h"
#include "schema/json/json_text.h"
#include "schema/model/model_info.h"
#include "server/base/clock.h"
#include "server/base/log.h"
#include "server/base/thread.h"
#include "server/checkpoint/checkpoint_sum.h"
#include "server/record/job_log.h"
#include "server/store/checkpoint_store.h"

struct bp_checkpoint_writer {
    bp_checkpoint_setup setup;
    const bp_kernels *kernels;
    bp_arena arena; /* the snapshot */
    void *snapshot;
    size_t tensor_room;
    bp_state_tensor *tensors;            /* (tensor_room) views into the snapshot */
    char (*sha256)[BP_SHA256_TEXT_SIZE]; /* (tensor_room) */
    atomic_bool abandoned;
    bool model_is_stored; /* the writer's */

    pthread_t thread;
    bool thread_runs; /* the trainer's */

    pthread_mutex_t mutex; /* guards what follows; the request is the writer's while busy */
    pthread_cond_t changed;
    bool busy, closing;
    bp_checkpoint_request request;
    size_t tensor_count;
};

/* ---- writing: how far a checkpoint has come ---- */

typedef struct cursor {
    bp_checkpoint_row row; /* id 0: not begun */
    size_t tensor;         /* the next to be written from */
    int64_t tensor_id;     /* 0: its row is not there yet */
    size_t offset, piece;  /* bytes written of it, in so many pieces */
    bool complete;
} cursor;

typedef struct piece_write {
    bp_write write; /* first */
    const bp_checkpoint_writer *writer;
    const char *model; /* JSON text to go with it; NULL: none */
    cursor at;         /* advanced by apply; holds where the write succeeds */
    bool more_to_sweep;
} piece_write;

static size_t tensor_bytes(const bp_state_tensor *tensor)
{
    return tensor->tensor.element_count * bp_dtype_size(tensor->tensor.dtype);
}

/* The next piece of the tensor at hand, at most `most` bytes. */
static bp_status write_piece(cursor *at, size_t *written, sqlite3 *database,
                             const bp_checkpoint_writer *writer, size_t most, bp_error *error)
{
    const bp_state_tensor *tensor = &writer->tensors[at->tensor];
    bp_status status = BP_OK;
    if (!at->tensor_id)
        status = bp_checkpoint_store_tensor(&at->tensor_id, database, at->row.id, at->tensor,
                                            tensor, writer->sha256[at->tensor], error);
    if (status != BP_OK)
        return status;
    const size_t left = tensor_bytes(tensor) - at->offset, bytes = left < most ? left : most;
    status = bp_checkpoint_store_piece(database, at->tensor_id, at->piece,
                                       (const unsigned char *)tensor->tensor.data + at->offset,
                                       bytes, error);
    at->piece++;
    at->offset += bytes;
    *written += bytes;
    if (bytes == left) {
        at->tensor++;
        at->tensor_id = 0;
        at->offset = at->piece = 0;
    }
    return status;
}

/* As much as one write may hold; the last one completes the checkpoint. */
static bp_status apply_pieces(bp_write *write, sqlite3 *database, bp_error *error)
{
    piece_write *self = (piece_write *)write;
    const bp_checkpoint_writer *writer = self->writer;
    cursor *at = &self->at;
    bp_status status = BP_OK;
    if (!at->row.id)
        status = bp_checkpoint_store_begin(&at->row, database, error);
    if (status == BP_OK && self->model)
        status = bp_checkpoint_store_model(database, at->row.job, self->model, error);
    for (size_t written = 0; status == BP_OK && at->tensor < writer->tensor_count &&
                             written < BP_CHECKPOINT_PIECE_BYTES;)
        status =
            write_piece(at, &written, database, writer, BP_CHECKPOINT_PIECE_BYTES - written, error);
    if (status == BP_OK && at->tensor == writer->tensor_count) {
        status = bp_checkpoint_store_complete(database, &at->row, &writer->setup.spec->checkpoint,
                                              error);
        at->complete = true;
        if (status == BP_OK) /* mostly one small checkpoint: no reason for another commit */
            status = bp_checkpoint_store_sweep(&self->more_to_sweep, database, at->row.job,
                                               INT64_MAX, error);
    }
    return status;
}

typedef struct sweep_write {
    bp_write write; /* first */
    int64_t job;
    bool more;
} sweep_write;

static bp_status apply_sweep(bp_write *write, sqlite3 *database, bp_error *error)
{
    sweep_write *self = (sweep_write *)write;
    return bp_checkpoint_store_sweep(&self->more, database, self->job, INT64_MAX, error);
}

/* Deletes what is not kept any more, and what a failure has left: nothing of this job is being written. */
static void sweep(const bp_checkpoint_writer *writer)
{
    sweep_write write = {.write.apply = apply_sweep, .job = writer->setup.job, .more = true};
    bp_error error = {.status = BP_OK};
    while (write.more && !atomic_load(&writer->abandoned))
        if (bp_store_write_wait(writer->setup.store, &write.write, &error) != BP_OK) {
            bp_log_error(BP_LOG_WARNING, "old checkpoints cannot be deleted yet", &error);
            return;
        }
}

/* ---- one checkpoint ---- */

static bool weights_are_finite(const bp_checkpoint_writer *writer)
{
    for (size_t i = 0; i < writer->tensor_count; i++) {
        const bp_state_tensor *tensor = &writer->tensors[i];
        if (tensor->role == BP_STATE_WEIGHTS &&
            !writer->kernels->all_finite(tensor->tensor.data, tensor->tensor.element_count))
            return false;
    }
    return true;
}

static char *state_text(const bp_checkpoint_request *request)
{
    json_t *json = bp_checkpoint_state_json(&request->state, request->summary);
    char *text = json ? bp_json_text(json, NULL) : NULL;
    json_decref(json);
    return text;
}

/* NULL: no memory. */
static char *model_text(const bp_checkpoint_setup *setup)
{
    bp_model_info *info = NULL;
    if (bp_model_info_create(&info, setup->spec, &setup->data->preparation,
                             &setup->data->target_preparation, NULL) != BP_OK)
        return NULL;
    info->job = setup->job;
    json_t *json = bp_model_info_json(info, true);
    char *text = json ? bp_json_text(json, NULL) : NULL;
    json_decref(json);
    bp_model_info_free(info);
    return text;
}

static void hash_tensors(bp_checkpoint_writer *writer, bp_checkpoint_row *row)
{
    bp_checkpoint_sum sum;
    bp_checkpoint_sum_begin(&sum, row->step, row->epoch, row->metric_seq, row->data_sha256,
                            row->state);
    row->size_bytes = strlen(row->state);
    for (size_t i = 0; i < writer->tensor_count; i++) {
        const bp_state_tensor *tensor = &writer->tensors[i];
        bp_sha256_text(writer->sha256[i], tensor->tensor.data, tensor_bytes(tensor));
        bp_checkpoint_sum_add(&sum, tensor, writer->sha256[i]);
        row->size_bytes += tensor_bytes(tensor);
    }
    bp_checkpoint_sum_finish(&sum, row->sha256);
}

static bp_status write_all(bool *out_more_to_sweep, bp_checkpoint_writer *writer, const char *state,
                           const char *model, bp_error *error)
{
    const bp_checkpoint_request *request = &writer->request;
    const bp_checkpoint_setup *setup = &writer->setup;
    cursor at = {.row = {.job = setup->job,
                         .cause = request->cause,
                         .step = request->state.step,
                         .epoch = request->epoch,
                         .metric_seq = request->metric_seq,
                         .metric = request->metric,
                         .state = state,
                         .data_sha256 = setup->spec->dataset_sha256,
                         .fingerprint = setup->fingerprint,
                         .created_us = bp_clock_now_us()}};
    hash_tensors(writer, &at.row);
    bp_status status = BP_OK;
    while (status == BP_OK && !at.complete) {
        piece_write write = {.write.apply = apply_pieces,
                             .writer = writer,
                             .model = at.row.id ? NULL : model,
                             .at = at};
        if (atomic_load(&writer->abandoned))
            return bp_error_set(error, BP_CANCELLED, NULL, "the daemon is stopping");
        status = bp_store_write_wait(setup->store, &write.write, error);
        if (status == BP_OK) {
            at = write.at;
            *out_more_to_sweep = write.more_to_sweep;
        }
    }
    return status;
}

static void write_checkpoint(bp_checkpoint_writer *writer)
{
    bp_error error = {.status = BP_OK};
    bp_status status = BP_OK;
    bool more_to_sweep = true;
    const uint64_t begun_ns = bp_clock_monotonic_ns();
    if (!weights_are_finite(writer)) {
        bp_log(BP_LOG_WARNING, "no checkpoint of weights that are not finite", "job=%lld step=%llu",
               (long long)writer->setup.job, (unsigned long long)writer->request.state.step);
        return;
    }
    char *state = state_text(&writer->request);
    char *model = writer->model_is_stored ? NULL : model_text(&writer->setup);
    if (!state || (!model && !writer->model_is_stored))
        status = bp_error_set(&error, BP_NO_MEMORY, NULL, "no memory for a checkpoint");
    else
        status = write_all(&more_to_sweep, writer, state, model, &error);
    free(state);
    free(model);
    if (status == BP_OK) {
        writer->model_is_stored = true;
        bp_log(BP_LOG_DEBUG, "checkpoint written", "job=%lld step=%llu ms=%.1f",
               (long long)writer->setup.job, (unsigned long long)writer->request.state.step,
               (double)(bp_clock_monotonic_ns() - begun_ns) * 1e-6);
    } else if (status == BP_CANCELLED) {
        bp_log(BP_LOG_WARNING, "a checkpoint is given up, the daemon is stopping",
               "job=%lld step=%llu", (long long)writer->setup.job,
               (unsigned long long)writer->request.state.step);
    } else {
        bp_log_error(BP_LOG_WARNING, "a checkpoint cannot be written", &error);
        bp_job_log(writer->setup.store, writer->setup.job, BP_JOB_LOG_WARNING, "checkpoint_failed",
                   "the checkpoint at step %llu could not be written: %s",
                   (unsigned long long)writer->request.state.step, error.message);
    }
    if (more_to_sweep)
        sweep(writer);
}

/* ---- the thread ---- */

static void *writer_body(void *argument)
{
    bp_checkpoint_writer *writer = argument;
    bp_thread_set_nice(BP_NICE_TRAINER);
    pthread_mutex_lock(&writer->mutex);
    for (;;) {
        while (!writer->busy && !writer->closing)
            pthread_cond_wait(&writer->changed, &writer->mutex);
        if (!writer->busy)
            break;
        pthread_mutex_unlock(&writer->mutex);
        write_checkpoint(writer);
        pthread_mutex_lock(&writer->mutex);
        json_decref(writer->request.summary);
        writer->request.summary = NULL;
        writer->busy = false;
        pthread_cond_broadcast(&writer->changed);
    }
    pthread_mutex_unlock(&writer->mutex);
    return NULL;
}

bp_status bp_checkpoint_writer_create(bp_checkpoint_writer **out, const bp_checkpoint_setup *setup,
                                      bp_error *error)
{
    bp_checkpoint_writer *writer = calloc(1, sizeof *writer);
    if (!writer)
        return bp_error_set(error, BP_NO_MEMORY, NULL, "no memory for checkpoints");
    pthread_mutex_init(&writer->mutex, NULL);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&writer->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    writer->setup = *setup;
    writer->kernels =
        bp_kernels_get(setup->spec->training.network.dtype, setup->spec->training.network.isa);
    const size_t bytes = bp_snapshot_bytes(setup->trainer);
    bp_status status = bp_arena_open(&writer->arena, bytes, error);
    if (status == BP_OK) {
        const bp_trainer_state fullest = {.watch.early_stopping.started = 1};
        writer->snapshot = bp_arena_take(&writer->arena, bytes, 1);
        writer->tensor_room = bp_state_tensor_count(setup->trainer, &fullest);
        writer->tensors = calloc(writer->tensor_room, sizeof *writer->tensors);
        writer->sha256 = calloc(writer->tensor_room, sizeof *writer->sha256);
        if (!writer->tensors || !writer->sha256)
            status = bp_error_set(error, BP_NO_MEMORY, NULL, "no memory for checkpoints");
    }
    if (status != BP_OK) {
        bp_checkpoint_writer_free(writer);
        return status;
    }
    for (size_t i = 0; i < writer->tensor_room; i++)
        writer->tensors[i] = bp_state_tensor_at(setup->trainer, writer->snapshot, i);
    *out = writer;
    return BP_OK;
}

void *bp_checkpoint_writer_snapshot(bp_checkpoint_writer *writer)
{
    return writer->snapshot;
}

bool bp_checkpoint_writer_is_busy(bp_checkpoint_writer *writer)
{
    pthread_mutex_lock(&writer->mutex);
    const bool busy = writer->busy;
    pthread_mutex_unlock(&writer->mutex);
    return busy;
}

bool bp_checkpoint_writer_wait(bp_checkpoint_writer *writer, uint64_t deadline_ns)
{
    const struct timespec deadline = {.tv_sec = (time_t)(deadline_ns / 1000000000),
                                      .tv_nsec = (long)(deadline_ns % 1000000000)};
    int outcome = 0;
    pthread_mutex_lock(&writer->mutex);
    while (writer->busy && outcome == 0)
        outcome = deadline_ns > 0
                      ? pthread_cond_timedwait(&writer->changed, &writer->mutex, &deadline)
                      : pthread_cond_wait(&writer->changed, &writer->mutex);
    const bool idle = !writer->busy;
    pthread_mutex_unlock(&writer->mutex);
    return idle;
}

void bp_checkpoint_writer_abandon(bp_checkpoint_writer *writer)
{
    atomic_store(&writer->abandoned, true);
}

void bp_checkpoint_writer_start(bp_checkpoint_writer *writer, const bp_checkpoint_request *request)
{
    bp_error error = {.status = BP_OK};
    if (!writer->thread_runs) {
        writer->thread_runs =
            bp_thread_start(&writer->thread, "checkpoint", writer_body, writer, &error) == BP_OK;
        if (!writer->thread_runs) {
            bp_log_error(BP_LOG_WARNING, "a checkpoint cannot be written", &error);
            json_decref(request->summary);
            return;
        }
    }
    pthread_mutex_lock(&writer->mutex);
    writer->request = *request;
    writer->tensor_count = bp_state_tensor_count(writer->setup.trainer, &request->state);
    writer->busy = true;
    pthread_cond_broadcast(&writer->changed);
    pthread_mutex_unlock(&writer->mutex);
}

void bp_checkpoint_writer_free(bp_checkpoint_writer *writer)
{
    if (!writer)
        return;
    if (writer->thread_runs) {
        pthread_mutex_lock(&writer->mutex);
        writer->closing = true;
        pthread_cond_broadcast(&writer->changed);
        pthread_mutex_unlock(&writer->mutex);
        pthread_join(writer->thread, NULL);
    }
    pthread_cond_destroy(&writer->changed);
    pthread_mutex_destroy(&writer->mutex);
    bp_arena_done(&writer->arena);
    free(writer->tensors);
    free(writer->sha256);
    free(writer);
}
