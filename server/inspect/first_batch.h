/* The first batch that a training would take, in float64: what a gradient is checked on. */
#ifndef BP_SERVER_INSPECT_FIRST_BATCH_H
#define BP_SERVER_INSPECT_FIRST_BATCH_H

#include "core/training/trainer.h"

typedef struct bp_first_batch {
    size_t rows;
    double *input; /* (rows, input width) */
    bp_targets targets;
    void *owned; /* what bp_first_batch_done frees */
} bp_first_batch;

/* Copies the rows that step 0 of the training takes of examples (of the specification's dtype; target
 * width: numbers of a target row, 0 for classes). BP_NO_MEMORY, BP_TOO_LARGE. Any thread. */
BP_CHECK_RESULT bp_status bp_first_batch_take(bp_first_batch *out, const bp_training_spec *spec,
                                              const bp_examples *examples, size_t target_width,
                                              bp_error *error);
void bp_first_batch_done(bp_first_batch *batch); /* accepts zeroed */

#endif
