#include "server/job/queue_board.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

struct bp_queue_board {
    pthread_mutex_t mutex;
    bp_queue_state state;
};

bp_status bp_queue_board_create(bp_queue_board **out, bp_error *error)
{
    bp_queue_board *board = calloc(1, sizeof *board);
    if (!board)
        return bp_error_set(error, BP_NO_MEMORY, NULL, "no memory for the state of the queue");
    pthread_mutex_init(&board->mutex, NULL);
    *out = board;
    return BP_OK;
}

void bp_queue_board_set(bp_queue_board *board, const bp_queue_state *state)
{
    pthread_mutex_lock(&board->mutex);
    board->state = *state;
    pthread_mutex_unlock(&board->mutex);
}

bool bp_queue_board_reason(char out[BP_QUEUE_REASON_SIZE], bp_queue_board *board, int64_t job)
{
    pthread_mutex_lock(&board->mutex);
    const bp_queue_state state = board->state;
    pthread_mutex_unlock(&board->mutex);
    char before[64] = "it";
    switch (state.wait) {
    case BP_QUEUE_MOVES:
        return false;
    case BP_QUEUE_WORKER:
        snprintf(out, BP_QUEUE_REASON_SIZE, "waiting_for_worker: %zu of %zu workers %s busy",
                 state.worker_count, state.worker_count, state.worker_count == 1 ? "is" : "are");
        return true;
    case BP_QUEUE_MEMORY:
        if (job != state.first_job)
            snprintf(before, sizeof before, "job %" PRId64 ", the next in the queue,",
                     state.first_job);
        snprintf(out, BP_QUEUE_REASON_SIZE,
                 "waiting_for_memory: %s needs %" PRIu64 " bytes, of %" PRIu64 " bytes %" PRIu64
                 " are free",
                 before, state.need_bytes, state.budget_bytes, state.free_bytes);
        return true;
    }
    return false;
}

void bp_queue_board_free(bp_queue_board *board)
{
    if (!board)
        return;
    pthread_mutex_destroy(&board->mutex);
    free(board);
}
