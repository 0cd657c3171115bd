/* The last part of a step: is the gradient finite, how long is it, and the optimiser's update, over
 * the whole parameter block in fixed blocks of elements. */
#ifndef BP_CORE_TRAINING_UPDATE_H
#define BP_CORE_TRAINING_UPDATE_H

#include "core/base/arena.h"
#include "core/base/parallel.h"
#include "core/kernel/kernels.h"

typedef struct bp_update {
    const bp_kernels *kernels;
    const bp_optimizer *optimizer;
    bp_choice choice;
    size_t count; /* elements of the parameter block */
    void *theta;
    const void *gradient;
    void *slot[BP_SLOT_LIMIT];
    double *partial; /* one per block of elements */
} bp_update;

/* Takes slots (zeroed) and partial sums for `count` parameters from the arena. kernels, optimizer
 * and count are set by the caller before. */
void bp_update_plan(bp_update *update, bp_arena *arena);

/* Whether every element of the gradient is finite. */
bool bp_update_is_finite(const bp_update *update, const bp_parallel *parallel);

/* Euclidean norm of the gradient, summed block by block in order. */
double bp_update_norm(const bp_update *update, const bp_parallel *parallel);

/* θ ← update(θ, g) at the scheduled learning rate; t counts finished updates. */
void bp_update_apply(bp_update *update, const bp_parallel *parallel, double learning_rate,
                     uint64_t t);

#endif
