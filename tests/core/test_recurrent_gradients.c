/* Recurrent layers: gradients against differences through time, for each cell, stacked, under each form
 * of dropout with its masks held fixed; and whether a wrong gradient would be noticed. The linker wraps
 * bp_kernels_get, so that a changed table can take the place of the true one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/layer/recurrent.h"
#include "tests/core/support_recurrent.h"

static const bp_kernels *replacement; /* NULL: the true table */

const bp_kernels *__real_bp_kernels_get(bp_dtype dtype, bp_isa isa);
const bp_kernels *__wrap_bp_kernels_get(bp_dtype dtype, bp_isa isa);
const bp_kernels *__wrap_bp_kernels_get(bp_dtype dtype, bp_isa isa)
{
    return replacement ? replacement : __real_bp_kernels_get(dtype, isa);
}

static const bp_kernels *true_table(void)
{
    return __real_bp_kernels_get(BP_FLOAT64, bp_isa_detect());
}

static const bp_noise a_step = {BP_NOISE_TRAINING, 3, 5}, no_noise = {BP_NOISE_NONE, 0, 0};

static void test_gradients(void **state)
{
    (void)state;
    static const char *const losses[] = {"softmax_cross_entropy", "mean_squared_error"};
    size_t checked = 0, judged = 0, skipped = 0;
    for (size_t cell = 0; cell < RECURRENT_CELLS; cell++)
        for (size_t form = 0; form < RECURRENT_FORMS; form++)
            for (size_t which = 0; which < 8; which++) {
                const size_t depth = 1 + which / 4;
                bp_layer_spec layers[RECURRENT_LAYERS];
                const size_t count = support_recurrent_network(layers, cell, depth, form);
                const bp_check_report sum = support_recurrent_check(
                    layers, count, losses[which % 2], which / 2 % 2 ? a_step : no_noise, true);
                if (sum.failed)
                    fail_msg("%s, %s, depth %zu, case %zu: %zu of %zu failed",
                             support_recurrent_name(cell), support_recurrent_form(form), depth,
                             which, sum.failed, sum.checked);
                checked += sum.checked;
                judged += sum.judged_relative;
                skipped += sum.skipped;
            }
    print_message("%zu elements, %zu skipped at kinks, %zu judged by the relative part\n", checked,
                  skipped, judged);
    assert_true((double)judged >= 0.8 * (double)checked);
    assert_true((double)skipped <= 0.05 * (double)checked);
}

/* Cells of different kinds on each other, with dense layers between. */
static void test_mixed_stack(void **state)
{
    (void)state;
    const bp_layer_spec layers[] = {support_dense(4, "sigmoid"), support_recurrent(2, 4),
                                    support_recurrent(3, 3), support_dense(RECURRENT_OUT, "tanh")};
    assert_int_equal(
        support_recurrent_check(layers, 4, "mean_squared_error", no_noise, true).failed, 0);
}

/* ---- mutations: one thing wrong each ---- */

static size_t failures(size_t cell, size_t form)
{
    bp_layer_spec layers[RECURRENT_LAYERS];
    const size_t count = support_recurrent_network(layers, cell, 2, form);
    return support_recurrent_check(layers, count, "mean_squared_error", a_step, false).failed;
}

static bool is_weight_gradient(const bp_gemm_call *call)
{
    return call->a_row_stride == 1 && call->m > 1 && call->k == RECURRENT_ROWS;
}

/* Δ W_hh, towards the step before: all others that are packed are in forward, with a bias. */
static bool hands_back(const bp_gemm_call *call)
{
    return call->packed_b && !call->bias;
}

static void without_through_time(const bp_gemm_call *call)
{
    if (!hands_back(call))
        true_table()->gemm(call);
    else if (!call->accumulate)
        memset(call->c, 0, call->m * call->n * sizeof(double));
}

static void handed_back_not_added(const bp_gemm_call *call)
{
    bp_gemm_call changed = *call;
    if (hands_back(call))
        changed.accumulate = false;
    true_table()->gemm(&changed);
}

static void handed_back_scaled(const bp_gemm_call *call)
{
    true_table()->gemm(call);
    if (hands_back(call))
        true_table()->scale(call->c, 1 + 1e-5, call->m * call->n);
}

static void first_step_forgotten(const bp_gemm_call *call)
{
    bp_gemm_call changed = *call;
    if (is_weight_gradient(call)) {
        changed.k -= RECURRENT_STREAMS;
        changed.a = (const double *)call->a + RECURRENT_STREAMS * call->a_column_stride;
        changed.b = (const double *)call->b + RECURRENT_STREAMS * call->b_row_stride;
    }
    true_table()->gemm(&changed);
}

static void sums_without_last_row(void *out, const void *x, size_t m, size_t n)
{
    true_table()->sum_rows(out, x, m - 1, n);
}

static void test_products(void **state)
{
    (void)state;
    void (*const products[])(const bp_gemm_call *) = {without_through_time, handed_back_scaled,
                                                      first_step_forgotten, handed_back_not_added};
    bp_kernels mutant = *true_table();
    replacement = &mutant;
    for (size_t cell = 0; cell < RECURRENT_CELLS; cell++) {
        assert_int_equal(failures(cell, 0), 0);
        for (size_t i = 0; i < sizeof products / sizeof *products; i++) {
            mutant.gemm = products[i];
            assert_true(failures(cell, 0) > 0);
        }
        mutant.gemm = true_table()->gemm;
        mutant.sum_rows = sums_without_last_row;
        assert_true(failures(cell, 0) > 0);
        mutant.sum_rows = true_table()->sum_rows;
    }
    replacement = NULL;
}

