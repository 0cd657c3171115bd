#include <assert.h>

#include "core/kernel/array_kernels.h"
#include "core/loss/class_weight.h"

enum { MARGIN, PARAMETER_COUNT };

static const bp_hyperparameter parameters[PARAMETER_COUNT] = {
    [MARGIN] = {.name = "margin",
                .meaning = "by how much the true class must lead before it costs nothing: Δ",
                .kind = BP_REAL_PARAMETER,
                .default_value = 1,
                .minimum = 0,
                .maximum = __builtin_inf()},
};

/* Δ + s_j − s_y, the difference first: large scores would swallow a margin. */
static bp_real slack(bp_real score, bp_real own, const double *value)
{
    return (score - own) + (bp_real)value[MARGIN];
}

/* A score that is not finite can leave every term 0 or 1; s − s makes its term NaN all the same, so that
 * divergence is seen. */
static void rows(const bp_loss_call *call, size_t first, size_t count)
{
    const size_t width = call->width;
    for (size_t row = first; row < first + count; row++) {
        const bp_real *score = (const bp_real *)call->output + row * width;
        bp_real *gradient = call->gradient ? (bp_real *)call->gradient + row * width : NULL;
        const size_t label = (size_t)call->label[row];
        assert(label < width);
        const bp_real own = score[label], batch = (bp_real)call->rows;
        bp_real sum = own - own, beaten = sum;
        for (size_t j = 0; j < width; j++) {
            if (j == label)
                continue;
            const bp_real over = slack(score[j], own, call->value), lost = score[j] - score[j];
            const bp_real slope = (over > 0) + lost;
            sum += (over > 0 ? over : 0) + lost;
            beaten += slope;
            if (gradient)
                gradient[j] = slope / batch;
        }
        if (gradient)
            gradient[label] = -beaten / batch;
        if (call->row_loss)
            call->row_loss[row] = (double)sum;
    }
    bp_weigh_rows(call, first, count);
}

static void piece(const bp_loss_call *call, unsigned char *piece)
{
    const bp_real *score = call->output;
    for (size_t row = 0; row < call->rows; row++, score += call->width, piece += call->width)
        for (size_t j = 0; j < call->width; j++)
            piece[j] = slack(score[j], score[call->label[row]], call->value) > 0;
}

static void output(const void *output, void *shown, size_t rows, size_t width, const double *value)
{
    (void)value;
    if (shown != output)
        memcpy(shown, output, rows * width * sizeof(bp_real));
}

extern const bp_loss BP_VARIANT(bp_loss_hinge);
const bp_loss BP_VARIANT(bp_loss_hinge) = {
    .member = {.name = "hinge",
               .summary = "Classification by a margin: every wrong class must score less than the "
                          "true one by at least that much",
               .formula = "J = mean over rows of c_y sum_{j != y} max(0, Δ + s_j - s_y), c_y the "
                          "weight of the row's class, 1 unless given; dJ/ds_j = c_y / rows where "
                          "the term is positive, dJ/ds_y minus their sum; 0 at the kink",
               .reference =
                   "Weston & Watkins 1999, Support vector machines for multi-class pattern "
                   "recognition",
               .pytorch = "torch.nn.MultiMarginLoss(p=1, margin=Δ) times the number of classes, by "
                          "which it divides; with class weights MultiMarginLoss(weight=c)",
               .index = BP_LOSS_hinge,
               .parameter_count = PARAMETER_COUNT,
               .parameters = parameters},
    .target_kind = BP_TARGET_CLASS,
    .shown = BP_SHOWN_SCORES,
    .rows = rows,
    .piece = piece,
    .output = output,
    .decide = BP_VARIANT(bp_argmax_rows),
};
