/* The states of jobs. This is the only file that changes one.
 *
 *   queued ──start──► running ──conclude──► succeeded, failed
 *     │  ▲               │ │
 *     │  └──requeue──────┘ └──stop_run──► stopping ──conclude──► cancelled
 *     └──────cancel_queued──────────────────────────────────────► cancelled
 *
 * start          a worker and the memory are free; the highest priority first, then the lowest id.
 *                Nothing overtakes a job that waits for memory, or it might wait for ever
 * stop_run       a cancel command for a running job: its run is told to stop once the state is on disk
 * conclude       the run has ended. After stopping: cancelled, whatever it had achieved. The state
 *                succeeded, the model and its weights are one transaction
 * requeue        the run has ended because the daemon stops: queued again, no restart counted
 * (recover)      in jobs.c, before the loop runs: what a dead daemon left running is queued, a restart
 *                counted; what it left stopping is cancelled
 *
 * Invariants:
 *   1. entry->state is what is on the disk: a move is a write, and takes effect in `moved`, after its
 *      commit. A run starts, and is told to stop, only then.
 *   2. A job has at most one move on its way (`moving`); whatever comes meanwhile waits for `moved`,
 *      which calls advance.
 *   3. A move whose write fails (disk full) changes nothing and is tried again after a second.
 *   4. A worker and its memory are taken when a job begins to move to running and given back when the
 *      run has been joined and the job has moved on. */
#include <stdlib.h>
#include <string.h>

#include "server/base/clock.h"
#include "server/base/log.h"
#include "server/job/job_table.h"
#include "server/store/job_store.h"

enum { RETRY_MS = 1000 };

/* ---- moving: a state write and its way back to this thread ---- */

typedef struct move {
    bp_write write;     /* first */
    bp_command command; /* back to the main thread */
    bp_jobs *jobs;
    bp_transition transition;
    char reason[BP_ERROR_MESSAGE_SIZE];
    const bp_job_result *result; /* the entry's, which waits; NULL: none */
    bp_model_info *info;         /* result->info, which the store completes */
    bp_status status;
    bp_error error;
} move;

static move *move_of(bp_command *command)
{
    return (move *)((char *)command - offsetof(move, command));
}

static bp_status apply_move(bp_write *write, sqlite3 *database, bp_error *error)
{
    move *self = (move *)write;
    bp_status status = BP_OK;
    if (self->result) {
        const bp_progress *progress = &self->result->progress;
        bp_clock_format(self->info->created, self->transition.now_us);
        status = bp_model_store_insert(database, self->info, self->result->tensors,
                                       self->result->tensor_count, self->transition.now_us, error);
        if (status == BP_OK)
            status = bp_job_store_progress(database, self->transition.id, progress->epoch,
                                           progress->step, progress->steps, self->result->metrics,
                                           error);
    }
    return status == BP_OK ? bp_job_store_move(database, &self->transition, error) : status;
}

static void move_written(bp_write *write, bp_status status, const bp_error *error)
{
    move *self = (move *)write;
    self->status = status;
    if (status != BP_OK)
        self->error = *error;
    /* The inbox closes only after the last move has come back (finish_stopping). */
    if (!bp_jobs_post(self->jobs, &self->command))
        free(self);
}

static void moved(bp_jobs *jobs, bp_command *command);

static void on_retry(uv_timer_t *timer)
{
    bp_jobs *jobs = timer->data;
    for (size_t i = 0; i < jobs->table.count; i++)
        bp_scheduler_advance(jobs, jobs->table.entries[i]);
    bp_scheduler_start_jobs(jobs);
}

static void retry_later(bp_jobs *jobs)
{
    if (!uv_is_active((uv_handle_t *)&jobs->retry))
        uv_timer_start(&jobs->retry, on_retry, RETRY_MS, 0);
}

void bp_scheduler_retry_soon(bp_jobs *jobs)
{
    uv_timer_start(&jobs->retry, on_retry, 0, 0);
}

