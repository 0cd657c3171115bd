#include "core/training/penalty.h"

bp_status bp_regularizers_check(const bp_choice *regularizers, size_t count, bp_error *error)
{
    if (count > BP_REGULARIZER_LIMIT)
        return bp_error_set(error, BP_INVALID, "/regularization", "must be at most %d",
                            BP_REGULARIZER_LIMIT);
    for (size_t i = 0; i < count; i++) {
        if (!regularizers[i].member)
            return bp_error_set(error, BP_INVALID, "/regularization", "a regulariser is missing");
        for (size_t j = 0; j < i; j++)
            if (regularizers[j].member->index == regularizers[i].member->index)
                return bp_error_set(error, BP_INVALID, "/regularization", "%s is there twice",
                                    regularizers[i].member->name);
    }
    return BP_OK;
}

double bp_penalty_prepare(bp_segments *segments, const bp_kernels *kernels,
                          const bp_parallel *parallel, const void *theta,
                          const bp_choice *regularizers, size_t count, bool measure)
{
    double penalty = 0;
    for (size_t i = 0; i < count; i++) {
        const bp_choice *choice = &regularizers[i];
        const bp_regularizer *regularizer = kernels->regularizers[choice->member->index];
        if (!regularizer->penalty)
            continue;
        if (measure || regularizer->slope_needs_sum)
            bp_segments_sum(segments, parallel, theta, kernels->real_size, regularizer->sum);
        for (size_t index = 0; index < segments->segment_count; index++) {
            bp_segment *segment = &segments->segment[index];
            if (!segment->is_weight)
                continue;
            segment->slope[i] = regularizer->slope(choice->value, segment->sum);
            if (measure)
                penalty += regularizer->penalty(choice->value, segment->sum);
        }
    }
    return penalty;
}

void bp_penalty_add_gradient(const bp_segments *segments, const bp_kernels *kernels,
                             const bp_choice *regularizers, size_t count, const bp_block *block,
                             void *gradient, const void *theta)
{
    const bp_segment *segment = &segments->segment[block->segment];
    const size_t offset = block->offset * kernels->real_size;
    if (!segment->is_weight)
        return;
    for (size_t i = 0; i < count; i++) {
        const bp_regularizer *regularizer = kernels->regularizers[regularizers[i].member->index];
        if (regularizer->add_gradient && segment->slope[i] != 0)
            regularizer->add_gradient((unsigned char *)gradient + offset,
                                      (const unsigned char *)theta + offset, block->count,
                                      segment->slope[i]);
    }
}
