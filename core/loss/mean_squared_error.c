#include <string.h>

#include "core/kernel/lanes.h"
#include "core/loss/loss.h"

/* Σ (y_j − t_j)² in logical lanes. */
static bp_real sum_of_squares(const bp_real *y, const bp_real *t, size_t width)
{
    bp_lanes sum = bp_lanes_set(0);
    for (size_t j = 0; j < width; j += BP_LANE_COUNT) {
        bp_lanes output = bp_lanes_load(y + j, width - j, 0);
        bp_lanes target = bp_lanes_load(t + j, width - j, 0);
        for (size_t part = 0; part < BP_LANE_PARTS; part++) {
            bp_vector difference = output.part[part] - target.part[part];
            sum.part[part] = bp_vector_fma(difference, difference, sum.part[part]);
        }
    }
    return bp_lanes_sum(&sum);
}

static void rows(const bp_loss_call *call, size_t first, size_t count)
{
    size_t width = call->width;
    bp_real elements = (bp_real)((double)call->rows * (double)width);
    for (size_t row = first; row < first + count; row++) {
        const bp_real *y = (const bp_real *)call->output + row * width;
        const bp_real *t = (const bp_real *)call->target + row * width;
        if (call->row_loss)
            call->row_loss[row] = (double)(sum_of_squares(y, t, width) / (bp_real)width);
        if (call->gradient) {
            bp_real *gradient = (bp_real *)call->gradient + row * width;
            for (size_t j = 0; j < width; j++)
                gradient[j] = 2 * (y[j] - t[j]) / elements;
        }
    }
}

static void output(const void *output, void *shown, size_t rows, size_t width, const double *value)
{
    (void)value;
    if (shown != output)
        memcpy(shown, output, rows * width * sizeof(bp_real));
}

extern const bp_loss BP_VARIANT(bp_loss_mean_squared_error);
const bp_loss BP_VARIANT(bp_loss_mean_squared_error) = {
    .member = {.name = "mean_squared_error",
               .summary = "Regression: the squared difference, averaged over rows and targets",
               .formula = "J = sum_ij (y_ij - t_ij)^2 / (rows targets); "
                          "dJ/dy = 2 (y - t) / (rows targets)",
               .reference =
                   "Goodfellow, Bengio & Courville 2016, Deep Learning, sections 5.1.4 and "
                   "6.2.2.1",
               .pytorch = "torch.nn.MSELoss(reduction='mean')",
               .index = BP_LOSS_mean_squared_error},
    .target_kind = BP_TARGET_VALUE,
    .shown = BP_SHOWN_VALUE,
    .rows = rows,
    .output = output,
};
