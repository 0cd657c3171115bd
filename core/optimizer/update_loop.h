/* The loop of an optimiser with slots, for variant sources: the rule is inlined and works on one
 * vector of parameters, of the gradient and of each slot. */
#ifndef BP_CORE_OPTIMIZER_UPDATE_LOOP_H
#define BP_CORE_OPTIMIZER_UPDATE_LOOP_H

#include "core/kernel/simd.h"
#include "core/optimizer/optimizer.h"

/* Returns the new θ and leaves the new slots in slot. */
typedef bp_vector bp_update_rule(bp_vector theta, bp_vector g, bp_vector *slot,
                                 const double *scalar);

/* slot_count is a constant, so that the slots stay in registers. */
BP_INLINE void bp_update_loop(void *theta, const void *gradient, void *const *slot,
                              size_t slot_count, size_t count, const double *scalar,
                              bp_update_rule *rule)
{
    bp_real *weight = theta;
    const bp_real *slope = gradient;
    bp_vector state[BP_SLOT_LIMIT];
    size_t i = 0;
    for (; count - i >= BP_VECTOR_COUNT; i += BP_VECTOR_COUNT) {
        for (size_t s = 0; s < slot_count; s++)
            state[s] = bp_vector_load((bp_real *)slot[s] + i);
        bp_vector moved =
            rule(bp_vector_load(weight + i), bp_vector_load(slope + i), state, scalar);
        bp_vector_store(weight + i, moved);
        for (size_t s = 0; s < slot_count; s++)
            bp_vector_store((bp_real *)slot[s] + i, state[s]);
    }
    if (i < count) {
        size_t rest = count - i;
        for (size_t s = 0; s < slot_count; s++)
            state[s] = bp_vector_load_partial((bp_real *)slot[s] + i, rest, 0);
        bp_vector moved = rule(bp_vector_load_partial(weight + i, rest, 0),
                               bp_vector_load_partial(slope + i, rest, 0), state, scalar);
        bp_vector_store_partial(weight + i, moved, rest);
        for (size_t s = 0; s < slot_count; s++)
            bp_vector_store_partial((bp_real *)slot[s] + i, state[s], rest);
    }
}

#endif
