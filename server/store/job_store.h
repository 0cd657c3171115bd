/* Jobs in the database: what the store thread writes. All functions run in the transaction of a write. */
#ifndef BP_SERVER_STORE_JOB_STORE_H
#define BP_SERVER_STORE_JOB_STORE_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/base/error.h"
#include "schema/dataset/dataset_info.h"

/* A data set that a new job needs; name NULL: the part has none. */
typedef struct bp_job_need {
    const char *part, *name, *sha256;
} bp_job_need;

typedef struct bp_new_job {
    const char *name, *specification, *warnings; /* the latter two JSON */
    int64_t priority, now_us;
    uint64_t memory_bytes;
    bp_job_need needs[4];
    const char *idempotency_key; /* "" : none */
    const char *idempotency_route, *body_sha256;
} bp_new_job;

/* Looks up a job's idempotency key (with its route, body and now_us; nothing else is read). Neither
 * output is written when the key is not known. Any connection. BP_INVALID (used with another body). */
BP_CHECK_RESULT bp_status bp_job_store_find_key(int64_t *out_id, bool *out_known, sqlite3 *database,
                                                const bp_new_job *job, bp_error *error);

/* Enters a queued job with its first transition. *out_known: its idempotency key had been seen with
 * the same body, *out_id is the first job's and nothing was written. BP_INVALID at "Idempotency-Key",
 * BP_CONFLICT (a data set has gone). */
BP_CHECK_RESULT bp_status bp_job_store_insert(int64_t *out_id, bool *out_known, sqlite3 *database,
                                              const bp_new_job *job, bp_error *error);

typedef struct bp_transition {
    int64_t id;
    const char *from, *to; /* states; BP_INTERNAL when the job is not in `from` */
    const char *reason;    /* NULL: none; kept as the job's reason */
    int64_t now_us;
    bool begins;         /* sets `started` where it is not set */
    bool finishes;       /* sets `finished` */
    bool counts_restart; /* one more, and one more without a new checkpoint */
    /* Of a finished job: clears `finished` and what counts stalled restarts, and enters again what it
     * needs. BP_CONFLICT when a data set or the checkpoint that it begins with has gone. */
    bool retries;
} bp_transition;

BP_CHECK_RESULT bp_status bp_job_store_move(sqlite3 *database, const bp_transition *transition,
                                            bp_error *error);

/* Enters what the specification of a job names: its data sets and the checkpoint that it begins with.
 * BP_CONFLICT when one has gone. */
BP_CHECK_RESULT bp_status bp_job_store_enter_needs(sqlite3 *database, int64_t id, bp_error *error);

/* ---- job_changes.c ---- */

/* A condition of a change: If-Match. Not given: none. */
typedef struct bp_if_match {
    bool given, any; /* any: "*" */
    size_t count;
    int64_t revisions[8];
} bp_if_match;

/* BP_NOT_FOUND; BP_STALE (the condition does not hold); BP_CONFLICT (the job has finished). The revision
 * grows. */
BP_CHECK_RESULT bp_status bp_job_store_set_priority(sqlite3 *database, int64_t id, int64_t priority,
                                                    const bp_if_match *condition, bp_error *error);

/* Hides a finished job and those that have verified it; bp_job_sweep_step removes their rows.
 * BP_NOT_FOUND; BP_STALE; BP_CONFLICT (not finished, being verified, or an unfinished job begins with
 * one of its checkpoints). */
BP_CHECK_RESULT bp_status bp_job_store_delete(sqlite3 *database, int64_t id,
                                              const bp_if_match *condition, bp_error *error);

typedef struct bp_verification_job {
    int64_t id, priority;
    uint64_t memory_bytes;
    bool known; /* it was under way already; nothing was written */
} bp_verification_job;

/* Enters a queued job that trains a succeeded one again. BP_NOT_FOUND; BP_CONFLICT (not succeeded, itself
 * a verification, no hash of its weights, a data set has gone). */
BP_CHECK_RESULT bp_status bp_job_store_verify(bp_verification_job *out, sqlite3 *database,
                                              int64_t id, int64_t now_us, bp_error *error);

/* Whether the metrics of a verification were those of the job that it verifies. */
BP_CHECK_RESULT bp_status bp_job_store_metrics_same(sqlite3 *database, int64_t id, bool same,
                                                    bp_error *error);

/* ---- what runs write ---- */

/* The progress and metrics (JSON) that the job's document shows. */
BP_CHECK_RESULT bp_status bp_job_store_progress(sqlite3 *database, int64_t id, uint64_t epoch,
                                                uint64_t step, uint64_t steps, const char *metrics,
                                                bp_error *error);

/* The hash of the final weights. */
BP_CHECK_RESULT bp_status bp_job_store_weights(sqlite3 *database, int64_t id, const char *sha256,
                                               bp_error *error);

/* The report (JSON) of a job's own gradient check. */
BP_CHECK_RESULT bp_status bp_job_store_gradient_check(sqlite3 *database, int64_t id,
                                                      const char *report, bp_error *error);

#endif
