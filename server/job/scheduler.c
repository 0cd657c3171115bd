/* The states of jobs. This is the only file that changes one.
 *
 *   submit                       ┌──────────────resume───────────── paused ◄─────────┐
 *     │                          │   ┌──────────pause─────────────►   │             │
 *     ▼                          ▼   │                                │ cancel      │
 *   queued ◄─────────────────────────┘◄──requeue──┐                   ▼             │
 *     │  │ ▲                                      │               cancelled         │
 *     │  │ └──────────retry── failed, cancelled   │                   ▲             │
 *     │  └────────────cancel──────────────────────┼───────────────────┤             │
 *     │                                           │                   │             │
 *     └──start──► running ────────────────────────┘                conclude      conclude
 *                  │   │                                              │             │
 *                  │   └──cancel, pause──► stopping (for cancelled) ──┘             │
 *                  │                       stopping (for paused) ───────────────────┤
 *                  └──conclude──► succeeded, failed ◄──conclude─────────────────────┘
 *
 * submit         bp_jobs_submit and bp_jobs_verify write a queued job; it is adopted after the commit
 * start          a worker and the memory are free; the highest priority first, then the lowest id.
 *                Nothing overtakes a job that waits for memory, or it might wait for ever
 * pause, resume, cancel, retry   what users ask for: rule_of says what it leads to from each state. A run is
 *                told to stop once the state stopping is on the disk; a pause that is under way can be
 *                turned into a cancellation, which is stopping again with another reason
 * conclude       the run has ended. Cancelled: whatever it had achieved. Paused: unless it had come to its
 *                end before it noticed. The state succeeded, the model and its weights are one transaction
 * requeue        the run has ended because the daemon stops: queued again, no restart counted
 * recover        when the daemon starts: what a dead one left running is queued, a restart counted, or
 *                has failed where it was restarted too often without a new checkpoint; what it left
 *                stopping is cancelled or paused
 *
 * Invariants:
 *   1. entry->state is what is on the disk: a move is a write, and takes effect in `moved`, after its
 *      commit. A run starts, and is told to stop, only then.
 *   2. A job has at most one move on its way (`moving`); whatever comes meanwhile waits for `moved`,
 *      which calls advance.
 *   3. A move whose write fails (disk full) changes nothing. Who asked for it is told; what nobody asked
 *      for is tried again after a second.
 *   4. A worker and its memory are taken when a job begins to move to running and given back when the
 *      run has been joined and the job has moved on.
 *   5. The queue holds exactly the jobs that are queued and not moving. */
#include <assert.h>
#include <stdio.h>
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
    bp_job_state stops_for;
    bool asked;                  /* it is what the first of the entry's actions asks for */
    bool makes_model;            /* with result */
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
        if (self->makes_model)
            status =
                bp_model_store_insert(database, self->info, self->result->tensors,
                                      self->result->tensor_count, self->transition.now_us, error);
        if (status == BP_OK)
            status = bp_job_store_progress(database, self->transition.id, progress->epoch,
                                           progress->step, progress->steps, self->result->metrics,
                                           error);
        if (status == BP_OK)
            status = bp_job_store_weights(database, self->transition.id,
                                          self->result->weights_sha256, error);
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
    for (size_t i = jobs->table.count; i-- > 0;)
        bp_scheduler_advance(jobs, jobs->table.entries[i]);
    bp_scheduler_start_jobs(jobs);
    bp_jobs_sweep(jobs);
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

/* What a move is for, beside its state and reason; all zero: nothing more. */
typedef struct move_details {
    bp_job_result *result;
    bp_job_state stops_for;
    bool asked;
} move_details;

/* False: no memory. */
static bool begin_move(bp_jobs *jobs, bp_job_entry *entry, bp_job_state to, const char *reason,
                       const move_details *details)
{
    move *self = calloc(1, sizeof *self);
    if (!self) {
        retry_later(jobs);
        return false;
    }
    self->write = (bp_write){.apply = apply_move, .done = move_written};
    self->command.run = moved;
    self->jobs = jobs;
    (void)snprintf(self->reason, sizeof self->reason, "%s", reason);
    self->stops_for = details->stops_for;
    self->asked = details->asked;
    self->makes_model = entry->verifies == 0;
    self->result = details->result;
    self->info = details->result ? details->result->info : NULL;
    self->transition = (bp_transition){
        .id = entry->id,
        .from = bp_job_state_text(entry->state),
        .to = bp_job_state_text(to),
        .reason = self->reason,
        .now_us = bp_clock_now_us(),
        .begins = to == BP_JOB_RUNNING,
        .finishes = bp_job_state_is_finished(to),
        .retries = bp_job_state_is_finished(entry->state),
    };
    entry->moving = true;
    entry->moving_to = to;
    bp_job_queue_remove(&jobs->queue, entry);
    bp_store_write(jobs->store, &self->write);
    return true;
}

