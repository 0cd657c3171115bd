/* Dropout of units, connections and layers, and the dropout layer: gradients against differences with
 * the masks held fixed, expectations, and what sampled predictions promise. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/check/gradient_check.h"
#include "core/dropout/dropout.h"
#include "tests/core/support_network.h"

enum { ROWS = 6, IN = 5, HIDDEN = 7, OUT = 3, LAYERS = 4, FORMS = BP_DROPOUT_COUNT + 1 };

static const bp_noise a_step = {BP_NOISE_TRAINING, 3, 5}, no_noise = {BP_NOISE_NONE, 0, 0};

static bp_layer_spec mask_layer(double keep)
{
    return (bp_layer_spec){.layer = support_choice_of(&bp_layer_family, "dropout", keep)};
}

static bp_choice dropout(const bp_dropout *form, double keep)
{
    return (bp_choice){.member = &form->member, .value = {keep}};
}

static const bp_dropout *form_of(size_t index)
{
    return (const bp_dropout *)bp_dropout_family.members[index];
}

/* Dense, dense with the form (as wide as its input), a dropout layer in its place for the form after
 * the last, dense. Returns how many layers. */
static size_t network_of(bp_layer_spec layers[LAYERS], size_t form, const char *activation,
                         double keep)
{
    size_t count = 0;
    layers[count++] = support_dense(HIDDEN, activation);
    if (form < BP_DROPOUT_COUNT) {
        layers[count] = support_dense(HIDDEN, activation);
        layers[count++].dropout = dropout(form_of(form), keep);
    } else {
        layers[count++] = mask_layer(keep);
        layers[count++] = support_dense(HIDDEN, activation);
    }
    layers[count++] = support_dense(OUT, "identity");
    return count;
}

static const char *form_name(size_t form)
{
    return form < BP_DROPOUT_COUNT ? bp_dropout_family.members[form]->name : "dropout layer";
}

/* ---- gradients ---- */

static bp_check_report check(const bp_layer_spec *layers, size_t count, const char *loss,
                             bp_noise noise)
{
    bp_network_spec spec = support_network_spec(layers, count, IN, ROWS, loss);
    spec.keep_z = true;
    bp_network *network = support_network_create(&spec);
    support_parameters(network, 17, 0.8);
    bp_network_set_noise(network, noise);
    double x[ROWS * IN], t[ROWS * HIDDEN];
    int32_t label[ROWS];
    support_values(x, BP_FLOAT64, ROWS * IN, 1);
    support_values(t, BP_FLOAT64, ROWS * HIDDEN, 2);
    support_labels(label, ROWS, OUT, 3);
    const bp_targets targets = {.label = label, .value = t};
    const bp_check_spec check_spec = {
        .difference = BP_DIFFERENCE_FOURTH_ORDER, .epsilon = 1e-3, .max_elements = SIZE_MAX};
    bp_check_report reports[2 * LAYERS], sum = {.checked = 0};
    assert_int_equal(bp_gradient_check(reports, network, x, ROWS, &targets, &check_spec, NULL),
                     BP_OK);
    for (size_t index = 0; index < bp_network_tensor_count(network); index++) {
        sum.checked += reports[index].checked;
        sum.skipped += reports[index].skipped;
        sum.failed += reports[index].failed;
        sum.judged_relative += reports[index].judged_relative;
    }
    bp_network_free(network);
    return sum;
}

static void test_gradients(void **state)
{
    (void)state;
    const char *const losses[] = {"softmax_cross_entropy", "mean_squared_error"};
    size_t checked = 0, judged = 0, skipped = 0;
    for (size_t form = 0; form < FORMS; form++)
        for (size_t which = 0; which < bp_activation_family.member_count; which++)
            for (size_t noisy = 0; noisy < 2; noisy++)
                for (size_t l = 0; l < 2; l++) {
                    const char *activation = bp_activation_family.members[which]->name;
                    if (strcmp(activation, "softmax") == 0)
                        continue;
                    bp_layer_spec layers[LAYERS];
                    const size_t count = network_of(layers, form, activation, 0.85);
                    const bp_check_report sum =
                        check(layers, count, losses[l], noisy ? a_step : no_noise);
                    if (sum.failed)
                        print_message("%s, %s, %s, noise %zu: %zu failed\n", form_name(form),
                                      activation, losses[l], noisy, sum.failed);
                    assert_int_equal(sum.failed, 0);
                    checked += sum.checked;
                    judged += sum.judged_relative;
                    skipped += sum.skipped;
                }
    print_message("%zu elements, %zu skipped at kinks, %zu judged by the relative part\n", checked,
                  skipped, judged);
    assert_true((double)judged >= 0.8 * (double)checked);
}

