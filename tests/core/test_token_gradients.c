/* Networks over tokens: gradients against differences for vectors that are trained, frozen or sparse, alone and
 * with a window in either order; and whether a wrong gradient would be noticed. The linker wraps
 * bp_kernels_get, so that a changed table can take the place of the true one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/dropout/dropout.h"
#include "core/layer/dense.h"
#include "tests/core/support_recurrent.h"
#include "tests/core/support_tokens.h"

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

static const char *const losses[] = {"softmax_cross_entropy", "mean_squared_error", "max_margin"};
enum { LOSSES = sizeof losses / sizeof *losses };

static bp_check_report check(bp_check_report *vectors, size_t begin, bp_layer_spec embedding,
                             const char *loss, const bp_choice *regularizer, bool print)
{
    bp_layer_spec layers[TOKENS_LAYERS];
    const size_t count = support_token_network(layers, begin, embedding, loss);
    const bp_network_spec spec = support_token_spec(layers, count, loss);
    return support_token_check(vectors, &spec, regularizer, print);
}

static void test_gradients(void **state)
{
    (void)state;
    size_t checked = 0, judged = 0;
    for (size_t begin = 0; begin < TOKENS_BEGINS; begin++)
        for (size_t loss = 0; loss < LOSSES; loss++)
            for (size_t kind = 0; kind < 3; kind++) { /* dense, sparse, frozen */
                bp_check_report vectors;
                const bp_check_report sum =
                    check(&vectors, begin, support_embedding(TOKENS_DIMENSION, kind < 2, kind == 1),
                          losses[loss], NULL, true);
                assert_int_equal(sum.failed + sum.skipped, 0);
                assert_int_equal(vectors.checked,
                                 kind < 2 ? TOKENS_VOCABULARY * TOKENS_DIMENSION : 0);
                checked += sum.checked;
                judged += sum.judged_relative;
            }
    print_message("%zu elements, %zu judged by the relative part\n", checked, judged);
    /* Vectors that no position reads are not: their gradient is 0. */
    assert_true((double)judged >= 0.7 * (double)checked);
}

/* Embeddings are weights to every penalty, unless they are frozen. */
static void test_penalties(void **state)
{
    (void)state;
    for (size_t i = 0; i < bp_regularizer_family.member_count; i++) {
        const bp_choice regularizer =
            support_choice_of(&bp_regularizer_family, bp_regularizer_family.members[i]->name, 0.3);
        for (size_t frozen = 0; frozen < 2; frozen++) {
            const bp_check_report sum =
                check(NULL, TOKENS_WINDOW_FIRST, support_embedding(2, !frozen, false), losses[0],
                      &regularizer, true);
            assert_int_equal(sum.failed, 0);
        }
    }
}

/* Dropout of the vectors' elements, its masks held fixed. */
static void test_dropout(void **state)
{
    (void)state;
    for (size_t begin = 0; begin < TOKENS_BEGINS; begin++) {
        bp_layer_spec embedding = support_embedding(TOKENS_DIMENSION, true, false);
        embedding.dropout = support_choice_of(&bp_dropout_family, "units", 0.6);
        assert_int_equal(check(NULL, begin, embedding, losses[0], NULL, true).failed, 0);
    }
}

/* A table under both ends of a language model, of each cell, stacked, and without any. */
static void test_tied(void **state)
{
    (void)state;
    size_t checked = 0, judged = 0;
    for (size_t cell = 0; cell < RECURRENT_CELLS; cell++)
        for (size_t depth = 0; depth <= RECURRENT_DEPTH_LIMIT; depth++)
            for (size_t tied = 0; tied < 2; tied++) {
                bp_layer_spec layers[TOKENS_LAYERS];
                const size_t count = support_language_model(layers, depth, cell, tied);
                const bp_network_spec spec = support_language_spec(layers, count);
                const bp_check_report sum = support_token_check(NULL, &spec, NULL, true);
                if (sum.failed)
                    fail_msg("%s, depth %zu: %zu failed", support_recurrent_name(cell), depth,
                             sum.failed);
                checked += sum.checked;
                judged += sum.judged_relative;
            }
    print_message("%zu elements, %zu judged by the relative part\n", checked, judged);
    assert_true((double)judged >= 0.8 * (double)checked);
}