/* ---- workers ---- */

static void take_worker(bp_jobs *jobs, const bp_job_entry *entry)
{
    jobs->running_count++;
    jobs->running_bytes += entry->memory_bytes;
}

static void give_worker_back(bp_jobs *jobs, bp_job_entry *entry)
{
    jobs->running_count--;
    jobs->running_bytes -= entry->memory_bytes;
    bp_progress_board_remove(jobs->run_services.board, entry->id);
    bp_job_result_free(entry->outcome.result);
    entry->outcome = (bp_run_outcome){0};
    entry->run_ended = false;
}

static bool holds_worker(bp_job_state state)
{
    return state == BP_JOB_RUNNING || state == BP_JOB_STOPPING;
}

void bp_scheduler_start_jobs(bp_jobs *jobs)
{
    bp_queue_state state = {.worker_count = jobs->options.worker_count,
                            .budget_bytes = jobs->options.limits.memory_bytes};
    bp_job_entry *entry;
    while (!jobs->stopping && jobs->running_count < jobs->options.worker_count &&
           state.wait == BP_QUEUE_MOVES && (entry = bp_job_queue_first(&jobs->queue))) {
        state.free_bytes =
            jobs->running_bytes < state.budget_bytes ? state.budget_bytes - jobs->running_bytes : 0;
        /* A job that is larger than the whole budget (it may have shrunk) runs alone, and fails with the
         * figures when its specification is read. */
        if (jobs->running_count > 0 && entry->memory_bytes > state.free_bytes) {
            state.wait = BP_QUEUE_MEMORY;
            state.first_job = entry->id;
            state.need_bytes = entry->memory_bytes;
        } else if (begin_move(jobs, entry, BP_JOB_RUNNING, "started", &(move_details){0})) {
            take_worker(jobs, entry);
        } else {
            break;
        }
    }
    /* Said also while nothing is queued: a job that comes next waits from its first moment. */
    if (jobs->running_count >= jobs->options.worker_count)
        state.wait = BP_QUEUE_WORKER;
    bp_queue_board_set(jobs->queue_board, &state);
}

static void start_run(bp_jobs *jobs, bp_job_entry *entry)
{
    bp_error error = {.status = BP_OK};
    if (bp_run_start(&entry->run, &jobs->run_services, entry->id, &error) == BP_OK) {
        if (jobs->stopping)
            bp_run_stop(entry->run, BP_STOP_DAEMON);
        return;
    }
    bp_log_error(BP_LOG_ERROR, "job cannot start", &error);
    entry->outcome = (bp_run_outcome){.end = BP_RUN_FAILED};
    memcpy(entry->outcome.reason, error.message, sizeof entry->outcome.reason);
    entry->run_ended = true;
}

/* ---- what a job is asked for ---- */

typedef enum rule_kind {
    REFUSED,
    HOLDS, /* it is so already, or on its way */
    MOVES
} rule_kind;

typedef struct rule {
    rule_kind kind;
    bp_job_state to;        /* for MOVES */
    bp_job_state stops_for; /* where that is stopping */
    const char *reason;
} rule;

/* What an action leads to from the entry's state: the whole matrix. */
static rule rule_of(const bp_job_entry *entry, bp_job_action action)
{
    static const rule refused = {.kind = REFUSED}, holds = {.kind = HOLDS};
    static const rule pause = {MOVES, BP_JOB_PAUSED, BP_JOB_PAUSED, "paused"};
    static const rule pause_run = {MOVES, BP_JOB_STOPPING, BP_JOB_PAUSED, "paused"};
    static const rule cancel = {MOVES, BP_JOB_CANCELLED, BP_JOB_CANCELLED, "cancelled"};
    static const rule cancel_run = {MOVES, BP_JOB_STOPPING, BP_JOB_CANCELLED, "cancelled"};
    static const rule resume = {MOVES, BP_JOB_QUEUED, BP_JOB_PAUSED, "resumed"};
    static const rule retry = {MOVES, BP_JOB_QUEUED, BP_JOB_PAUSED, "retried"};
    /* Again what led to its being queued or running, as far as anybody can tell. */
    const rule *resumes = entry->resumed ? &holds : &refused;
    const rule *retries = entry->retried ? &holds : &refused;
    const bool pauses = entry->stops_for == BP_JOB_PAUSED;
    const rule *matrix[][4] = {
        /*                   pause                      resume    cancel                retry */
        [BP_JOB_QUEUED] = {&pause, resumes, &cancel, retries},
        [BP_JOB_RUNNING] = {&pause_run, resumes, &cancel_run, retries},
        [BP_JOB_STOPPING] = {pauses ? &holds : &refused, &refused, pauses ? &cancel_run : &holds,
                             &refused},
        [BP_JOB_PAUSED] = {&holds, &resume, &cancel, &refused},
        [BP_JOB_SUCCEEDED] = {&refused, &refused, &refused, &refused},
        [BP_JOB_FAILED] = {&refused, &refused, &refused, &retry},
        [BP_JOB_CANCELLED] = {&refused, &refused, &holds, &retry},
    };
    return *matrix[entry->state][action];
}

