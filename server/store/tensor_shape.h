/* A tensor's shape as the database keeps it: JSON, "[out,in]". */
#ifndef BP_SERVER_STORE_TENSOR_SHAPE_H
#define BP_SERVER_STORE_TENSOR_SHAPE_H

#include "core/base/tensor.h"

enum { BP_TENSOR_SHAPE_SIZE = BP_RANK_LIMIT * 24 };

void bp_tensor_shape_text(char out[BP_TENSOR_SHAPE_SIZE], const bp_tensor *tensor);

#endif
