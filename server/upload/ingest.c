/* The ingest thread. It works on one upload at a time, a block or a column to a turn, and goes round
 * all uploads that have something to do. Everything of an upload but its queue is touched by it alone.
 *
 * Order at the end of an upload: column files synced (conversion), named, their folder synced, then
 * the catalogue's commit; so a committed row never names a file that is not on the disk. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/base/log.h"
#include "server/base/thread.h"
#include "server/dataset/catalogue.h"
#include "server/dataset/datasets_state.h"

/* ---- the uploading side; any thread ---- */

static bool is_dataset_name(const char *name)
{
    size_t length = 0;
    for (; name[length]; length++) {
        const char c = name[length];
        const bool letter =
            (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!letter && (length == 0 || (c != '.' && c != '_' && c != '-')))
            return false;
    }
    return length >= 1 && length <= 128;
}

static bool is_column_name(const char *name)
{
    const size_t length = strlen(name);
    if (length == 0 || length > BP_COLUMN_NAME_LIMIT)
        return false;
    for (size_t i = 0; i < length; i++)
        if ((unsigned char)name[i] < ' ' || name[i] == 127)
            return false;
    /* Jansson checks UTF-8. */
    json_t *text = json_string(name);
    json_decref(text);
    return text != NULL;
}

bp_status bp_upload_begin(bp_upload **out, bp_datasets *datasets, const char *name,
                          const char *column, bp_dataset_format format, void (*room)(void *context),
                          void (*done)(void *context, bp_upload_result *result), void *context,
                          bp_error *error)
{
    if (!is_dataset_name(name))
        return bp_error_set(error, BP_INVALID, "name",
                            "a data set's name has 1 to 128 letters, digits, '.', '_' and '-', and "
                            "begins with a letter or digit");
    if (column && !is_column_name(column))
        return bp_error_set(
            error, BP_INVALID, "column",
            "a column's name has 1 to 256 bytes of UTF-8 without control characters");
    bp_upload *upload = calloc(1, sizeof *upload);
    if (upload) {
        upload->name = strdup(name);
        upload->column = column ? strdup(column) : NULL;
    }
    if (!upload || !upload->name || (column && !upload->column)) {
        if (upload) {
            free(upload->name);
            free(upload->column);
        }
        free(upload);
        return bp_error_set(error, BP_NO_MEMORY, NULL, "no memory for an upload");
    }
    upload->datasets = datasets;
    upload->format = format;
    upload->room = room;
    upload->done = done;
    upload->context = context;
    pthread_mutex_lock(&datasets->mutex);
    upload->next = datasets->uploads;
    datasets->uploads = upload;
    pthread_mutex_unlock(&datasets->mutex);
    *out = upload;
    return BP_OK;
}

bool bp_upload_feed(bp_upload *upload, const void *bytes, size_t count)
{
    bp_datasets *datasets = upload->datasets;
    if (count == 0)
        return true;
    pthread_mutex_lock(&datasets->mutex);
    const bool fits =
        upload->queued_bytes == 0 ||
        (count <= BP_UPLOAD_QUEUE_BYTES && upload->queued_bytes <= BP_UPLOAD_QUEUE_BYTES - count);
    if (!fits)
        upload->starved = true;
    pthread_mutex_unlock(&datasets->mutex);
    if (!fits)
        return false;
    bp_upload_block *block = malloc(sizeof *block + count);
    if (block) {
        block->next = NULL;
        block->count = count;
        memcpy(block->bytes, bytes, count);
    }
    pthread_mutex_lock(&datasets->mutex);
    if (!block) {
        upload->no_memory = true;
    } else {
        if (upload->last)
            upload->last->next = block;
        else
            upload->first = block;
        upload->last = block;
        upload->queued_bytes += count;
    }
    pthread_cond_signal(&datasets->work);
    pthread_mutex_unlock(&datasets->mutex);
    return true;
}

bool bp_upload_has_failed(bp_upload *upload)
{
    bp_datasets *datasets = upload->datasets;
    pthread_mutex_lock(&datasets->mutex);
    const bool failed = upload->failed;
    pthread_mutex_unlock(&datasets->mutex);
    return failed;
}

