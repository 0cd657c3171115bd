/* A training pass that goes through a wide last layer by blocks of rows has the bits of one that does
 * not, and leaves what comes after it alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/dropout/dropout.h"
#include "tests/core/support_network.h"
#include "tests/core/support_parallel.h"
#include "tests/core/support_recurrent.h"

/* Outputs of 12 MB and more, so that there are blocks, the last of them shorter. */
enum { STREAMS = 17, STEPS = 31, ROWS = STREAMS * STEPS, IN = 6, WORDS = 6007 };

typedef enum below { LSTM_BELOW, DENSE_BELOW, NOTHING_BELOW } below;

static size_t layers_of(bp_layer_spec layers[2], below what)
{
    size_t count = 0;
    if (what == LSTM_BELOW)
        layers[count++] = support_recurrent(3, 7);
    else if (what == DENSE_BELOW)
        layers[count++] = support_dense(7, "tanh");
    layers[count++] = support_dense(WORDS, "softmax");
    return count;
}

static void compare(const bp_layer_spec *layers, size_t count, bp_dtype dtype, const char *loss,
                    const bp_parallel *parallel)
{
    bp_network_spec spec = support_network_spec(layers, count, IN, ROWS, loss);
    spec.dtype = dtype;
    spec.sequence.streams = STREAMS;
    spec.sequence.steps = STEPS;
    const size_t real = bp_dtype_size(dtype);
    void *x = malloc((size_t)ROWS * IN * real), *value = malloc((size_t)ROWS * WORDS * real);
    int32_t label[ROWS];
    assert_true(x && value);
    support_values(x, dtype, (size_t)ROWS * IN, 1);
    support_values(value, dtype, (size_t)ROWS * WORDS, 1);
    support_labels(label, ROWS, WORDS, 2);
    const bp_targets targets = {.label = label, .value = value};
    bp_network *networks[2];
    double loss_of[2][2];
    for (size_t i = 0; i < 2; i++) {
        networks[i] = support_network_create(&spec);
        bp_network_initialize(networks[i], 3);
        for (size_t pass = 0; pass < 2; pass++) { /* the second finds what the first has left */
            bp_network_set_noise(networks[i], (bp_noise){BP_NOISE_TRAINING, 5, pass});
            const bp_parallel *threads = i == 0 ? NULL : parallel;
            if (i == 0) {
                bp_network_forward(networks[i], threads, x, ROWS, true);
                loss_of[i][pass] = bp_network_backward(networks[i], threads, &targets);
            } else
                loss_of[i][pass] = bp_network_train(networks[i], threads, x, ROWS, &targets);
        }
    }
    assert_memory_equal(loss_of[0], loss_of[1], sizeof loss_of[0]);
    assert_memory_equal(bp_network_gradients(networks[0]), bp_network_gradients(networks[1]),
                        bp_network_block_count(networks[0]) * real);
    assert_memory_equal(bp_network_state(networks[0]), bp_network_state(networks[1]),
                        bp_network_state_bytes(networks[0]));
    const void *after[2];
    for (size_t i = 0; i < 2; i++)
        after[i] = bp_network_forward(networks[i], NULL, x, STREAMS, false);
    assert_memory_equal(after[0], after[1], (size_t)STREAMS * WORDS * real);
    for (size_t i = 0; i < 2; i++)
        bp_network_free(networks[i]);
    free(x);
    free(value);
}

static void test_same_bits(void **state)
{
    (void)state;
    support_pool *pool = support_pool_open(2);
    const bp_parallel two = support_pool_parallel(pool);
    for (below what = LSTM_BELOW; what <= NOTHING_BELOW; what++)
        for (bp_dtype dtype = BP_FLOAT32; dtype <= BP_FLOAT64; dtype++) {
            bp_layer_spec layers[2];
            const size_t count = layers_of(layers, what);
            compare(layers, count, dtype, "softmax_cross_entropy", NULL);
            compare(layers, count, dtype, "softmax_cross_entropy", &two);
        }
    support_pool_close(pool);
}

/* Where the last layer cannot be cut: an activation that the loss leaves to it, and dropout. */
static void test_whole(void **state)
{
    (void)state;
    bp_layer_spec layers[2];
    const size_t count = layers_of(layers, DENSE_BELOW);
    compare(layers, count, BP_FLOAT32, "mean_squared_error", NULL);
    layers[count - 1].activation = support_choice(&bp_activation_family, "tanh");
    compare(layers, count, BP_FLOAT32, "mean_squared_error", NULL);
    layers[count - 1].activation = support_choice(&bp_activation_family, "identity");
    compare(layers, count, BP_FLOAT32, "mean_squared_error", NULL); /* this one can */
    layers[count - 1].dropout = support_choice_of(&bp_dropout_family, "connections", 0.5);
    compare(layers, count, BP_FLOAT32, "softmax_cross_entropy", NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_bits),
        cmocka_unit_test(test_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
