/* Deletes what earlier daemons have left of checkpoints: those that were being written when one died, and
 * those that were no longer kept. */
#ifndef BP_SERVER_JOB_CHECKPOINT_SWEEP_H
#define BP_SERVER_JOB_CHECKPOINT_SWEEP_H

#include "server/job/job_table.h"

/* In the background, one small write after the other; runs may begin meanwhile. Main thread, before the
 * loop. */
BP_CHECK_RESULT bp_status bp_checkpoint_sweep_begin(bp_jobs *jobs, bp_error *error);

#endif
