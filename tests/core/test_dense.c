/* A dense layer against plain loops, in both widths and on every instruction set. */
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/core/support_network.h"

static void test_plan(void **state)
{
    (void)state;
    const bp_layer_spec spec = support_dense(3, "relu");
    bp_layer_shape shape;
    assert_int_equal(bp_layer_dense.plan(&shape, &spec, &(bp_layer_input){.width = 5}, NULL),
                     BP_OK);
    assert_int_equal(shape.input_width, 5);
    assert_int_equal(shape.output_width, 3);
    assert_int_equal(shape.tensor_count, 2);
    assert_string_equal(shape.tensor[0].name, "weight");
    assert_int_equal(shape.tensor[0].rank, 2);
    assert_int_equal(shape.tensor[0].shape[0], 3);
    assert_int_equal(shape.tensor[0].shape[1], 5);
    assert_int_equal(shape.tensor[0].element_count, 15);
    assert_true(shape.tensor_is_weight[0] && !shape.tensor_is_weight[1]);
    assert_string_equal(shape.tensor[1].name, "bias");
    assert_int_equal(shape.tensor[1].element_count, 3);
    assert_int_equal(shape.fan_in, 5);
    assert_int_equal(shape.fan_out, 3);

    bp_layer_spec without = spec;
    without.layer.value[1] = 0;
    assert_int_equal(bp_layer_dense.plan(&shape, &without, &(bp_layer_input){.width = 5}, NULL),
                     BP_OK);
    assert_int_equal(shape.tensor_count, 1);
}

static void test_record(void **state)
{
    (void)state;
    const bp_member *dense = bp_family_find(&bp_layer_family, "dense");
    assert_ptr_equal(dense, &bp_layer_dense.member);
    assert_ptr_equal(bp_layer_family.members[dense->index], dense);
    assert_string_equal(dense->parameters[0].name, "units");
    assert_true(dense->parameters[0].required && dense->parameters[0].accepts_auto);
    assert_true(bp_choice_value(&(bp_choice){.member = dense, .value = {4, 1}}, "bias") == 1);
}

typedef struct shape {
    size_t rows, in, out;
} shape;

static double near(bp_dtype dtype, size_t terms)
{
    return (dtype == BP_FLOAT32 ? FLT_EPSILON : DBL_EPSILON) * (4 + (double)terms);
}

/* Sigmoid under squared error; everything a pass leaves behind is compared. */
static void check_layer(shape size, bp_dtype dtype, bp_isa isa, bool bias)
{
    bp_layer_spec layers[] = {support_dense(size.out, "identity"),
                              support_dense(size.out, "sigmoid")};
    layers[1].layer.value[1] = bias;
    bp_network_spec spec =
        support_network_spec(layers, 2, size.in, size.rows, "mean_squared_error");
    spec.dtype = dtype;
    spec.isa = isa;
    spec.keep_z = true;
    bp_network *network = support_network_create(&spec);
    support_parameters(network, 5, 0.5);
    double *x = malloc(size.rows * size.in * sizeof *x);
    double *t = malloc(size.rows * size.out * sizeof *t);
    assert_true(x && t);
    support_values(x, dtype, size.rows * size.in, 1);
    support_values(t, dtype, size.rows * size.out, 2);
    bp_network_forward(network, NULL, x, size.rows, true);
    bp_network_backward(network, NULL, &(bp_targets){.value = t});

    /* The second layer: its input is the first one's output. */
    const bp_layer *below = bp_network_layer(network, 0), *layer = bp_network_layer(network, 1);
    const size_t n = size.out;
    const double scale = 2.0 / (double)(size.rows * n);
    for (size_t r = 0; r < size.rows; r++)
        for (size_t j = 0; j < n; j++) {
            double z = bias ? support_at(layer->parameter[1], dtype, j) : 0, dx = 0;
            for (size_t k = 0; k < n; k++) {
                z += support_at(layer->x, dtype, r * n + k) *
                     support_at(layer->parameter[0], dtype, j * n + k);
                dx += support_at(layer->delta, dtype, r * n + k) *
                      support_at(layer->parameter[0], dtype, k * n + j);
            }
            const double a = 1 / (1 + exp(-z));
            const double delta = scale * (a - support_at(t, dtype, r * n + j)) * a * (1 - a);
            assert_true(fabs(support_at(layer->z, dtype, r * n + j) - z) < near(dtype, n));
            assert_true(fabs(support_at(layer->a, dtype, r * n + j) - a) < near(dtype, n));
            assert_true(fabs(support_at(layer->delta, dtype, r * n + j) - delta) <
                        near(dtype, n) * scale);
            assert_true(fabs(support_at(below->delta, dtype, r * n + j) - dx) <
                        near(dtype, n) * scale);
        }
    for (size_t j = 0; j < n; j++) {
        double db = 0;
        for (size_t r = 0; r < size.rows; r++)
            db += support_at(layer->delta, dtype, r * n + j);
        if (bias)
            assert_true(fabs(support_at(layer->gradient[1], dtype, j) - db) <
                        near(dtype, size.rows));
        for (size_t k = 0; k < n; k++) {
            double dw = 0;
            for (size_t r = 0; r < size.rows; r++)
                dw += support_at(layer->delta, dtype, r * n + j) *
                      support_at(layer->x, dtype, r * n + k);
            assert_true(fabs(support_at(layer->gradient[0], dtype, j * n + k) - dw) <
                        near(dtype, size.rows));
        }
    }
    bp_network_free(network);
    free(x);
    free(t);
}

static void test_against_loops(void **state)
{
    (void)state;
    const shape shapes[] = {{1, 1, 1}, {1, 7, 3}, {2, 3, 17}, {16, 30, 16}, {33, 5, 40}};
    for (bp_dtype dtype = BP_FLOAT32; dtype <= BP_FLOAT64; dtype++)
        for (bp_isa isa = BP_ISA_BASELINE; isa <= bp_isa_detect(); isa++)
            for (size_t i = 0; bp_kernels_get(dtype, isa) && i < sizeof shapes / sizeof *shapes;
                 i++) {
                check_layer(shapes[i], dtype, isa, true);
                check_layer(shapes[i], dtype, isa, false);
            }
}

/* The packed weights follow the parameters. */
static void test_parameters_changed(void **state)
{
    (void)state;
    const bp_layer_spec layers[] = {support_dense(1, "identity")};
    const bp_network_spec spec = support_network_spec(layers, 1, 1, 1, "mean_squared_error");
    bp_network *network = support_network_create(&spec);
    const double x = 2;
    double *weight = bp_network_tensor(network, 0).data;
    *weight = 3;
    bp_network_parameters_changed(network);
    assert_true(*(const double *)bp_network_forward(network, NULL, &x, 1, false) == 6);
    *weight = 4;
    bp_network_parameters_changed(network);
    assert_true(*(const double *)bp_network_forward(network, NULL, &x, 1, false) == 8);
    bp_network_free(network);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plan),
        cmocka_unit_test(test_record),
        cmocka_unit_test(test_against_loops),
        cmocka_unit_test(test_parameters_changed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
