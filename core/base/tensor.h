/* A view of a dense row-major tensor: it owns nothing. */
#ifndef BP_CORE_BASE_TENSOR_H
#define BP_CORE_BASE_TENSOR_H

#include <stddef.h>

#include "core/base/dtype.h"

enum { BP_RANK_LIMIT = 4, BP_TENSOR_NAME_SIZE = 48 };

typedef struct bp_tensor {
    char name[BP_TENSOR_NAME_SIZE]; /* as exported: "layers.0.weight" */
    bp_dtype dtype;
    size_t rank;                 /* 1 … BP_RANK_LIMIT */
    size_t shape[BP_RANK_LIMIT]; /* outermost first; weights are [out, in] */
    size_t element_count;        /* product of shape */
    void *data;                  /* NULL in a measured plan */
} bp_tensor;

#endif