/* Where the layer form may be last, and where forms meet. */
static void test_gradients_of_stacks(void **state)
{
    (void)state;
    bp_layer_spec layers[LAYERS] = {mask_layer(0.8), support_dense(HIDDEN, "tanh"),
                                    support_dense(HIDDEN, "sigmoid"),
                                    support_dense(HIDDEN, "softmax")};
    layers[1].dropout = dropout(&bp_dropout_units, 0.7);
    layers[2].dropout = dropout(&bp_dropout_connections, 0.7);
    layers[3].dropout = dropout(&bp_dropout_layer, 0.5);
    assert_int_equal(check(layers, 4, "mean_squared_error", a_step).failed, 0);
    assert_int_equal(check(layers, 4, "mean_squared_error", no_noise).failed, 0);
    layers[1] = mask_layer(0.9);
    layers[2].dropout = dropout(&bp_dropout_units, 0.7);
    assert_int_equal(check(layers, 4, "mean_squared_error", a_step).failed, 0);
}

/* ---- mutations: copies of the records, each with one thing wrong ---- */

static const bp_dropout *true_form;

static bool other_step_delta(bp_layer *layer, const bp_pass *pass, void *dx)
{
    bp_pass changed = *pass;
    changed.noise.step++;
    return true_form->delta(layer, &changed, dx);
}

static bool scaled_delta(bp_layer *layer, const bp_pass *pass, void *dx)
{
    const bool begun = true_form->delta(layer, pass, dx);
    pass->kernels->scale(layer->delta, 1 + 1e-5, pass->rows * layer->shape.output_width);
    return begun;
}

static bool not_past_delta(bp_layer *layer, const bp_pass *pass, void *dx)
{
    true_form->delta(layer, pass, dx);
    return false;
}

static void other_step_gradients(bp_layer *layer, const bp_pass *pass)
{
    bp_pass changed = *pass;
    changed.noise.step++;
    true_form->gradients(layer, &changed);
}

static void scaled_gradients(bp_layer *layer, const bp_pass *pass)
{
    true_form->gradients(layer, pass);
    pass->kernels->scale(layer->gradient[0], 1 + 1e-5, layer->shape.tensor[0].element_count);
}

static void unmasked_product(bp_layer *layer, const bp_pass *pass, void *dx)
{
    /* dx through W, not through the masked W. */
    const bp_dropout *form = layer->dropout;
    layer->dropout = NULL;
    bp_layer_dense.backward(layer, pass, dx);
    layer->dropout = form;
    form->gradients(layer, pass);
}

static size_t failures_of(const bp_dropout *mutant, bp_noise noise)
{
    bp_layer_spec layers[LAYERS];
    const size_t count = network_of(layers, mutant->member.index, "tanh", 0.6);
    layers[1].dropout.member = &mutant->member;
    return check(layers, count, "mean_squared_error", noise).failed;
}

static void test_mutations(void **state)
{
    (void)state;
    for (size_t form = 0; form < BP_DROPOUT_COUNT; form++) {
        true_form = form_of(form);
        bp_dropout mutant = *true_form;
        assert_int_equal(failures_of(&mutant, a_step), 0);
        if (true_form->delta) {
            mutant.delta = NULL;
            assert_true(failures_of(&mutant, a_step) > 0);
            mutant.delta = other_step_delta;
            assert_true(failures_of(&mutant, a_step) > 0);
            mutant.delta = scaled_delta;
            assert_true(failures_of(&mutant, a_step) > 0);
        }
        if (true_form->gradients) {
            mutant.gradients = NULL;
            assert_true(failures_of(&mutant, a_step) > 0);
            mutant.gradients = other_step_gradients;
            assert_true(failures_of(&mutant, a_step) > 0);
            mutant.gradients = scaled_gradients;
            assert_true(failures_of(&mutant, a_step) > 0);
        }
    }
    true_form = &bp_dropout_layer;
    bp_dropout mutant = bp_dropout_layer;
    mutant.delta = not_past_delta;
    assert_true(failures_of(&mutant, a_step) > 0);
    assert_true(failures_of(&mutant, no_noise) > 0);

    bp_layer_type dense = bp_layer_dense;
    dense.backward = unmasked_product;
    bp_layer_spec layers[LAYERS];
    size_t count = network_of(layers, BP_DROPOUT_connections, "tanh", 0.6);
    layers[1].layer.member = &dense.member;
    assert_true(check(layers, count, "mean_squared_error", a_step).failed > 0);
}

