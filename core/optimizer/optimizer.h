/* Optimisers: update rules over whole arrays of parameters. Their state is slot_count arrays shaped
 * like the parameters, zero at the start, so allocation and checkpoints know nothing of any member. */
#ifndef BP_CORE_OPTIMIZER_OPTIMIZER_H
#define BP_CORE_OPTIMIZER_OPTIMIZER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/family.h"

enum { BP_SLOT_LIMIT = 2, BP_STEP_SCALAR_LIMIT = 8 };

/* Smallest ε of any member: in float32 too, and under a root, it is a number above 0, without which a
 * parameter that never had a gradient would become 0/0. */
#define BP_EPSILON_MINIMUM 1e-30

/* What is the same for all elements that one call updates. */
typedef struct bp_update_context {
    double learning_rate; /* α of this step, as scheduled */
    uint64_t t;           /* finished updates: 0 at the first */
    bool is_weight;       /* elements of weight tensors, not of biases */
} bp_update_context;

typedef struct bp_optimizer {
    bp_member member; /* "learning_rate" is hyperparameter 0 of every member */
    size_t slot_count;
    const char *slot_names[BP_SLOT_LIMIT]; /* "velocity" */
    /* An element whose gradient is 0 stays as it is, bit for bit, and so do its slots. */
    bool rests_at_zero;
    /* Computes in double, once for each context of a step, what its elements share (such as a bias
     * correction). value: hyperparameters in member order. */
    void (*prepare)(double *scalar, const double *value, const bp_update_context *context);
    /* θ ← update(θ, g) for count elements: bp_update_loop with the member's rule. Elementwise: any
     * split gives the same bits; an element that is 0, and whose gradients all were, stays 0.
     * measured: how far it went, or NULL: [0] the sum of θ² before, [1] that of (θ before − θ after)²,
     * with the bits that the kernel sum_squares has for these count elements. */
    void (*update)(double *measured, void *theta, const void *gradient, void *const *slot,
                   size_t count, const double *scalar);
} bp_optimizer;

enum bp_optimizer_index {
#define BP_OPTIMIZER(name) BP_OPTIMIZER_##name,
#include "core/optimizer/optimizer.def"
#undef BP_OPTIMIZER
    BP_OPTIMIZER_COUNT
};

extern const bp_family bp_optimizer_family;

#endif