/* reason NULL: none. */
static void begin_move(bp_jobs *jobs, bp_job_entry *entry, bp_job_state to, const char *reason,
                       bp_job_result *result)
{
    move *self = calloc(1, sizeof *self);
    if (!self) {
        retry_later(jobs);
        return;
    }
    self->write = (bp_write){.apply = apply_move, .done = move_written};
    self->command.run = moved;
    self->jobs = jobs;
    if (reason) {
        strncpy(self->reason, reason, sizeof self->reason - 1);
        self->transition.reason = self->reason;
    }
    self->transition.id = entry->id;
    self->transition.from = bp_job_state_text(entry->state);
    self->transition.to = bp_job_state_text(to);
    self->transition.now_us = bp_clock_now_us();
    self->transition.begins = to == BP_JOB_RUNNING;
    self->transition.finishes = bp_job_state_is_finished(to);
    self->result = result;
    self->info = result ? result->info : NULL;
    entry->moving = true;
    entry->moving_to = to;
    bp_store_write(jobs->store, &self->write);
}

/* ---- workers ---- */

static void take_worker(bp_jobs *jobs, const bp_job_entry *entry)
{
    jobs->running_count++;
    jobs->running_bytes += entry->memory_bytes;
}

static void give_worker_back(bp_jobs *jobs, const bp_job_entry *entry)
{
    jobs->running_count--;
    jobs->running_bytes -= entry->memory_bytes;
}

/* The next to start, or NULL. */
static bp_job_entry *first_queued(const bp_jobs *jobs)
{
    bp_job_entry *first = NULL;
    for (size_t i = 0; i < jobs->table.count; i++) {
        bp_job_entry *entry = jobs->table.entries[i];
        if (entry->state == BP_JOB_QUEUED && !entry->moving && !entry->cancels &&
            (!first || entry->priority > first->priority))
            first = entry;
    }
    return first;
}

void bp_scheduler_start_jobs(bp_jobs *jobs)
{
    while (!jobs->stopping && jobs->running_count < jobs->options.worker_count) {
        bp_job_entry *entry = first_queued(jobs);
        if (!entry)
            return;
        /* A job that is larger than the whole budget (it may have shrunk) runs alone, and fails with the
         * figures when its specification is read. */
        const uint64_t budget = jobs->options.limits.memory_bytes;
        const uint64_t left = jobs->running_bytes < budget ? budget - jobs->running_bytes : 0;
        if (jobs->running_count > 0 && entry->memory_bytes > left)
            return;
        begin_move(jobs, entry, BP_JOB_RUNNING, NULL, NULL);
        if (!entry->moving)
            return;
        take_worker(jobs, entry);
    }
}

static void start_run(bp_jobs *jobs, bp_job_entry *entry)
{
    bp_error error = {.status = BP_OK};
    if (bp_run_start(&entry->run, &jobs->run_services, entry->id, &error) == BP_OK) {
        if (jobs->stopping)
            bp_run_stop(entry->run, true);
        return;
    }
    bp_log_error(BP_LOG_ERROR, "job cannot start", &error);
    entry->outcome = (bp_run_outcome){.end = BP_RUN_FAILED};
    memcpy(entry->outcome.reason, error.message, sizeof entry->outcome.reason);
    entry->run_ended = true;
}

/* ---- what a job asks for ---- */

static void answer_cancels(bp_job_entry *entry, bp_status status, const bp_error *error)
{
    while (entry->cancels) {
        bp_cancel_waiter *waiter = entry->cancels;
        entry->cancels = waiter->next;
        waiter->reply(waiter->context, status == BP_OK ? entry->id : 0, status, error);
        free(waiter);
    }
}

static void conclude(bp_jobs *jobs, bp_job_entry *entry)
{
    const bp_run_outcome *outcome = &entry->outcome;
    if (entry->state == BP_JOB_STOPPING) {
        begin_move(jobs, entry, BP_JOB_CANCELLED, "cancelled", NULL);
        return;
    }
    switch (outcome->end) {
    case BP_RUN_SUCCEEDED:
        begin_move(jobs, entry, BP_JOB_SUCCEEDED, outcome->reason[0] ? outcome->reason : NULL,
                   outcome->result);
        return;
    case BP_RUN_FAILED:
        begin_move(jobs, entry, BP_JOB_FAILED, outcome->reason, NULL);
        return;
    case BP_RUN_STOPPED:
        begin_move(jobs, entry, BP_JOB_QUEUED, "daemon_stopped", NULL);
        return;
    }
}

