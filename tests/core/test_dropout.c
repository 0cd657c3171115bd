/* Dropout of units, connections and layers, and the dropout layer: masks by hand, expectations, what
 * sampled predictions promise, faults. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/core/support_dropout.h"

enum { ROWS = 6, IN = 5 };

/* What the masks of one step do to a single row, written out. */
static void test_forms_by_hand(void **state)
{
    (void)state;
    for (size_t form = 0; form < SUPPORT_FORMS; form++) {
        bp_layer_spec layers[SUPPORT_LAYERS];
        const size_t count = support_dropout_network(layers, form, "tanh", 0.5);
        bp_network_spec spec = support_network_spec(layers, count, IN, ROWS, "mean_squared_error");
        bp_network *network = support_network_create(&spec);
        support_parameters(network, 9, 0.9);
        bp_network_set_noise(network, support_a_step);
        double x[ROWS * IN];
        support_values(x, BP_FLOAT64, ROWS * IN, 1);
        bp_network_forward(network, NULL, x, ROWS, true);
        const bp_layer *layer = bp_network_layer(network, 1);
        const double *in = layer->x, *a = layer->a, *out = layer->output;
        const bp_random random =
            bp_random_stream(support_a_step.seed, 1, BP_RANDOM_DROPOUT, support_a_step.step);
        size_t kept_count = 0;
        for (size_t row = 0; row < ROWS; row++)
            for (size_t unit = 0; unit < SUPPORT_HIDDEN; unit++) {
                const size_t i = row * SUPPORT_HIDDEN + unit;
                uint32_t block[4];
                bp_random_block(block, &random, row,
                                form == BP_DROPOUT_layer ? 0 : unit); /* units below 16 */
                const bool kept = block[0] < UINT32_C(0x80000000);
                kept_count += kept;
                if (form == BP_DROPOUT_units)
                    assert_true(out[i] == (kept ? 2 * a[i] : 0));
                else if (form == BP_DROPOUT_layer)
                    assert_true(out[i] == (kept ? a[i] : in[i]));
                else if (form == BP_DROPOUT_COUNT)
                    assert_true(out[i] == (kept ? 2 * in[i] : 0));
                else
                    assert_true(out[i] == a[i]);
            }
        assert_true(kept_count > 0 && kept_count < ROWS * SUPPORT_HIDDEN);
        const double *masked = layer->masked_parameter[0];
        const double *weight = layer->parameter[0];
        for (size_t i = 0;
             form == BP_DROPOUT_connections && i < (size_t)SUPPORT_HIDDEN * SUPPORT_HIDDEN; i++) {
            uint32_t block[4];
            bp_random_block(block, &random, i / SUPPORT_HIDDEN, i % SUPPORT_HIDDEN);
            assert_true(masked[i] == (block[0] < UINT32_C(0x80000000) ? 2 * weight[i] : 0));
        }
        bp_network_free(network);
    }
}

/* The mean over masks of a linear network's output is its output without noise: in training, and over
 * sampled networks. */
static void test_expectation(void **state)
{
    (void)state;
    enum { MASKS = 20000 };
    for (size_t form = 0; form < SUPPORT_FORMS; form++)
        for (size_t sampled = 0; sampled < 2; sampled++) {
            bp_layer_spec layers[SUPPORT_LAYERS];
            const size_t count = support_dropout_network(layers, form, "identity", 0.7);
            bp_network_spec spec = support_network_spec(layers, count, IN, 1, "mean_squared_error");
            bp_network *network = support_network_create(&spec);
            support_parameters(network, 23, 0.9);
            double x[IN], expected[SUPPORT_OUT], mean[SUPPORT_OUT] = {0}, square[SUPPORT_OUT] = {0};
            support_values(x, BP_FLOAT64, IN, 1);
            memcpy(expected, bp_network_forward(network, NULL, x, 1, false), sizeof expected);
            for (uint64_t step = 0; step < MASKS; step++) {
                const bp_noise noise = {sampled ? BP_NOISE_SAMPLE : BP_NOISE_TRAINING, 1, step};
                bp_network_set_noise(network, noise);
                const double *output = bp_network_forward(network, NULL, x, 1, !sampled);
                for (size_t i = 0; i < SUPPORT_OUT; i++) {
                    mean[i] += output[i] / MASKS;
                    square[i] += output[i] * output[i] / MASKS;
                }
            }
            for (size_t i = 0; i < SUPPORT_OUT; i++) {
                const double deviation = sqrt(square[i] - mean[i] * mean[i]);
                assert_true(deviation > 0.01); /* there was noise */
                assert_true(fabs(mean[i] - expected[i]) < 5 * deviation / sqrt((double)MASKS));
            }
            bp_network_free(network);
        }
}