void bp_upload_end(bp_upload *upload)
{
    bp_datasets *datasets = upload->datasets;
    pthread_mutex_lock(&datasets->mutex);
    upload->ended = true;
    pthread_cond_signal(&datasets->work);
    pthread_mutex_unlock(&datasets->mutex);
}

void bp_upload_abort(bp_upload *upload)
{
    bp_datasets *datasets = upload->datasets;
    pthread_mutex_lock(&datasets->mutex);
    upload->aborted = true;
    pthread_cond_signal(&datasets->work);
    pthread_mutex_unlock(&datasets->mutex);
}

/* ---- turns; on the ingest thread, without the mutex ---- */

static void fail(bp_upload *upload, bp_status status)
{
    upload->status = status;
    bp_upload_pipeline_free(upload->pipeline); /* its temporary files go now, not at the end */
    upload->pipeline = NULL;
}

static bool has_pipeline(bp_upload *upload)
{
    bp_datasets *datasets = upload->datasets;
    if (upload->status == BP_OK && !upload->pipeline)
        upload->status = bp_upload_pipeline_create(
            &upload->pipeline, bp_store_directory(datasets->store), upload->column, upload->format,
            &datasets->limits, &upload->error);
    return upload->status == BP_OK;
}

static void take_block(bp_upload *upload, const bp_upload_block *block)
{
    if (!has_pipeline(upload))
        return;
    bp_status status =
        bp_upload_pipeline_feed(upload->pipeline, block->bytes, block->count, &upload->error);
    if (status != BP_OK)
        fail(upload, status);
}

static bp_status publish(bp_upload *upload, bool *out_created, json_t **out_document,
                         bp_error *error)
{
    bp_datasets *datasets = upload->datasets;
    size_t count;
    bp_column_draft *drafts = bp_upload_pipeline_columns(upload->pipeline, &count);
    /* If the catalogue refuses them, the named files have no user. */
    bp_sweep sweep = {.count = count, .sha256 = calloc(count, sizeof *sweep.sha256)};
    if (!sweep.sha256)
        return bp_error_set(error, BP_NO_MEMORY, NULL, "no memory for %zu columns", count);
    bp_catalogue_entry entry = {.name = upload->name,
                                .column = upload->column != NULL,
                                .sha256 = bp_upload_pipeline_sha256(upload->pipeline),
                                .drafts = drafts,
                                .draft_count = count,
                                .column_limit = datasets->limits.columns};
    entry.kind = bp_upload_pipeline_kind(upload->pipeline, &entry.corpus);
    bp_status status = BP_OK;
    for (size_t i = 0; i < count && status == BP_OK; i++) {
        memcpy(sweep.sha256[i], drafts[i].info.sha256, BP_SHA256_TEXT_SIZE);
        status = bp_column_writer_publish(drafts[i].writer, error);
    }
    if (status == BP_OK)
        status = bp_columns_sync(bp_store_directory(datasets->store), error);
    if (status == BP_OK)
        status = bp_catalogue_insert(out_created, out_document, datasets->store, &entry, error);
    if (status != BP_OK)
        bp_sweep_some(datasets, &sweep);
    free(sweep.sha256);
    return status;
}

/* Calls done, with the document (its owner from then on), and frees the upload. */
static void finish(bp_upload *upload, bp_status status, bool created, json_t *document)
{
    bp_upload_result result = {
        .status = status, .error = upload->error, .created = created, .document = document};
    bp_upload_pipeline_free(upload->pipeline);
    if (result.status != BP_OK && result.error.status == BP_OK)
        (void)bp_error_set(&result.error, result.status, NULL, "%s", bp_status_text(result.status));
    if (status == BP_OK)
        bp_log(BP_LOG_INFO, "data set stored", "name=%s created=%s", upload->name,
               created ? "true" : "false");
    upload->done(upload->context, &result);
    while (upload->first) {
        bp_upload_block *block = upload->first;
        upload->first = block->next;
        free(block);
    }
    free(upload->name);
    free(upload->column);
    free(upload);
}

