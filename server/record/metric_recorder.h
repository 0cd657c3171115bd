/* A run's metric points on their way to the store: gathered in memory, sent in groups, compared instead
 * of sent where an earlier run of the same job has stored them already.
 *
 * One thread, the trainer's. At most one group is on its way; meanwhile points gather, so a slow disk
 * holds training up only when a whole group has filled behind one that is not yet written. */
#ifndef BP_SERVER_RECORD_METRIC_RECORDER_H
#define BP_SERVER_RECORD_METRIC_RECORDER_H

#include <jansson.h>

#include "server/record/job_log.h"
#include "server/record/progress_board.h"
#include "server/store/metric_rollup.h"
#include "server/store/metric_store.h"
#include "server/store/store.h"

enum { BP_POINT_GROUP_LIMIT = 1000, BP_POINT_INTERVAL_MS = 100 };

typedef struct bp_metric_recorder bp_metric_recorder;

/* What a step or the end of an epoch has measured, by name, in an order that is the same whenever the
 * names are. */
typedef struct bp_measured {
    uint64_t step, epoch;
    size_t count;
    const char *const *names; /* (count) */
    const double *values;     /* (count) */
} bp_measured;

/* Finds what an earlier run has stored. committed is called on the store thread with the last seq that
 * is on the disk. */
BP_CHECK_RESULT bp_status bp_metric_recorder_create(
    bp_metric_recorder **out, bp_store *store, int64_t job,
    void (*committed)(void *context, int64_t job, uint64_t seq), void *context, bp_error *error);

/* Makes the next point of what was measured (copied). BP_CONFLICT: it differs from what the earlier run
 * stored in its place. Errors of earlier groups. BP_NO_MEMORY. */
BP_CHECK_RESULT bp_status bp_metric_recorder_add(bp_metric_recorder *recorder,
                                                 const bp_measured *measured, bp_error *error);

/* Says something behind the point that was just added (bp_job_log otherwise): it is stored with it, and
 * not said again when a later run of the job recomputes that point. To be called before the next tick. */
void bp_metric_recorder_log(bp_metric_recorder *recorder, bp_job_log_level level, const char *code,
                            const char *format, ...) __attribute__((format(printf, 4, 5)));

/* Sends what has gathered, with the progress, when the last sending is long enough ago and over. */
BP_CHECK_RESULT bp_status bp_metric_recorder_tick(bp_metric_recorder *recorder,
                                                  const bp_progress *progress, uint64_t now_ns,
                                                  bp_error *error);

/* Goes on where an earlier run stood: the next point is that behind seq, and the summary is the one that
 * bp_metric_recorder_summary gave there. Before the first point. BP_CORRUPT, BP_NO_MEMORY. */
BP_CHECK_RESULT bp_status bp_metric_recorder_resume(bp_metric_recorder *recorder, uint64_t seq,
                                                    const json_t *summary, bp_error *error);

/* Of the last point that was added. */
uint64_t bp_metric_recorder_seq(const bp_metric_recorder *recorder);

/* Sends what has gathered, without waiting for it: what is sent to the store from here on comes after. */
BP_CHECK_RESULT bp_status bp_metric_recorder_send(bp_metric_recorder *recorder,
                                                  const bp_progress *progress, bp_error *error);

/* Sends all and waits until it is on the disk. */
BP_CHECK_RESULT bp_status bp_metric_recorder_flush(bp_metric_recorder *recorder,
                                                   const bp_progress *progress, bp_error *error);

/* {"latest", "best"} of the job's "metrics": values by name. A new reference; NULL: no memory. */
json_t *bp_metric_recorder_summary(const bp_metric_recorder *recorder);

void bp_metric_recorder_free(bp_metric_recorder *recorder); /* waits for the group; accepts NULL */

#endif
