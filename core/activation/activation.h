/* Activations: value and derivative over whole arrays. */
#ifndef BP_CORE_ACTIVATION_ACTIVATION_H
#define BP_CORE_ACTIVATION_ACTIVATION_H

#include <stdbool.h>
#include <stddef.h>

#include "core/base/family.h"

/* Why a unit learns nothing from a batch. */
typedef enum bp_idleness {
    BP_NEVER_IDLE,
    BP_IDLE_DEAD,      /* every output is 0 and so is every derivative: ReLU */
    BP_IDLE_SATURATED, /* every output is near a bound, where the derivative is small */
} bp_idleness;

/* One record per variant; arrays are of the variant's width. */
typedef struct bp_activation {
    bp_member member;
    /* The derivative is computed from z (true) or from a = f(z) (false); a network keeps z only for
     * members that want it. */
    bool derivative_from_z;
    /* Needs whole rows (softmax): only on a last layer, and never fused into a product's tiles. The
     * others are elementwise and take any rows × width = count. */
    bool rowwise;
    /* a = f(z), (rows, width) row-major; a may alias z. value: hyperparameters in member order.
     * Finite for finite z. */
    void (*forward)(const void *z, void *a, size_t rows, size_t width, const double *value);
    /* delta ← delta · f'(z), (rows, width); kept is z or a, as derivative_from_z says. */
    void (*backward)(const void *kept, void *delta, size_t rows, size_t width, const double *value);
    /* Writes the piece of f that z[i] lies on as a small integer (ReLU: 0 or 1), so that a gradient
     * check can tell a kink from a wrong gradient. NULL where f is smooth. */
    void (*piece)(const void *z, unsigned char *piece, size_t count, const double *value);
    /* A unit is idle when each of its outputs over a batch is ≤ idle_low or ≥ idle_high. Saturated
     * means beyond 0.99 of the way from the middle to a bound. */
    bp_idleness idleness;
    double idle_low, idle_high;
} bp_activation;

enum bp_activation_index {
#define BP_ACTIVATION(name) BP_ACTIVATION_##name,
#include "core/activation/activation.def"
#undef BP_ACTIVATION
    BP_ACTIVATION_COUNT
};

extern const bp_family bp_activation_family;

#endif
