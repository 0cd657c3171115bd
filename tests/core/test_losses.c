#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/core/support_kernels.h"

enum { ROWS = 4, WIDEST = 40 };

/* A batch with made-up outputs and targets. Sixteen is not a width here, so tails are met. */
typedef struct batch {
    double output[ROWS * WIDEST], target[ROWS * WIDEST], gradient[ROWS * WIDEST];
    double row_loss[ROWS];
    int32_t label[ROWS];
    bp_choice choice;
    bp_loss_call call;
} batch;

/* Widths that a loss can have. */
static size_t widest(size_t index)
{
    return bp_loss_output_width(bp_loss_of(bp_loss_family.members[index]), WIDEST);
}

/* How many losses a batch has. */
static size_t loss_count(const bp_loss *loss)
{
    return loss->paired ? ROWS / 2 : ROWS;
}

/* Labels of as many classes as the loss has at this width; hyperparameters at their defaults. */
static void make_batch(batch *made, size_t index, const bp_kernels *kernels, size_t width,
                       double size)
{
    const bp_loss *loss = kernels->losses[index];
    const size_t classes = bp_loss_shown_width(loss, width);
    made->choice = bp_choice_default(&loss->member);
    support_fill(kernels, made->output, ROWS * width, width + 1, -size, size);
    support_fill(kernels, made->target, ROWS * width, width + 2, -size, size);
    for (size_t row = 0; row < ROWS; row++)
        made->label[row] = (int32_t)((row * 7 + 3) % classes);
    made->call = (bp_loss_call){.output = made->output,
                                .width = width,
                                .rows = ROWS,
                                .label = made->label,
                                .target = made->target,
                                .gradient = made->gradient,
                                .row_loss = made->row_loss,
                                .value = made->choice.value};
}

static bool is_finite(double x)
{
    return isfinite(x);
}

/* The textbook's formulas in long double. */
static long double plain_row(size_t index, const bp_kernels *kernels, const batch *made, size_t row)
{
    size_t width = made->call.width, first = row * width;
    long double sum = 0;
    if (index == BP_LOSS_mean_squared_error) {
        for (size_t j = first; j < first + width; j++) {
            long double off = (long double)support_get(kernels, made->output, j) -
                              (long double)support_get(kernels, made->target, j);
            sum += off * off;
        }
        return sum / (long double)width;
    }
    const size_t label = (size_t)made->label[row];
    const long double own = (long double)support_get(kernels, made->output, first + label % width);
    if (index == BP_LOSS_binary_cross_entropy)
        return log1pl(expl(label == 1 ? -own : own));
    if (index == BP_LOSS_max_margin)
        return fmaxl(0, 1 + (long double)support_get(kernels, made->output, ROWS / 2 + row) - own);
    if (index == BP_LOSS_hinge) {
        for (size_t j = first; j < first + width; j++)
            if (j != first + label)
                sum += fmaxl(0, 1 + (long double)support_get(kernels, made->output, j) - own);
        return sum;
    }
    assert_int_equal(index, BP_LOSS_softmax_cross_entropy);
    for (size_t j = first; j < first + width; j++)
        sum += expl((long double)support_get(kernels, made->output, j));
    return logl(sum) - own;
}

static void values_agree_with_the_formulas(void **state)
{
    (void)state;
    batch made;
    for (int dtype = 0; dtype < BP_DTYPE_COUNT; dtype++) {
        const bp_kernels *kernels = bp_kernels_get((bp_dtype)dtype, BP_ISA_BASELINE);
        long double tolerance = dtype == BP_FLOAT32 ? 1e-6L : 4e-15L;
        for (size_t index = 0; index < BP_LOSS_COUNT; index++)
            for (size_t width = 1; width <= widest(index); width++) {
                make_batch(&made, index, kernels, width, 5);
                kernels->losses[index]->rows(&made.call, 0, ROWS);
                for (size_t row = 0; row < loss_count(kernels->losses[index]); row++) {
                    long double expected = plain_row(index, kernels, &made, row);
                    assert_true(fabsl((long double)made.row_loss[row] - expected) <=
                                tolerance * (1 + fabsl(expected)));
                }
            }
    }
}

