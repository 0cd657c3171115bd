/* The jobs module from outside: opening, submitting, watching, stopping; job_commands.c has what is asked
 * of jobs that are there. Commands travel in one
 * mailbox to the main thread. It is unbounded, because the store thread sends to it too and must never
 * wait for the main thread, which waits for the store thread when its mailbox is full; what it holds is
 * bounded by its senders: a command for each open request, a few for each run. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "schema/json/json_text.h"
#include "server/base/clock.h"
#include "server/base/log.h"
#include "server/job/checkpoint_sweep.h"
#include "server/job/job_table.h"
#include "server/store/database.h"
#include "server/store/job_store.h"

bool bp_jobs_post(bp_jobs *jobs, bp_command *command)
{
    return bp_mailbox_send(jobs->inbox, &command->message);
}

static void wake_loop(void *context)
{
    uv_async_send(&((bp_jobs *)context)->wake);
}

static void run_commands(bp_jobs *jobs)
{
    for (bp_message *message = bp_mailbox_receive_all(jobs->inbox, 0); message;) {
        bp_command *command = (bp_command *)message;
        message = message->next;
        command->run(jobs, command);
    }
}

static void on_wake(uv_async_t *handle)
{
    run_commands(handle->data);
}

void bp_jobs_close_inbox(bp_jobs *jobs)
{
    jobs->closed = true;
    bp_mailbox_close(jobs->inbox);
    run_commands(jobs);
}

/* ---- news of runs ---- */

typedef struct run_news {
    bp_command command; /* first */
    int64_t job;
    uint64_t seq; /* of the last committed point */
    bool ended;
} run_news;

static void take_news(bp_jobs *jobs, bp_command *command)
{
    const run_news *news = (const run_news *)command;
    bp_job_entry *entry = bp_job_table_find(&jobs->table, news->job);
    if (entry && news->ended) {
        bp_scheduler_run_ended(jobs, entry);
    } else if (entry && news->seq > entry->point_count) {
        entry->point_count = news->seq;
        bp_watchers_wake(jobs->watchers, news->job, news->seq, false);
    }
    free(command);
}

static void post_news(bp_jobs *jobs, int64_t job, uint64_t seq, bool ended)
{
    run_news *news = calloc(1, sizeof *news);
    if (!news) {
        /* Points that nobody is told of are found by the next poll; an end must not get lost. */
        if (!ended)
            return;
        bp_log(BP_LOG_ERROR, "no memory to end a job, stopping", "job=%lld", (long long)job);
        abort();
    }
    *news = (run_news){.command.run = take_news, .job = job, .seq = seq, .ended = ended};
    if (!bp_jobs_post(jobs, &news->command))
        free(news);
}

static void points_committed(void *context, int64_t job, uint64_t seq)
{
    post_news(context, job, seq, false);
}

static void run_ended(void *context, int64_t job)
{
    post_news(context, job, 0, true);
}

/* ---- submitting ---- */

typedef struct submit {
    bp_write write;     /* first; on the store thread */
    bp_command command; /* then to the main thread */
    bp_jobs *jobs;
    bp_job_submission *submission;
    char *specification, *warnings; /* JSON */
    bp_job_reply *reply;
    void *context;
    int64_t id, priority;
    uint64_t memory_bytes;
    bool known; /* the key had been used: there is no new job */
} submit;

static void free_submission(bp_job_submission *submission)
{
    bp_job_spec_free(submission->spec);
    json_decref(submission->resolved);
    json_decref(submission->warnings);
    free(submission);
}

static void free_submit(submit *self)
{
    if (self->submission)
        free_submission(self->submission);
    free(self->specification);
    free(self->warnings);
    free(self);
}

static bp_job_need need_of_part(const char *part, const bp_job_part *source)
{
    return (bp_job_need){.part = part, .name = source->dataset, .sha256 = source->sha256};
}

