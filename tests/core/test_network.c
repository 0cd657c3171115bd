#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/initializer/initializer.h"
#include "tests/core/support_network.h"

/* Under the address sanitizer a refused allocation is to be an answer, as elsewhere, not an end. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "allocator_may_return_null=1";
}

static void assert_values(const bp_tensor *tensor, const double *expected)
{
    for (size_t i = 0; i < tensor->element_count; i++)
        assert_true(support_at(tensor->data, tensor->dtype, i) == expected[i]);
}

static void set_values(bp_network *network, size_t index, const double *value)
{
    const bp_tensor tensor = bp_network_tensor(network, index);
    for (size_t i = 0; i < tensor.element_count; i++)
        support_set(tensor.data, tensor.dtype, i, value[i]);
}

/* Two ReLU units under one linear output; every number below is exact in both widths.
 *   x = (1, 2)   W0 = (1 −1; ½ ¼)  b0 = (0, 1)   z0 = (−1, 2)  a0 = (0, 2)
 *   W1 = (2 3)   b1 = 1            z1 = 7        t = 5         J = 4
 *   δ1 = 2·(7 − 5) = 4    ∇W1 = (0 8)  ∇b1 = 4
 *   δ0 = (8·0, 12·1)      ∇W0 = (0 0; 12 24)  ∇b0 = (0, 12) */
static void test_by_hand(void **state)
{
    (void)state;
    for (bp_dtype dtype = BP_FLOAT32; dtype <= BP_FLOAT64; dtype++) {
        const bp_layer_spec layers[] = {support_dense(2, "relu"), support_dense(1, "identity")};
        bp_network_spec spec = support_network_spec(layers, 2, 2, 1, "mean_squared_error");
        spec.dtype = dtype;
        spec.keep_z = true;
        bp_network *network = support_network_create(&spec);
        set_values(network, 0, (const double[]){1, -1, 0.5, 0.25});
        set_values(network, 1, (const double[]){0, 1});
        set_values(network, 2, (const double[]){2, 3});
        set_values(network, 3, (const double[]){1});
        bp_network_parameters_changed(network);

        double x[2], t[1];
        support_set(x, dtype, 0, 1);
        support_set(x, dtype, 1, 2);
        support_set(t, dtype, 0, 5);
        const bp_targets targets = {.value = t};
        const void *output = bp_network_forward(network, NULL, x, 1, true);
        assert_true(support_at(output, dtype, 0) == 7);
        const bp_layer *hidden = bp_network_layer(network, 0);
        assert_true(support_at(hidden->z, dtype, 0) == -1);
        assert_true(support_at(hidden->a, dtype, 0) == 0);
        assert_true(support_at(hidden->a, dtype, 1) == 2);
        assert_true(bp_network_loss_value(network, NULL, &targets, NULL) == 4);
        assert_true(bp_network_backward(network, NULL, &targets) == 4);
        assert_true(support_at(hidden->delta, dtype, 0) == 0);
        assert_true(support_at(hidden->delta, dtype, 1) == 12);

        const double expected[4][4] = {{0, 0, 12, 24}, {0, 12}, {0, 8}, {4}};
        const char *const names[] = {"layers.0.weight", "layers.0.bias", "layers.1.weight",
                                     "layers.1.bias"};
        assert_int_equal(bp_network_tensor_count(network), 4);
        for (size_t index = 0; index < 4; index++) {
            const bp_tensor gradient = bp_network_gradient_tensor(network, index);
            assert_string_equal(gradient.name, names[index]);
            assert_int_equal(bp_network_tensor_is_weight(network, index), index % 2 == 0);
            assert_values(&gradient, expected[index]);
        }
        bp_network_free(network);
    }
}

/* One output, two probabilities; the sigmoid of the last layer merges into the loss. Weights (1 −2), bias
 * ½: z = 1.5, −1.5, 0. */
