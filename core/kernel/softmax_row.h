/* The softmax of one row in logical lanes, shared by the activation and the loss. For variant
 * sources. */
#ifndef BP_CORE_KERNEL_SOFTMAX_ROW_H
#define BP_CORE_KERNEL_SOFTMAX_ROW_H

#include "core/kernel/lanes.h"
#include "core/kernel/map.h"
#include "core/kernel/vector_math.h"

/* NaN never wins: a row that holds one gets NaN from its exponential, and so from its sum. */
BP_INLINE bp_real bp_row_max(const bp_real *z, size_t width)
{
    const bp_real lowest = -(bp_real)__builtin_inf();
    bp_lanes lanes = bp_lanes_fold(z, width, lowest, lowest, bp_vector_max);
    return bp_lanes_max(&lanes);
}

/* e^x for x ≤ 0, NaN or −∞. Results that round to 0, those of lanes past the end of a row among them,
 * are not computed: a product that underflows costs a hundred times another. */
BP_INLINE bp_vector bp_vector_exp_below(bp_vector x)
{
    const bp_vector zero = bp_vector_set(0);
    bp_bits vanishes = bp_vector_less_equal(x, bp_vector_set(BP_EXP_LOWEST));
    return bp_vector_select(vanishes, zero, bp_vector_exp(bp_vector_select(vanishes, zero, x)));
}

/* Σ exp(z[i] − shift), at least 1; shift is the maximum. Unless `power` is NULL it gets the
 * exponentials; it may be z. */
BP_INLINE bp_real bp_row_sum_exp(bp_real *power, const bp_real *z, size_t width, bp_real shift)
{
    const bp_real lowest = -(bp_real)__builtin_inf(); /* e^−∞ = 0 adds nothing */
    bp_lanes sum = bp_lanes_set(0);
    for (size_t i = 0; i < width; i += BP_LANE_COUNT) {
        bp_lanes lanes = bp_lanes_load(z + i, width - i, lowest);
        for (size_t part = 0; part < BP_LANE_PARTS; part++) {
            lanes.part[part] = bp_vector_exp_below(lanes.part[part] - shift);
            sum.part[part] += lanes.part[part];
        }
        if (power)
            bp_lanes_store(power + i, &lanes, width - i);
    }
    return bp_lanes_sum(&sum);
}

BP_INLINE bp_vector bp_divide(bp_vector x, const double *divisor)
{
    return x / (bp_real)*divisor;
}

/* a ← softmax(z); a may be z. */
BP_INLINE void bp_row_softmax(bp_real *a, const bp_real *z, size_t width)
{
    double sum = (double)bp_row_sum_exp(a, z, width, bp_row_max(z, width));
    bp_map(a, a, width, &sum, bp_divide);
}

#endif
