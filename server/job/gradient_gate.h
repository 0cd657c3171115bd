/* "gradient_check": true. Before a job trains, the gradient of its network is checked at its first batch
 * and the weights it begins with, and the report goes into its document. */
#ifndef BP_SERVER_JOB_GRADIENT_GATE_H
#define BP_SERVER_JOB_GRADIENT_GATE_H

#include "core/training/trainer.h"
#include "schema/job/job_spec.h"
#include "server/store/store.h"

typedef struct bp_gradient_gate {
    bp_store *store;
    int64_t job;
    const bp_job_spec *spec;
    const bp_examples *examples; /* training rows, prepared in the job's dtype */
    const bp_network *weights;   /* what the job begins with */
    bool (*cancelled)(void *context);
    void *context;
} bp_gradient_gate;

/* Returns when the report is on the disk. Tensors are sampled so that a check takes some seconds at most.
 * BP_CANCELLED, BP_NO_MEMORY, errors of the store. On a trainer thread. */
BP_CHECK_RESULT bp_status bp_gradient_gate_try(bool *out_pass, const bp_gradient_gate *gate,
                                               bp_error *error);

#endif