/* A sampled network is the same for every row, whatever batch the row is in, in a network planned for
 * training or for prediction, on every instruction set; other samples are others. */
static void test_samples(void **state)
{
    (void)state;
    enum { MANY = 40, SAMPLES = 6 };
    for (size_t form = 0; form < SUPPORT_FORMS; form++)
        for (bp_dtype dtype = BP_FLOAT32; dtype <= BP_FLOAT64; dtype++) {
            bp_layer_spec layers[SUPPORT_LAYERS];
            const size_t count = support_dropout_network(layers, form, "tanh", 0.5);
            bp_network_spec spec =
                support_network_spec(layers, count, IN, MANY, "softmax_cross_entropy");
            spec.dtype = dtype;
            const size_t size = bp_dtype_size(dtype);
            bp_network *first = support_network_create(&spec);
            support_parameters(first, 5, 0.9);
            double x[MANY * IN], outputs[SAMPLES][MANY * SUPPORT_OUT];
            support_values(x, dtype, (size_t)MANY * IN, 1);
            for (uint64_t sample = 0; sample < SAMPLES; sample++) {
                bp_network_set_noise(first, (bp_noise){BP_NOISE_SAMPLE, 8, sample});
                memcpy(outputs[sample], bp_network_forward(first, NULL, x, MANY, false),
                       MANY * SUPPORT_OUT * size);
            }
            size_t others = 0;
            for (size_t sample = 1; sample < SAMPLES; sample++)
                others += memcmp(outputs[0], outputs[sample], MANY * SUPPORT_OUT * size) != 0;
            assert_true(others > 0);
            spec.use = BP_USE_PREDICTION;
            for (spec.isa = BP_ISA_BASELINE; spec.isa <= bp_isa_detect(); spec.isa++) {
                bp_network *network = NULL;
                if (bp_network_create_shared(&network, &spec, bp_network_parameters(first), NULL) !=
                    BP_OK)
                    continue;
                for (uint64_t sample = SAMPLES; sample-- > 0;) {
                    bp_network_set_noise(network, (bp_noise){BP_NOISE_SAMPLE, 8, sample});
                    assert_memory_equal(bp_network_forward(network, NULL, x, MANY, false),
                                        outputs[sample], MANY * SUPPORT_OUT * size);
                    for (size_t row = 0; row < MANY; row += 7) {
                        const unsigned char *one = (const unsigned char *)x + row * IN * size;
                        assert_memory_equal(bp_network_forward(network, NULL, one, 1, false),
                                            (unsigned char *)outputs[sample] +
                                                row * SUPPORT_OUT * size,
                                            SUPPORT_OUT * size);
                    }
                }
                /* Without noise it predicts as the trained one does, also after having been sampled. */
                bp_network_set_noise(network, support_no_noise);
                bp_network_set_noise(first, support_no_noise);
                memcpy(outputs[0], bp_network_forward(first, NULL, x, MANY, false),
                       MANY * SUPPORT_OUT * size);
                assert_memory_equal(bp_network_forward(network, NULL, x, MANY, false), outputs[0],
                                    MANY * SUPPORT_OUT * size);
                bp_network_set_noise(first, (bp_noise){BP_NOISE_SAMPLE, 8, 0});
                memcpy(outputs[0], bp_network_forward(first, NULL, x, MANY, false),
                       MANY * SUPPORT_OUT * size);
                bp_network_free(network);
            }
            bp_network_free(first);
        }
}

