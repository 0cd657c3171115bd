/* Metric points in the database: one row each, values as the bits of float64; the names of the values
 * once for each set of names that a job uses. */
#ifndef BP_SERVER_STORE_METRIC_STORE_H
#define BP_SERVER_STORE_METRIC_STORE_H

#include <sqlite3.h>

#include "server/store/metric_page.h"

/* On the store thread. Also writes sets that the job does not have yet. */
BP_CHECK_RESULT bp_status bp_metric_store_append(sqlite3 *database, int64_t job,
                                                 const bp_metric_page *page, bp_error *error);

/* For writers of rows that refer to a set: writes it where this has not been done since *written was
 * zeroed, in this transaction, and the job does not have it. On the store thread. */
typedef struct bp_metric_sets_written {
    size_t count;
    const bp_metric_set *set[16]; /* those beyond are written again, which changes nothing */
} bp_metric_sets_written;
BP_CHECK_RESULT bp_status bp_metric_store_need_set(bp_metric_sets_written *written,
                                                   sqlite3 *database, int64_t job,
                                                   const bp_metric_set *set, bp_error *error);

/* The sets that a job has, as a list that the caller owns. A reader's. BP_CORRUPT. */
BP_CHECK_RESULT bp_status bp_metric_store_read_sets(bp_metric_set **out, sqlite3 *database,
                                                    int64_t job, bp_error *error);

/* Up to `limit` points with seq > after, in order, into an empty page, which gets sets of its own;
 * release it with bp_metric_page_done, after a failure too. A reader's, in one transaction. */
BP_CHECK_RESULT bp_status bp_metric_store_read(bp_metric_page *page, sqlite3 *database, int64_t job,
                                               uint64_t after, size_t limit, bp_error *error);

/* The largest seq of a job; 0: no points. */
BP_CHECK_RESULT bp_status bp_metric_store_last(uint64_t *out, sqlite3 *database, int64_t job,
                                               bp_error *error);

/* On the store thread. Deletes the points of a job beyond `seq` and the roll-ups that cover any of them,
 * so that a run which begins behind `seq` writes them anew. Sets stay. */
BP_CHECK_RESULT bp_status bp_metric_store_truncate(sqlite3 *database, int64_t job, uint64_t seq,
                                                   bp_error *error);

#endif
