/* Random fills that initialisers are made of; they write every element of a tensor. */
#ifndef BP_CORE_INITIALIZER_FILL_H
#define BP_CORE_INITIALIZER_FILL_H

#include "core/initializer/initializer.h"

/* Normal numbers with mean 0 and the standard deviation `deviation`. */
void bp_fill_normal(const bp_fill *fill, double deviation);

/* Numbers uniform in [low, high], low ≤ high. */
void bp_fill_uniform(const bp_fill *fill, double low, double high);

/* Element i of the tensor, row-major, rounded to its width. */
static inline void bp_fill_put(const bp_fill *fill, size_t i, double value)
{
    bp_dtype_put(fill->dtype, fill->data, i, value);
}

#endif
