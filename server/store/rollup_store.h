/* Roll-ups in the database, and reading a span of points through them. Points that have none (of jobs
 * that an earlier version ran; those beyond the last whole span) are read themselves, so every answer is
 * the same with or without them. */
#ifndef BP_SERVER_STORE_ROLLUP_STORE_H
#define BP_SERVER_STORE_ROLLUP_STORE_H

#include <sqlite3.h>

#include "server/store/metric_rollup.h"

/* On the store thread, in the transaction of the points that complete them. Also writes sets that the
 * job does not have yet. Every span is a whole one of its width. */
BP_CHECK_RESULT bp_status bp_rollup_store_append(sqlite3 *database, int64_t job,
                                                 const bp_metric_series *rollups, bp_error *error);

/* Makes an empty roll-up that of a job whose last point is `seq`. sets: all that the job has; joined
 * ones are put into it. A reader's. BP_CORRUPT (a point is missing), BP_NO_MEMORY. */
BP_CHECK_RESULT bp_status bp_rollup_store_resume(bp_metric_rollup *rollup, bp_metric_set **sets,
                                                 sqlite3 *database, int64_t job, uint64_t seq,
                                                 bp_error *error);

/* Points after < seq ≤ last, summed up to at most `limit` spans of one width, a power of eight times 1 to 7:
 * span i ends where seq is a multiple of the width (the last one at `last`). Into an empty series,
 * which gets sets of its own; release it, after a failure too. Reads some 8·limit rows, however
 * many points there are. limit ≥ 1. A reader's, in one transaction. BP_CORRUPT, BP_NO_MEMORY. */
BP_CHECK_RESULT bp_status bp_rollup_store_read(bp_metric_series *series, sqlite3 *database,
                                               int64_t job, uint64_t after, uint64_t last,
                                               size_t limit, bp_error *error);

#endif
