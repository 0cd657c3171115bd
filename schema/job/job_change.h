/* What can be changed of a job that has been submitted: the body of PATCH. */
#ifndef BP_SCHEMA_JOB_JOB_CHANGE_H
#define BP_SCHEMA_JOB_JOB_CHANGE_H

#include <jansson.h>
#include <stdint.h>

#include "schema/json/faults.h"

typedef struct bp_job_change {
    int64_t priority;
} bp_job_change;

/* The status of the first fault, all of them in faults. */
BP_CHECK_RESULT bp_status bp_job_change_read(bp_job_change *out, bp_faults *faults,
                                             const json_t *json);

#endif
