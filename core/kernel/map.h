/* Elementwise loops over arrays, for variant sources. The function is inlined, so that one loop is
 * written here and none in the kernels. `out` may be the same array as an input; otherwise arrays
 * do not overlap. `value` is handed to the function: hyperparameters or shared scalars. */
#ifndef BP_CORE_KERNEL_MAP_H
#define BP_CORE_KERNEL_MAP_H

#include "core/kernel/simd.h"

typedef bp_vector bp_map_function(bp_vector x, const double *value);
typedef bp_vector bp_map2_function(bp_vector x, bp_vector y, const double *value);

/* out[i] ← f(x[i]) */
BP_INLINE void bp_map(bp_real *out, const bp_real *x, size_t count, const double *value,
                      bp_map_function *f)
{
    size_t i = 0;
    for (; count - i >= BP_VECTOR_COUNT; i += BP_VECTOR_COUNT)
        bp_vector_store(out + i, f(bp_vector_load(x + i), value));
    if (i < count)
        bp_vector_store_partial(out + i, f(bp_vector_load_partial(x + i, count - i, 0), value),
                                count - i);
}

/* out[i] ← f(x[i], y[i]) */
BP_INLINE void bp_map2(bp_real *out, const bp_real *x, const bp_real *y, size_t count,
                       const double *value, bp_map2_function *f)
{
    size_t i = 0;
    for (; count - i >= BP_VECTOR_COUNT; i += BP_VECTOR_COUNT)
        bp_vector_store(out + i, f(bp_vector_load(x + i), bp_vector_load(y + i), value));
    if (i < count)
        bp_vector_store_partial(out + i,
                                f(bp_vector_load_partial(x + i, count - i, 0),
                                  bp_vector_load_partial(y + i, count - i, 0), value),
                                count - i);
}

#endif
