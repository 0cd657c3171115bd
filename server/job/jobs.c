/* The jobs module from outside: opening, commands from other threads, stopping. Commands travel in one
 * mailbox to the main thread. It is unbounded, because the store thread sends to it too and must never
 * wait for the main thread, which waits for the store thread when its mailbox is full; what it holds is
 * bounded by its senders: a command for each open request, a few for each run. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "schema/json/json_text.h"
#include "server/base/clock.h"
#include "server/base/log.h"
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

static bp_status refuse_stopping(bp_error *error)
{
    return bp_error_set(error, BP_CANCELLED, NULL, "the daemon is stopping");
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
                  need_of_part("test", &spec->test)},
        .idempotency_key = submission->idempotency_key,
        .idempotency_route = submission->idempotency_route,
        .body_sha256 = submission->body_sha256,
    };
    return bp_job_store_insert(&self->id, &self->known, database, &job, error);
}

/* Adds a queued job to the table, unless a command for it came first and found it on the disk. */
static bp_job_entry *adopt(bp_jobs *jobs, int64_t id, int64_t priority, uint64_t memory_bytes)
{
    bp_job_entry *entry = bp_job_table_find(&jobs->table, id);
    if (entry)
        return entry;
    entry = bp_job_table_add(&jobs->table, id);
    if (!entry) {
        bp_log(BP_LOG_ERROR, "no memory to queue a job; it stays on the disk", "job=%lld",
               (long long)id);
        return NULL;
    }
    entry->priority = priority;
    entry->memory_bytes = memory_bytes;
    entry->state = BP_JOB_QUEUED;
    return entry;
}

