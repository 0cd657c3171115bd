#include "server/job/checkpoint_sweep.h"

#include <stdlib.h>

#include "server/base/log.h"
#include "server/store/checkpoint_store.h"

/* To the store, back to this thread, and again while there is more. */
typedef struct sweep {
    bp_write write; /* first */
    bp_command command;
    bp_jobs *jobs;
    int64_t last_id; /* newer ones may be in the making */
    bool more;
} sweep;

static bp_status apply_sweep(bp_write *write, sqlite3 *database, bp_error *error)
{
    sweep *self = (sweep *)write;
    return bp_checkpoint_store_sweep(&self->more, database, 0, self->last_id, error);
}

static void sweep_written(bp_write *write, bp_status status, const bp_error *error)
{
    sweep *self = (sweep *)write;
    if (status != BP_OK)
        bp_log_error(BP_LOG_WARNING, "remains of checkpoints cannot be deleted", error);
    if (status != BP_OK || !self->more || !bp_jobs_post(self->jobs, &self->command))
        free(self);
}

static void sweep_on(bp_jobs *jobs, bp_command *command)
{
    sweep *self = (sweep *)((char *)command - offsetof(sweep, command));
    if (jobs->stopping)
        free(self);
    else
        bp_store_write(jobs->store, &self->write);
}

bp_status bp_checkpoint_sweep_begin(bp_jobs *jobs, bp_error *error)
{
    sqlite3 *database = NULL;
    int64_t last_id = 0;
    bp_status status = bp_store_reader(&database, jobs->store, error);
    if (status == BP_OK)
        status = bp_checkpoint_store_last_id(&last_id, database, error);
    if (status != BP_OK || last_id == 0)
        return status;
    sweep *self = calloc(1, sizeof *self);
    if (!self)
        return bp_error_set(error, BP_NO_MEMORY, NULL, "no memory for checkpoints");
    *self = (sweep){.write = {.apply = apply_sweep, .done = sweep_written},
                    .command.run = sweep_on,
                    .jobs = jobs,
                    .last_id = last_id};
    bp_store_write(jobs->store, &self->write);
    return BP_OK;
}
