/* The example that the theory is taught with: is the word in the middle of "museums in Paris are amazing" a place?
 * Vectors of 4 numbers, a window of 5, so 20 inputs x, 8 sigmoid units a = f(W x + b), one score s = U^T a, and
 * J = max(0, 1 + s_c - s) against the window "not all museums in Paris". Shapes and every gradient by the formulas:
 *   dJ/dU = -a + a_c;  δ = -U o f'(z), δ_c = U o f'(z_c);  dJ/dW = δ x^T + δ_c x_c^T;  dJ/db = δ + δ_c;
 *   dJ/dx = W^T δ, whose fifths are those of the five words' vectors, added up where both windows have a word. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/layer/dense.h"
#include "core/training/update.h"
#include "tests/core/support_tokens.h"

enum { MUSEUMS, IN, PARIS, ARE, AMAZING, NOT, ALL, WORDS };
enum { DIMENSION = 4, WIDTH = 5, INPUTS = WIDTH * DIMENSION, HIDDEN = 8, BOTH = 2 };
enum { TRUE_WINDOW, CORRUPTED };

static const int32_t windows[BOTH][WIDTH] = {{MUSEUMS, IN, PARIS, ARE, AMAZING},
                                             {NOT, ALL, MUSEUMS, IN, PARIS}};

/* Tensors in order. */
enum { VECTORS, W, B, U, TENSORS };

static bp_network *example(bp_layer_spec layers[4], bool embedding_first)
{
    const bp_layer_spec pair[] = {support_window(WIDTH), support_embedding(DIMENSION, true, false)};
    layers[0] = pair[embedding_first];
    layers[1] = pair[!embedding_first];
    layers[2] = support_dense(HIDDEN, "sigmoid");
    layers[3] = support_dense(1, "identity");
    layers[3].layer.value[BP_DENSE_BIAS] = 0;
    bp_network_spec spec = support_network_spec(layers, 4, WIDTH, BOTH, "max_margin");
    spec.input_kind = BP_INPUT_TOKENS;
    spec.token_count = WORDS;
    return support_network_create(&spec);
}

static void test_shapes(void **state)
{
    (void)state;
    bp_layer_spec layers[4];
    bp_network *network = example(layers, false);
    const size_t shapes[TENSORS][2] = {
        {WORDS, DIMENSION}, {HIDDEN, INPUTS}, {HIDDEN, 0}, {1, HIDDEN}};
    assert_int_equal(bp_network_tensor_count(network), TENSORS);
    for (size_t i = 0; i < TENSORS; i++) {
        const bp_tensor tensor = bp_network_tensor(network, i);
        assert_int_equal(tensor.rank, shapes[i][1] ? 2 : 1);
        assert_int_equal(tensor.shape[0], shapes[i][0]);
        if (shapes[i][1])
            assert_int_equal(tensor.shape[1], shapes[i][1]);
    }
    assert_int_equal(bp_network_layer(network, 2)->shape.input_width, 20);
    assert_int_equal(bp_network_output_width(network), 1);
    bp_network_free(network);
}

/* What the formulas say, in plain loops. */
typedef struct by_hand {
    double x[BOTH][INPUTS], a[BOTH][HIDDEN], s[BOTH];
    double gradient[TENSORS][HIDDEN * INPUTS];
    double loss;
} by_hand;

