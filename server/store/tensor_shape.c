#include "server/store/tensor_shape.h"

#include <stdio.h>

void bp_tensor_shape_text(char out[BP_TENSOR_SHAPE_SIZE], const bp_tensor *tensor)
{
    size_t used = 0;
    const size_t size = BP_TENSOR_SHAPE_SIZE;
    for (size_t i = 0; i < tensor->rank && used < size; i++)
        used += (size_t)snprintf(out + used, size - used, "%c%zu", i == 0 ? '[' : ',',
                                 tensor->shape[i]);
    if (used < size)
        snprintf(out + used, size - used, "]");
}
