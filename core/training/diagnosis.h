/* What shows from outside whether a layer learns. */
#ifndef BP_CORE_TRAINING_DIAGNOSIS_H
#define BP_CORE_TRAINING_DIAGNOSIS_H

#include "core/training/update.h"

/* Of one layer in one measured step; NaN where a question does not arise. The rows of a text are all steps
 * of all its streams in one chunk: a unit is dead, or saturated, that was so at each of them. A gru and an
 * lstm have bounds by their gates, of which neither is said. */
typedef struct bp_diagnosis {
    double update_ratio;    /* bp_update_ratio */
    double dead_share;      /* of units whose output is 0 for every row of the batch (ReLU) */
    double saturated_share; /* of units near a bound for every row (sigmoid, tanh, …) */
} bp_diagnosis;

/* Shares of the rows that a layer last passed, before the update; update_ratio NaN. */
bp_diagnosis bp_diagnosis_of(const bp_kernels *kernels, const bp_layer *layer, size_t rows);

#endif
