/* One run of one job on a thread of its own: data, steps, metrics, the result. Knows nothing of states;
 * says how it ended, once, and the scheduler draws the consequence. */
#ifndef BP_SERVER_JOB_TRAINER_THREAD_H
#define BP_SERVER_JOB_TRAINER_THREAD_H

#include "core/check/numerics_fingerprint.h"
#include "server/dataset/datasets.h"
#include "server/job/job_result.h"
#include "server/record/progress_board.h"

/* What every run works with; outlives them. The callbacks come on other threads than the caller's. */
typedef struct bp_run_services {
    bp_store *store;
    bp_datasets *datasets;
    bp_progress_board *board;
    bp_job_limits limits;
    bp_isa isa;
    char fingerprint[BP_FINGERPRINT_SIZE]; /* of the numerics */
    /* Metric points up to seq are on the disk. */
    void (*committed)(void *context, int64_t job, uint64_t seq);
    /* The last thing that the thread does; the run can be joined. */
    void (*ended)(void *context, int64_t job);
    void *context;
} bp_run_services;

typedef enum bp_run_end {
    BP_RUN_SUCCEEDED, /* with a result, and a reason where it ended early */
    BP_RUN_FAILED,    /* with a reason */
    BP_RUN_STOPPED    /* because it was told to */
} bp_run_end;

typedef struct bp_run_outcome {
    bp_run_end end;
    char reason[BP_ERROR_MESSAGE_SIZE];
    bp_job_result *result;
} bp_run_outcome;

typedef struct bp_run bp_run;

BP_CHECK_RESULT bp_status bp_run_start(bp_run **out, const bp_run_services *services, int64_t job,
                                       bp_error *error);
typedef enum bp_run_stop_kind {
    BP_STOP_CANCEL, /* overrides what was said before and is not overridden */
    BP_STOP_PAUSE,  /* a checkpoint is written first, to go on from */
    BP_STOP_DAEMON  /* the same */
} bp_run_stop_kind;

/* The run ends at its next step, or between two blocks of its data; where a checkpoint is wanted, an
 * evaluation has some seconds to come to its end. Any thread. */
void bp_run_stop(bp_run *run, bp_run_stop_kind kind);
/* Waits for the thread, gives its outcome (the result is the caller's) and frees the run. */
void bp_run_join(bp_run *run, bp_run_outcome *out);

#endif
