/* A verification trains a succeeded job again; this compares what the two have recorded. */
#ifndef BP_SERVER_JOB_VERIFICATION_H
#define BP_SERVER_JOB_VERIFICATION_H

#include <stdbool.h>
#include <stdint.h>

#include "server/store/store.h"

/* Keeps on the disk whether all metric points of `job` are those of the job that it verifies: step, epoch,
 * names, and values bit for bit. Does nothing for a job that verifies none. Points are all stored.
 * BP_CANCELLED when is_stopped says so. On a thread that may wait for the store. */
BP_CHECK_RESULT bp_status bp_verification_compare(bp_store *store, int64_t job,
                                                  bool (*is_stopped)(void *context), void *context,
                                                  bp_error *error);

#endif
