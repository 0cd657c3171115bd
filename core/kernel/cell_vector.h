/* Loops over a row of units, for the kernels of cells. For variant sources. */
#ifndef BP_CORE_KERNEL_CELL_VECTOR_H
#define BP_CORE_KERNEL_CELL_VECTOR_H

#include "core/kernel/simd.h"

/* `count` lanes, at least 1; those past it are 0. */
BP_INLINE bp_vector bp_cell_load(const bp_real *x, size_t count)
{
    return count >= BP_VECTOR_COUNT ? bp_vector_load(x) : bp_vector_load_partial(x, count, 0);
}

BP_INLINE void bp_cell_store(bp_real *out, bp_vector v, size_t count)
{
    if (count >= BP_VECTOR_COUNT)
        bp_vector_store(out, v);
    else
        bp_vector_store_partial(out, v, count);
}

/* σ' and tanh' from the values; as a product: 1 − t² would cancel where t is near ±1. */
BP_INLINE bp_vector bp_sigmoid_slope(bp_vector s)
{
    return s * (1 - s);
}

BP_INLINE bp_vector bp_tanh_slope(bp_vector t)
{
    return (1 - t) * (1 + t);
}

#endif
