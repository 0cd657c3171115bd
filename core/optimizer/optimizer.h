/* Optimisers: update rules over whole arrays of parameters. Their state is slot_count arrays shaped
 * like the parameters, zero at the start, so allocation and checkpoints know nothing of any member. */
#ifndef BP_CORE_OPTIMIZER_OPTIMIZER_H
#define BP_CORE_OPTIMIZER_OPTIMIZER_H

#include <stddef.h>
#include <stdint.h>

#include "core/base/family.h"

enum { BP_SLOT_LIMIT = 2, BP_STEP_SCALAR_LIMIT = 8 };

typedef struct bp_optimizer {
    bp_member member; /* "learning_rate" is hyperparameter 0 of every member */
    size_t slot_count;
    const char *slot_names[BP_SLOT_LIMIT]; /* "velocity" */
    /* Computes, once per step and in double, what every element of the update shares (such as a bias
     * correction). learning_rate is the scheduled α of this step; t counts finished updates. */
    void (*prepare)(double *scalar, const double *value, double learning_rate, uint64_t t);
    /* θ ← update(θ, g) for count elements. Elementwise: any split gives the same bits. */
    void (*update)(void *theta, const void *gradient, void *const *slot, size_t count,
                   const double *scalar);
} bp_optimizer;

enum bp_optimizer_index {
#define BP_OPTIMIZER(name) BP_OPTIMIZER_##name,
#include "core/optimizer/optimizer.def"
#undef BP_OPTIMIZER
    BP_OPTIMIZER_COUNT
};

extern const bp_family bp_optimizer_family;

#endif