static void unmasked_backward(bp_layer *layer, const bp_pass *pass, void *dx)
{
    bp_pass changed = *pass;
    changed.noise = no_noise;
    bp_layer_dropout.backward(layer, &changed, dx);
}

static void other_step_backward(bp_layer *layer, const bp_pass *pass, void *dx)
{
    bp_pass changed = *pass;
    changed.noise.step++;
    bp_layer_dropout.backward(layer, &changed, dx);
}

static void test_mutations_of_the_layer(void **state)
{
    (void)state;
    void (*const backwards[])(bp_layer *, const bp_pass *, void *) = {unmasked_backward,
                                                                      other_step_backward};
    for (size_t i = 0; i < 2; i++) {
        bp_layer_type mutant = bp_layer_dropout;
        mutant.backward = backwards[i];
        bp_layer_spec layers[LAYERS];
        const size_t count = network_of(layers, BP_DROPOUT_COUNT, "tanh", 0.6);
        layers[1].layer.member = &mutant.member;
        assert_true(check(layers, count, "mean_squared_error", a_step).failed > 0);
    }
}

/* ---- values ---- */

/* What the masks of one step do to a single row, written out. */
static void test_forms_by_hand(void **state)
{
    (void)state;
    for (size_t form = 0; form < FORMS; form++) {
        bp_layer_spec layers[LAYERS];
        const size_t count = network_of(layers, form, "tanh", 0.5);
        bp_network_spec spec = support_network_spec(layers, count, IN, ROWS, "mean_squared_error");
        bp_network *network = support_network_create(&spec);
        support_parameters(network, 9, 0.9);
        bp_network_set_noise(network, a_step);
        double x[ROWS * IN];
        support_values(x, BP_FLOAT64, ROWS * IN, 1);
        bp_network_forward(network, NULL, x, ROWS, true);
        const bp_layer *layer = bp_network_layer(network, 1);
        const double *in = layer->x, *a = layer->a, *out = layer->output;
        const bp_random random = bp_random_stream(a_step.seed, 1, BP_RANDOM_DROPOUT, a_step.step);
        size_t kept_count = 0;
        for (size_t row = 0; row < ROWS; row++)
            for (size_t unit = 0; unit < HIDDEN; unit++) {
                const size_t i = row * HIDDEN + unit;
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
        assert_true(kept_count > 0 && kept_count < ROWS * HIDDEN);
        const double *masked = layer->masked_parameter[0];
        const double *weight = layer->parameter[0];
        for (size_t i = 0; form == BP_DROPOUT_connections && i < (size_t)HIDDEN * HIDDEN; i++) {
            uint32_t block[4];
            bp_random_block(block, &random, i / HIDDEN, i % HIDDEN);
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
    for (size_t form = 0; form < FORMS; form++)
        for (size_t sampled = 0; sampled < 2; sampled++) {
            bp_layer_spec layers[LAYERS];
            const size_t count = network_of(layers, form, "identity", 0.7);
            bp_network_spec spec = support_network_spec(layers, count, IN, 1, "mean_squared_error");
            bp_network *network = support_network_create(&spec);
            support_parameters(network, 23, 0.9);
            double x[IN], expected[OUT], mean[OUT] = {0}, square[OUT] = {0};
            support_values(x, BP_FLOAT64, IN, 1);
            memcpy(expected, bp_network_forward(network, NULL, x, 1, false), sizeof expected);
            for (uint64_t step = 0; step < MASKS; step++) {
                const bp_noise noise = {sampled ? BP_NOISE_SAMPLE : BP_NOISE_TRAINING, 1, step};
                bp_network_set_noise(network, noise);
                const double *output = bp_network_forward(network, NULL, x, 1, !sampled);
                for (size_t i = 0; i < OUT; i++) {
                    mean[i] += output[i] / MASKS;
                    square[i] += output[i] * output[i] / MASKS;
                }
            }
            for (size_t i = 0; i < OUT; i++) {
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
    for (size_t form = 0; form < FORMS; form++)
        for (bp_dtype dtype = BP_FLOAT32; dtype <= BP_FLOAT64; dtype++) {
            bp_layer_spec layers[LAYERS];
            const size_t count = network_of(layers, form, "tanh", 0.5);
            bp_network_spec spec =
                support_network_spec(layers, count, IN, MANY, "softmax_cross_entropy");
            spec.dtype = dtype;
            const size_t size = bp_dtype_size(dtype);
            bp_network *first = support_network_create(&spec);
            support_parameters(first, 5, 0.9);
            double x[MANY * IN], outputs[SAMPLES][MANY * OUT];
            support_values(x, dtype, (size_t)MANY * IN, 1);
            for (uint64_t sample = 0; sample < SAMPLES; sample++) {
                bp_network_set_noise(first, (bp_noise){BP_NOISE_SAMPLE, 8, sample});
                memcpy(outputs[sample], bp_network_forward(first, NULL, x, MANY, false),
                       MANY * OUT * size);
            }
            size_t others = 0;
            for (size_t sample = 1; sample < SAMPLES; sample++)
                others += memcmp(outputs[0], outputs[sample], MANY * OUT * size) != 0;
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
                                        outputs[sample], MANY * OUT * size);
                    for (size_t row = 0; row < MANY; row += 7) {
                        const unsigned char *one = (const unsigned char *)x + row * IN * size;
                        assert_memory_equal(bp_network_forward(network, NULL, one, 1, false),
                                            (unsigned char *)outputs[sample] + row * OUT * size,
                                            OUT * size);
                    }
                }
                /* Without noise it predicts as the trained one does, also after having been sampled. */
                bp_network_set_noise(network, no_noise);
                bp_network_set_noise(first, no_noise);
                memcpy(outputs[0], bp_network_forward(first, NULL, x, MANY, false),
                       MANY * OUT * size);
                assert_memory_equal(bp_network_forward(network, NULL, x, MANY, false), outputs[0],
                                    MANY * OUT * size);
                bp_network_set_noise(first, (bp_noise){BP_NOISE_SAMPLE, 8, 0});
                memcpy(outputs[0], bp_network_forward(first, NULL, x, MANY, false),
                       MANY * OUT * size);
                bp_network_free(network);
            }
            bp_network_free(first);
        }
}

/* Evaluation inside a training sees no noise, and a step's masks come back. */
static void test_noise_by_kind(void **state)
{
    (void)state;
    for (size_t form = 0; form < FORMS; form++) {
        bp_layer_spec layers[LAYERS];
        const size_t count = network_of(layers, form, "tanh", 0.5);
        bp_network_spec spec = support_network_spec(layers, count, IN, ROWS, "mean_squared_error");
        bp_network *network = support_network_create(&spec);
        support_parameters(network, 5, 0.9);
        double x[ROWS * IN], plain[ROWS * OUT], noisy[ROWS * OUT];
        support_values(x, BP_FLOAT64, ROWS * IN, 1);
        memcpy(plain, bp_network_forward(network, NULL, x, ROWS, false), sizeof plain);
        /* An expectation is one in training passes too. */
        assert_memory_equal(bp_network_forward(network, NULL, x, ROWS, true), plain, sizeof plain);
        bp_network_set_noise(network, a_step);
        memcpy(noisy, bp_network_forward(network, NULL, x, ROWS, true), sizeof noisy);
        assert_memory_not_equal(noisy, plain, sizeof noisy);
        assert_memory_equal(bp_network_forward(network, NULL, x, ROWS, false), plain, sizeof plain);
        bp_network_set_noise(network, (bp_noise){BP_NOISE_TRAINING, 3, 6});
        assert_memory_not_equal(bp_network_forward(network, NULL, x, ROWS, true), noisy,
                                sizeof noisy);
        bp_network_set_noise(network, (bp_noise){BP_NOISE_TRAINING, 4, 5});
        assert_memory_not_equal(bp_network_forward(network, NULL, x, ROWS, true), noisy,
                                sizeof noisy);
        bp_network_set_noise(network, a_step);
        assert_memory_equal(bp_network_forward(network, NULL, x, ROWS, true), noisy, sizeof noisy);
        bp_network_free(network);
    }
}

/* keep 1 is no dropout, in bits and in bytes. */
static void test_keep_all(void **state)
{
    (void)state;
    double x[ROWS * IN], t[ROWS * OUT];
    support_values(x, BP_FLOAT64, ROWS * IN, 1);
    support_values(t, BP_FLOAT64, ROWS * OUT, 2);
    const bp_targets targets = {.value = t};
    for (size_t form = 0; form < FORMS; form++) {
        bp_network_size sizes[2];
        double gradients[2][1000], losses[2];
        size_t blocks[2];
        for (size_t with = 0; with < 2; with++) {
            bp_layer_spec layers[LAYERS];
            size_t count = network_of(layers, form, "tanh", 1);
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
            bp_network_set_noise(network, a_step);
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
    for (size_t which = 0; which < 2 * FORMS; which++) {
        bp_layer_spec layers[LAYERS];
        const size_t count = network_of(layers, which / 2, "tanh", 0.6);
        bp_network_spec spec = support_network_spec(layers, count, IN, ROWS, losses[which % 2]);
        bp_network *network = support_network_create(&spec);
        support_parameters(network, 5, 0.9);
        double x[ROWS * IN], output[SAMPLES][ROWS * OUT], plain[ROWS * OUT];
        double mean[ROWS * OUT], deviation[ROWS * OUT], entropy[ROWS];
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
            for (size_t i = row * OUT; i < (row + 1) * OUT; i++) {
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
            double alone[OUT], spread[OUT], one;
            bp_network_predict_samples(alone, spread, &one, network, x + row * IN, 1, SAMPLES, 4);
            assert_memory_equal(alone, mean + row * OUT, sizeof alone);
            assert_memory_equal(spread, deviation + row * OUT, sizeof spread);
            assert_memory_equal(&one, &entropy[row], sizeof one);
        }
        /* The noise is gone. */
        bp_network_forward(network, NULL, x, ROWS, false);
        assert_memory_equal(bp_network_shown_output(network), plain, sizeof plain);
        bp_network_free(network);
    }
    const bp_layer_spec layers[] = {support_dense(OUT, "softmax")};
    bp_network_spec spec = support_network_spec(layers, 1, IN, 1, "softmax_cross_entropy");
    bp_network *network = support_network_create(&spec);
    support_parameters(network, 5, 0.9);
    double x[IN], mean[OUT], deviation[OUT], entropy;
    support_values(x, BP_FLOAT64, IN, 1);
    bp_network_predict_samples(mean, deviation, &entropy, network, x, 1, 7, 1);
    bp_network_forward(network, NULL, x, 1, false);
    assert_memory_equal(mean, bp_network_shown_output(network), sizeof mean);
    for (size_t i = 0; i < OUT; i++)
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
    bp_layer_spec layers[] = {support_dense(HIDDEN, "tanh"), support_dense(HIDDEN, "softmax")};
    const bp_network_spec merged =
        support_network_spec(layers, 2, IN, ROWS, "softmax_cross_entropy");
    const bp_network_spec plain = support_network_spec(layers, 2, IN, ROWS, "mean_squared_error");
    const double wrong[] = {0, -0.5, 1.0001, (double)NAN};
    for (size_t i = 0; i < 4; i++) {
        layers[0].dropout = dropout(&bp_dropout_units, wrong[i]);
        assert_fault(&merged, BP_INVALID, "/network/layers/0/dropout/keep");
    }
    layers[0].dropout = dropout(&bp_dropout_layer, 0.5);
    assert_fault(&merged, BP_SHAPE, "/network/layers/0/dropout");
    layers[0].dropout.member = NULL;
    layers[1].dropout = dropout(&bp_dropout_units, 0.5);
    assert_fault(&merged, BP_INVALID, "/network/layers/1/dropout");
    assert_fault(&plain, BP_INVALID, "/network/layers/1/dropout");
    layers[1].dropout = dropout(&bp_dropout_layer, 0.5);
    assert_fault(&merged, BP_INVALID, "/network/layers/1/dropout");
    bp_network_size size;
    assert_int_equal(bp_network_measure(&size, &plain, NULL), BP_OK);
    layers[1].dropout = dropout(&bp_dropout_connections, 0.5);
    assert_int_equal(bp_network_measure(&size, &merged, NULL), BP_OK);
    layers[1] = mask_layer(0.5);
    assert_fault(&merged, BP_INVALID, "/network/layers/1/type");
    layers[1] = support_dense(HIDDEN, "softmax");
    layers[0] = mask_layer(0);
    assert_fault(&merged, BP_INVALID, "/network/layers/0/keep");
    layers[0] = mask_layer(0.5);
    layers[0].activation = support_choice(&bp_activation_family, "tanh");
    assert_fault(&merged, BP_INVALID, "/network/layers/0/activation");
    layers[0] = mask_layer(0.5);
    layers[0].dropout = dropout(&bp_dropout_units, 0.5);
    assert_fault(&merged, BP_INVALID, "/network/layers/0/dropout");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gradients),
        cmocka_unit_test(test_gradients_of_stacks),
        cmocka_unit_test(test_mutations),
        cmocka_unit_test(test_mutations_of_the_layer),
        cmocka_unit_test(test_forms_by_hand),
        cmocka_unit_test(test_expectation),
        cmocka_unit_test(test_samples),
        cmocka_unit_test(test_noise_by_kind),
        cmocka_unit_test(test_predicted_samples),
        cmocka_unit_test(test_keep_all),
        cmocka_unit_test(test_faults),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
