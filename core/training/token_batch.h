/* The first batch that a training over windows or over a text takes: what its gradient is checked on. */
#ifndef BP_CORE_TRAINING_TOKEN_BATCH_H
#define BP_CORE_TRAINING_TOKEN_BATCH_H

#include "core/base/arena.h"
#include "core/training/trainer.h"

typedef struct bp_token_batch {
    size_t rows; /* of a pass: steps of all streams, windows, or true windows and wrong ones */
    size_t streams, steps; /* of a text, whose state is zero before it; else 0 */
    const int32_t *ids;    /* (rows, input width of the network) */
    bp_targets targets;    /* labels; of pairs none */
    bp_arena arena;
} bp_token_batch;

/* Fills *out with what step 0 would take of examples, which are of the training's kind and not rows (asserted).
 * Errors as bp_trainer_create, and of a text's source on the thread of its reader. */
BP_CHECK_RESULT bp_status bp_token_batch_first(bp_token_batch *out, const bp_training_spec *spec,
                                               const bp_examples *examples, bp_error *error);
void bp_token_batch_done(bp_token_batch *batch); /* accepts zeroed */

#endif
