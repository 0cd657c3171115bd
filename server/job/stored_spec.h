/* A job's specification read back from the store, resolved again against the data sets it was
 * submitted with (resolving a resolved document is a fixed point). */
#ifndef BP_SERVER_JOB_STORED_SPEC_H
#define BP_SERVER_JOB_STORED_SPEC_H

#include "server/dataset/datasets.h"

/* cancelled is polled while corpora are read (may be NULL). BP_NOT_FOUND (job or data set), BP_TOO_LARGE (limits
 * are lower now), BP_CORRUPT, BP_NO_MEMORY, BP_CANCELLED. On a thread with a reader. */
BP_CHECK_RESULT bp_status bp_stored_spec_load(bp_job_spec **out, bp_store *store,
                                              bp_datasets *datasets, int64_t job,
                                              const bp_job_limits *limits, bp_isa isa,
                                              bool (*cancelled)(void *context), void *context,
                                              bp_error *error);

#endif