static void one_piece(const bp_loss_call *call, unsigned char *piece)
{
    memset(piece, 0, call->rows);
}

/* By how much a true row outscores its corrupted one in the network and batch of support_token_check; below 0:
 * none does. */
static double lead(const bp_network_spec *spec)
{
    bp_network *network = support_network_create(spec);
    support_parameters(network, 17, 0.8);
    int32_t ids[TOKENS_ROWS * TOKENS_WIDTH];
    support_ids(ids, TOKENS_ROWS * spec->input_width, TOKENS_VOCABULARY, 7);
    const double *score = bp_network_forward(network, NULL, ids, TOKENS_ROWS, false);
    double found = -1;
    for (size_t i = 0; i < TOKENS_ROWS / 2 && found < 0; i++)
        found = score[i] - score[TOKENS_ROWS / 2 + i];
    bp_network_free(network);
    return found;
}

/* A pair that lies on its kink: what moves it is skipped, and would be wrong if nobody looked at pieces. */
static void test_kink(void **state)
{
    (void)state;
    bp_layer_spec layers[TOKENS_LAYERS];
    bp_network_spec spec = {.batch_rows = 0};
    double margin = -1;
    for (size_t begin = 0; begin < TOKENS_BEGINS && margin < 0; begin++) {
        const size_t count = support_token_network(
            layers, begin, support_embedding(TOKENS_DIMENSION, true, false), "max_margin");
        spec = support_token_spec(layers, count, "max_margin");
        margin = lead(&spec);
    }
    assert_true(margin >= 0);
    spec.loss.value[0] = margin;
    const bp_check_report at_kink = support_token_check(NULL, &spec, NULL, true);
    assert_int_equal(at_kink.failed, 0);
    assert_true(at_kink.skipped > 0 && at_kink.checked > 0);
    bp_kernels mutant = *true_table();
    bp_loss changed = *mutant.losses[BP_LOSS_max_margin];
    const bp_loss *all[BP_LOSS_COUNT];
    memcpy(all, mutant.losses, sizeof all);
    changed.piece = one_piece;
    all[BP_LOSS_max_margin] = &changed;
    mutant.losses = all;
    replacement = &mutant;
    assert_true(support_token_check(NULL, &spec, NULL, false).failed > 0);
    replacement = NULL;
}

/* ---- mutations: one thing wrong each ---- */

static size_t failures(bp_layer_spec embedding, size_t begin)
{
    size_t failed = 0;
    for (size_t loss = 0; loss < LOSSES; loss++)
        failed += check(NULL, begin, embedding, losses[loss], NULL, false).failed;
    return failed;
}

static void the_last_of_equals(void *y, double factor, const void *x, size_t count)
{
    (void)factor;
    memcpy(y, x, count * sizeof(double));
}

static void a_little_off(void *y, double factor, const void *x, size_t count)
{
    true_table()->axpy(y, factor * (1 + 1e-5), x, count);
}

static void without_the_last_number(void *y, double factor, const void *x, size_t count)
{
    true_table()->axpy(y, factor, x, count - 1);
}

static void test_sums(void **state)
{
    (void)state;
    void (*const wrong[])(void *, double, const void *, size_t) = {the_last_of_equals, a_little_off,
                                                                   without_the_last_number};
    bp_kernels mutant = *true_table();
    replacement = &mutant;
    for (size_t begin = 0; begin < TOKENS_BEGINS; begin++)
        for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
            const bp_layer_spec embedding = support_embedding(TOKENS_DIMENSION, true, false);
            mutant.axpy = true_table()->axpy;
            assert_int_equal(failures(embedding, begin), 0);
            mutant.axpy = wrong[i];
            assert_true(failures(embedding, begin) > 0);
        }
    replacement = NULL;
}

static void without_the_last_row(bp_layer *layer, const bp_pass *pass, void *dx)
{
    bp_pass changed = *pass;
    changed.rows--;
    bp_layer_embedding.backward(layer, &changed, dx);
}

