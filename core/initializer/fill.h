/* Random fills that initialisers are made of; arguments as in bp_initializer.fill. */
#ifndef BP_CORE_INITIALIZER_FILL_H
#define BP_CORE_INITIALIZER_FILL_H

#include <stddef.h>

#include "core/base/dtype.h"
#include "core/random/random.h"

/* Normal numbers with mean 0 and the standard deviation `deviation`. */
void bp_fill_normal(void *data, bp_dtype dtype, size_t rows, size_t columns,
                    const bp_random *random, double deviation);

/* Numbers uniform in [−bound, bound); rounded to float32 the upper end can occur. */
void bp_fill_uniform(void *data, bp_dtype dtype, size_t rows, size_t columns,
                     const bp_random *random, double bound);

#endif
