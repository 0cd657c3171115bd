#include <assert.h>
#include <string.h>

#include "core/kernel/array_kernels.h"
#include "core/loss/loss.h"

enum { MARGIN, CORRUPTION, PARAMETER_COUNT };

/* By bp_corruption_kind: how the maker of a batch makes wrong windows, of which the mathematics here sees
 * nothing. */
static const char *const corruptions[] = {"other_window", "centre", NULL};

static const bp_hyperparameter parameters[PARAMETER_COUNT] = {
    [MARGIN] = {.name = "margin",
                .meaning = "by how much a true window must outscore its corrupted one before the "
                           "pair costs nothing: Δ",
                .kind = BP_REAL_PARAMETER,
                .default_value = 1,
                .minimum = 0,
                .maximum = __builtin_inf()},
    [CORRUPTION] = {.name = "corruption",
                    .meaning =
                        "what a true window is compared with: \"other_window\" compares windows "
                        "around tokens of entities with windows around tokens that are tagged "
                        "O, drawn at random; \"centre\" compares every window with itself, its "
                        "middle replaced by another word",
                    .kind = BP_CHOICE_PARAMETER,
                    .maximum = 1,
                    .choices = corruptions},
};

/* Of the pair that a row belongs to. */
typedef struct pair {
    bp_real over; /* Δ + s_c − s, the difference first: large scores would swallow a margin */
    bp_real lost; /* 0, or NaN where a score is not finite, so that divergence is seen */
} pair;

static pair pair_of(const bp_loss_call *call, size_t row)
{
    const bp_real *score = call->output;
    const size_t pairs = call->rows / 2, first = row < pairs ? row : row - pairs;
    const bp_real s = score[first], corrupted = score[pairs + first];
    return (pair){.over = (corrupted - s) + (bp_real)call->value[MARGIN],
                  .lost = (s - s) + (corrupted - corrupted)};
}

static void rows(const bp_loss_call *call, size_t first, size_t count)
{
    assert(call->width == 1 && call->rows % 2 == 0);
    assert(call->gradient != call->output);
    const size_t pairs = call->rows / 2;
    bp_real *gradient = call->gradient;
    for (size_t row = first; row < first + count; row++) {
        const pair p = pair_of(call, row);
        const bp_real slope = ((p.over > 0) + p.lost) / (bp_real)pairs;
        if (gradient)
            gradient[row] = row < pairs ? -slope : slope;
        if (call->row_loss && row < pairs)
            call->row_loss[row] = (double)((p.over > 0 ? p.over : 0) + p.lost);
    }
}

static void piece(const bp_loss_call *call, unsigned char *piece)
{
    for (size_t row = 0; row < call->rows; row++)
        piece[row] = pair_of(call, row).over > 0;
}

static void output(const void *output, void *shown, size_t rows, size_t width, const double *value)
{
    (void)value;
    if (shown != output)
        memcpy(shown, output, rows * width * sizeof(bp_real));
}

extern const bp_loss BP_VARIANT(bp_loss_max_margin);
const bp_loss BP_VARIANT(bp_loss_max_margin) = {
    .member = {.name = "max_margin",
               .summary = "Ranking: a true window must score more than a corrupted one by at least "
                          "a margin",
               .formula = "J = mean over pairs of max(0, Δ + s_c - s), s the score of a true "
                          "window, s_c that of its corrupted one; where the term is positive dJ/ds "
                          "= -1 / pairs and dJ/ds_c = 1 / pairs, elsewhere and at the kink 0",
               .reference =
                   "Collobert, Weston, Bottou, Karlen, Kavukcuoglu & Kuksa 2011, Natural Language "
                   "Processing (Almost) from Scratch, section 4.2",
               .pytorch = "torch.nn.MarginRankingLoss(margin=Δ)(s, s_c, torch.ones_like(s))",
               .index = BP_LOSS_max_margin,
               .parameter_count = PARAMETER_COUNT,
               .parameters = parameters},
    .target_kind = BP_TARGET_NONE,
    .paired = true,
    .shown = BP_SHOWN_SCORES,
    .rows = rows,
    .piece = piece,
    .output = output,
};