/* After the end, with an empty queue. True: the upload is gone. */
static bool take_end(bp_upload *upload)
{
    bp_status status = has_pipeline(upload) ? BP_OK : upload->status;
    bool more = true, created = false;
    json_t *document = NULL;
    if (status == BP_OK && upload->state == BP_UPLOAD_RECEIVING) {
        status = bp_upload_pipeline_end(upload->pipeline, &upload->error);
        upload->state = BP_UPLOAD_CONVERTING;
    } else if (status == BP_OK && upload->state == BP_UPLOAD_CONVERTING) {
        status = bp_upload_pipeline_convert(upload->pipeline, &more, &upload->error);
    }
    if (status == BP_OK && more)
        return false;
    if (status == BP_OK)
        status = publish(upload, &created, &document, &upload->error);
    upload->state = BP_UPLOAD_DONE;
    finish(upload, status, created, document);
    return true;
}

/* ---- the thread ---- */

static bool has_work(const bp_upload *upload)
{
    return upload->first || upload->ended || upload->aborted;
}

/* The next upload with something to do; it moves to the end of the list. With the mutex. */
static bp_upload *next_upload(bp_datasets *datasets)
{
    bp_upload **link = &datasets->uploads;
    while (*link && !has_work(*link))
        link = &(*link)->next;
    bp_upload *upload = *link;
    if (!upload)
        return NULL;
    *link = upload->next;
    while (*link)
        link = &(*link)->next;
    *link = upload;
    upload->next = NULL;
    return upload;
}

static void remove_upload(bp_datasets *datasets, bp_upload *upload)
{
    bp_upload **link = &datasets->uploads;
    while (*link != upload)
        link = &(*link)->next;
    *link = upload->next;
}

/* One turn. With the mutex, which it lets go of meanwhile. */
static void take_turn(bp_datasets *datasets, bp_upload *upload)
{
    bp_upload_block *block = upload->first;
    const bool aborted = upload->aborted;
    if (upload->no_memory && upload->status == BP_OK)
        upload->status =
            bp_error_set(&upload->error, BP_NO_MEMORY, NULL, "no memory for an upload");
    if (block && !aborted) {
        upload->first = block->next;
        if (!upload->first)
            upload->last = NULL;
        pthread_mutex_unlock(&datasets->mutex);
        take_block(upload, block);
        pthread_mutex_lock(&datasets->mutex);
        upload->queued_bytes -= block->count;
        upload->failed = upload->status != BP_OK;
        const bool room = upload->starved && upload->queued_bytes <= BP_UPLOAD_QUEUE_BYTES / 2;
        if (room)
            upload->starved = false;
        pthread_mutex_unlock(&datasets->mutex);
        free(block);
        if (room)
            upload->room(upload->context);
        pthread_mutex_lock(&datasets->mutex);
        return;
    }
    /* Nobody else uses the upload any more, so it may leave the list before it is freed. */
    remove_upload(datasets, upload);
    pthread_mutex_unlock(&datasets->mutex);
    bool gone = true;
    if (aborted)
        finish(upload, BP_CANCELLED, false, NULL);
    else
        gone = take_end(upload);
    pthread_mutex_lock(&datasets->mutex);
    if (!gone) {
        upload->next = datasets->uploads;
        datasets->uploads = upload;
        /* To the end of the list, behind those that came in the meantime. */
        (void)next_upload(datasets);
    }
}

void *bp_ingest_body(void *argument)
{
    bp_datasets *datasets = argument;
    bp_sweep_all(datasets);
    pthread_mutex_lock(&datasets->mutex);
    while (!datasets->stopping) {
        bp_sweep *sweep = datasets->sweeps;
        if (sweep) {
            datasets->sweeps = sweep->next;
            pthread_mutex_unlock(&datasets->mutex);
            bp_sweep_some(datasets, sweep);
            bp_sweep_free(sweep);
            pthread_mutex_lock(&datasets->mutex);
            continue;
        }
        bp_upload *upload = next_upload(datasets);
        if (upload)
            take_turn(datasets, upload);
        else
            pthread_cond_wait(&datasets->work, &datasets->mutex);
    }
    while (datasets->uploads) {
        bp_upload *upload = datasets->uploads;
        datasets->uploads = upload->next;
        pthread_mutex_unlock(&datasets->mutex);
        (void)bp_error_set(&upload->error, BP_CANCELLED, NULL, "the daemon is stopping");
        finish(upload, BP_CANCELLED, false, NULL);
        pthread_mutex_lock(&datasets->mutex);
    }
    pthread_mutex_unlock(&datasets->mutex);
    return NULL;
}