static double mean_loss(const bp_loss *loss, batch *made)
{
    bp_loss_call call = made->call;
    call.gradient = NULL;
    loss->rows(&call, 0, ROWS);
    double sum = 0;
    const size_t count = loss_count(loss);
    for (size_t row = 0; row < count; row++)
        sum += made->row_loss[row];
    return sum / (double)count;
}

static void gradients_agree_with_differences(void **state)
{
    (void)state;
    const double h = 1e-3;
    const bp_kernels *kernels = bp_kernels_get(BP_FLOAT64, BP_ISA_BASELINE);
    batch made;
    for (size_t index = 0; index < BP_LOSS_COUNT; index++)
        for (size_t width = 1; width <= widest(index); width += 13) {
            const bp_loss *loss = kernels->losses[index];
            make_batch(&made, index, kernels, width, 3);
            const double weight[WIDEST + 1] = {1.5, 0.25, 3};
            made.call.class_weight = width == 1 || width == 14 ? weight : NULL;
            loss->rows(&made.call, 0, ROWS);
            for (size_t i = 0; i < ROWS * width; i++) {
                const double offsets[4] = {-2 * h, -h, h, 2 * h};
                double value[4], kept = made.output[i];
                for (size_t k = 0; k < 4; k++) {
                    made.output[i] = kept + offsets[k];
                    value[k] = mean_loss(loss, &made);
                }
                made.output[i] = kept;
                double numerical = (value[0] - 8 * value[1] + 8 * value[2] - value[3]) / (12 * h);
                double analytic = made.gradient[i];
                assert_true(fabs(numerical - analytic) <=
                            1e-7 * fmax(fabs(numerical), fabs(analytic)) +
                                2e-11 * fmax(1, fabs(value[0])));
            }
        }
}

/* Certain, right or wrong, at logits that exp() of them would not survive. */
static void large_logits_are_safe(void **state)
{
    (void)state;
    for (int dtype = 0; dtype < BP_DTYPE_COUNT; dtype++) {
        const bp_kernels *tables[BP_ISA_COUNT];
        size_t table_count = support_tables(tables, (bp_dtype)dtype);
        for (size_t t = 0; t < table_count; t++)
            for (double size = 1000; size <= 10000; size *= 10) {
                batch made;
                make_batch(&made, BP_LOSS_softmax_cross_entropy, tables[t], 3, 1);
                const double logits[12] = {size,  -size, 0, -size, size,  0,
                                           -size, size,  0, -size, -size, -size};
                const double expected[4] = {0, 2 * size, size, log(3)};
                const int32_t labels[4] = {0, 0, 2, 1};
                for (size_t i = 0; i < 12; i++)
                    support_put(tables[t], made.output, i, logits[i]);
                memcpy(made.label, labels, sizeof labels);
                const bp_loss *loss = tables[t]->losses[BP_LOSS_softmax_cross_entropy];
                loss->rows(&made.call, 0, ROWS);
                for (size_t row = 0; row < ROWS; row++)
                    assert_true(fabs(made.row_loss[row] - expected[row]) <=
                                2e-7 * (1 + expected[row]));
                assert_true(tables[t]->all_finite(made.gradient, 12));
                assert_true(support_get(tables[t], made.gradient, 3) == -0.25);
                assert_true(support_get(tables[t], made.gradient, 4) == 0.25);
                loss->output(made.output, made.gradient, ROWS, 3, NULL);
                assert_true(support_get(tables[t], made.gradient, 4) == 1);
            }
    }
}