static by_hand formulas(const double *vectors, const double *w, const double *b, const double *u)
{
    by_hand h = {.loss = 0};
    for (size_t k = 0; k < BOTH; k++) {
        for (size_t j = 0; j < INPUTS; j++)
            h.x[k][j] = vectors[(size_t)windows[k][j / DIMENSION] * DIMENSION + j % DIMENSION];
        for (size_t i = 0; i < HIDDEN; i++) {
            double z = b[i];
            for (size_t j = 0; j < INPUTS; j++)
                z += w[i * INPUTS + j] * h.x[k][j];
            h.a[k][i] = 1 / (1 + exp(-z));
            h.s[k] += u[i] * h.a[k][i];
        }
    }
    h.loss = fmax(0, 1 + h.s[CORRUPTED] - h.s[TRUE_WINDOW]);
    for (size_t k = 0; h.loss > 0 && k < BOTH; k++) {
        const double sign = k == TRUE_WINDOW ? -1 : 1;
        for (size_t i = 0; i < HIDDEN; i++) {
            const double delta = sign * u[i] * h.a[k][i] * (1 - h.a[k][i]);
            h.gradient[U][i] += sign * h.a[k][i];
            h.gradient[B][i] += delta;
            for (size_t j = 0; j < INPUTS; j++) {
                h.gradient[W][i * INPUTS + j] += delta * h.x[k][j];
                h.gradient[VECTORS][(size_t)windows[k][j / DIMENSION] * DIMENSION +
                                    j % DIMENSION] += delta * w[i * INPUTS + j];
            }
        }
    }
    return h;
}

static void test_gradients(void **state)
{
    (void)state;
    for (size_t order = 0; order < 2; order++)
        for (uint64_t seed = 0; seed < 5; seed++) {
            bp_layer_spec layers[4];
            bp_network *network = example(layers, order);
            support_parameters(network, seed, 0.7);
            const double *tensor[TENSORS];
            for (size_t i = 0; i < TENSORS; i++)
                tensor[i] = bp_network_tensor(network, i).data;
            const by_hand h = formulas(tensor[VECTORS], tensor[W], tensor[B], tensor[U]);
            const double *s = bp_network_forward(network, NULL, windows, BOTH, true);
            for (size_t k = 0; k < BOTH; k++)
                assert_true(fabs(s[k] - h.s[k]) <= 1e-14);
            assert_true(h.loss > 0);
            assert_true(fabs(bp_network_backward(network, NULL, &(bp_targets){0}) - h.loss) <=
                        1e-14);
            for (size_t i = 0; i < TENSORS; i++) {
                const bp_tensor gradient = bp_network_gradient_tensor(network, i);
                for (size_t k = 0; k < gradient.element_count; k++)
                    assert_true(fabs(((const double *)gradient.data)[k] - h.gradient[i][k]) <=
                                1e-15);
            }
            /* A pair that is far enough apart gives none. */
            double *u = bp_network_tensor(network, U).data;
            for (size_t i = 0; i < HIDDEN; i++)
                u[i] = h.a[TRUE_WINDOW][i] > h.a[CORRUPTED][i] ? 1000 : -1000;
            bp_network_parameters_changed(network);
            assert_true(bp_network_train(network, NULL, windows, BOTH, &(bp_targets){0}) == 0);
            const double *gradients = bp_network_gradients(network);
            for (size_t i = 0; i < bp_network_block_count(network); i++)
                assert_true(gradients[i] == 0);
            bp_network_free(network);
        }
}

/* Trained, the true window outranks the other by the margin, and then nothing moves any more. */
static void test_training(void **state)
{
    (void)state;
    bp_layer_spec layers[4];
    bp_network *network = example(layers, false);
    bp_network_initialize(network, 1);
    const double *s = bp_network_forward(network, NULL, windows, BOTH, false);
    assert_true(s[TRUE_WINDOW] - s[CORRUPTED] < 1);
    const bp_kernels *kernels = bp_network_kernels(network);
    const double rate[1] = {0.1};
    double loss = 1;
    size_t steps = 0;
    for (; steps < 1000 && loss > 0; steps++) {
        loss = bp_network_train(network, NULL, windows, BOTH, &(bp_targets){0});
        kernels->axpy(bp_network_parameters(network), -rate[0], bp_network_gradients(network),
                      bp_network_block_count(network));
        bp_network_parameters_changed(network);
    }
    assert_true(loss == 0 && steps > 1);
    s = bp_network_forward(network, NULL, windows, BOTH, false);
    assert_true(s[TRUE_WINDOW] - s[CORRUPTED] >= 1);
    bp_network_free(network);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shapes),
        cmocka_unit_test(test_gradients),
        cmocka_unit_test(test_training),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
