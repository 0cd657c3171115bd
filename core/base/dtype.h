/* The two widths that networks are computed in. */
#ifndef BP_CORE_BASE_DTYPE_H
#define BP_CORE_BASE_DTYPE_H

#include <stddef.h>

typedef enum bp_dtype { BP_FLOAT32, BP_FLOAT64 } bp_dtype;
enum { BP_DTYPE_COUNT = 2 };

/* Bytes of one number. */
static inline size_t bp_dtype_size(bp_dtype dtype)
{
    return dtype == BP_FLOAT32 ? sizeof(float) : sizeof(double);
}

/* "float32", "float64". */
static inline const char *bp_dtype_name(bp_dtype dtype)
{
    return dtype == BP_FLOAT32 ? "float32" : "float64";
}

/* Element `index` of an array of that width. */
static inline double bp_dtype_get(bp_dtype dtype, const void *array, size_t index)
{
    return dtype == BP_FLOAT32 ? (double)((const float *)array)[index]
                               : ((const double *)array)[index];
}

/* Rounded to nearest. */
static inline void bp_dtype_put(bp_dtype dtype, void *array, size_t index, double value)
{
    if (dtype == BP_FLOAT32)
        ((float *)array)[index] = (float)value;
    else
        ((double *)array)[index] = value;
}

#endif