/* The same of one logit, and that a small loss keeps its digits. */
static void large_binary_logits_are_safe(void **state)
{
    (void)state;
    const double logits[ROWS] = {10000, -10000, 40, -1000};
    const int32_t labels[ROWS] = {1, 1, 1, 0};
    for (int dtype = 0; dtype < BP_DTYPE_COUNT; dtype++) {
        const bp_kernels *kernels = bp_kernels_get((bp_dtype)dtype, bp_isa_detect());
        const bp_loss *loss = kernels->losses[BP_LOSS_binary_cross_entropy];
        batch made;
        make_batch(&made, BP_LOSS_binary_cross_entropy, kernels, 1, 1);
        for (size_t row = 0; row < ROWS; row++)
            support_put(kernels, made.output, row, logits[row]);
        memcpy(made.label, labels, sizeof labels);
        loss->rows(&made.call, 0, ROWS);
        assert_true(made.row_loss[0] == 0 && made.row_loss[3] == 0);
        assert_true(made.row_loss[1] == 10000);
        assert_true(fabs(made.row_loss[2] / exp(-40) - 1) < 1e-6);
        assert_true(support_get(kernels, made.gradient, 0) == 0);
        assert_true(support_get(kernels, made.gradient, 1) == -0.25);
        assert_true(fabs(support_get(kernels, made.gradient, 2) / (-exp(-40) / ROWS) - 1) < 1e-6);
        double shown[2 * ROWS];
        loss->output(made.output, shown, ROWS, 1, NULL);
        assert_true(support_get(kernels, shown, 0) == 0 && support_get(kernels, shown, 1) == 1);
        assert_true(support_get(kernels, shown, 2) == 1 && support_get(kernels, shown, 3) == 0);
        assert_true(fabs(support_get(kernels, shown, 4) / exp(-40) - 1) < 1e-6);
    }
}

static void large_scores_are_safe(void **state)
{
    (void)state;
    for (int dtype = 0; dtype < BP_DTYPE_COUNT; dtype++) {
        const bp_kernels *kernels = bp_kernels_get((bp_dtype)dtype, bp_isa_detect());
        batch made;
        make_batch(&made, BP_LOSS_hinge, kernels, 3, 1);
        const double scores[12] = {10000,  -10000, 0, 10000, -10000, 10000,
                                   -10000, 0,      0, 10000, 10000,  10000};
        const int32_t labels[4] = {0, 1, 2, 1};
        const double expected[4] = {0, 40002, 1, 2};
        for (size_t i = 0; i < 12; i++)
            support_put(kernels, made.output, i, scores[i]);
        memcpy(made.label, labels, sizeof labels);
        kernels->losses[BP_LOSS_hinge]->rows(&made.call, 0, ROWS);
        for (size_t row = 0; row < ROWS; row++)
            assert_true(made.row_loss[row] == expected[row]);
        const double gradient[12] = {0, 0, 0, 0.25, -0.5, 0.25, 0, 0.25, -0.25, 0.25, -0.5, 0.25};
        for (size_t i = 0; i < 12; i++)
            assert_true(support_get(kernels, made.gradient, i) == gradient[i]);
    }
}

static void large_errors_are_safe(void **state)
{
    (void)state;
    for (int dtype = 0; dtype < BP_DTYPE_COUNT; dtype++) {
        const bp_kernels *kernels = bp_kernels_get((bp_dtype)dtype, bp_isa_detect());
        batch made;
        make_batch(&made, BP_LOSS_mean_squared_error, kernels, 2, 1);
        for (size_t i = 0; i < 2 * ROWS; i++) {
            support_put(kernels, made.output, i, i % 3 ? 10000 : -10000);
            support_put(kernels, made.target, i, i % 3 ? -10000 : 10000);
        }
        kernels->losses[BP_LOSS_mean_squared_error]->rows(&made.call, 0, ROWS);
        for (size_t row = 0; row < ROWS; row++)
            assert_true(made.row_loss[row] == 4e8);
        for (size_t i = 0; i < 2 * ROWS; i++)
            assert_true(support_get(kernels, made.gradient, i) == (i % 3 ? 5000 : -5000));
    }
}

/* At the kink the gradient is 0, and the piece is the one with 0; a margin moves it. */
static void hinge_at_its_kink(void **state)
{
    (void)state;
    const bp_kernels *kernels = bp_kernels_get(BP_FLOAT64, bp_isa_detect());
    const bp_loss *hinge = kernels->losses[BP_LOSS_hinge];
    assert_string_equal(hinge->member.parameters[0].name, "margin");
    const double score[3] = {2, 1, 1.5}, margin[1] = {1};
    const int32_t label[1] = {0};
    double gradient[3], row_loss[1], wide[1] = {3}, none[1] = {0};
    unsigned char piece[3];
    bp_loss_call call = {.output = score,
                         .width = 3,
                         .rows = 1,
                         .label = label,
                         .gradient = gradient,
                         .row_loss = row_loss,
                         .value = margin};
    hinge->rows(&call, 0, 1);
    hinge->piece(&call, piece);
    assert_true(row_loss[0] == 0.5);
    assert_true(gradient[0] == -1 && gradient[1] == 0 && gradient[2] == 1);
    assert_int_equal(piece[1], 0);
    assert_int_equal(piece[2], 1);
    call.value = wide;
    hinge->rows(&call, 0, 1);
    assert_true(row_loss[0] == 4.5 && gradient[0] == -2);
    call.value = none;
    hinge->rows(&call, 0, 1);
    assert_true(row_loss[0] == 0 && gradient[0] == 0);
}

