/* The weight of a row's class, for the losses of BP_TARGET_CLASS. For variant sources. */
#ifndef BP_CORE_LOSS_CLASS_WEIGHT_H
#define BP_CORE_LOSS_CLASS_WEIGHT_H

#include "core/kernel/simd.h"
#include "core/loss/loss.h"

/* Multiplies what rows [first, first + count) have got by the weight of their class, in place. */
BP_INLINE void bp_weigh_rows(const bp_loss_call *call, size_t first, size_t count)
{
    if (!call->class_weight)
        return;
    for (size_t row = first; row < first + count; row++) {
        const double weight = call->class_weight[call->label[row]];
        if (call->row_loss)
            call->row_loss[row] *= weight;
        bp_real *gradient = call->gradient ? (bp_real *)call->gradient + row * call->width : NULL;
        for (size_t j = 0; gradient && j < call->width; j++)
            gradient[j] *= (bp_real)weight;
    }
}

#endif