static void test_binary(void **state)
{
    (void)state;
    for (bp_dtype dtype = BP_FLOAT32; dtype <= BP_FLOAT64; dtype++) {
        const bp_layer_spec layers[] = {support_dense(1, "sigmoid")};
        bp_network_spec spec = support_network_spec(layers, 1, 2, 3, "binary_cross_entropy");
        const double weight[2] = {1, 3}, rows[6] = {1, 0, 0, 1, 0.5, 0.5};
        spec.dtype = dtype;
        spec.class_weight = weight;
        bp_network_size size;
        assert_int_equal(bp_network_measure(&size, &spec, NULL), BP_OK);
        assert_int_equal(size.output_width, 1);
        assert_int_equal(size.shown_width, 2);
        bp_network *network = support_network_create(&spec);
        set_values(network, 0, (const double[]){1, -2});
        set_values(network, 1, (const double[]){0.5});
        bp_network_parameters_changed(network);
        double x[6];
        for (size_t i = 0; i < 6; i++)
            support_set(x, dtype, i, rows[i]);
        const int32_t label[3] = {1, 1, 0};
        const bp_targets targets = {.label = label};
        const void *output = bp_network_forward(network, NULL, x, 3, true);
        assert_true(support_at(output, dtype, 0) == 1.5); /* the logit */
        const double tolerance = dtype == BP_FLOAT32 ? 1e-6 : 1e-14;
        const double rest = log1p(exp(-1.5)), p = 1 / (1 + exp(-1.5));
        const double expected = (3 * rest + 3 * (1.5 + rest) + log(2)) / 3;
        assert_true(fabs(bp_network_backward(network, NULL, &targets) - expected) < tolerance);
        const bp_tensor gradient = bp_network_gradient_tensor(network, 1);
        const double slope = (3 * (p - 1) + 3 * -p + 0.5) / 3;
        assert_true(fabs(support_at(gradient.data, dtype, 0) - slope) < tolerance);
        int32_t decided[3];
        bp_network_loss(network)->decide(decided, output, 3, 1);
        assert_true(decided[0] == 1 && decided[1] == 0 && decided[2] == 0);
        assert_int_equal(bp_network_shown_width(network), 2);
        const double probability[6] = {1 - p, p, p, 1 - p, 0.5, 0.5};
        for (int again = 0; again < 2; again++) {
            const void *shown = bp_network_shown_output(network);
            for (size_t i = 0; i < 6; i++)
                assert_true(fabs(support_at(shown, dtype, i) - probability[i]) < tolerance);
        }
        bp_network_free(network);
    }
    const bp_layer_spec layers[] = {support_dense(3, "tanh"), support_dense(2, "identity")};
    const bp_network_spec spec = support_network_spec(layers, 2, 2, 3, "binary_cross_entropy");
    bp_network_size size;
    bp_error error = {.status = BP_OK};
    assert_int_equal(bp_network_measure(&size, &spec, &error), BP_SHAPE);
    assert_string_equal(error.where, "/network/layers/1/units");
}

/* The gradients lend an orthogonal initialiser its scratch, and are zero after it. */
static void test_orthogonal_start(void **state)
{
    (void)state;
    for (bp_dtype dtype = BP_FLOAT32; dtype <= BP_FLOAT64; dtype++) {
        bp_layer_spec layers[] = {support_dense(20, "tanh"), support_dense(30, "identity")};
        bp_network_spec spec = support_network_spec(layers, 2, 40, 2, "softmax_cross_entropy");
        spec.dtype = dtype;
        bp_network_size plain, size;
        assert_int_equal(bp_network_measure(&plain, &spec, NULL), BP_OK);
        layers[0].initializer = support_choice(&bp_initializer_family, "orthogonal");
        assert_int_equal(bp_network_measure(&size, &spec, NULL), BP_OK);
        if (dtype == BP_FLOAT64)
            assert_int_equal(size.total_bytes, plain.total_bytes);
        bp_network *network = support_network_create(&spec);
        bp_network_initialize(network, 4);
        const unsigned char *gradients = bp_network_gradients(network);
        for (size_t i = 0; i < bp_network_block_count(network) * bp_dtype_size(dtype); i++)
            assert_int_equal(gradients[i], 0);
        const bp_tensor w = bp_network_tensor(network, 0);
        const double tolerance = dtype == BP_FLOAT32 ? 1e-6 : 1e-12;
        for (size_t i = 0; i < 20; i++)
            for (size_t j = 0; j < 20; j++) {
                double sum = 0;
                for (size_t k = 0; k < 40; k++)
                    sum += support_at(w.data, dtype, i * 40 + k) *
                           support_at(w.data, dtype, j * 40 + k);
                assert_true(fabs(sum - (i == j)) < tolerance);
            }
        bp_network_free(network);
    }
}