static void take_submit(bp_jobs *jobs, bp_command *command)
{
    submit *self = (submit *)((char *)command - offsetof(submit, command));
    if (!jobs->closed && adopt(jobs, self->id, self->priority, self->memory_bytes))
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

/* ---- cancelling ---- */

typedef struct cancel {
    bp_command command; /* first */
    int64_t id;
    bp_cancel_waiter *waiter;
} cancel;

static void answer_cancel(bp_cancel_waiter *waiter, int64_t id, bp_status status,
                          const bp_error *error)
{
    waiter->reply(waiter->context, status == BP_OK ? id : 0, status, error);
    free(waiter);
}

/* What the disk says of a job that is not in the table: finished, or submitted a moment ago, in which
 * case it is put there (*out_entry). */
static bp_status look_up(bp_job_entry **out_entry, bp_jobs *jobs, int64_t id, bp_error *error)
{
    sqlite3 *database = NULL;
    sqlite3_stmt *statement = NULL;
    bp_status status = bp_store_reader(&database, jobs->store, error);
    if (status == BP_OK)
        status = bp_database_prepare(&statement, database,
                                     "SELECT state, priority, memory_bytes FROM jobs WHERE id = ?1",
                                     error);
    if (status != BP_OK)
        return status;
    sqlite3_bind_int64(statement, 1, id);
    const int code = sqlite3_step(statement);
    bp_job_state state;
    *out_entry = NULL;
    if (code == SQLITE_DONE) {
        status = bp_error_set(error, BP_NOT_FOUND, NULL, "there is no job %lld", (long long)id);
    } else if (code != SQLITE_ROW) {
        status = bp_database_error(database, code, "reading a job", error);
    } else if (!bp_job_state_find(&state, (const char *)sqlite3_column_text(statement, 0))) {
        status = bp_error_set(error, BP_CORRUPT, NULL, "the job's state is unknown");
    } else if (!bp_job_state_is_finished(state)) {
        *out_entry = adopt(jobs, id, sqlite3_column_int64(statement, 1),
                           (uint64_t)sqlite3_column_int64(statement, 2));
        if (!*out_entry)
            status = bp_error_set(error, BP_NO_MEMORY, NULL, "no memory");
    } else if (state != BP_JOB_CANCELLED) {
        status = bp_error_set(error, BP_CONFLICT, NULL, "the job is %s already",
                              bp_job_state_text(state));
    }
    sqlite3_finalize(statement);
    return status;
}

static void take_cancel(bp_jobs *jobs, bp_command *command)
{
    cancel *self = (cancel *)command;
    bp_error error = {.status = BP_OK};
    bp_job_entry *entry = bp_job_table_find(&jobs->table, self->id);
    bp_status status = BP_OK;
    if (jobs->closed)
        status = refuse_stopping(&error);
    else if (!entry)
        status = look_up(&entry, jobs, self->id, &error);
    if (status != BP_OK || !entry) {
        answer_cancel(self->waiter, self->id, status, &error);
    } else {
        self->waiter->next = entry->cancels;
        entry->cancels = self->waiter;
        bp_scheduler_advance(jobs, entry);
    }
    free(self);
}

void bp_jobs_cancel(bp_jobs *jobs, int64_t id, bp_job_reply *reply, void *context)
{
    bp_error error = {.status = BP_OK};
    cancel *self = calloc(1, sizeof *self);
    bp_cancel_waiter *waiter = calloc(1, sizeof *waiter);
    bp_status status = BP_OK;
    if (!self || !waiter) {
        status = bp_error_set(&error, BP_NO_MEMORY, NULL, "no memory");
    } else {
        *waiter = (bp_cancel_waiter){.reply = reply, .context = context};
        *self = (cancel){.command.run = take_cancel, .id = id, .waiter = waiter};
        if (bp_jobs_post(jobs, &self->command))
            return;
        status = refuse_stopping(&error);
    }
    free(self);
    free(waiter);
    reply(context, 0, status, &error);
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

typedef struct recover_write {
    bp_write write; /* first */
    int64_t id;
    bp_job_state from;
} recover_write;

static bp_status apply_recover(bp_write *write, sqlite3 *database, bp_error *error)
{
    const recover_write *self = (const recover_write *)write;
    const bool stopping = self->from == BP_JOB_STOPPING;
    const bp_transition transition = {
        .id = self->id,
        .from = bp_job_state_text(self->from),
        .to = bp_job_state_text(stopping ? BP_JOB_CANCELLED : BP_JOB_QUEUED),
        .reason = stopping ? "cancelled" : "daemon_died",
        .now_us = bp_clock_now_us(),
        .finishes = stopping,
        .counts_restart = !stopping,
    };
    return bp_job_store_move(database, &transition, error);
}

/* Before the loop runs: nobody waits for this thread yet, so it may wait for the store. */
static bp_status recover(bp_jobs *jobs, bp_job_entry *entry, bp_error *error)
{
    recover_write write = {.write.apply = apply_recover, .id = entry->id, .from = entry->state};
    const bp_status status = bp_store_write_wait(jobs->store, &write.write, error);
    if (status != BP_OK)
        return status;
    bp_log(BP_LOG_WARNING, "a job was running when the daemon died", "job=%lld",
           (long long)entry->id);
    if (entry->state == BP_JOB_STOPPING)
        bp_job_table_remove(&jobs->table, entry->id);
    else
        entry->state = BP_JOB_QUEUED;
    return BP_OK;
}

static bp_status read_unfinished(bp_jobs *jobs, bp_error *error)
{
    sqlite3 *database = NULL;
    sqlite3_stmt *statement = NULL;
    bp_status status = bp_store_reader(&database, jobs->store, error);
    if (status == BP_OK)
        status = bp_database_prepare(
            &statement, database,
            "SELECT j.id, j.state, j.priority, j.memory_bytes, "
            "(SELECT coalesce(max(seq), 0) FROM metrics m WHERE m.job_id = j.id) FROM jobs j "
            "WHERE j.state IN ('queued', 'running', 'stopping') ORDER BY j.id",
            error);
    int code = SQLITE_DONE;
    while (status == BP_OK && (code = sqlite3_step(statement)) == SQLITE_ROW) {
        bp_job_entry *entry =
            adopt(jobs, sqlite3_column_int64(statement, 0), sqlite3_column_int64(statement, 2),
                  (uint64_t)sqlite3_column_int64(statement, 3));
        if (!entry)
            status = bp_error_set(error, BP_NO_MEMORY, NULL, "no memory for the queue");
        else if (!bp_job_state_find(&entry->state, (const char *)sqlite3_column_text(statement, 1)))
            status = bp_error_set(error, BP_CORRUPT, NULL, "the state of a job is unknown");
        else
            entry->point_count = (uint64_t)sqlite3_column_int64(statement, 4);
    }
    if (status == BP_OK && code != SQLITE_DONE)
        status = bp_database_error(database, code, "reading jobs", error);
    sqlite3_finalize(statement);
    for (size_t i = jobs->table.count; i-- > 0 && status == BP_OK;)
        if (jobs->table.entries[i]->state != BP_JOB_QUEUED)
            status = recover(jobs, jobs->table.entries[i], error);
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
        status = bp_watchers_create(&jobs->watchers, loop, error);
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
    bp_job_table_done(&jobs->table);
    free(jobs);
}
