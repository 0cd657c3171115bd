#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/core/support_kernels.h"

typedef double scalar_function(double z);

static double plain_identity(double z)
{
    return z;
}

static double plain_sigmoid(double z)
{
    return 1 / (1 + exp(-z));
}

static double plain_relu(double z)
{
    return z > 0 ? z : 0;
}

/* Textbook formulas of the elementwise members, in .def order; NULL for softmax. */
static scalar_function *const plain[BP_ACTIVATION_COUNT] = {
    [BP_ACTIVATION_identity] = plain_identity,
    [BP_ACTIVATION_sigmoid] = plain_sigmoid,
    [BP_ACTIVATION_tanh] = tanh,
    [BP_ACTIVATION_relu] = plain_relu,
};

static void forward(const bp_activation *activation, const void *z, void *a, size_t rows,
                    size_t width)
{
    bp_choice choice = bp_choice_default(&activation->member);
    activation->forward(z, a, rows, width, choice.value);
}

static void backward(const bp_activation *activation, const void *z, const void *a, void *delta,
                     size_t rows, size_t width)
{
    bp_choice choice = bp_choice_default(&activation->member);
    activation->backward(activation->derivative_from_z ? z : a, delta, rows, width, choice.value);
}

static void values_agree_with_the_formulas(void **state)
{
    (void)state;
    enum { COUNT = 1000 };
    for (int dtype = 0; dtype < BP_DTYPE_COUNT; dtype++) {
        const bp_kernels *kernels = bp_kernels_get((bp_dtype)dtype, BP_ISA_BASELINE);
        double z[COUNT], a[COUNT], tolerance = dtype == BP_FLOAT32 ? 3e-7 : 1e-15;
        support_fill(kernels, z, COUNT, 1, -8, 8);
        for (size_t index = 0; index < BP_ACTIVATION_COUNT; index++) {
            if (!plain[index])
                continue;
            forward(kernels->activations[index], z, a, 1, COUNT);
            for (size_t i = 0; i < COUNT; i++) {
                double expected = plain[index](support_get(kernels, z, i));
                assert_true(fabs(support_get(kernels, a, i) - expected) <=
                            tolerance * fabs(expected));
            }
        }
    }
}

static void softmax_agrees_with_the_formula(void **state)
{
    (void)state;
    enum { ROWS = 3, WIDEST = 40 };
    for (int dtype = 0; dtype < BP_DTYPE_COUNT; dtype++) {
        const bp_kernels *kernels = bp_kernels_get((bp_dtype)dtype, BP_ISA_BASELINE);
        double z[ROWS * WIDEST], a[ROWS * WIDEST], tolerance = dtype == BP_FLOAT32 ? 1e-6 : 3e-15;
        for (size_t width = 1; width <= WIDEST; width++) {
            support_fill(kernels, z, ROWS * width, width, -8, 8);
            forward(kernels->activations[BP_ACTIVATION_softmax], z, a, ROWS, width);
            for (size_t row = 0; row < ROWS; row++) {
                double sum = 0;
                for (size_t j = 0; j < width; j++)
                    sum += exp(support_get(kernels, z, row * width + j));
                for (size_t j = 0; j < width; j++) {
                    double expected = exp(support_get(kernels, z, row * width + j)) / sum;
                    assert_true(fabs(support_get(kernels, a, row * width + j) - expected) <=
                                tolerance * expected);
                }
            }
        }
    }
}

/* phi(z) = Σ weight_j f(z)_j, which δ = weight differentiates. */
static double weighed(const bp_activation *activation, const double *z, const double *weight,
                      size_t width)
{
    double a[64], sum = 0;
    forward(activation, z, a, 1, width);
    for (size_t j = 0; j < width; j++)
        sum += weight[j] * a[j];
    return sum;
}