/* A batch's loss and gradient are means over its rows. */
static void test_mean_over_rows(void **state)
{
    (void)state;
    const bp_layer_spec layers[] = {support_dense(4, "tanh"), support_dense(3, "softmax")};
    const bp_network_spec spec = support_network_spec(layers, 2, 5, 6, "softmax_cross_entropy");
    bp_network *network = support_network_create(&spec);
    bp_network_initialize(network, 3);
    double x[30], mean[64] = {0}, loss = 0, row_loss[6];
    int32_t label[6];
    support_values(x, BP_FLOAT64, 30, 1);
    support_labels(label, 6, 3, 2);
    const size_t count = bp_network_block_count(network);
    assert_true(count <= 64);
    const double *gradient = bp_network_gradients(network);
    for (size_t row = 0; row < 6; row++) {
        const bp_targets targets = {.label = &label[row]};
        bp_network_forward(network, NULL, &x[5 * row], 1, true);
        loss += bp_network_backward(network, NULL, &targets) / 6;
        for (size_t i = 0; i < count; i++)
            mean[i] += gradient[i] / 6;
    }
    const bp_targets targets = {.label = label};
    bp_network_forward(network, NULL, x, 6, true);
    assert_true(fabs(bp_network_loss_value(network, NULL, &targets, row_loss) - loss) < 1e-14);
    assert_true(fabs(bp_network_backward(network, NULL, &targets) - loss) < 1e-14);
    double sum = 0;
    for (size_t row = 0; row < 6; row++)
        sum += row_loss[row] / 6;
    assert_true(fabs(sum - loss) < 1e-14);
    for (size_t i = 0; i < count; i++)
        assert_true(fabs(gradient[i] - mean[i]) < 1e-14);
    bp_network_free(network);
}

static void test_block_layout(void **state)
{
    (void)state;
    const bp_layer_spec layers[] = {support_dense(3, "relu"), support_dense(5, "identity")};
    bp_network_spec spec = support_network_spec(layers, 2, 7, 4, "softmax_cross_entropy");
    spec.dtype = BP_FLOAT32;
    bp_network *network = support_network_create(&spec);
    bp_network_size size;
    assert_int_equal(bp_network_measure(&size, &spec, NULL), BP_OK);
    assert_int_equal(size.parameter_count, 21 + 3 + 15 + 5);
    assert_int_equal(size.parameter_bytes, 128 + 64 + 64 + 64);
    assert_int_equal(size.total_bytes, size.parameter_bytes + size.arena_bytes);
    assert_int_equal(size.output_width, 5);
    assert_int_equal(bp_network_block_count(network), size.parameter_bytes / sizeof(float));

    /* Everything but the tensors stays zero, in both blocks. */
    float x[28];
    const int32_t label[4] = {0, 1, 2, 4};
    support_values(x, BP_FLOAT32, 28, 1);
    bp_network_initialize(network, 1);
    bp_network_forward(network, NULL, x, 4, true);
    bp_network_backward(network, NULL, &(bp_targets){.label = label});
    const float *blocks[] = {bp_network_parameters(network), bp_network_gradients(network)};
    for (size_t which = 0; which < 2; which++) {
        bool inside[80] = {false};
        for (size_t index = 0; index < 4; index++) {
            const bp_tensor tensor = which ? bp_network_gradient_tensor(network, index)
                                           : bp_network_tensor(network, index);
            assert_int_equal((uintptr_t)tensor.data % BP_ALIGNMENT, 0);
            const size_t first = (size_t)((const float *)tensor.data - blocks[which]);
            for (size_t i = 0; i < tensor.element_count; i++)
                inside[first + i] = true;
        }
        for (size_t i = 0; i < bp_network_block_count(network); i++)
            assert_true(inside[i] || blocks[which][i] == 0);
    }
    bp_network_free(network);
}

static void assert_fault(const bp_network_spec *spec, bp_status status, const char *where)
{
    bp_error error = {.status = BP_OK};
    bp_network_size size = {.total_bytes = 77};
    bp_network *network = NULL;
    assert_int_equal(bp_network_measure(&size, spec, &error), status);
    assert_string_equal(error.where, where);
    assert_int_equal(size.total_bytes, 77);
    assert_int_equal(bp_network_create(&network, spec, NULL), status);
    assert_null(network);
}