static bp_status apply_submit(bp_write *write, sqlite3 *database, bp_error *error)
{
    submit *self = (submit *)write;
    const bp_job_submission *submission = self->submission;
    const bp_job_spec *spec = submission->spec;
    const bp_new_job job = {
        .name = spec->name,
        .specification = self->specification,
        .warnings = self->warnings,
        .priority = spec->priority,
        .now_us = bp_clock_now_us(),
        .memory_bytes = submission->memory_bytes,
        .needs = {{.part = "training", .name = spec->dataset, .sha256 = spec->dataset_sha256},
                  need_of_part("validation", &spec->validation),
                  need_of_part("test", &spec->test),
                  need_of_part("vectors", &spec->vectors)},
        .idempotency_key = submission->idempotency_key,
        .idempotency_route = submission->idempotency_route,
        .body_sha256 = submission->body_sha256,
    };
    return bp_job_store_insert(&self->id, &self->known, database, &job, error);
}

bp_job_entry *bp_jobs_adopt(bp_jobs *jobs, int64_t id, bp_job_state state, int64_t priority,
                            uint64_t memory_bytes, int64_t verifies)
{
    bp_job_entry *entry = bp_job_table_find(&jobs->table, id);
    if (entry)
        return entry;
    if (bp_job_queue_reserve(&jobs->queue, jobs->table.count + 1))
        entry = bp_job_table_add(&jobs->table, id);
    if (!entry) {
        bp_log(BP_LOG_ERROR, "no memory to queue a job; it stays on the disk", "job=%lld",
               (long long)id);
        return NULL;
    }
    entry->priority = priority;
    entry->memory_bytes = memory_bytes;
    entry->verifies = verifies;
    bp_scheduler_adopt(jobs, entry, state);
    return entry;
}

static void take_submit(bp_jobs *jobs, bp_command *command)
{
    submit *self = (submit *)((char *)command - offsetof(submit, command));
    if (!jobs->closed &&
        bp_jobs_adopt(jobs, self->id, BP_JOB_QUEUED, self->priority, self->memory_bytes, 0))
        bp_scheduler_start_jobs(jobs);
    free_submit(self);
}

static void submit_written(bp_write *write, bp_status status, const bp_error *error)
{
    submit *self = (submit *)write;
    bp_job_reply *reply = self->reply;
    void *context = self->context;
    const int64_t id = status == BP_OK ? self->id : 0;
    self->priority = self->submission->spec->priority;
    self->memory_bytes = self->submission->memory_bytes;
    /* The main thread hears of the job before the client does. A closed inbox leaves it to the next
     * daemon, which finds it on the disk. */
    if (status != BP_OK || self->known || !bp_jobs_post(self->jobs, &self->command))
        free_submit(self);
    reply(context, id, status, error);
}

void bp_jobs_submit(bp_jobs *jobs, bp_job_submission *submission, bp_job_reply *reply,
                    void *context)
{
    bp_error error = {.status = BP_OK};
    submit *self = calloc(1, sizeof *self);
    if (self) {
        self->write = (bp_write){.apply = apply_submit, .done = submit_written};
        self->command.run = take_submit;
        self->jobs = jobs;
        self->specification = bp_json_text(submission->resolved, NULL);
        self->warnings =
            submission->warnings ? bp_json_text(submission->warnings, NULL) : strdup("[]");
        self->reply = reply;
        self->context = context;
    }
    if (self && self->specification && self->warnings) {
        self->submission = submission;
        bp_store_write(jobs->store, &self->write);
        return;
    }
    if (self)
        free_submit(self);
    free_submission(submission);
    reply(context, 0, bp_error_set(&error, BP_NO_MEMORY, NULL, "no memory for the job"), &error);
}

/* ---- watching ---- */

typedef struct watch_command {
    bp_command command; /* first */
    bp_watch watch;     /* deadline_ms: how long from now, until it arrives */
} watch_command;

static void take_watch(bp_jobs *jobs, bp_command *command)
{
    watch_command *self = (watch_command *)command;
    bp_watch watch = self->watch;
    free(self);
    const bp_job_entry *entry = bp_job_table_find(&jobs->table, watch.job);
    /* No entry: finished, gone, or so new that the next poll is as good as waiting. */
    if (jobs->closed || !entry || entry->point_count > watch.after) {
        watch.notify(watch.context);
        return;
    }
    uv_update_time(jobs->loop);
    watch.deadline_ms += uv_now(jobs->loop);
    bp_watchers_add(jobs->watchers, &watch);
}

