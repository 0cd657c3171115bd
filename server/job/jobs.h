/* Jobs: their states, the queue and the trainer threads. The main thread owns the job table and is
 * the only one that changes a state (scheduler.c draws them); others send commands and read committed
 * rows. */
#ifndef BP_SERVER_JOB_JOBS_H
#define BP_SERVER_JOB_JOBS_H

#include <uv.h>

#include "schema/json/json_writer.h"
#include "server/dataset/datasets.h"
#include "server/store/job_store.h"
#include "server/store/store.h"

/* name as shown, finished? */
#define BP_JOB_STATE_LIST(X)                                                                       \
    X(QUEUED, "queued", false)                                                                     \
    X(RUNNING, "running", false)                                                                   \
    X(STOPPING, "stopping", false)                                                                 \
    X(PAUSED, "paused", false)                                                                     \
    X(SUCCEEDED, "succeeded", true)                                                                \
    X(FAILED, "failed", true)                                                                      \
    X(CANCELLED, "cancelled", true)

typedef enum bp_job_state {
#define BP_JOB_STATE_ENUM(name, text, finished) BP_JOB_##name,
    BP_JOB_STATE_LIST(BP_JOB_STATE_ENUM)
#undef BP_JOB_STATE_ENUM
} bp_job_state;

typedef struct bp_jobs bp_jobs;

typedef struct bp_jobs_options {
    size_t worker_count; /* jobs that run at the same time */
    bp_isa isa;
    bp_job_limits limits;
    /* Restarts without a new checkpoint in between: a job fails that was running when the daemon died
     * once more. */
    uint64_t restart_limit;
} bp_jobs_options;

/* On the main thread: reads unfinished jobs from the store (those that were running go back to queued).
 * What may run starts when the loop does. */
BP_CHECK_RESULT bp_status bp_jobs_open(bp_jobs **out, uv_loop_t *loop, bp_store *store,
                                       bp_datasets *datasets, const bp_jobs_options *options,
                                       bp_error *error);

/* Called once for each command, after what it says is on the disk, on any thread. id 0 on failure. */
typedef void bp_job_reply(void *context, int64_t id, bp_status status, const bp_error *error);

/* What POST /jobs brings, resolved by the HTTP thread. Owned by the callee. */
typedef struct bp_job_submission {
    bp_job_spec *spec;
    json_t *resolved, *warnings;
    uint64_t memory_bytes; /* bp_job_size.total_bytes: what admission counts */
    /* Idempotency-Key, method and path, and SHA-256 of the body; empty key: none. */
    char idempotency_key[256], idempotency_route[128], body_sha256[BP_SHA256_TEXT_SIZE];
} bp_job_submission;

/* Any thread. A key seen before with the same body replies with the first id; with another body,
 * BP_INVALID at "Idempotency-Key". BP_CONFLICT when a data set has gone in the meantime. */
void bp_jobs_submit(bp_jobs *jobs, bp_job_submission *submission, bp_job_reply *reply,
                    void *context);

/* The job that was submitted with this idempotency key, or 0: found before the body is resolved, so that
 * a repeated request gets its answer even where its data sets have gone since. BP_INVALID (the key was
 * used with another body). Any thread with a reader. */
BP_CHECK_RESULT bp_status bp_jobs_find_submitted(int64_t *out_id, bp_jobs *jobs, const char *key,
                                                 const char *route, const char *body_sha256,
                                                 bp_error *error);

/* name, as in the path, past participle for refusals */
#define BP_JOB_ACTION_LIST(X)                                                                      \
    X(PAUSE, "pause", "paused")                                                                    \
    X(RESUME, "resume", "resumed")                                                                 \
    X(CANCEL, "cancel", "cancelled")                                                               \
    X(RETRY, "retry", "retried")

typedef enum bp_job_action {
#define BP_JOB_ACTION_ENUM(name, text, participle) BP_JOB_##name,
    BP_JOB_ACTION_LIST(BP_JOB_ACTION_ENUM)
#undef BP_JOB_ACTION_ENUM
} bp_job_action;

/* Answered when what it leads to is on the disk: for a running job that is the state stopping. Idempotent:
 * what was asked for and still holds is not done again. BP_NOT_FOUND; BP_CONFLICT (impossible in the job's
 * state, which the message names; for a retry also a data set that has gone). Any thread. */
void bp_jobs_act(bp_jobs *jobs, int64_t id, bp_job_action action, bp_job_reply *reply,
                 void *context);

/* Trains a succeeded job again, as another job that makes no model; replies with its id. One that is under
 * way already is not doubled. BP_NOT_FOUND, BP_CONFLICT (bp_job_store_verify). Any thread. */
void bp_jobs_verify(bp_jobs *jobs, int64_t id, bp_job_reply *reply, void *context);

/* BP_NOT_FOUND, BP_STALE, BP_CONFLICT (finished). Any thread. */
void bp_jobs_set_priority(bp_jobs *jobs, int64_t id, int64_t priority, const bp_if_match *condition,
                          bp_job_reply *reply, void *context);

/* A finished job; its model stays. It is gone for every reader at once, its rows go by and by.
 * BP_NOT_FOUND, BP_STALE, BP_CONFLICT (bp_job_store_delete). Any thread. */
void bp_jobs_delete(bp_jobs *jobs, int64_t id, const bp_if_match *condition, bp_job_reply *reply,
                    void *context);

/* ---- reading; any thread with a reader ---- */

/* Writes the job's document as api.md says, progress included. out_revision may be NULL. BP_NOT_FOUND,
 * BP_NO_MEMORY (also what the writer has failed for); what was written by then is of no use. */
BP_CHECK_RESULT bp_status bp_jobs_put_document(bp_json_writer *out, int64_t *out_revision,
                                               bp_jobs *jobs, int64_t id, bp_error *error);
typedef struct bp_jobs_filter {
    const char *state, *name; /* NULL: any */
    int64_t after;            /* ids below this one come next (newest first); 0: from the newest */
    size_t limit;             /* most; fewer where documents are long */
} bp_jobs_filter;
/* {"items": […], "next": id or null}; errors as above. */
BP_CHECK_RESULT bp_status bp_jobs_put_list(bp_json_writer *out, bp_jobs *jobs,
                                           const bp_jobs_filter *filter, bp_error *error);

/* Asks to be called once (on the main thread) when job `id` has points beyond `after` or has finished,
 * or after timeout_ms, whichever is first. Any thread. May call back before it returns, and on the caller's
 * thread when the daemon is stopping. */
void bp_jobs_watch(bp_jobs *jobs, int64_t id, uint64_t after, uint64_t timeout_ms,
                   void (*notify)(void *context), void *context);

/* Stops intake, tells trainers to stop at their next step, and calls `stopped` on the main thread when
 * they have (their jobs are queued again on the disk); then calls every waiting watcher. */
void bp_jobs_stop(bp_jobs *jobs, void (*stopped)(void *context), void *context);
void bp_jobs_free(bp_jobs *jobs); /* after stopped */

#endif
