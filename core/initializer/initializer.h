/* Initialisers: the values that weights begin with. A weight is a pure function of the stream and of
 * its place in the tensor, computed in double and rounded to the width, so float32 and float64
 * networks of one seed begin with the same numbers. */
#ifndef BP_CORE_INITIALIZER_INITIALIZER_H
#define BP_CORE_INITIALIZER_INITIALIZER_H

#include <stddef.h>

#include "core/base/dtype.h"
#include "core/base/family.h"
#include "core/random/random.h"

typedef struct bp_initializer {
    bp_member member;
    /* Writes every element of a weight tensor.
     *   data             (rows, columns) row-major of dtype: (out, in)
     *   fan_in, fan_out  inputs of one unit, and units that one input feeds; their sum is not 0
     *   random           stream of this tensor; (row, column) names the number
     *   value            hyperparameters in member order
     * Allocates nothing; any thread. */
    void (*fill)(void *data, bp_dtype dtype, size_t rows, size_t columns, size_t fan_in,
                 size_t fan_out, const bp_random *random, const double *value);
} bp_initializer;

enum bp_initializer_index {
#define BP_INITIALIZER(name) BP_INITIALIZER_##name,
#include "core/initializer/initializer.def"
#undef BP_INITIALIZER
    BP_INITIALIZER_COUNT
};

extern const bp_family bp_initializer_family;

/* The record of a member of bp_initializer_family. */
static inline const bp_initializer *bp_initializer_of(const bp_member *member)
{
    return (const bp_initializer *)member; /* member is its first field */
}

#endif