void bp_jobs_watch(bp_jobs *jobs, int64_t id, uint64_t after, uint64_t timeout_ms,
                   void (*notify)(void *context), void *context)
{
    watch_command *self = calloc(1, sizeof *self);
    if (self) {
        self->command.run = take_watch;
        self->watch = (bp_watch){.job = id,
                                 .after = after,
                                 .deadline_ms = timeout_ms,
                                 .notify = notify,
                                 .context = context};
        if (bp_jobs_post(jobs, &self->command))
            return;
        free(self);
    }
    notify(context);
}

/* ---- opening ---- */

/* What the table needs to know of a job; the order is known to adopt_row. */
#define ENTRY_COLUMNS                                                                              \
    "SELECT j.id, j.state, j.reason, j.priority, j.memory_bytes, j.verifies, "                     \
    "j.stalled_restarts, (SELECT coalesce(max(seq), 0) FROM metrics m WHERE m.job_id = j.id), "    \
    "EXISTS (SELECT 1 FROM job_events e WHERE e.job_id = j.id AND e.type = 'state' AND "           \
    "json_extract(e.data, '$.reason') = 'resumed'), "                                              \
    "EXISTS (SELECT 1 FROM job_events e WHERE e.job_id = j.id AND e.type = 'state' AND "           \
    "json_extract(e.data, '$.reason') = 'retried') FROM jobs j "

static bp_status adopt_row(bp_job_entry **out, bp_jobs *jobs, sqlite3_stmt *row, bp_error *error)
{
    bp_job_state state;
    const int64_t id = sqlite3_column_int64(row, 0);
    const char *reason = (const char *)sqlite3_column_text(row, 2);
    if (!bp_job_state_find(&state, (const char *)sqlite3_column_text(row, 1)))
        return bp_error_set(error, BP_CORRUPT, NULL, "the state of job %lld is unknown",
                            (long long)id);
    bp_job_entry *entry =
        bp_jobs_adopt(jobs, id, state, sqlite3_column_int64(row, 3),
                      (uint64_t)sqlite3_column_int64(row, 4), sqlite3_column_int64(row, 5));
    if (!entry)
        return bp_error_set(error, BP_NO_MEMORY, NULL, "no memory for the queue");
    entry->stops_for = reason && strcmp(reason, "paused") == 0 ? BP_JOB_PAUSED : BP_JOB_CANCELLED;
    entry->stalled_restarts = (uint64_t)sqlite3_column_int64(row, 6);
    entry->point_count = (uint64_t)sqlite3_column_int64(row, 7);
    entry->resumed = sqlite3_column_int(row, 8) != 0;
    entry->retried = sqlite3_column_int(row, 9) != 0;
    *out = entry;
    return BP_OK;
}

bp_status bp_jobs_find_entry(bp_job_entry **out, bp_jobs *jobs, int64_t id, bp_error *error)
{
    bp_job_entry *entry = bp_job_table_find(&jobs->table, id);
    sqlite3 *database = NULL;
    sqlite3_stmt *statement = NULL;
    bp_status status = BP_OK;
    if (!entry)
        status = bp_store_reader(&database, jobs->store, error);
    if (!entry && status == BP_OK)
        status = bp_database_prepare(&statement, database,
                                     ENTRY_COLUMNS "WHERE j.id = ?1 AND j.deleted = 0", error);
    if (!entry && status == BP_OK) {
        sqlite3_bind_int64(statement, 1, id);
        const int code = sqlite3_step(statement);
        if (code == SQLITE_ROW)
            status = adopt_row(&entry, jobs, statement, error);
        else if (code == SQLITE_DONE)
            status = bp_error_set(error, BP_NOT_FOUND, NULL, "there is no job %lld", (long long)id);
        else
            status = bp_database_error(database, code, "reading a job", error);
        sqlite3_finalize(statement);
    }
    if (status == BP_OK)
        *out = entry;
    return status;
}

