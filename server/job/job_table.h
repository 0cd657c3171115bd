/* The main thread's view of unfinished jobs, and what jobs.c, scheduler.c and watchers.c share. Private
 * to server/job. Everything here but the mailbox and the board belongs to the main thread. */
#ifndef BP_SERVER_JOB_JOB_TABLE_H
#define BP_SERVER_JOB_JOB_TABLE_H

#include "server/job/job_queue.h"
#include "server/job/jobs.h"
#include "server/job/queue_board.h"
#include "server/job/trainer_thread.h"
#include "server/job/watchers.h"

/* A message to the main thread: run is called there and owns the command. */
typedef struct bp_command {
    bp_message message; /* first */
    void (*run)(bp_jobs *jobs, struct bp_command *command);
} bp_command;

/* What somebody asks of a job, on its way to the main thread and until it is answered. */
typedef struct bp_action {
    bp_command command; /* first */
    struct bp_action *next;
    int64_t id;
    bp_job_action kind;
    bp_job_reply *reply;
    void *context;
} bp_action;

struct bp_job_entry {
    int64_t id, priority;
    int64_t verifies; /* another job; 0: it trains for a model */
    uint64_t memory_bytes;
    uint64_t stalled_restarts; /* when the daemon started */
    bp_job_state state;        /* as last committed */
    bp_job_state stops_for;    /* while stopping: paused or cancelled */
    /* What led to its being queued or running, so that the same action again is answered as the first
     * one: it has been paused and resumed, it has been retried. */
    bool resumed, retried;
    bool moving;            /* a state write is on its way: nothing else happens to the job */
    bp_job_state moving_to; /* while moving */
    bool run_ended;         /* outcome is there */
    uint64_t point_count;   /* seq of the last committed point, as far as this thread knows */
    bp_run *run;            /* while running or stopping */
    bp_run_outcome outcome; /* while run_ended */
    bp_action *actions;     /* in order; the first is under way while the job moves for it */
    size_t queue_place;     /* see job_queue.h; 0: not in it */
};

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

    bp_job_table table; /* unfinished jobs, and finished ones that something is asked of */
    bp_job_queue queue; /* those that may start: queued and not moving; room for all of the table */
    bp_queue_board *queue_board;
    size_t running_count; /* entries that hold a worker: moving to running, running or stopping */
    uint64_t running_bytes;
    bp_watchers *watchers;

    bool stopping; /* no job starts any more */
    bool closed;   /* no command is served any more */
    bool sweeping; /* rows of deleted jobs are being removed */
    bool sweep_again;
    void (*stopped)(void *context);
    void *stopped_context;
};

/* Sends a command to the main thread. False: closed, the command stays the caller's. Any thread. */
BP_CHECK_RESULT bool bp_jobs_post(bp_jobs *jobs, bp_command *command);
/* Refuses further commands and answers those that wait. Main thread. */
void bp_jobs_close_inbox(bp_jobs *jobs);

/* Adds a job to the table with the state that it has on the disk, unless it is there already. NULL: no
 * memory; it stays on the disk. Main thread. jobs.c */
bp_job_entry *bp_jobs_adopt(bp_jobs *jobs, int64_t id, bp_job_state state, int64_t priority,
                            uint64_t memory_bytes, int64_t verifies);
/* The entry of a job: from the table, or from the disk where it is finished or was submitted a moment ago.
 * BP_NOT_FOUND. Main thread. jobs.c */
BP_CHECK_RESULT bp_status bp_jobs_find_entry(bp_job_entry **out, bp_jobs *jobs, int64_t id,
                                             bp_error *error);

/* Removes rows of deleted jobs, in the background. Main thread. job_commands.c */
void bp_jobs_sweep(bp_jobs *jobs);

/* ---- scheduler.c: main thread ---- */

/* Starts what may run. */
void bp_scheduler_start_jobs(bp_jobs *jobs);
/* The same when the loop turns next. */
void bp_scheduler_retry_soon(bp_jobs *jobs);
/* Does what a job's run and what is asked of it lead to, unless it is moving. May remove the entry. */
void bp_scheduler_advance(bp_jobs *jobs, bp_job_entry *entry);
/* The entry's run has said that it has ended. */
void bp_scheduler_run_ended(bp_jobs *jobs, bp_job_entry *entry);
/* The state and the place in the queue of a job that the main thread has just learnt of. */
void bp_scheduler_adopt(bp_jobs *jobs, bp_job_entry *entry, bp_job_state state);
/* What a dead daemon left running or stopping gets a state in which it can go on; the entry goes where that
 * is a finished one. Before the loop runs: waits for the store. */
BP_CHECK_RESULT bp_status bp_scheduler_recover(bp_jobs *jobs, bp_job_entry *entry, bp_error *error);
/* A queued job's priority has changed on the disk. */
void bp_scheduler_reprioritise(bp_jobs *jobs, bp_job_entry *entry, int64_t priority);
/* Stops all runs; calls jobs->stopped when nothing runs or moves any more. */
void bp_scheduler_stop(bp_jobs *jobs);

const char *bp_job_state_text(bp_job_state state);
bool bp_job_state_is_finished(bp_job_state state);
/* False: no such state. */
BP_CHECK_RESULT bool bp_job_state_find(bp_job_state *out, const char *text);

#endif