/* Evaluation inside a training sees no noise, and a step's masks come back. */
static void test_noise_by_kind(void **state)
{
    (void)state;
    for (size_t form = 0; form < SUPPORT_FORMS; form++) {
        bp_layer_spec layers[SUPPORT_LAYERS];
        const size_t count = support_dropout_network(layers, form, "tanh", 0.5);
        bp_network_spec spec = support_network_spec(layers, count, IN, ROWS, "mean_squared_error");
        bp_network *network = support_network_create(&spec);
        support_parameters(network, 5, 0.9);
        double x[ROWS * IN], plain[ROWS * SUPPORT_OUT], noisy[ROWS * SUPPORT_OUT];
        support_values(x, BP_FLOAT64, ROWS * IN, 1);
        memcpy(plain, bp_network_forward(network, NULL, x, ROWS, false), sizeof plain);
        /* An expectation is one in training passes too. */
        assert_memory_equal(bp_network_forward(network, NULL, x, ROWS, true), plain, sizeof plain);
        bp_network_set_noise(network, support_a_step);
        memcpy(noisy, bp_network_forward(network, NULL, x, ROWS, true), sizeof noisy);
        assert_memory_not_equal(noisy, plain, sizeof noisy);
        assert_memory_equal(bp_network_forward(network, NULL, x, ROWS, false), plain, sizeof plain);
        bp_network_set_noise(network, (bp_noise){BP_NOISE_TRAINING, 3, 6});
        assert_memory_not_equal(bp_network_forward(network, NULL, x, ROWS, true), noisy,
                                sizeof noisy);
        bp_network_set_noise(network, (bp_noise){BP_NOISE_TRAINING, 4, 5});
        assert_memory_not_equal(bp_network_forward(network, NULL, x, ROWS, true), noisy,
                                sizeof noisy);
        bp_network_set_noise(network, support_a_step);
        assert_memory_equal(bp_network_forward(network, NULL, x, ROWS, true), noisy, sizeof noisy);
        bp_network_free(network);
    }
}

/* keep 1 is no dropout, in bits and in bytes. */
static void test_keep_all(void **state)
{
    (void)state;
    double x[ROWS * IN], t[ROWS * SUPPORT_OUT];
    support_values(x, BP_FLOAT64, ROWS * IN, 1);
    support_values(t, BP_FLOAT64, ROWS * SUPPORT_OUT, 2);
    const bp_targets targets = {.value = t};
    for (size_t form = 0; form < SUPPORT_FORMS; form++) {
        bp_network_size sizes[2];
        double gradients[2][1000], losses[2];
        size_t blocks[2];
        for (size_t with = 0; with < 2; with++) {
            bp_layer_spec layers[SUPPORT_LAYERS];
            size_t count = support_dropout_network(layers, form, "tanh", 1);
            if (!with && form < BP_DROPOUT_COUNT)
                layers[1].dropout.member = NULL;
            else if (!with) {
                layers[1] = layers[2];
                layers[2] = layers[3];
                count--;
            }
            bp_network_spec spec =
                support_network_spec(layers, count, IN, ROWS, "mean_squared_error");
            assert_int_equal(bp_network_measure(&sizes[with], &spec, NULL), BP_OK);
            bp_network *network = support_network_create(&spec);
            support_parameters(network, 5, 0.9);
            bp_network_set_noise(network, support_a_step);
            bp_network_forward(network, NULL, x, ROWS, true);
            losses[with] = bp_network_backward(network, NULL, &targets);
            blocks[with] = bp_network_block_count(network);
            assert_true(blocks[with] <= 1000);
            memcpy(gradients[with], bp_network_gradients(network), blocks[with] * sizeof(double));
            bp_network_free(network);
        }
        assert_int_equal(blocks[0], blocks[1]);
        assert_true(losses[0] == losses[1]);
        assert_memory_equal(gradients[0], gradients[1], blocks[0] * sizeof(double));
        if (form < BP_DROPOUT_COUNT)
            assert_int_equal(sizes[0].total_bytes, sizes[1].total_bytes);
    }
}