/* The first of what is asked has its answer. */
static void answer_action(bp_job_entry *entry, bp_status status, const bp_error *error)
{
    bp_action *action = entry->actions;
    entry->actions = action->next;
    action->reply(action->context, status == BP_OK ? entry->id : 0, status, error);
    free(action);
}

static void refuse_action(bp_job_entry *entry)
{
    static const char *const participles[] = {
#define PARTICIPLE(name, text, participle) participle,
        BP_JOB_ACTION_LIST(PARTICIPLE)
#undef PARTICIPLE
    };
    bp_error error = {.status = BP_OK};
    const bool stopping = entry->state == BP_JOB_STOPPING;
    const bp_status status =
        bp_error_set(&error, BP_CONFLICT, NULL, "the job is %s%s: it cannot be %s",
                     bp_job_state_text(entry->state),
                     !stopping                           ? ""
                     : entry->stops_for == BP_JOB_PAUSED ? ", to be paused"
                                                         : ", to be cancelled",
                     participles[entry->actions->kind]);
    answer_action(entry, status, &error);
}

/* False: no memory, tried again later. */
static bool take_action(bp_jobs *jobs, bp_job_entry *entry)
{
    const rule what = rule_of(entry, entry->actions->kind);
    switch (what.kind) {
    case REFUSED:
        refuse_action(entry);
        return true;
    case HOLDS:
        answer_action(entry, BP_OK, NULL);
        return true;
    case MOVES:
        break;
    }
    return begin_move(jobs, entry, what.to, what.reason,
                      &(move_details){.stops_for = what.stops_for, .asked = true});
}

static bool conclude(bp_jobs *jobs, bp_job_entry *entry)
{
    const bp_run_outcome *outcome = &entry->outcome;
    const move_details nothing_more = {0};
    const bool stopping = entry->state == BP_JOB_STOPPING;
    if (stopping && entry->stops_for == BP_JOB_CANCELLED)
        return begin_move(jobs, entry, BP_JOB_CANCELLED, "cancelled", &nothing_more);
    switch (outcome->end) {
    case BP_RUN_SUCCEEDED:
        return begin_move(jobs, entry, BP_JOB_SUCCEEDED,
                          outcome->reason[0] ? outcome->reason : "completed",
                          &(move_details){.result = outcome->result});
    case BP_RUN_FAILED:
        return begin_move(jobs, entry, BP_JOB_FAILED, outcome->reason, &nothing_more);
    case BP_RUN_STOPPED:
        break;
    }
    return stopping ? begin_move(jobs, entry, BP_JOB_PAUSED, "paused", &nothing_more)
                    : begin_move(jobs, entry, BP_JOB_QUEUED, "daemon_stopped", &nothing_more);
}

static void remove_entry(bp_jobs *jobs, bp_job_entry *entry)
{
    bp_job_queue_remove(&jobs->queue, entry);
    bp_job_table_remove(&jobs->table, entry->id);
}

void bp_scheduler_advance(bp_jobs *jobs, bp_job_entry *entry)
{
    while (!entry->moving && (entry->run_ended || entry->actions)) {
        if (!(entry->run_ended ? conclude(jobs, entry) : take_action(jobs, entry)))
            return;
    }
    if (!entry->moving && bp_job_state_is_finished(entry->state))
        remove_entry(jobs, entry);
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
    const bp_job_state from = entry->state, to = entry->moving_to;
    entry->state = to;
    bp_log(BP_LOG_INFO, "job moved", "job=%lld from=%s to=%s reason=\"%s\"", (long long)entry->id,
           self->transition.from, self->transition.to, self->transition.reason);
    if (to == BP_JOB_RUNNING) {
        start_run(jobs, entry);
        return;
    }
    if (to == BP_JOB_STOPPING) {
        entry->stops_for = self->stops_for;
        if (entry->run)
            bp_run_stop(entry->run,
                        entry->stops_for == BP_JOB_PAUSED ? BP_STOP_PAUSE : BP_STOP_CANCEL);
        return;
    }
    if (holds_worker(from))
        give_worker_back(jobs, entry);
    if (to == BP_JOB_QUEUED) {
        entry->resumed = entry->resumed || from == BP_JOB_PAUSED;
        entry->retried = entry->retried || bp_job_state_is_finished(from);
        bp_job_queue_add(&jobs->queue, entry);
    } else if (bp_job_state_is_finished(to)) {
        bp_watchers_wake(jobs->watchers, entry->id, entry->point_count, true);
    }
}

