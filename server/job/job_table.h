/* The main thread's view of unfinished jobs, and what jobs.c, scheduler.c and watchers.c share. Private
 * to server/job. Everything here but the mailbox and the board belongs to the main thread. */
#ifndef BP_SERVER_JOB_JOB_TABLE_H
#define BP_SERVER_JOB_JOB_TABLE_H

#include "server/job/jobs.h"
#include "server/job/trainer_thread.h"
#include "server/job/watchers.h"

/* A message to the main thread: run is called there and owns the command. */
typedef struct bp_command {
    bp_message message; /* first */
    void (*run)(bp_jobs *jobs, struct bp_command *command);
} bp_command;

/* Somebody who waits for the answer to a cancel command. */
typedef struct bp_cancel_waiter {
    struct bp_cancel_waiter *next;
    bp_job_reply *reply;
    void *context;
} bp_cancel_waiter;

typedef struct bp_job_entry {
    int64_t id, priority;
    uint64_t memory_bytes;
    bp_job_state state;     /* as last committed */
    bool moving;            /* a state write is on its way: nothing else happens to the job */
    bp_job_state moving_to; /* while moving */
    bool run_ended;         /* outcome is there */
    bool dead;              /* finished: leaves the table when nothing more needs it */
    uint64_t point_count;   /* seq of the last committed point, as far as this thread knows */
    bp_run *run;            /* while running or stopping */
    bp_run_outcome outcome; /* while run_ended */
    bp_cancel_waiter *cancels;
} bp_job_entry;

typedef struct bp_job_table {
    size_t count, capacity;
    bp_job_entry **entries; /* by ascending id */
} bp_job_table;

/* NULL: not there. */
bp_job_entry *bp_job_table_find(const bp_job_table *table, int64_t id);
/* A zeroed entry with the id; NULL: no memory. The id must not be there. */
bp_job_entry *bp_job_table_add(bp_job_table *table, int64_t id);
void bp_job_table_remove(bp_job_table *table, int64_t id);
void bp_job_table_done(bp_job_table *table);

struct bp_jobs {
    uv_loop_t *loop;
    bp_store *store;
    bp_datasets *datasets;
    bp_jobs_options options;
    bp_run_services run_services;

    bp_mailbox *inbox;
    uv_async_t wake;  /* inbox has something */
    uv_timer_t retry; /* a state write failed: tries again; also the first start of jobs */
    unsigned open_handles;

    bp_job_table table;
    size_t running_count; /* entries that hold a worker: moving to running, running or stopping */
    uint64_t running_bytes;
    bp_watchers *watchers;

    bool stopping; /* no job starts any more */
    bool closed;   /* no command is served any more */
    void (*stopped)(void *context);
    void *stopped_context;
};

/* Sends a command to the main thread. False: closed, the command stays the caller's. Any thread. */
BP_CHECK_RESULT bool bp_jobs_post(bp_jobs *jobs, bp_command *command);
/* Refuses further commands and answers those that wait. Main thread. */
void bp_jobs_close_inbox(bp_jobs *jobs);

/* ---- scheduler.c: main thread ---- */

/* Starts what may run. */
void bp_scheduler_start_jobs(bp_jobs *jobs);
/* The same when the loop turns next. */
void bp_scheduler_retry_soon(bp_jobs *jobs);
/* Does what a job's state, its run and its cancel commands ask for, unless it is moving. */
void bp_scheduler_advance(bp_jobs *jobs, bp_job_entry *entry);
/* The entry's run has said that it has ended. */
void bp_scheduler_run_ended(bp_jobs *jobs, bp_job_entry *entry);
/* Stops all runs; calls jobs->stopped when nothing runs or moves any more. */
void bp_scheduler_stop(bp_jobs *jobs);

const char *bp_job_state_text(bp_job_state state);
bool bp_job_state_is_finished(bp_job_state state);
/* False: no such state. */
BP_CHECK_RESULT bool bp_job_state_find(bp_job_state *out, const char *text);

#endif