static bp_status read_unfinished(bp_jobs *jobs, bp_error *error)
{
    sqlite3 *database = NULL;
    sqlite3_stmt *statement = NULL;
    bp_status status = bp_store_reader(&database, jobs->store, error);
    if (status == BP_OK)
        status = bp_database_prepare(&statement, database,
                                     ENTRY_COLUMNS
                                     "WHERE j.state IN ('queued', 'running', 'stopping', 'paused') "
                                     "ORDER BY j.id",
                                     error);
    int code = SQLITE_DONE;
    bp_job_entry *entry = NULL;
    while (status == BP_OK && (code = sqlite3_step(statement)) == SQLITE_ROW)
        status = adopt_row(&entry, jobs, statement, error);
    if (status == BP_OK && code != SQLITE_DONE)
        status = bp_database_error(database, code, "reading jobs", error);
    sqlite3_finalize(statement);
    for (size_t i = jobs->table.count; i-- > 0 && status == BP_OK;) {
        entry = jobs->table.entries[i];
        if (entry->state == BP_JOB_RUNNING || entry->state == BP_JOB_STOPPING)
            status = bp_scheduler_recover(jobs, entry, error);
    }
    return status;
}

bp_status bp_jobs_open(bp_jobs **out, uv_loop_t *loop, bp_store *store, bp_datasets *datasets,
                       const bp_jobs_options *options, bp_error *error)
{
    bp_jobs *jobs = calloc(1, sizeof *jobs);
    if (!jobs)
        return bp_error_set(error, BP_NO_MEMORY, NULL, "no memory for jobs");
    jobs->loop = loop;
    jobs->store = store;
    jobs->datasets = datasets;
    jobs->options = *options;
    bp_status status = bp_mailbox_create(&jobs->inbox, SIZE_MAX, wake_loop, jobs, error);
    if (status == BP_OK)
        status = bp_queue_board_create(&jobs->queue_board, error);
    if (status == BP_OK)
        status = bp_watchers_create(&jobs->watchers, loop, error);
    if (status == BP_OK) {
        bp_kernels_thread_start();
        status = bp_numerics_fingerprint(jobs->run_services.fingerprint, options->isa, error);
    }
    if (status == BP_OK)
        status = bp_progress_board_create(&jobs->run_services.board, options->worker_count, error);
    if (status == BP_OK) {
        jobs->run_services.store = store;
        jobs->run_services.datasets = datasets;
        jobs->run_services.limits = options->limits;
        jobs->run_services.isa = options->isa;
        jobs->run_services.committed = points_committed;
        jobs->run_services.ended = run_ended;
        jobs->run_services.context = jobs;
        if (uv_async_init(loop, &jobs->wake, on_wake) != 0)
            status = bp_error_set(error, BP_NO_MEMORY, NULL, "the main loop takes no more handles");
    }
    if (status == BP_OK) {
        uv_timer_init(loop, &jobs->retry);
        jobs->wake.data = jobs->retry.data = jobs;
        jobs->open_handles = 2;
        status = read_unfinished(jobs, error);
    }
    if (status == BP_OK)
        status = bp_checkpoint_sweep_begin(jobs, error);
    if (status != BP_OK) {
        bp_jobs_free(jobs);
        return status;
    }
    /* At the loop's first turn: a daemon that fails to start after this must not have begun a job. */
    bp_scheduler_retry_soon(jobs);
    *out = jobs;
    return BP_OK;
}

/* ---- stopping ---- */

void bp_jobs_stop(bp_jobs *jobs, void (*stopped)(void *context), void *context)
{
    jobs->stopped = stopped;
    jobs->stopped_context = context;
    bp_scheduler_stop(jobs);
}

static void handle_closed(uv_handle_t *handle)
{
    ((bp_jobs *)handle->data)->open_handles--;
}

void bp_jobs_free(bp_jobs *jobs)
{
    if (!jobs)
        return;
    if (jobs->open_handles > 0) {
        uv_close((uv_handle_t *)&jobs->wake, handle_closed);
        uv_close((uv_handle_t *)&jobs->retry, handle_closed);
    }
    bp_watchers_free(jobs->watchers);
    while (jobs->open_handles > 0)
        uv_run(jobs->loop, UV_RUN_ONCE);
    bp_progress_board_free(jobs->run_services.board);
    bp_mailbox_free(jobs->inbox);
    bp_queue_board_free(jobs->queue_board);
    bp_job_queue_done(&jobs->queue);
    bp_job_table_done(&jobs->table);
    free(jobs);
}
