/* What is asked of jobs that are there. An action goes to the main thread, whose scheduler answers it; a
 * change that is no state goes to the store first, and the main thread hears of it after the commit. */
#include <stdlib.h>

#include "server/base/clock.h"
#include "server/base/log.h"
#include "server/job/job_table.h"
#include "server/store/job_sweep.h"

static bp_status refuse_stopping(bp_error *error)
{
    return bp_error_set(error, BP_CANCELLED, NULL, "the daemon is stopping");
}

static bp_status refuse_no_memory(bp_error *error)
{
    return bp_error_set(error, BP_NO_MEMORY, NULL, "no memory");
}

/* ---- actions ---- */

static void append(bp_job_entry *entry, bp_action *action)
{
    bp_action **place = &entry->actions;
    while (*place)
        place = &(*place)->next;
    *place = action;
}

static void take_action(bp_jobs *jobs, bp_command *command)
{
    bp_action *self = (bp_action *)command;
    bp_error error = {.status = BP_OK};
    bp_job_entry *entry = NULL;
    const bp_status status =
        jobs->closed ? refuse_stopping(&error) : bp_jobs_find_entry(&entry, jobs, self->id, &error);
    if (status != BP_OK) {
        self->reply(self->context, 0, status, &error);
        free(self);
        return;
    }
    append(entry, self);
    bp_scheduler_advance(jobs, entry);
}

void bp_jobs_act(bp_jobs *jobs, int64_t id, bp_job_action action, bp_job_reply *reply,
                 void *context)
{
    bp_error error = {.status = BP_OK};
    bp_status status;
    bp_action *self = calloc(1, sizeof *self);
    if (self) {
        *self = (bp_action){.command.run = take_action,
                            .id = id,
                            .kind = action,
                            .reply = reply,
                            .context = context};
        if (bp_jobs_post(jobs, &self->command))
            return;
        free(self);
        status = refuse_stopping(&error);
    } else {
        status = refuse_no_memory(&error);
    }
    reply(context, 0, status, &error);
}

/* ---- changes that are no states ---- */

typedef enum change_kind { CHANGE_PRIORITY, CHANGE_DELETE, CHANGE_VERIFY } change_kind;

typedef struct change {
    bp_write write;     /* first; on the store thread */
    bp_command command; /* then to the main thread */
    bp_jobs *jobs;
    change_kind kind;
    int64_t id, priority;
    bp_if_match condition;
    bp_verification_job verification;
    bp_job_reply *reply;
    void *context;
} change;

static bp_status apply_change(bp_write *write, sqlite3 *database, bp_error *error)
{
    change *self = (change *)write;
    switch (self->kind) {
    case CHANGE_PRIORITY:
        return bp_job_store_set_priority(database, self->id, self->priority, &self->condition,
                                         error);
    case CHANGE_DELETE:
        return bp_job_store_delete(database, self->id, &self->condition, error);
    case CHANGE_VERIFY:
        return bp_job_store_verify(&self->verification, database, self->id, bp_clock_now_us(),
                                   error);
    }
    return BP_INTERNAL;
}

static void take_change(bp_jobs *jobs, bp_command *command)
{
    change *self = (change *)((char *)command - offsetof(change, command));
    const bp_verification_job *verification = &self->verification;
    bp_job_entry *entry = bp_job_table_find(&jobs->table, self->id);
    switch (jobs->closed ? CHANGE_DELETE : self->kind) {
    case CHANGE_PRIORITY:
        /* An entry that is not there is read from the disk when something is asked of it. */
        if (entry)
            bp_scheduler_reprioritise(jobs, entry, self->priority);
        break;
    case CHANGE_DELETE:
        bp_jobs_sweep(jobs);
        break;
    case CHANGE_VERIFY:
        if (bp_jobs_adopt(jobs, verification->id, BP_JOB_QUEUED, verification->priority,
                          verification->memory_bytes, self->id))
            bp_scheduler_start_jobs(jobs);
        break;
    }
    free(self);
}

static void change_written(bp_write *write, bp_status status, const bp_error *error)
{
    change *self = (change *)write;
    bp_job_reply *reply = self->reply;
    void *context = self->context;
    const bool verifies = self->kind == CHANGE_VERIFY;
    const int64_t id = status != BP_OK ? 0 : verifies ? self->verification.id : self->id;
    /* The main thread hears of it before the client does; a closed inbox leaves it to the next daemon. */
    if (status != BP_OK || (verifies && self->verification.known) ||
        !bp_jobs_post(self->jobs, &self->command))
        free(self);
    reply(context, id, status, error);
}

/* Takes the values of what. */
static void send_change(const change *what)
{
    bp_error error = {.status = BP_OK};
    change *self = malloc(sizeof *self);
    if (!self) {
        what->reply(what->context, 0, refuse_no_memory(&error), &error);
        return;
    }
    *self = *what;
    self->write = (bp_write){.apply = apply_change, .done = change_written};
    self->command.run = take_change;
    bp_store_write(what->jobs->store, &self->write);
}

void bp_jobs_set_priority(bp_jobs *jobs, int64_t id, int64_t priority, const bp_if_match *condition,
                          bp_job_reply *reply, void *context)
{
    send_change(&(change){.jobs = jobs,
                          .kind = CHANGE_PRIORITY,
                          .id = id,
                          .priority = priority,
                          .condition = *condition,
                          .reply = reply,
                          .context = context});
}

void bp_jobs_delete(bp_jobs *jobs, int64_t id, const bp_if_match *condition, bp_job_reply *reply,
                    void *context)
{
    send_change(&(change){.jobs = jobs,
                          .kind = CHANGE_DELETE,
                          .id = id,
                          .condition = *condition,
                          .reply = reply,
                          .context = context});
}

void bp_jobs_verify(bp_jobs *jobs, int64_t id, bp_job_reply *reply, void *context)
{
    send_change(&(change){
        .jobs = jobs, .kind = CHANGE_VERIFY, .id = id, .reply = reply, .context = context});
}

/* ---- sweeping ---- */

typedef struct sweep {
    bp_write write;     /* first */
    bp_command command; /* back to the main thread */
    bp_jobs *jobs;
    bool more;
} sweep;

static bp_status apply_sweep(bp_write *write, sqlite3 *database, bp_error *error)
{
    return bp_job_sweep_step(&((sweep *)write)->more, database, error);
}

static void take_swept(bp_jobs *jobs, bp_command *command)
{
    sweep *self = (sweep *)((char *)command - offsetof(sweep, command));
    const bool more = self->more || jobs->sweep_again;
    free(self);
    jobs->sweeping = jobs->sweep_again = false;
    if (more)
        bp_jobs_sweep(jobs);
}

static void sweep_written(bp_write *write, bp_status status, const bp_error *error)
{
    sweep *self = (sweep *)write;
    if (status != BP_OK) {
        /* The next deletion or the next daemon goes on. */
        bp_log_error(BP_LOG_WARNING, "rows of a deleted job stay for now", error);
        self->more = false;
    }
    if (!bp_jobs_post(self->jobs, &self->command))
        free(self);
}

void bp_jobs_sweep(bp_jobs *jobs)
{
    if (jobs->stopping)
        return;
    if (jobs->sweeping) {
        jobs->sweep_again = true;
        return;
    }
    sweep *self = calloc(1, sizeof *self);
    if (!self)
        return;
    *self = (sweep){.write = {.apply = apply_sweep, .done = sweep_written},
                    .command.run = take_swept,
                    .jobs = jobs};
    jobs->sweeping = true;
    bp_store_write(jobs->store, &self->write);
}