/* The write has failed: the job is where it was. */
static void stay(bp_jobs *jobs, bp_job_entry *entry, const move *self)
{
    /* A refusal is the user's to know: a data set has gone, the job has been deleted meanwhile. */
    if (!self->asked || (self->status != BP_CONFLICT && self->status != BP_NOT_FOUND))
        bp_log_error(BP_LOG_ERROR, "a job's state cannot be written", &self->error);
    if (entry->moving_to == BP_JOB_RUNNING)
        give_worker_back(jobs, entry);
    if (entry->state == BP_JOB_QUEUED)
        bp_job_queue_add(&jobs->queue, entry);
    while (entry->actions)
        answer_action(entry, self->status, &self->error);
    if (!self->asked)
        retry_later(jobs);
}

static void moved(bp_jobs *jobs, bp_command *command)
{
    move *self = move_of(command);
    bp_job_entry *entry = bp_job_table_find(&jobs->table, self->transition.id);
    const bool written = self->status == BP_OK;
    entry->moving = false;
    if (written) {
        take_effect(jobs, entry, self);
        if (self->asked)
            answer_action(entry, BP_OK, NULL);
        bp_scheduler_advance(jobs, entry);
        bp_scheduler_start_jobs(jobs);
    } else {
        stay(jobs, entry, self);
        /* A stopping daemon does not wait for space: the next one counts a restart. */
        if (jobs->stopping && entry->run_ended) {
            give_worker_back(jobs, entry);
            remove_entry(jobs, entry);
        } else if (bp_job_state_is_finished(entry->state)) {
            remove_entry(jobs, entry);
        } else if (self->asked) {
            bp_scheduler_advance(jobs, entry); /* its run may have ended meanwhile */
        }
    }
    free(self);
    finish_stopping(jobs);
}

void bp_scheduler_run_ended(bp_jobs *jobs, bp_job_entry *entry)
{
    bp_run_join(entry->run, &entry->outcome);
    entry->run = NULL;
    entry->run_ended = true;
    bp_scheduler_advance(jobs, entry);
}

void bp_scheduler_adopt(bp_jobs *jobs, bp_job_entry *entry, bp_job_state state)
{
    entry->state = state;
    if (state == BP_JOB_QUEUED)
        bp_job_queue_add(&jobs->queue, entry);
}

void bp_scheduler_reprioritise(bp_jobs *jobs, bp_job_entry *entry, int64_t priority)
{
    const bool waits = entry->queue_place != 0;
    bp_job_queue_remove(&jobs->queue, entry);
    entry->priority = priority;
    if (waits)
        bp_job_queue_add(&jobs->queue, entry);
    bp_scheduler_start_jobs(jobs);
}

/* ---- after a daemon that died ---- */

typedef struct recover_write {
    bp_write write; /* first */
    bp_transition transition;
} recover_write;

static bp_status apply_recover(bp_write *write, sqlite3 *database, bp_error *error)
{
    return bp_job_store_move(database, &((recover_write *)write)->transition, error);
}

bp_status bp_scheduler_recover(bp_jobs *jobs, bp_job_entry *entry, bp_error *error)
{
    const bool was_running = entry->state == BP_JOB_RUNNING;
    bp_job_state to = entry->stops_for;
    const char *reason = bp_job_state_text(to);
    if (was_running && entry->stalled_restarts >= jobs->options.restart_limit) {
        to = BP_JOB_FAILED;
        reason = "restart_limit";
    } else if (was_running) {
        to = BP_JOB_QUEUED;
        reason = "daemon_died";
    }
    recover_write write = {.write.apply = apply_recover,
                           .transition = {.id = entry->id,
                                          .from = bp_job_state_text(entry->state),
                                          .to = bp_job_state_text(to),
                                          .reason = reason,
                                          .now_us = bp_clock_now_us(),
                                          .finishes = bp_job_state_is_finished(to),
                                          .counts_restart = to == BP_JOB_QUEUED}};
    const bp_status status = bp_store_write_wait(jobs->store, &write.write, error);
    if (status != BP_OK)
        return status;
    bp_log(BP_LOG_WARNING, "a job was running when the daemon died", "job=%lld to=%s reason=%s",
           (long long)entry->id, write.transition.to, reason);
    if (bp_job_state_is_finished(to))
        remove_entry(jobs, entry);
    else
        bp_scheduler_adopt(jobs, entry, to);
    return BP_OK;
}

void bp_scheduler_stop(bp_jobs *jobs)
{
    jobs->stopping = true;
    for (size_t i = 0; i < jobs->table.count; i++) {
        bp_job_entry *entry = jobs->table.entries[i];
        if (entry->run && entry->state == BP_JOB_RUNNING)
            bp_run_stop(entry->run, BP_STOP_DAEMON);
    }
    finish_stopping(jobs);
}
