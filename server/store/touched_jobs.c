#include "server/store/touched_jobs.h"

#include <string.h>

void bp_touched_jobs_init(bp_touched_jobs *touched)
{
    *touched = (bp_touched_jobs){.count = 0};
    pthread_mutex_init(&touched->mutex, NULL);
}

void bp_touched_jobs_done(bp_touched_jobs *touched)
{
    pthread_mutex_destroy(&touched->mutex);
}

static void note_row(void *context, int operation, const char *name, const char *table,
                     sqlite3_int64 row)
{
    (void)operation;
    (void)name;
    bp_touched_jobs *touched = context;
    if (strcmp(table, "jobs") != 0)
        return;
    for (size_t i = touched->count; i-- > 0;)
        if (touched->job[i] == row)
            return;
    if (touched->count < BP_TOUCHED_LIMIT)
        touched->job[touched->count++] = row;
    else
        touched->job[BP_TOUCHED_LIMIT - 1] = 0; /* too many to name */
}

void bp_touched_jobs_watch(bp_touched_jobs *touched, sqlite3 *database)
{
    sqlite3_update_hook(database, note_row, touched);
}

void bp_touched_jobs_listen(bp_touched_jobs *touched, void (*changed)(void *context, int64_t job),
                            void *context)
{
    pthread_mutex_lock(&touched->mutex);
    touched->changed = changed;
    touched->context = context;
    pthread_mutex_unlock(&touched->mutex);
}

void bp_touched_jobs_tell(bp_touched_jobs *touched)
{
    pthread_mutex_lock(&touched->mutex);
    for (size_t i = 0; touched->changed && i < touched->count; i++)
        touched->changed(touched->context, touched->job[i]);
    pthread_mutex_unlock(&touched->mutex);
    touched->count = 0;
}
