/* The loop of an optimiser, for variant sources: the rule is inlined and works on one
 * vector of parameters, of the gradient and of each slot. */
#ifndef BP_CORE_OPTIMIZER_UPDATE_LOOP_H
#define BP_CORE_OPTIMIZER_UPDATE_LOOP_H

#include "core/kernel/lanes.h"
#include "core/optimizer/optimizer.h"

/* Returns the new θ and leaves the new slots in slot. */
typedef bp_vector bp_update_rule(bp_vector theta, bp_vector g, bp_vector *slot,
                                 const double *scalar);

/* The parameters as they were and as they are now, in one vector of each. */
typedef struct bp_update_pair {
    bp_vector before, after;
} bp_update_pair;

/* slot_count is a constant, so that the slots stay in registers. */
BP_INLINE bp_update_pair bp_update_vector(bp_real *theta, const bp_real *gradient,
                                          void *const *slot, size_t slot_count, size_t i,
                                          const double *scalar, bp_update_rule *rule)
{
    bp_vector state[BP_SLOT_LIMIT];
    for (size_t s = 0; s < slot_count; s++)
        state[s] = bp_vector_load((bp_real *)slot[s] + i);
    bp_update_pair pair = {.before = bp_vector_load(theta + i)};
    pair.after = rule(pair.before, bp_vector_load(gradient + i), state, scalar);
    bp_vector_store(theta + i, pair.after);
    for (size_t s = 0; s < slot_count; s++)
        bp_vector_store((bp_real *)slot[s] + i, state[s]);
    return pair;
}

/* The last `rest` elements, fewer than a vector; the lanes behind them are 0 and stay so. */
BP_INLINE bp_update_pair bp_update_rest(bp_real *theta, const bp_real *gradient, void *const *slot,
                                        size_t slot_count, size_t i, size_t rest,
                                        const double *scalar, bp_update_rule *rule)
{
    bp_vector state[BP_SLOT_LIMIT];
    for (size_t s = 0; s < slot_count; s++)
        state[s] = bp_vector_load_partial((bp_real *)slot[s] + i, rest, 0);
    bp_update_pair pair = {.before = bp_vector_load_partial(theta + i, rest, 0)};
    pair.after = rule(pair.before, bp_vector_load_partial(gradient + i, rest, 0), state, scalar);
    bp_vector_store_partial(theta + i, pair.after, rest);
    for (size_t s = 0; s < slot_count; s++)
        bp_vector_store_partial((bp_real *)slot[s] + i, state[s], rest);
    return pair;
}

BP_INLINE void bp_update_plainly(void *theta, const void *gradient, void *const *slot,
                                 size_t slot_count, size_t count, const double *scalar,
                                 bp_update_rule *rule)
{
    size_t i = 0;
    for (; count - i >= BP_VECTOR_COUNT; i += BP_VECTOR_COUNT)
        bp_update_vector(theta, gradient, slot, slot_count, i, scalar, rule);
    if (i < count)
        bp_update_rest(theta, gradient, slot, slot_count, i, count - i, scalar, rule);
}

/* How far an update goes, in the lanes of lanes.h. */
typedef struct bp_update_lanes {
    bp_lanes length, moved;
} bp_update_lanes;

BP_INLINE void bp_update_take(bp_update_lanes *lanes, size_t part, bp_update_pair pair)
{
    const bp_vector step = pair.before - pair.after;
    lanes->length.part[part] = bp_vector_fma(pair.before, pair.before, lanes->length.part[part]);
    lanes->moved.part[part] = bp_vector_fma(step, step, lanes->moved.part[part]);
}

/* The sums cost next to nothing here: the loop waits for memory. */
BP_INLINE void bp_update_measured(double out[2], void *theta, const void *gradient,
                                  void *const *slot, size_t slot_count, size_t count,
                                  const double *scalar, bp_update_rule *rule)
{
    bp_update_lanes lanes = {.length = bp_lanes_set(0), .moved = bp_lanes_set(0)};
    size_t i = 0;
    for (; count - i >= BP_LANE_COUNT; i += BP_LANE_COUNT)
        for (size_t part = 0; part < BP_LANE_PARTS; part++)
            bp_update_take(&lanes, part,
                           bp_update_vector(theta, gradient, slot, slot_count,
                                            i + part * BP_VECTOR_COUNT, scalar, rule));
    for (size_t part = 0; i < count; part++, i += BP_VECTOR_COUNT) {
        const size_t rest = count - i;
        bp_update_take(
            &lanes, part,
            rest >= BP_VECTOR_COUNT
                ? bp_update_vector(theta, gradient, slot, slot_count, i, scalar, rule)
                : bp_update_rest(theta, gradient, slot, slot_count, i, rest, scalar, rule));
    }
    out[0] = (double)bp_lanes_sum(&lanes.length);
    out[1] = (double)bp_lanes_sum(&lanes.moved);
}

/* What bp_optimizer.update of a member is made of. */
BP_INLINE void bp_update_loop(double *measured, void *theta, const void *gradient,
                              void *const *slot, size_t slot_count, size_t count,
                              const double *scalar, bp_update_rule *rule)
{
    if (measured)
        bp_update_measured(measured, theta, gradient, slot, slot_count, count, scalar, rule);
    else
        bp_update_plainly(theta, gradient, slot, slot_count, count, scalar, rule);
}

#endif