/* Fourth-order differences in float64, away from kinks. */
static void derivatives_agree_with_differences(void **state)
{
    (void)state;
    enum { WIDTH = 13 };
    const double h = 1e-3;
    const bp_kernels *kernels = bp_kernels_get(BP_FLOAT64, BP_ISA_BASELINE);
    for (size_t index = 0; index < BP_ACTIVATION_COUNT; index++) {
        const bp_activation *activation = kernels->activations[index];
        double z[WIDTH], weight[WIDTH], a[WIDTH], delta[WIDTH];
        support_fill(kernels, z, WIDTH, 21 + index, -3, 3);
        support_fill(kernels, weight, WIDTH, 77, -2, 2);
        forward(activation, z, a, 1, WIDTH);
        memcpy(delta, weight, sizeof delta);
        backward(activation, z, a, delta, 1, WIDTH);
        for (size_t j = 0; j < WIDTH; j++) {
            if (activation->piece && fabs(z[j]) < 3 * h)
                continue;
            const double offsets[4] = {-2 * h, -h, h, 2 * h};
            double value[4], kept = z[j];
            for (size_t k = 0; k < 4; k++) {
                z[j] = kept + offsets[k];
                value[k] = weighed(activation, z, weight, WIDTH);
            }
            z[j] = kept;
            double numerical = (value[0] - 8 * value[1] + 8 * value[2] - value[3]) / (12 * h);
            assert_true(fabs(numerical - delta[j]) <=
                        1e-7 * fmax(fabs(numerical), fabs(delta[j])) + 2e-11);
        }
    }
}

/* A NaN or infinity in float32 would end a training run. */
static void large_inputs_stay_finite(void **state)
{
    (void)state;
    const double inputs[] = {1000, -1000, 10000, -10000, 0, -0.0, 88.8, -104};
    enum { WIDTH = 8 };
    for (int dtype = 0; dtype < BP_DTYPE_COUNT; dtype++) {
        const bp_kernels *tables[BP_ISA_COUNT];
        size_t table_count = support_tables(tables, (bp_dtype)dtype);
        for (size_t t = 0; t < table_count; t++)
            for (size_t index = 0; index < BP_ACTIVATION_COUNT; index++)
                for (size_t shift = 0; shift < WIDTH; shift++)
                    for (size_t width = 1; width <= WIDTH; width++) {
                        double z[WIDTH], a[WIDTH], delta[WIDTH];
                        for (size_t i = 0; i < width; i++) {
                            support_put(tables[t], z, i, inputs[(i + shift) % WIDTH]);
                            support_put(tables[t], delta, i, 1);
                        }
                        forward(tables[t]->activations[index], z, a, 1, width);
                        assert_true(tables[t]->all_finite(a, width));
                        backward(tables[t]->activations[index], z, a, delta, 1, width);
                        assert_true(tables[t]->all_finite(delta, width));
                    }
    }
}

static void saturated_values_are_exact(void **state)
{
    (void)state;
    for (int dtype = 0; dtype < BP_DTYPE_COUNT; dtype++) {
        const bp_kernels *kernels = bp_kernels_get((bp_dtype)dtype, bp_isa_detect());
        double z[4], a[4];
        const double inputs[4] = {-10000, 10000, 0, -80};
        for (size_t i = 0; i < 4; i++)
            support_put(kernels, z, i, inputs[i]);
        forward(kernels->activations[BP_ACTIVATION_sigmoid], z, a, 1, 4);
        assert_true(support_get(kernels, a, 0) == 0);
        assert_true(support_get(kernels, a, 1) == 1);
        assert_true(support_get(kernels, a, 2) == 0.5);
        assert_true(fabs(support_get(kernels, a, 3) / exp(-80) - 1) < 3e-7); /* not cut to 0 */
        forward(kernels->activations[BP_ACTIVATION_tanh], z, a, 1, 4);
        assert_true(support_get(kernels, a, 0) == -1);
        assert_true(support_get(kernels, a, 1) == 1);
        forward(kernels->activations[BP_ACTIVATION_softmax], z, a, 1, 4);
        assert_true(support_get(kernels, a, 0) == 0);
        assert_true(support_get(kernels, a, 1) == 1);
    }
}

