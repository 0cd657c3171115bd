#include "server/record/progress_board.h"

#include <pthread.h>
#include <stdlib.h>

typedef struct slot {
    int64_t job; /* 0: free */
    bp_progress progress;
} slot;

struct bp_progress_board {
    pthread_mutex_t mutex;
    size_t slot_count;
    slot slots[];
};

bp_status bp_progress_board_create(bp_progress_board **out, size_t slot_count, bp_error *error)
{
    bp_progress_board *board = calloc(1, sizeof *board + slot_count * sizeof(slot));
    if (!board)
        return bp_error_set(error, BP_NO_MEMORY, NULL, "no memory for the progress of jobs");
    pthread_mutex_init(&board->mutex, NULL);
    board->slot_count = slot_count;
    *out = board;
    return BP_OK;
}

/* With the mutex held; NULL: not there. */
static slot *find(bp_progress_board *board, int64_t job)
{
    for (size_t i = 0; i < board->slot_count; i++)
        if (board->slots[i].job == job)
            return &board->slots[i];
    return NULL;
}

void bp_progress_board_set(bp_progress_board *board, int64_t job, const bp_progress *progress)
{
    pthread_mutex_lock(&board->mutex);
    slot *place = find(board, job);
    if (!place)
        place = find(board, 0);
    if (place)
        *place = (slot){.job = job, .progress = *progress};
    pthread_mutex_unlock(&board->mutex);
}

bool bp_progress_board_get(bp_progress *out, bp_progress_board *board, int64_t job)
{
    pthread_mutex_lock(&board->mutex);
    const slot *place = find(board, job);
    if (place)
        *out = place->progress;
    pthread_mutex_unlock(&board->mutex);
    return place != NULL;
}

void bp_progress_board_remove(bp_progress_board *board, int64_t job)
{
    pthread_mutex_lock(&board->mutex);
    slot *place = find(board, job);
    if (place)
        place->job = 0;
    pthread_mutex_unlock(&board->mutex);
}

void bp_progress_board_free(bp_progress_board *board)
{
    if (!board)
        return;
    pthread_mutex_destroy(&board->mutex);
    free(board);
}