/* Pairs inside the margin push their scores apart by 1 over the number of pairs, all others not at all; at the
 * kink nothing moves, and the piece is that of the pairs outside. */
static void max_margin_by_hand(void **state)
{
    (void)state;
    const double score[8] = {3, 0.5, 1, -2, 1, 0.25, 0, 3}, margin[1] = {1};
    for (int dtype = 0; dtype < BP_DTYPE_COUNT; dtype++) {
        const bp_kernels *kernels = bp_kernels_get((bp_dtype)dtype, bp_isa_detect());
        const bp_loss *loss = kernels->losses[BP_LOSS_max_margin];
        assert_string_equal(loss->member.parameters[0].name, "margin");
        assert_true(loss->paired && loss->target_kind == BP_TARGET_NONE);
        double output[8], gradient[8], row_loss[4];
        unsigned char piece[8];
        for (size_t i = 0; i < 8; i++)
            support_put(kernels, output, i, score[i]);
        bp_loss_call call = {.output = output,
                             .width = 1,
                             .rows = 8,
                             .gradient = gradient,
                             .row_loss = row_loss,
                             .value = margin};
        loss->rows(&call, 0, 8);
        loss->piece(&call, piece);
        const double expected[4] = {0, 0.75, 0, 6}; /* the third exactly at its kink */
        for (size_t i = 0; i < 8; i++) {
            const bool inside = expected[i % 4] > 0;
            assert_true(row_loss[i % 4] == expected[i % 4]);
            assert_int_equal(piece[i], inside);
            assert_true(support_get(kernels, gradient, i) == (inside ? i < 4 ? -0.25 : 0.25 : 0));
        }
        const double wide[1] = {2.5};
        call.value = wide;
        loss->rows(&call, 0, 8);
        assert_true(row_loss[0] == 0.5 && row_loss[1] == 2.25 && row_loss[2] == 1.5);
        for (size_t i = 0; i < 8; i++)
            assert_true(support_get(kernels, gradient, i) == (i < 4 ? -0.25 : 0.25));
        /* A margin is not lost beside large scores. */
        support_put(kernels, output, 0, -10000);
        support_put(kernels, output, 4, -10000);
        loss->rows(&call, 0, 8);
        assert_true(row_loss[0] == 2.5);
    }
}

/* A row's weight multiplies its loss and gradient; the mean stays one over rows. */
static void class_weights_scale_rows(void **state)
{
    (void)state;
    for (int dtype = 0; dtype < BP_DTYPE_COUNT; dtype++) {
        const bp_kernels *kernels = bp_kernels_get((bp_dtype)dtype, bp_isa_detect());
        for (size_t index = 0; index < BP_LOSS_COUNT; index++) {
            const bp_loss *loss = kernels->losses[index];
            const size_t width = widest(index) == 1 ? 1 : 19;
            double weight[19], ones[19];
            for (size_t i = 0; i < 19; i++) {
                weight[i] = i % 4 == 0 ? 0 : i % 2 == 0 ? 0.5 : 4; /* exact factors */
                ones[i] = 1;
            }
            batch plain, weighed;
            make_batch(&plain, index, kernels, width, 4);
            loss->rows(&plain.call, 0, ROWS);
            make_batch(&weighed, index, kernels, width, 4);
            weighed.call.class_weight = ones;
            loss->rows(&weighed.call, 0, ROWS);
            assert_memory_equal(weighed.row_loss, plain.row_loss,
                                loss_count(loss) * sizeof *plain.row_loss);
            weighed.call.class_weight = weight;
            loss->rows(&weighed.call, 0, ROWS);
            const bool by_class = loss->target_kind == BP_TARGET_CLASS;
            for (size_t row = 0; row < ROWS; row++) {
                const bool has_loss = row < loss_count(loss);
                const double factor = by_class ? weight[plain.label[row]] : 1;
                if (has_loss)
                    assert_true(weighed.row_loss[row] == factor * plain.row_loss[row]);
                for (size_t j = row * width; j < (row + 1) * width; j++)
                    assert_true(support_get(kernels, weighed.gradient, j) ==
                                factor * support_get(kernels, plain.gradient, j));
            }
        }
    }
}

