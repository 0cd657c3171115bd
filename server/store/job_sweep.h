/* Removing the rows of deleted jobs, a little at a time: a job may have millions of points and gigabytes of
 * checkpoints, and no other write waits for more than one step. */
#ifndef BP_SERVER_STORE_JOB_SWEEP_H
#define BP_SERVER_STORE_JOB_SWEEP_H

#include <sqlite3.h>
#include <stdbool.h>

#include "core/base/error.h"

/* Removes some rows of one deleted job, at last its own. *out_more: there is more to remove. In the
 * transaction of a write. */
BP_CHECK_RESULT bp_status bp_job_sweep_step(bool *out_more, sqlite3 *database, bp_error *error);

#endif
