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
    bp_loss_call call;
} batch;

static void make_batch(batch *made, const bp_kernels *kernels, size_t width, double size)
{
    support_fill(kernels, made->output, ROWS * width, width + 1, -size, size);
    support_fill(kernels, made->target, ROWS * width, width + 2, -size, size);
    for (size_t row = 0; row < ROWS; row++)
        made->label[row] = (int32_t)((row * 7 + 3) % width);
    made->call = (bp_loss_call){.output = made->output,
                                .width = width,
                                .rows = ROWS,
                                .label = made->label,
                                .target = made->target,
                                .gradient = made->gradient,
                                .row_loss = made->row_loss};
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
    assert_int_equal(index, BP_LOSS_softmax_cross_entropy);
    for (size_t j = first; j < first + width; j++)
        sum += expl((long double)support_get(kernels, made->output, j));
    return logl(sum) -
           (long double)support_get(kernels, made->output, first + (size_t)made->label[row]);
}

static void values_agree_with_the_formulas(void **state)
{
    (void)state;
    batch made;
    for (int dtype = 0; dtype < BP_DTYPE_COUNT; dtype++) {
        const bp_kernels *kernels = bp_kernels_get((bp_dtype)dtype, BP_ISA_BASELINE);
        long double tolerance = dtype == BP_FLOAT32 ? 1e-6L : 4e-15L;
        for (size_t index = 0; index < BP_LOSS_COUNT; index++)
            for (size_t width = 1; width <= WIDEST; width++) {
                make_batch(&made, kernels, width, 5);
                kernels->losses[index]->rows(&made.call, 0, ROWS);
                for (size_t row = 0; row < ROWS; row++) {
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
    for (size_t row = 0; row < ROWS; row++)
        sum += made->row_loss[row];
    return sum / ROWS;
}

static void gradients_agree_with_differences(void **state)
{
    (void)state;
    const double h = 1e-3;
    const bp_kernels *kernels = bp_kernels_get(BP_FLOAT64, BP_ISA_BASELINE);
    batch made;
    for (size_t index = 0; index < BP_LOSS_COUNT; index++)
        for (size_t width = 1; width <= WIDEST; width += 13) {
            const bp_loss *loss = kernels->losses[index];
            make_batch(&made, kernels, width, 3);
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
                make_batch(&made, tables[t], 3, 1);
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

static void divergence_is_seen(void **state)
{
    (void)state;
    const double bad[] = {(double)NAN, (double)INFINITY};
    for (int dtype = 0; dtype < BP_DTYPE_COUNT; dtype++) {
        const bp_kernels *tables[BP_ISA_COUNT];
        size_t table_count = support_tables(tables, (bp_dtype)dtype);
        for (size_t t = 0; t < table_count; t++)
            for (size_t index = 0; index < BP_LOSS_COUNT; index++)
                for (size_t i = 0; i < 19; i++)
                    for (size_t b = 0; b < 2; b++) {
                        batch made;
                        make_batch(&made, tables[t], 19, 1);
                        support_put(tables[t], made.output, 19 + i, bad[b]);
                        tables[t]->losses[index]->rows(&made.call, 0, ROWS);
                        assert_false(is_finite(made.row_loss[1]));
                        assert_true(is_finite(made.row_loss[0]) && is_finite(made.row_loss[2]));
                        assert_false(is_finite(support_get(tables[t], made.gradient, 19 + i)));
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
            for (size_t width = 1; width <= WIDEST; width++) {
                batch whole, split;
                make_batch(&whole, tables[0], width, 4);
                tables[0]->losses[index]->rows(&whole.call, 0, ROWS);
                for (size_t t = 0; t < table_count; t++) {
                    make_batch(&split, tables[t], width, 4);
                    split.call.gradient = split.output;
                    tables[t]->losses[index]->rows(&split.call, 3, 1);
                    tables[t]->losses[index]->rows(&split.call, 0, 3);
                    size_t bytes = ROWS * width * tables[t]->real_size;
                    assert_memory_equal(split.output, whole.gradient, bytes);
                    assert_memory_equal(split.row_loss, whole.row_loss, sizeof whole.row_loss);

                    make_batch(&split, tables[t], width, 4);
                    split.call.gradient = NULL;
                    tables[t]->losses[index]->rows(&split.call, 0, ROWS);
                    assert_memory_equal(split.row_loss, whole.row_loss, sizeof whole.row_loss);
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
    make_batch(&made, kernels, 10, 4);
    const bp_loss *cross_entropy = kernels->losses[BP_LOSS_softmax_cross_entropy];
    assert_string_equal(cross_entropy->output_name, "probabilities");
    assert_string_equal(cross_entropy->merges, "softmax");
    cross_entropy->output(made.output, made.gradient, ROWS, 10, NULL);
    double expected[ROWS * 10];
    kernels->activations[BP_ACTIVATION_softmax]->forward(made.output, expected, ROWS, 10, NULL);
    assert_memory_equal(made.gradient, expected, sizeof expected);

    const bp_loss *squares = kernels->losses[BP_LOSS_mean_squared_error];
    assert_null(squares->merges);
    squares->output(made.output, made.gradient, ROWS, 10, NULL);
    assert_memory_equal(made.gradient, made.output, sizeof expected);
    squares->output(made.output, made.output, ROWS, 10, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_agree_with_the_formulas),
        cmocka_unit_test(gradients_agree_with_differences),
        cmocka_unit_test(large_logits_are_safe),
        cmocka_unit_test(divergence_is_seen),
        cmocka_unit_test(bits_depend_on_the_row_alone),
        cmocka_unit_test(shows_what_a_prediction_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
