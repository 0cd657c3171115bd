/* Initialisers: the values that weights begin with. A tensor is a pure function of the stream and of
 * its shape, and each weight but an orthogonal one of its place alone, computed in double and rounded
 * to the width, so float32 and float64 networks of one seed begin with the same numbers. */
#ifndef BP_CORE_INITIALIZER_INITIALIZER_H
#define BP_CORE_INITIALIZER_INITIALIZER_H

#include <stdbool.h>
#include <stddef.h>

#include "core/base/dtype.h"
#include "core/base/family.h"
#include "core/random/random.h"

/* A weight tensor to fill. */
typedef struct bp_fill {
    void *data; /* (rows, columns) row-major of dtype: (out, in) */
    bp_dtype dtype;
    size_t rows, columns;
    size_t fan_in, fan_out;  /* inputs of one unit, units that one input feeds; neither is 0 */
    const bp_random *random; /* stream of this tensor; (row, column) names the number */
    const double *value;     /* hyperparameters in member order */
    double *scratch;         /* scratch_count numbers, contents undefined before and after */
} bp_fill;

typedef struct bp_initializer {
    bp_member member;
    /* Writes every element. Allocates nothing; any thread. */
    void (*fill)(const bp_fill *fill);
    /* Numbers of scratch that fill needs; false on overflow. NULL: none. */
    bool (*scratch_count)(size_t *count, size_t rows, size_t columns);
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