/* What the batch before has left stays in the gradient. */
static void without_clearing(bp_layer *layer, const bp_pass *pass, void *dx)
{
    const size_t bytes = layer->shape.tensor[0].element_count * sizeof(double);
    double left[TOKENS_VOCABULARY * TOKENS_DIMENSION];
    assert_true(bytes <= sizeof left);
    memcpy(left, layer->gradient[0], bytes);
    bp_layer_embedding.backward(layer, pass, dx);
    true_table()->axpy(layer->gradient[0], 1, left, bytes / sizeof *left);
}

/* The ids of a window as if they came in the other order. */
static void turned_round(bp_layer *layer, const bp_pass *pass, void *dx)
{
    int32_t ids[TOKENS_ROWS * TOKENS_WIDTH];
    const size_t count = pass->rows * layer->shape.input_width;
    for (size_t p = 0; p < count; p++)
        ids[p] = ((const int32_t *)layer->x)[count - 1 - p];
    const void *true_ids = layer->x;
    layer->x = ids;
    bp_layer_embedding.backward(layer, pass, dx);
    layer->x = true_ids;
}

static void test_rows(void **state)
{
    (void)state;
    void (*const wrong[])(bp_layer *, const bp_pass *, void *) = {without_the_last_row,
                                                                  without_clearing, turned_round};
    for (size_t begin = 0; begin < TOKENS_BEGINS; begin++)
        for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
            bp_layer_type mutant = bp_layer_embedding;
            bp_layer_spec embedding = support_embedding(TOKENS_DIMENSION, true, false);
            mutant.backward = wrong[i];
            embedding.layer.member = &mutant.member;
            assert_true(failures(embedding, begin) > 0);
        }
}

/* The window between dense layers and vectors: δ must go through it. */
static void nothing_handed_down(bp_layer *layer, const bp_pass *pass, void *dx)
{
    if (dx)
        memset(dx, 0, pass->rows * layer->shape.input_width * sizeof(double));
}

static void test_window(void **state)
{
    (void)state;
    bp_layer_spec layers[TOKENS_LAYERS];
    bp_layer_type mutant = bp_layer_window;
    mutant.backward = nothing_handed_down;
    const size_t count =
        support_token_network(layers, TOKENS_EMBEDDING_FIRST,
                              support_embedding(TOKENS_DIMENSION, true, false), losses[0]);
    layers[1].layer.member = &mutant.member;
    const bp_network_spec spec = support_token_spec(layers, count, losses[0]);
    assert_true(support_token_check(NULL, &spec, NULL, false).failed > 0);
}

/* The two uses of a tied table: neither part of its gradient may be missing. */
static void without_the_last_layers_part(bp_layer *layer, const bp_pass *pass, void *dx)
{
    memset(layer->gradient[0], 0, layer->shape.tensor[0].element_count * sizeof(double));
    bp_layer_embedding.backward(layer, pass, dx);
}

static void without_its_own_part(bp_layer *layer, const bp_pass *pass, void *dx)
{
    (void)layer;
    (void)pass;
    (void)dx;
}

static void test_tied_parts(void **state)
{
    (void)state;
    void (*const wrong[])(bp_layer *, const bp_pass *, void *) = {without_the_last_layers_part,
                                                                  without_its_own_part};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        bp_layer_type mutant = bp_layer_embedding;
        bp_layer_spec layers[TOKENS_LAYERS];
        const size_t count = support_language_model(layers, 1, 0, true);
        const bp_network_spec spec = support_language_spec(layers, count);
        mutant.backward = wrong[i];
        layers[0].layer.member = &mutant.member;
        assert_true(support_token_check(NULL, &spec, NULL, false).failed > 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gradients), cmocka_unit_test(test_penalties),
        cmocka_unit_test(test_dropout),   cmocka_unit_test(test_kink),
        cmocka_unit_test(test_tied),      cmocka_unit_test(test_tied_parts),
        cmocka_unit_test(test_sums),      cmocka_unit_test(test_rows),
        cmocka_unit_test(test_window),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
