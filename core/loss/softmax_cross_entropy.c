#include <assert.h>

#include "core/kernel/softmax_row.h"
#include "core/loss/loss.h"

static bp_real log_of(bp_real x)
{
    return bp_vector_log(bp_vector_set(x))[0];
}

static bp_vector divide_twice(bp_vector x, const double *divisor)
{
    return x / (bp_real)divisor[0] / (bp_real)divisor[1];
}

/* With m = max z: J = ln Σ exp(z_j − m) − (z_y − m), and dJ/dz_j = exp(z_j − m) / Σ − [j = y]. No
 * exponent is positive, so nothing overflows. */
static void rows(const bp_loss_call *call, size_t first, size_t count)
{
    size_t width = call->width;
    for (size_t row = first; row < first + count; row++) {
        const bp_real *z = (const bp_real *)call->output + row * width;
        bp_real *gradient = call->gradient ? (bp_real *)call->gradient + row * width : NULL;
        size_t label = (size_t)call->label[row];
        assert(label < width);

        bp_real largest = bp_row_max(z, width);
        bp_real own = z[label] - largest; /* read before the gradient may take its place */
        bp_real sum = bp_row_sum_exp(gradient, z, width, largest);
        if (call->row_loss)
            call->row_loss[row] = (double)(log_of(sum) - own);
        if (gradient) {
            double divisor[2] = {(double)sum, (double)call->rows};
            bp_real share = gradient[label] / sum;
            bp_map(gradient, gradient, width, divisor, divide_twice);
            gradient[label] = (share - 1) / (bp_real)call->rows;
        }
    }
}

static void output(const void *output, void *shown, size_t rows, size_t width, const double *value)
{
    (void)value;
    const bp_real *z = output;
    bp_real *p = shown;
    for (size_t row = 0; row < rows; row++)
        bp_row_softmax(p + row * width, z + row * width, width);
}

extern const bp_loss BP_VARIANT(bp_loss_softmax_cross_entropy);
const bp_loss BP_VARIANT(bp_loss_softmax_cross_entropy) = {
    .member = {.name = "softmax_cross_entropy",
               .summary = "Classification: the negative log-probability of the true class, in nats",
               .formula = "J = mean over rows of -ln softmax(z)_y; dJ/dz = (softmax(z) - y) / rows",
               .reference = "Goodfellow, Bengio & Courville 2016, Deep Learning, section 6.2.2.3",
               .pytorch = "torch.nn.CrossEntropyLoss(reduction='mean') on logits",
               .index = BP_LOSS_softmax_cross_entropy},
    .target_kind = BP_TARGET_CLASS,
    .merges = "softmax",
    .output_name = "probabilities",
    .rows = rows,
    .output = output,
};
