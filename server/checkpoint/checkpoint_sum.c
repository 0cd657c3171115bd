#include "server/checkpoint/checkpoint_sum.h"

#include <stdio.h>
#include <string.h>

#include "server/store/tensor_shape.h"

static void add_text(bp_checkpoint_sum *sum, const char *text)
{
    bp_sha256_add(&sum->hash, text, strlen(text));
}

void bp_checkpoint_sum_begin(bp_checkpoint_sum *sum, uint64_t step, uint64_t epoch,
                             uint64_t metric_seq, const char *data_sha256, const char *state)
{
    char line[128];
    bp_sha256_begin(&sum->hash);
    snprintf(line, sizeof line, "%llu %llu %llu ", (unsigned long long)step,
             (unsigned long long)epoch, (unsigned long long)metric_seq);
    add_text(sum, line);
    add_text(sum, data_sha256);
    add_text(sum, "\n");
    add_text(sum, state);
    add_text(sum, "\n");
}

void bp_checkpoint_sum_add(bp_checkpoint_sum *sum, const bp_state_tensor *tensor,
                           const char *sha256)
{
    char shape[BP_TENSOR_SHAPE_SIZE], line[BP_TENSOR_NAME_SIZE + BP_TENSOR_SHAPE_SIZE + 160];
    bp_tensor_shape_text(shape, &tensor->tensor);
    snprintf(line, sizeof line, "%s %zu %s %s %s %s\n", bp_state_role_name(tensor->role),
             tensor->slot, tensor->tensor.name, bp_dtype_name(tensor->tensor.dtype), shape, sha256);
    add_text(sum, line);
}

void bp_checkpoint_sum_finish(bp_checkpoint_sum *sum, char out[BP_SHA256_TEXT_SIZE])
{
    bp_sha256_finish(&sum->hash, out);
}