/* Mean, deviation and entropy over samples against the same written out; a row alone against the same
 * row among others; a network without dropout. */
static void test_predicted_samples(void **state)
{
    (void)state;
    enum { SAMPLES = 50 };
    const char *const losses[] = {"softmax_cross_entropy", "mean_squared_error"};
    for (size_t which = 0; which < 2 * SUPPORT_FORMS; which++) {
        bp_layer_spec layers[SUPPORT_LAYERS];
        const size_t count = support_dropout_network(layers, which / 2, "tanh", 0.6);
        bp_network_spec spec = support_network_spec(layers, count, IN, ROWS, losses[which % 2]);
        bp_network *network = support_network_create(&spec);
        support_parameters(network, 5, 0.9);
        double x[ROWS * IN], output[SAMPLES][ROWS * SUPPORT_OUT], plain[ROWS * SUPPORT_OUT];
        double mean[ROWS * SUPPORT_OUT], deviation[ROWS * SUPPORT_OUT], entropy[ROWS];
        support_values(x, BP_FLOAT64, ROWS * IN, 1);
        bp_network_forward(network, NULL, x, ROWS, false);
        memcpy(plain, bp_network_shown_output(network), sizeof plain);
        for (uint64_t sample = 0; sample < SAMPLES; sample++) {
            bp_network_set_noise(network, (bp_noise){BP_NOISE_SAMPLE, 4, sample});
            bp_network_forward(network, NULL, x, ROWS, false);
            memcpy(output[sample], bp_network_shown_output(network), sizeof output[0]);
        }
        bp_network_predict_samples(mean, deviation, entropy, network, x, ROWS, SAMPLES, 4);
        for (size_t row = 0; row < ROWS; row++) {
            double nats = 0;
            for (size_t i = row * SUPPORT_OUT; i < (row + 1) * SUPPORT_OUT; i++) {
                double m = 0, square = 0;
                for (size_t sample = 0; sample < SAMPLES; sample++)
                    m += output[sample][i] / SAMPLES;
                for (size_t sample = 0; sample < SAMPLES; sample++)
                    square += (output[sample][i] - m) * (output[sample][i] - m) / SAMPLES;
                assert_true(fabs(mean[i] - m) < 1e-14 && m != plain[i]);
                assert_true(fabs(deviation[i] - sqrt(square)) < 1e-14 && square > 0);
                nats -= m * log(m);
            }
            if (which % 2)
                assert_true(isnan(entropy[row]));
            else
                assert_true(fabs(entropy[row] - nats) < 1e-14);
            double alone[SUPPORT_OUT], spread[SUPPORT_OUT], one;
            bp_network_predict_samples(alone, spread, &one, network, x + row * IN, 1, SAMPLES, 4);
            assert_memory_equal(alone, mean + row * SUPPORT_OUT, sizeof alone);
            assert_memory_equal(spread, deviation + row * SUPPORT_OUT, sizeof spread);
            assert_memory_equal(&one, &entropy[row], sizeof one);
        }
        /* The noise is gone. */
        bp_network_forward(network, NULL, x, ROWS, false);
        assert_memory_equal(bp_network_shown_output(network), plain, sizeof plain);
        bp_network_free(network);
    }
    const bp_layer_spec layers[] = {support_dense(SUPPORT_OUT, "softmax")};
    bp_network_spec spec = support_network_spec(layers, 1, IN, 1, "softmax_cross_entropy");
    bp_network *network = support_network_create(&spec);
    support_parameters(network, 5, 0.9);
    double x[IN], mean[SUPPORT_OUT], deviation[SUPPORT_OUT], entropy;
    support_values(x, BP_FLOAT64, IN, 1);
    bp_network_predict_samples(mean, deviation, &entropy, network, x, 1, 7, 1);
    bp_network_forward(network, NULL, x, 1, false);
    assert_memory_equal(mean, bp_network_shown_output(network), sizeof mean);
    for (size_t i = 0; i < SUPPORT_OUT; i++)
        assert_true(deviation[i] == 0);
    bp_network_free(network);
}

