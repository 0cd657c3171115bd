/* The first batch that a training would take, in float64: what a gradient is checked on. */
#ifndef BP_SERVER_INSPECT_FIRST_BATCH_H
#define BP_SERVER_INSPECT_FIRST_BATCH_H

#include "core/training/token_batch.h"

typedef struct bp_first_batch {
    size_t rows;           /* of a pass */
    size_t streams, steps; /* of a text; else 0 */
    const void *input;     /* (rows, input width): numbers, or ids of a network over tokens */
    bp_targets targets;
    bp_token_batch tokens; /* its own */
    void *owned;           /* what bp_first_batch_done frees */
} bp_first_batch;

/* Copies what step 0 of the training takes of examples (of the specification's dtype; target width: numbers of
 * a target row, 0 for classes and tokens). BP_NO_MEMORY, BP_TOO_LARGE, errors of a text's source. Any
 * thread; of a text its reader's. */
BP_CHECK_RESULT bp_status bp_first_batch_take(bp_first_batch *out, const bp_training_spec *spec,
                                              const bp_examples *examples, size_t target_width,
                                              bp_error *error);
void bp_first_batch_done(bp_first_batch *batch); /* accepts zeroed */

#endif