void bp_scheduler_advance(bp_jobs *jobs, bp_job_entry *entry)
{
    if (entry->moving)
        return;
    if (entry->run_ended)
        conclude(jobs, entry);
    else if (!entry->cancels)
        return;
    else if (entry->state == BP_JOB_QUEUED)
        begin_move(jobs, entry, BP_JOB_CANCELLED, "cancelled", NULL);
    else if (entry->state == BP_JOB_RUNNING)
        begin_move(jobs, entry, BP_JOB_STOPPING, "cancelled", NULL);
    else if (entry->state == BP_JOB_STOPPING)
        answer_cancels(entry, BP_OK, NULL);
}

static void finish_stopping(bp_jobs *jobs)
{
    if (!jobs->stopping || !jobs->stopped || jobs->running_count > 0)
        return;
    for (size_t i = 0; i < jobs->table.count; i++)
        if (jobs->table.entries[i]->moving)
            return;
    void (*stopped)(void *context) = jobs->stopped;
    jobs->stopped = NULL;
    bp_jobs_close_inbox(jobs);
    stopped(jobs->stopped_context);
    bp_watchers_wake_all(jobs->watchers);
}

/* After the commit: the state holds. */
static void take_effect(bp_jobs *jobs, bp_job_entry *entry, const move *self)
{
    const bp_job_state to = entry->moving_to;
    const bool had_worker = entry->state != BP_JOB_QUEUED;
    entry->state = to;
    bp_log(BP_LOG_INFO, "job moved", "job=%lld from=%s to=%s reason=\"%s\"", (long long)entry->id,
           self->transition.from, self->transition.to,
           self->transition.reason ? self->transition.reason : "");
    if (to == BP_JOB_RUNNING) {
        start_run(jobs, entry);
        return;
    }
    if (to == BP_JOB_STOPPING) {
        if (entry->run)
            bp_run_stop(entry->run, false);
        answer_cancels(entry, BP_OK, NULL);
        return;
    }
    if (had_worker) {
        give_worker_back(jobs, entry);
        bp_progress_board_remove(jobs->run_services.board, entry->id);
        bp_job_result_free(entry->outcome.result);
        entry->outcome = (bp_run_outcome){0};
        entry->run_ended = false;
    }
    if (to == BP_JOB_QUEUED)
        return;
    bp_error late = {.status = BP_OK};
    if (to == BP_JOB_CANCELLED)
        answer_cancels(entry, BP_OK, NULL);
    else
        answer_cancels(
            entry,
            bp_error_set(&late, BP_CONFLICT, NULL, "the job is %s already", bp_job_state_text(to)),
            &late);
    bp_watchers_wake(jobs->watchers, entry->id, entry->point_count, true);
    entry->dead = true;
}

static void moved(bp_jobs *jobs, bp_command *command)
{
    move *self = move_of(command);
    bp_job_entry *entry = bp_job_table_find(&jobs->table, self->transition.id);
    const bp_job_state to = entry->moving_to;
    const bool written = self->status == BP_OK;
    entry->moving = false;
    if (written) {
        take_effect(jobs, entry, self);
    } else {
        bp_log_error(BP_LOG_ERROR, "a job's state cannot be written", &self->error);
        if (to == BP_JOB_RUNNING)
            give_worker_back(jobs, entry);
        answer_cancels(entry, self->status, &self->error);
        /* A stopping daemon does not wait for space: the next one counts a restart. */
        if (jobs->stopping && entry->run_ended) {
            give_worker_back(jobs, entry);
            bp_job_result_free(entry->outcome.result);
            entry->dead = true;
        } else {
            retry_later(jobs);
        }
    }
    free(self);
    if (entry->dead)
        bp_job_table_remove(&jobs->table, entry->id);
    else if (written)
        bp_scheduler_advance(jobs, entry);
    if (written)
        bp_scheduler_start_jobs(jobs);
    finish_stopping(jobs);
}

void bp_scheduler_run_ended(bp_jobs *jobs, bp_job_entry *entry)
{
    bp_run_join(entry->run, &entry->outcome);
    entry->run = NULL;
    entry->run_ended = true;
    bp_scheduler_advance(jobs, entry);
}

void bp_scheduler_stop(bp_jobs *jobs)
{
    jobs->stopping = true;
    for (size_t i = 0; i < jobs->table.count; i++)
        if (jobs->table.entries[i]->run)
            bp_run_stop(jobs->table.entries[i]->run, true);
    finish_stopping(jobs);
}
