#include <assert.h>

#include "core/kernel/vector_math.h"
#include "core/loss/class_weight.h"

static bp_real sigmoid(bp_real z)
{
    return bp_vector_sigmoid(bp_vector_set(z))[0];
}

/* ln(1 + e^−|s|) with its leading digits even where e^−|s| is lost beside the 1: the logarithm of the
 * rounded sum, and what rounding took, which weighs 1/sum there. */
static bp_real softplus_rest(bp_real s)
{
    bp_vector power = bp_vector_exp(-bp_vector_absolute(bp_vector_set(s)));
    bp_vector sum = power + 1;
    return (bp_vector_log(sum) + (power - (sum - 1)) / sum)[0];
}

/* With s = z for the second class and −z for the first: J = −ln σ(s) = max(−s, 0) + ln(1 + e^−|s|), and
 * dJ/dz = σ(z) − y = ∓σ(−s), without a difference of nearly equal numbers. z − z makes a row NaN whose
 * z is infinite, even on the right side: divergence must be seen. */
static void rows(const bp_loss_call *call, size_t first, size_t count)
{
    assert(call->width == 1);
    const bp_real *output = call->output;
    bp_real *gradient = call->gradient;
    for (size_t row = first; row < first + count; row++) {
        const bp_real z = output[row], lost = z - z;
        const bool second = call->label[row] == 1;
        assert(second || call->label[row] == 0);
        const bp_real s = second ? z : -z;
        if (call->row_loss)
            call->row_loss[row] = (double)((s < 0 ? -s : 0) + softplus_rest(s) + lost);
        if (gradient) {
            bp_real share = sigmoid(-s) + lost;
            gradient[row] = (second ? -share : share) / (bp_real)call->rows;
        }
    }
    bp_weigh_rows(call, first, count);
}

static void output(const void *output, void *shown, size_t rows, size_t width, const double *value)
{
    (void)width, (void)value;
    const bp_real *z = output;
    bp_real *p = shown;
    for (size_t row = 0; row < rows; row++) {
        p[2 * row] = sigmoid(-z[row]);
        p[2 * row + 1] = sigmoid(z[row]);
    }
}

static void decide(int32_t *label, const void *output, size_t rows, size_t width)
{
    (void)width;
    const bp_real *z = output;
    for (size_t row = 0; row < rows; row++)
        label[row] = z[row] > 0;
}

extern const bp_loss BP_VARIANT(bp_loss_binary_cross_entropy);
const bp_loss BP_VARIANT(bp_loss_binary_cross_entropy) = {
    .member = {.name = "binary_cross_entropy",
               .summary = "Two classes from one output: the negative log-probability of the true "
                          "one, in nats",
               .formula = "J = mean over rows of -c_y (y ln sigmoid(z) + (1 - y) ln(1 - "
                          "sigmoid(z))), y = 1 for the second class, c_y the weight of the row's "
                          "class, 1 unless given; dJ/dz = c_y (sigmoid(z) - y) / rows",
               .reference = "Goodfellow, Bengio & Courville 2016, Deep Learning, section 6.2.2.2",
               .pytorch = "torch.nn.BCEWithLogitsLoss() on the logit; with class weights "
                          "BCEWithLogitsLoss(weight=c[y])",
               .index = BP_LOSS_binary_cross_entropy},
    .target_kind = BP_TARGET_CLASS,
    .merges = "sigmoid",
    .binary = true,
    .shown = BP_SHOWN_PROBABILITIES,
    .rows = rows,
    .output = output,
    .decide = decide,
};