static void test_faults(void **state)
{
    (void)state;
    bp_layer_spec layers[] = {support_dense(4, "relu"), support_dense(3, "identity")};
    const bp_network_spec good = support_network_spec(layers, 2, 5, 6, "softmax_cross_entropy");
    bp_network_spec spec = good;
    spec.layer_count = 0;
    assert_fault(&spec, BP_INVALID, "/network/layers");
    spec = good;
    spec.input_width = 0;
    assert_fault(&spec, BP_SHAPE, "/network");
    spec = good;
    spec.batch_rows = 0;
    assert_fault(&spec, BP_INVALID, "/training/batch_size");

    layers[0].activation = support_choice(&bp_activation_family, "softmax");
    assert_fault(&good, BP_INVALID, "/network/layers/0/activation");
    layers[0].activation.member = NULL;
    assert_fault(&good, BP_INVALID, "/network/layers/0/activation");
    layers[0] = support_dense(4, "relu");
    layers[1].layer.value[0] = 0;
    assert_fault(&good, BP_INVALID, "/network/layers/1/units");
    layers[1].layer.value[0] = NAN;
    assert_fault(&good, BP_INVALID, "/network/layers/1/units");
}

/* Sizes from outside: either the right huge number or a fault, and nothing is allocated (it could not
 * be). */
static void test_huge_shapes(void **state)
{
    (void)state;
    bp_layer_spec layers[] = {support_dense(1000000000, "relu"),
                              support_dense(1000000000, "identity")};
    bp_network_spec spec = support_network_spec(layers, 2, 1, 1, "mean_squared_error");
    spec.dtype = BP_FLOAT32;
    bp_network_size size;
    assert_int_equal(bp_network_measure(&size, &spec, NULL), BP_OK);
    assert_int_equal(size.parameter_count, UINT64_C(1000000003000000000));
    assert_true(size.total_bytes > size.parameter_bytes &&
                size.parameter_bytes >= 4 * size.parameter_count);
    bp_network *network = NULL;
    bp_error error = {.status = BP_OK};
    assert_int_equal(bp_network_create(&network, &spec, &error), BP_NO_MEMORY);
    assert_null(network);

    spec.dtype = BP_FLOAT64;
    layers[0] = support_dense(2147483647, "relu");
    layers[1] = support_dense(2147483647, "relu");
    assert_fault(&spec, BP_TOO_LARGE, "/network/layers/1");
    spec.layer_count = 1;
    spec.input_width = SIZE_MAX / 2;
    assert_fault(&spec, BP_TOO_LARGE, "/network/layers/0/units");
    spec.input_width = 1;
    spec.batch_rows = SIZE_MAX / 4;
    assert_fault(&spec, BP_TOO_LARGE, "/network");
}

static void test_shared_parameters(void **state)
{
    (void)state;
    for (bp_dtype dtype = BP_FLOAT32; dtype <= BP_FLOAT64; dtype++) {
        const bp_layer_spec layers[] = {support_dense(19, "tanh"), support_dense(23, "relu"),
                                        support_dense(4, "softmax")};
        bp_network_spec spec = support_network_spec(layers, 3, 11, 8, "softmax_cross_entropy");
        spec.dtype = dtype;
        bp_network *own = support_network_create(&spec);
        bp_network_initialize(own, 5);
        bp_network *shared = NULL;
        assert_int_equal(bp_network_create_shared(&shared, &spec, bp_network_parameters(own), NULL),
                         BP_INVALID); /* not for training */
        spec.use = BP_USE_PREDICTION;
        for (int keep_z = 0; keep_z <= 1; keep_z++) {
            spec.keep_z = keep_z;
            assert_int_equal(
                bp_network_create_shared(&shared, &spec, bp_network_parameters(own), NULL), BP_OK);
            assert_ptr_equal(bp_network_parameters(shared), bp_network_parameters(own));
            assert_null(bp_network_gradients(shared));
            double x[88];
            support_values(x, dtype, 88, 6);
            const size_t bytes = 8 * 4 * bp_dtype_size(dtype);
            assert_memory_equal(bp_network_forward(own, NULL, x, 8, true),
                                bp_network_forward(shared, NULL, x, 8, false), bytes);
            assert_memory_equal(bp_network_shown_output(own), bp_network_shown_output(shared),
                                bytes);
            bp_network_free(shared);
        }
        bp_network_free(own);
    }
}