/* The class with the largest number shown, the first among equals; NaN never wins. */
static void losses_decide_for_a_class(void **state)
{
    (void)state;
    for (int dtype = 0; dtype < BP_DTYPE_COUNT; dtype++) {
        const bp_kernels *kernels = bp_kernels_get((bp_dtype)dtype, bp_isa_detect());
        double output[6];
        const double outputs[6] = {1, 2, 0, 0, (double)NAN, -1};
        int32_t label[6];
        for (size_t i = 0; i < 6; i++)
            support_put(kernels, output, i, outputs[i]);
        kernels->losses[BP_LOSS_hinge]->decide(label, output, 2, 3);
        assert_int_equal(label[0], 1);
        assert_int_equal(label[1], 0);
        kernels->losses[BP_LOSS_softmax_cross_entropy]->decide(label, output, 2, 3);
        assert_int_equal(label[0], 1);
        kernels->losses[BP_LOSS_binary_cross_entropy]->decide(label, output, 6, 1);
        const int32_t expected[6] = {1, 1, 0, 0, 0, 0};
        assert_memory_equal(label, expected, sizeof expected);
    }
}

static void divergence_is_seen(void **state)
{
    (void)state;
    const double bad[] = {(double)NAN, (double)INFINITY, -(double)INFINITY};
    for (int dtype = 0; dtype < BP_DTYPE_COUNT; dtype++) {
        const bp_kernels *tables[BP_ISA_COUNT];
        size_t table_count = support_tables(tables, (bp_dtype)dtype);
        for (size_t t = 0; t < table_count; t++)
            for (size_t index = 0; index < BP_LOSS_COUNT; index++)
                for (size_t i = 0, width = widest(index) == 1 ? 1 : 19; i < width; i++)
                    for (size_t b = 0; b < 3; b++) {
                        batch made;
                        make_batch(&made, index, tables[t], width, 1);
                        support_put(tables[t], made.output, width + i, bad[b]);
                        tables[t]->losses[index]->rows(&made.call, 0, ROWS);
                        assert_true(is_finite(made.row_loss[0]));
                        if (loss_count(tables[t]->losses[index]) > 2)
                            assert_true(is_finite(made.row_loss[2]));
                        /* Probability 0 of a wrong class is an infinite logit's right: no loss. */
                        if (index == BP_LOSS_softmax_cross_entropy && bad[b] < 0 &&
                            i != (size_t)made.label[1])
                            continue;
                        assert_false(is_finite(made.row_loss[1]));
                        if (index != BP_LOSS_softmax_cross_entropy || bad[b] > 0 || isnan(bad[b]))
                            assert_false(
                                is_finite(support_get(tables[t], made.gradient, width + i)));
                    }
    }
}

