/* Sums and maxima in 64 bytes of logical lanes (16 floats, 8 doubles) whatever the vector width:
 * element i goes to lane i mod lanes, and one fixed tree joins the lanes. For variant sources. */
#ifndef BP_CORE_KERNEL_LANES_H
#define BP_CORE_KERNEL_LANES_H

#include "core/kernel/simd.h"

enum { BP_LANE_COUNT = 64 / sizeof(bp_real), BP_LANE_PARTS = 64 / BP_VECTOR_BYTES };

typedef struct bp_lanes {
    bp_vector part[BP_LANE_PARTS];
} bp_lanes;

BP_INLINE bp_lanes bp_lanes_set(bp_real value)
{
    bp_lanes lanes;
    for (size_t part = 0; part < BP_LANE_PARTS; part++)
        lanes.part[part] = bp_vector_set(value);
    return lanes;
}

/* The lanes that begin at x[0]; those at `count` and beyond are `fill`. */
BP_INLINE bp_lanes bp_lanes_load(const bp_real *x, size_t count, bp_real fill)
{
    bp_lanes lanes;
    for (size_t part = 0; part < BP_LANE_PARTS; part++) {
        size_t first = part * BP_VECTOR_COUNT;
        if (count >= first + BP_VECTOR_COUNT)
            lanes.part[part] = bp_vector_load(x + first);
        else if (count > first)
            lanes.part[part] = bp_vector_load_partial(x + first, count - first, fill);
        else
            lanes.part[part] = bp_vector_set(fill);
    }
    return lanes;
}

/* Stores the lanes below `count`. */
BP_INLINE void bp_lanes_store(bp_real *out, const bp_lanes *lanes, size_t count)
{
    for (size_t part = 0; part < BP_LANE_PARTS; part++) {
        size_t first = part * BP_VECTOR_COUNT;
        if (count >= first + BP_VECTOR_COUNT)
            bp_vector_store(out + first, lanes->part[part]);
        else if (count > first)
            bp_vector_store_partial(out + first, lanes->part[part], count - first);
    }
}

/* The fixed tree: the upper half is added to the lower half until one lane is left. */
BP_INLINE bp_real bp_lanes_sum(const bp_lanes *lanes)
{
    bp_real lane[BP_LANE_COUNT];
    memcpy(lane, lanes, sizeof lane);
    for (size_t half = BP_LANE_COUNT / 2; half > 0; half /= 2)
        for (size_t i = 0; i < half; i++)
            lane[i] += lane[i + half];
    return lane[0];
}

/* NaN never wins. */
BP_INLINE bp_real bp_lanes_max(const bp_lanes *lanes)
{
    bp_real lane[BP_LANE_COUNT];
    memcpy(lane, lanes, sizeof lane);
    for (size_t half = BP_LANE_COUNT / 2; half > 0; half /= 2)
        for (size_t i = 0; i < half; i++)
            lane[i] = lane[i] < lane[i + half] ? lane[i + half] : lane[i];
    return lane[0];
}

/* accumulator ← f(accumulator, x[i]) in lane i mod lanes. f leaves an accumulator alone when x is
 * `fill`, which stands in for the elements past the end. */
typedef bp_vector bp_lanes_function(bp_vector accumulator, bp_vector x);

BP_INLINE bp_lanes bp_lanes_fold(const bp_real *x, size_t count, bp_real start, bp_real fill,
                                 bp_lanes_function *f)
{
    bp_lanes lanes = bp_lanes_set(start);
    for (size_t i = 0; i < count; i += BP_LANE_COUNT) {
        bp_lanes next = bp_lanes_load(x + i, count - i, fill);
        for (size_t part = 0; part < BP_LANE_PARTS; part++)
            lanes.part[part] = f(lanes.part[part], next.part[part]);
    }
    return lanes;
}

#endif