static void nan_passes_through(void **state)
{
    (void)state;
    enum { WIDTH = 19 };
    for (int dtype = 0; dtype < BP_DTYPE_COUNT; dtype++) {
        const bp_kernels *tables[BP_ISA_COUNT];
        size_t table_count = support_tables(tables, (bp_dtype)dtype);
        for (size_t t = 0; t < table_count; t++)
            for (size_t index = 0; index < BP_ACTIVATION_COUNT; index++)
                for (size_t bad = 0; bad < WIDTH; bad++) {
                    double z[WIDTH], a[WIDTH], delta[WIDTH] = {0};
                    support_fill(tables[t], z, WIDTH, 3, -1, 1);
                    support_put(tables[t], z, bad, (double)NAN);
                    forward(tables[t]->activations[index], z, a, 1, WIDTH);
                    assert_true(isnan(support_get(tables[t], a, bad)));

                    support_fill(tables[t], z, WIDTH, 3, 1, 2);
                    support_put(tables[t], delta, bad, (double)NAN);
                    forward(tables[t]->activations[index], z, a, 1, WIDTH);
                    backward(tables[t]->activations[index], z, a, delta, 1, WIDTH);
                    assert_true(isnan(support_get(tables[t], delta, bad)));
                }
    }
}

static void relu_at_its_kink(void **state)
{
    (void)state;
    for (int dtype = 0; dtype < BP_DTYPE_COUNT; dtype++) {
        const bp_kernels *kernels = bp_kernels_get((bp_dtype)dtype, bp_isa_detect());
        const bp_activation *relu = kernels->activations[BP_ACTIVATION_relu];
        const double inputs[4] = {0, -0.0, 1e-30, -1e-30}, slopes[4] = {0, 0, 1, 0};
        double z[4], a[4], delta[4];
        unsigned char piece[4];
        for (size_t i = 0; i < 4; i++) {
            support_put(kernels, z, i, inputs[i]);
            support_put(kernels, delta, i, 1);
        }
        forward(relu, z, a, 1, 4);
        backward(relu, z, a, delta, 1, 4);
        relu->piece(z, piece, 4, NULL);
        for (size_t i = 0; i < 4; i++) {
            assert_true(support_get(kernels, delta, i) == slopes[i]);
            assert_int_equal(piece[i], slopes[i]);
            assert_false(signbit(support_get(kernels, a, i)));
        }
    }
}

/* Bits: every instruction set, in place and not, rows alone and together, any width. */
static void bits_depend_on_the_row_alone(void **state)
{
    (void)state;
    enum { ROWS = 3, WIDEST = 50 };
    for (int dtype = 0; dtype < BP_DTYPE_COUNT; dtype++) {
        const bp_kernels *tables[BP_ISA_COUNT];
        size_t table_count = support_tables(tables, (bp_dtype)dtype);
        size_t size = tables[0]->real_size;
        for (size_t index = 0; index < BP_ACTIVATION_COUNT; index++)
            for (size_t width = 1; width <= WIDEST; width++) {
                size_t count = ROWS * width;
                double z[ROWS * WIDEST], expected[ROWS * WIDEST], slope[ROWS * WIDEST];
                support_fill(tables[0], z, count, width, -6, 6);
                support_fill(tables[0], slope, count, 5, -1, 1);
                forward(tables[0]->activations[index], z, expected, ROWS, width);
                backward(tables[0]->activations[index], z, expected, slope, ROWS, width);
                for (size_t t = 0; t < table_count; t++) {
                    const bp_activation *activation = tables[t]->activations[index];
                    char *a = malloc(count * size), *delta = malloc(count * size);
                    support_fill(tables[t], delta, count, 5, -1, 1);
                    memcpy(a, z, count * size);
                    for (size_t row = 0; row < ROWS; row++) {
                        char *one = a + row * width * size;
                        forward(activation, one, one, 1, width);
                        backward(activation, (char *)z + row * width * size, one,
                                 delta + row * width * size, 1, width);
                    }
                    assert_memory_equal(a, expected, count * size);
                    assert_memory_equal(delta, slope, count * size);
                    free(a);
                    free(delta);
                }
            }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_agree_with_the_formulas),
        cmocka_unit_test(softmax_agrees_with_the_formula),
        cmocka_unit_test(derivatives_agree_with_differences),
        cmocka_unit_test(large_inputs_stay_finite),
        cmocka_unit_test(saturated_values_are_exact),
        cmocka_unit_test(nan_passes_through),
        cmocka_unit_test(relu_at_its_kink),
        cmocka_unit_test(bits_depend_on_the_row_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
