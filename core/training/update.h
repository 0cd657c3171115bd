/* The last part of a step, in its order: penalties' gradients, clipping, the optimiser with what it
 * does of decay, projections; over the whole parameter block in fixed blocks of elements.
 *
 * Of an embedding it goes through those vectors alone that the step has read, where it is sparse, and where
 * nobody could tell the difference: under an optimiser that leaves elements without a gradient as they are,
 * and without regularisers. The cost of a step does not grow with the vocabulary then. */
#ifndef BP_CORE_TRAINING_UPDATE_H
#define BP_CORE_TRAINING_UPDATE_H

#include "core/training/segment.h"

typedef struct bp_update {
    const bp_kernels *kernels;
    bp_network *network;
    const bp_optimizer *optimizer;
    bp_choice choice; /* of the optimiser */
    size_t regularizer_count;
    bp_choice regularizers[BP_REGULARIZER_LIMIT];
    double clip_norm;   /* c; 0: none */
    bool fan_in_scaled; /* α / √columns for each weight tensor */
    size_t count;       /* elements of the parameter block */
    void *theta;
    void *gradient;
    void *slot[BP_SLOT_LIMIT];
    bp_segments segments;
    double *length, *moved; /* (segments.block_count) Σ θ² and Σ Δθ² of a measured update */
} bp_update;

/* What bp_update_gradient finds. */
typedef struct bp_gradient_facts {
    double penalty; /* Σ over regularisers and weight tensors; NaN unless measured */
    /* Euclidean, penalties included, before clipping; NaN unless measured or clipped. */
    double norm;
    double factor; /* what clipping multiplies every element by; bp_update_apply does it */
    bool finite;   /* every element is */
} bp_gradient_facts;

/* Checks the choices of a training: the regularisers as such, and that a sparse embedding has neither them nor
 * decay, which concern vectors that the step has not read. BP_INVALID; `where` is below the job. */
BP_CHECK_RESULT bp_status bp_update_check(const bp_network_spec *network,
                                          const bp_choice *optimizer, const bp_choice *regularizers,
                                          size_t regularizer_count, bp_error *error);

/* Takes slots (zeroed) and the cut into blocks for a network of this size from the arena. kernels,
 * optimizer and count are set by the caller before. */
void bp_update_plan(bp_update *update, bp_arena *arena, const bp_network_size *size);

/* Ties a planned update to its network. choice and regularizer_count are set. */
void bp_update_bind(bp_update *update, bp_network *network);

/* Adds the penalties' gradients to the data's, of the last backward, and looks at the sum. Allocates nothing. */
bp_gradient_facts bp_update_gradient(bp_update *update, const bp_parallel *parallel, bool measure);

/* θ ← update(θ, g) at the scheduled learning rate, then projections. t counts finished updates. The
 * gradient must be finite. measure: for bp_update_ratio. Allocates nothing. */
void bp_update_apply(bp_update *update, const bp_parallel *parallel, double learning_rate,
                     uint64_t t, const bp_gradient_facts *facts, bool measure);

/* ‖Δθ‖/‖θ‖ over the weight tensors of a layer in the last measured update: Δθ is what the optimiser
 * did, decay included, projections not; θ is before it. Of an embedding whose read vectors alone are updated,
 * over these. NaN without weights or where they are 0. */
double bp_update_ratio(const bp_update *update, size_t layer);

#endif
