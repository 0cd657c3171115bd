/* The one checksum of a checkpoint: over its position, its state and its tensors' checksums. */
#ifndef BP_SERVER_CHECKPOINT_CHECKPOINT_SUM_H
#define BP_SERVER_CHECKPOINT_CHECKPOINT_SUM_H

#include "core/training/trainer_state.h"
#include "server/base/sha256.h"

typedef struct bp_checkpoint_sum {
    bp_sha256 hash;
} bp_checkpoint_sum;

void bp_checkpoint_sum_begin(bp_checkpoint_sum *sum, uint64_t step, uint64_t epoch,
                             uint64_t metric_seq, const char *data_sha256, const char *state);
/* Each tensor in order, with the checksum of its bytes. */
void bp_checkpoint_sum_add(bp_checkpoint_sum *sum, const bp_state_tensor *tensor,
                           const char *sha256);
void bp_checkpoint_sum_finish(bp_checkpoint_sum *sum, char out[BP_SHA256_TEXT_SIZE]);

#endif