/* Bits: every instruction set, any split of the batch, the gradient in place of the output. */
static void bits_depend_on_the_row_alone(void **state)
{
    (void)state;
    for (int dtype = 0; dtype < BP_DTYPE_COUNT; dtype++) {
        const bp_kernels *tables[BP_ISA_COUNT];
        size_t table_count = support_tables(tables, (bp_dtype)dtype);
        for (size_t index = 0; index < BP_LOSS_COUNT; index++)
            for (size_t width = 1; width <= widest(index); width++) {
                batch whole, split;
                const bp_loss *whole_loss = tables[0]->losses[index];
                const size_t losses = loss_count(whole_loss) * sizeof *whole.row_loss;
                make_batch(&whole, index, tables[0], width, 4);
                tables[0]->losses[index]->rows(&whole.call, 0, ROWS);
                for (size_t t = 0; t < table_count; t++) {
                    make_batch(&split, index, tables[t], width, 4);
                    const bool paired = whole_loss->paired; /* would overwrite what it compares */
                    if (!paired)
                        split.call.gradient = split.output;
                    tables[t]->losses[index]->rows(&split.call, 3, 1);
                    tables[t]->losses[index]->rows(&split.call, 0, 3);
                    size_t bytes = ROWS * width * tables[t]->real_size;
                    assert_memory_equal(split.call.gradient, whole.gradient, bytes);
                    assert_memory_equal(split.row_loss, whole.row_loss, losses);

                    make_batch(&split, index, tables[t], width, 4);
                    split.call.gradient = NULL;
                    tables[t]->losses[index]->rows(&split.call, 0, ROWS);
                    assert_memory_equal(split.row_loss, whole.row_loss, losses);
                    assert_memory_equal(split.output, whole.output, bytes);
                }
            }
    }
}

static void shows_what_a_prediction_is(void **state)
{
    (void)state;
    const bp_kernels *kernels = bp_kernels_get(BP_FLOAT64, bp_isa_detect());
    batch made;
    make_batch(&made, BP_LOSS_softmax_cross_entropy, kernels, 10, 4);
    const bp_loss *cross_entropy = kernels->losses[BP_LOSS_softmax_cross_entropy];
    assert_string_equal(bp_shown_name(cross_entropy->shown), "probabilities");
    assert_string_equal(cross_entropy->merges, "softmax");
    cross_entropy->output(made.output, made.gradient, ROWS, 10, NULL);
    double expected[ROWS * 10];
    kernels->activations[BP_ACTIVATION_softmax]->forward(made.output, expected, ROWS, 10, NULL);
    assert_memory_equal(made.gradient, expected, sizeof expected);

    const bp_loss *squares = kernels->losses[BP_LOSS_mean_squared_error];
    assert_string_equal(bp_shown_name(squares->shown), "value");
    assert_null(squares->merges);
    squares->output(made.output, made.gradient, ROWS, 10, NULL);
    assert_memory_equal(made.gradient, made.output, sizeof expected);
    squares->output(made.output, made.output, ROWS, 10, NULL);

    const bp_loss *hinge = kernels->losses[BP_LOSS_hinge];
    assert_string_equal(bp_shown_name(hinge->shown), "scores");
    hinge->output(made.output, made.gradient, ROWS, 10, NULL);
    assert_memory_equal(made.gradient, made.output, sizeof expected);

    const bp_loss *binary = kernels->losses[BP_LOSS_binary_cross_entropy];
    assert_string_equal(bp_shown_name(binary->shown), "probabilities");
    assert_string_equal(binary->merges, "sigmoid");
    assert_int_equal(bp_loss_output_width(binary, 2), 1);
    assert_int_equal(bp_loss_shown_width(binary, 1), 2);
    assert_int_equal(bp_loss_output_width(hinge, 5), 5);
    assert_int_equal(bp_loss_shown_width(hinge, 5), 5);
    binary->output(made.output, made.gradient, 20, 1, NULL);
    kernels->activations[BP_ACTIVATION_sigmoid]->forward(made.output, expected, 1, 20, NULL);
    for (size_t row = 0; row < 20; row++) {
        assert_true(made.gradient[2 * row + 1] == expected[row]);
        assert_true(fabs(made.gradient[2 * row] + expected[row] - 1) < 1e-15);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_agree_with_the_formulas),
        cmocka_unit_test(gradients_agree_with_differences),
        cmocka_unit_test(large_logits_are_safe),
        cmocka_unit_test(large_binary_logits_are_safe),
        cmocka_unit_test(large_scores_are_safe),
        cmocka_unit_test(large_errors_are_safe),
        cmocka_unit_test(hinge_at_its_kink),
        cmocka_unit_test(max_margin_by_hand),
        cmocka_unit_test(class_weights_scale_rows),
        cmocka_unit_test(losses_decide_for_a_class),
        cmocka_unit_test(divergence_is_seen),
        cmocka_unit_test(bits_depend_on_the_row_alone),
        cmocka_unit_test(shows_what_a_prediction_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
