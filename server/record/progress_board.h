/* What running jobs are doing at this moment: written by trainer threads several times a second, read
 * by HTTP threads. Copies under one lock; nothing here is durable. */
#ifndef BP_SERVER_RECORD_PROGRESS_BOARD_H
#define BP_SERVER_RECORD_PROGRESS_BOARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/error.h"

typedef struct bp_progress {
    uint64_t epoch; /* of the last finished step, from 1; 0 before the first */
    uint64_t step, steps;
    double samples_per_second, seconds_left; /* NaN: not known yet */
} bp_progress;

typedef struct bp_progress_board bp_progress_board;

/* slot_count: jobs that run at the same time. */
BP_CHECK_RESULT bp_status bp_progress_board_create(bp_progress_board **out, size_t slot_count,
                                                   bp_error *error);
/* Sets a job's progress, taking a free slot for it where it has none. */
void bp_progress_board_set(bp_progress_board *board, int64_t job, const bp_progress *progress);
/* False: the job is not on the board. */
bool bp_progress_board_get(bp_progress *out, bp_progress_board *board, int64_t job);
void bp_progress_board_remove(bp_progress_board *board, int64_t job);
void bp_progress_board_free(bp_progress_board *board); /* accepts NULL */

#endif
