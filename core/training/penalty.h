/* The penalties of a training's regularisers over all weight tensors. */
#ifndef BP_CORE_TRAINING_PENALTY_H
#define BP_CORE_TRAINING_PENALTY_H

#include "core/training/segment.h"

/* Checks choices of bp_regularizer_family. BP_INVALID: too many, no member, one of them twice. */
BP_CHECK_RESULT bp_status bp_regularizers_check(const bp_choice *regularizers, size_t count,
                                                bp_error *error);

/* Prepares the slopes of a step in the segments and, where measure says so, returns Σ penalty over
 * regularisers and tensors, otherwise 0. theta: the parameter block of kernels' width. Reads the
 * weights only for what is asked. Allocates nothing. */
double bp_penalty_prepare(bp_segments *segments, const bp_kernels *kernels,
                          const bp_parallel *parallel, const void *theta,
                          const bp_choice *regularizers, size_t count, bool measure);

/* Adds the penalties' gradients to a block of the gradient; after bp_penalty_prepare. Any thread. */
void bp_penalty_add_gradient(const bp_segments *segments, const bp_kernels *kernels,
                             const bp_choice *regularizers, size_t count, const bp_block *block,
                             void *gradient, const void *theta);

#endif