static void assert_fault(const bp_network_spec *spec, bp_status status, const char *where)
{
    bp_error error = {.status = BP_OK};
    bp_network_size size;
    assert_int_equal(bp_network_measure(&size, spec, &error), status);
    assert_string_equal(error.where, where);
    assert_true(strlen(error.message) > 10);
}

static void test_faults(void **state)
{
    (void)state;
    bp_layer_spec layers[] = {support_dense(SUPPORT_HIDDEN, "tanh"),
                              support_dense(SUPPORT_HIDDEN, "softmax")};
    const bp_network_spec merged =
        support_network_spec(layers, 2, IN, ROWS, "softmax_cross_entropy");
    const bp_network_spec plain = support_network_spec(layers, 2, IN, ROWS, "mean_squared_error");
    const double wrong[] = {0, -0.5, 1.0001, (double)NAN};
    for (size_t i = 0; i < 4; i++) {
        layers[0].dropout = support_dropout(&bp_dropout_units, wrong[i]);
        assert_fault(&merged, BP_INVALID, "/network/layers/0/dropout/keep");
    }
    layers[0].dropout = support_dropout(&bp_dropout_layer, 0.5);
    assert_fault(&merged, BP_SHAPE, "/network/layers/0/dropout");
    layers[0].dropout.member = NULL;
    layers[1].dropout = support_dropout(&bp_dropout_units, 0.5);
    assert_fault(&merged, BP_INVALID, "/network/layers/1/dropout");
    assert_fault(&plain, BP_INVALID, "/network/layers/1/dropout");
    layers[1].dropout = support_dropout(&bp_dropout_layer, 0.5);
    assert_fault(&merged, BP_INVALID, "/network/layers/1/dropout");
    bp_network_size size;
    assert_int_equal(bp_network_measure(&size, &plain, NULL), BP_OK);
    layers[1].dropout = support_dropout(&bp_dropout_connections, 0.5);
    assert_int_equal(bp_network_measure(&size, &merged, NULL), BP_OK);
    layers[1] = support_mask_layer(0.5);
    assert_fault(&merged, BP_INVALID, "/network/layers/1/type");
    layers[1] = support_dense(SUPPORT_HIDDEN, "softmax");
    layers[0] = support_mask_layer(0);
    assert_fault(&merged, BP_INVALID, "/network/layers/0/keep");
    layers[0] = support_mask_layer(0.5);
    layers[0].activation = support_choice(&bp_activation_family, "tanh");
    assert_fault(&merged, BP_INVALID, "/network/layers/0/activation");
    layers[0] = support_mask_layer(0.5);
    layers[0].dropout = support_dropout(&bp_dropout_units, 0.5);
    assert_fault(&merged, BP_INVALID, "/network/layers/0/dropout");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forms_by_hand), cmocka_unit_test(test_expectation),
        cmocka_unit_test(test_samples),       cmocka_unit_test(test_noise_by_kind),
        cmocka_unit_test(test_keep_all),      cmocka_unit_test(test_predicted_samples),
        cmocka_unit_test(test_faults),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