/* What a row becomes does not depend on the batch it is in: its place there, or the batch's size. */
static void test_row_alone(void **state)
{
    (void)state;
    enum { ROWS = 64, IN = 39, OUT = 10 };
    for (bp_dtype dtype = BP_FLOAT32; dtype <= BP_FLOAT64; dtype++) {
        const bp_layer_spec layers[] = {support_dense(131, "relu"), support_dense(33, "sigmoid"),
                                        support_dense(OUT, "softmax")};
        bp_network_spec spec = support_network_spec(layers, 3, IN, ROWS, "softmax_cross_entropy");
        spec.dtype = dtype;
        spec.use = BP_USE_PREDICTION;
        bp_network *batch = support_network_create(&spec);
        bp_network_initialize(batch, 9);
        spec.batch_rows = 1;
        bp_network *alone = NULL;
        assert_int_equal(
            bp_network_create_shared(&alone, &spec, bp_network_parameters(batch), NULL), BP_OK);
        double x[ROWS * IN];
        support_values(x, dtype, ROWS * IN, 4);
        const size_t size = bp_dtype_size(dtype);
        bp_network_forward(batch, NULL, x, ROWS, false);
        const unsigned char *all = bp_network_shown_output(batch);
        for (size_t row = 0; row < ROWS; row++) {
            bp_network_forward(alone, NULL, (const unsigned char *)x + row * IN * size, 1, false);
            assert_memory_equal(bp_network_shown_output(alone), all + row * OUT * size, OUT * size);
        }
        bp_network_free(alone);
        bp_network_free(batch);
    }
}

/* A softmax on the last layer is merged into its cross-entropy, not applied twice. */
static void test_merged_softmax(void **state)
{
    (void)state;
    double x[12], logits[2][9], shown[2][9], loss[2];
    const int32_t label[3] = {2, 0, 1};
    support_values(x, BP_FLOAT64, 12, 8);
    const char *const last[] = {"softmax", "identity"};
    for (size_t which = 0; which < 2; which++) {
        const bp_layer_spec layers[] = {support_dense(3, last[which])};
        const bp_network_spec spec = support_network_spec(layers, 1, 4, 3, "softmax_cross_entropy");
        bp_network *network = support_network_create(&spec);
        bp_network_initialize(network, 2);
        memcpy(logits[which], bp_network_forward(network, NULL, x, 3, true), sizeof logits[0]);
        loss[which] = bp_network_backward(network, NULL, &(bp_targets){.label = label});
        memcpy(shown[which], bp_network_shown_output(network), sizeof shown[0]);
        bp_network_shown_output(network); /* a second call changes nothing */
        assert_memory_equal(bp_network_shown_output(network), shown[which], sizeof shown[0]);
        bp_network_free(network);
    }
    assert_memory_equal(logits[0], logits[1], sizeof logits[0]);
    assert_memory_equal(shown[0], shown[1], sizeof shown[0]);
    assert_true(loss[0] == loss[1]);
    double mean = 0;
    for (size_t row = 0; row < 3; row++) {
        double sum = 0, share = 0;
        for (size_t j = 0; j < 3; j++) {
            sum += shown[0][3 * row + j];
            share += exp(logits[0][3 * row + j]);
        }
        assert_true(fabs(sum - 1) < 1e-15);
        const size_t own = 3 * row + (size_t)label[row];
        assert_true(fabs(shown[0][own] - exp(logits[0][own]) / share) < 1e-15);
        mean -= log(shown[0][own]) / 3;
    }
    assert_true(fabs(mean - loss[0]) < 1e-14);
}

static void test_initialize(void **state)
{
    (void)state;
    const bp_layer_spec layers[] = {support_dense(6, "relu"), support_dense(6, "relu")};
    const bp_network_spec spec = support_network_spec(layers, 2, 6, 1, "mean_squared_error");
    bp_network *first = support_network_create(&spec), *second = support_network_create(&spec);
    const size_t bytes = bp_network_block_count(first) * sizeof(double);
    bp_network_initialize(first, 1);
    bp_network_initialize(second, 2);
    assert_memory_not_equal(bp_network_parameters(first), bp_network_parameters(second), bytes);
    bp_network_initialize(second, 1);
    assert_memory_equal(bp_network_parameters(first), bp_network_parameters(second), bytes);
    /* Layers of one shape have streams of their own. */
    assert_memory_not_equal(bp_network_tensor(first, 0).data, bp_network_tensor(first, 2).data,
                            36 * sizeof(double));
    const bp_tensor bias = bp_network_tensor(first, 1);
    assert_values(&bias, (const double[]){0, 0, 0, 0, 0, 0});
    bp_network_free(first);
    bp_network_free(second);
    bp_network_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_by_hand),          cmocka_unit_test(test_binary),
        cmocka_unit_test(test_orthogonal_start), cmocka_unit_test(test_mean_over_rows),
        cmocka_unit_test(test_block_layout),     cmocka_unit_test(test_faults),
        cmocka_unit_test(test_huge_shapes),      cmocka_unit_test(test_shared_parameters),
        cmocka_unit_test(test_row_alone),        cmocka_unit_test(test_merged_softmax),
        cmocka_unit_test(test_initialize),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