static size_t wrong_part; /* which block of rows of Δ is a little off, or more than these */

/* Scales block `wrong_part` of (rows, blocks·units). */
static void scale_block(void *array, size_t blocks, size_t units, size_t first, size_t count)
{
    for (size_t row = first; row < first + count; row++)
        true_table()->scale((double *)array + (row * blocks + wrong_part) * units, 1 + 1e-5, units);
}

enum {
    LSTM_BLOCKS = 4,
    LSTM_PARTS = LSTM_BLOCKS + 2,
    GRU_BLOCKS = 3,
    GRU_PARTS = 2 * GRU_BLOCKS + 1
};

static void wrong_lstm(const bp_lstm_call *call, size_t first, size_t count)
{
    double *dc = call->dc;
    const size_t begin = first * call->units, end = begin + count * call->units;
    if (wrong_part == LSTM_BLOCKS) /* the cell's own path forgotten */
        memset(dc + begin, 0, (end - begin) * sizeof *dc);
    true_table()->lstm_backward(call, first, count);
    if (wrong_part < LSTM_BLOCKS)
        scale_block(call->gates, LSTM_BLOCKS, call->units, first, count);
    for (size_t i = begin; wrong_part == LSTM_BLOCKS + 1 && i < end; i++)
        dc[i] *= 1 + 1e-5;
}

static void wrong_gru(const bp_gru_call *call, size_t first, size_t count)
{
    bp_gru_call changed = *call;
    if (wrong_part == 2 * GRU_BLOCKS) /* what goes past the product forgotten */
        changed.dh_before = NULL;
    true_table()->gru_backward(&changed, first, count);
    if (wrong_part < GRU_BLOCKS)
        scale_block(call->gates, GRU_BLOCKS, call->units, first, count);
    else if (wrong_part < 2 * GRU_BLOCKS) {
        wrong_part -= GRU_BLOCKS;
        scale_block(call->state_part, GRU_BLOCKS, call->units, first, count);
        wrong_part += GRU_BLOCKS;
    }
}

/* ∂P_n/∂s_n is r, which a GRU whose reset gate worked before the product would not have. */
static void gru_without_reset(const bp_gru_call *call, size_t first, size_t count)
{
    true_table()->gru_backward(call, first, count);
    for (size_t row = first; row < first + count; row++)
        memcpy((double *)call->state_part + row * GRU_BLOCKS * call->units + 2 * call->units,
               (double *)call->gates + row * GRU_BLOCKS * call->units + 2 * call->units,
               call->units * sizeof(double));
}

static void test_cells(void **state)
{
    (void)state;
    enum { GRU = 2, LSTM = 3 };
    bp_kernels mutant = *true_table();
    replacement = &mutant;
    mutant.lstm_backward = wrong_lstm;
    for (wrong_part = 0; wrong_part < LSTM_PARTS; wrong_part++)
        assert_true(failures(LSTM, 0) > 0);
    mutant.gru_backward = wrong_gru;
    for (wrong_part = 0; wrong_part < GRU_PARTS; wrong_part++)
        assert_true(failures(GRU, 0) > 0);
    mutant.gru_backward = gru_without_reset;
    assert_true(failures(GRU, 0) > 0);
    replacement = NULL;
}

static void other_step(bp_layer *layer, const bp_pass *pass, void *dx)
{
    bp_pass changed = *pass;
    changed.noise.step++;
    bp_recurrent_backward(layer, &changed, dx);
}

static void without_masks(bp_layer *layer, const bp_pass *pass, void *dx)
{
    bp_pass changed = *pass;
    changed.noise = no_noise;
    bp_recurrent_backward(layer, &changed, dx);
}

static void with_masks_of_rows(bp_layer *layer, const bp_pass *pass, void *dx)
{
    bp_layer changed = *layer;
    changed.spec.dropout.value[BP_DROPOUT_VARIATIONAL] = 0;
    bp_recurrent_backward(&changed, pass, dx);
}

static void test_masks(void **state)
{
    (void)state;
    void (*const wrong[])(bp_layer *, const bp_pass *, void *) = {other_step, without_masks,
                                                                  with_masks_of_rows};
    for (size_t cell = 0; cell < RECURRENT_CELLS; cell++)
        for (size_t form = 1; form < RECURRENT_FORMS; form++) {
            bp_layer_spec layers[RECURRENT_LAYERS];
            const size_t count = support_recurrent_network(layers, cell, 2, form);
            if (!layers[0].dropout.member) /* a dropout layer, whose own tests these are */
                continue;
            bp_layer_type mutant = *bp_layer_type_of(layers[0].layer.member);
            for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
                /* Only masks of x are made for all steps at once, by their period. */
                const bp_choice *dropout = &layers[0].dropout;
                if (wrong[i] == with_masks_of_rows &&
                    (dropout->value[BP_DROPOUT_VARIATIONAL] == 0 ||
                     dropout->value[BP_DROPOUT_KEEP] == 1 ||
                     strcmp(dropout->member->name, "units") != 0))
                    continue;
                mutant.backward = wrong[i];
                layers[0].layer.member = layers[1].layer.member = &mutant.member;
                const bp_check_report sum =
                    support_recurrent_check(layers, count, "mean_squared_error", a_step, false);
                if (sum.failed == 0)
                    fail_msg("%s, %s: mutation %zu is not noticed", support_recurrent_name(cell),
                             support_recurrent_form(form), i);
            }
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gradients), cmocka_unit_test(test_mixed_stack),
        cmocka_unit_test(test_products),  cmocka_unit_test(test_cells),
        cmocka_unit_test(test_masks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
