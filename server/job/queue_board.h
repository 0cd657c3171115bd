/* Why queued jobs wait at this moment: written by the scheduler on the main thread, read by HTTP threads for
 * the reason that a job's document shows. Nothing here is durable. */
#ifndef BP_SERVER_JOB_QUEUE_BOARD_H
#define BP_SERVER_JOB_QUEUE_BOARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/error.h"

typedef enum bp_queue_wait {
    BP_QUEUE_MOVES,  /* what is queued is about to start */
    BP_QUEUE_WORKER, /* all workers are busy */
    BP_QUEUE_MEMORY  /* the first job waits for memory, and the others for it */
} bp_queue_wait;

typedef struct bp_queue_state {
    bp_queue_wait wait;
    size_t worker_count;
    int64_t first_job;                             /* while waiting for memory */
    uint64_t need_bytes, free_bytes, budget_bytes; /* the same; of the first job */
} bp_queue_state;

typedef struct bp_queue_board bp_queue_board;

enum { BP_QUEUE_REASON_SIZE = 192 };

BP_CHECK_RESULT bp_status bp_queue_board_create(bp_queue_board **out, bp_error *error);
void bp_queue_board_set(bp_queue_board *board, const bp_queue_state *state);
/* Writes what a queued job waits for, as "waiting_for_worker: all 2 workers are busy". False: for nothing
 * that is known. Any thread. */
bool bp_queue_board_reason(char out[BP_QUEUE_REASON_SIZE], bp_queue_board *board, int64_t job);
void bp_queue_board_free(bp_queue_board *board); /* accepts NULL */

#endif
