#include "core/training/diagnosis.h"

#include <math.h>

bp_diagnosis bp_diagnosis_of(const bp_kernels *kernels, const bp_layer *layer, size_t rows)
{
    bp_diagnosis diagnosis = {.update_ratio = NAN, .dead_share = NAN, .saturated_share = NAN};
    const bp_activation *activation = layer->activation;
    if (activation->idleness == BP_NEVER_IDLE)
        return diagnosis;
    const size_t width = layer->shape.output_width;
    const double share = (double)kernels->outside_columns(
                             layer->a, rows, width, activation->idle_low, activation->idle_high) /
                         (double)width;
    if (activation->idleness == BP_IDLE_DEAD)
        diagnosis.dead_share = share;
    else
        diagnosis.saturated_share = share;
    return diagnosis;
}
