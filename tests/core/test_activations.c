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

static double plain_hard_tanh(double z)
{
    return z < -1 ? -1 : z > 1 ? 1 : z;
}

static double plain_softsign(double z)
{
    return z / (1 + fabs(z));
}

static double plain_leaky_relu(double z)
{
    return z > 0 ? z : 0.01 * z;
}

/* Textbook formulas of the elementwise members with their defaults; NULL for softmax. */
static scalar_function *const plain[BP_ACTIVATION_COUNT] = {
    [BP_ACTIVATION_identity] = plain_identity,
    [BP_ACTIVATION_sigmoid] = plain_sigmoid,
    [BP_ACTIVATION_tanh] = tanh,
    [BP_ACTIVATION_hard_tanh] = plain_hard_tanh,
    [BP_ACTIVATION_softsign] = plain_softsign,
    [BP_ACTIVATION_relu] = plain_relu,
    [BP_ACTIVATION_leaky_relu] = plain_leaky_relu,
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
            assert_int_equal(!plain[index], index == BP_ACTIVATION_softmax);
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

/* Whether z − reach and z + reach lie on different pieces of the function. */
static bool near_kink(const bp_activation *activation, double z, double reach)
{
    const double ends[2] = {z - reach, z + reach};
    unsigned char piece[2];
    if (!activation->piece)
        return false;
    bp_choice choice = bp_choice_default(&activation->member);
    activation->piece(ends, piece, 2, choice.value);
    return piece[0] != piece[1];
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
        size_t judged = 0;
        support_fill(kernels, z, WIDTH, 21 + index, -3, 3);
        support_fill(kernels, weight, WIDTH, 77, -2, 2);
        forward(activation, z, a, 1, WIDTH);
        memcpy(delta, weight, sizeof delta);
        backward(activation, z, a, delta, 1, WIDTH);
        for (size_t j = 0; j < WIDTH; j++) {
            if (near_kink(activation, z[j], 3 * h))
                continue;
            judged++;
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
        assert_true(judged >= WIDTH - 1);
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
        forward(kernels->activations[BP_ACTIVATION_hard_tanh], z, a, 1, 4);
        assert_true(support_get(kernels, a, 0) == -1);
        assert_true(support_get(kernels, a, 1) == 1);
        forward(kernels->activations[BP_ACTIVATION_leaky_relu], z, a, 1, 4);
        assert_true(fabs(support_get(kernels, a, 0) / -100 - 1) < 1e-7);
        assert_true(support_get(kernels, a, 1) == 10000);
    }
}

/* Where softsign is nearly flat, the derivative keeps its digits. */
static void softsign_has_long_tails(void **state)
{
    (void)state;
    for (int dtype = 0; dtype < BP_DTYPE_COUNT; dtype++) {
        const bp_kernels *kernels = bp_kernels_get((bp_dtype)dtype, bp_isa_detect());
        const bp_activation *softsign = kernels->activations[BP_ACTIVATION_softsign];
        for (double z = 1; z <= 1e12; z *= 10) {
            double input[1], a[1], delta[1];
            support_put(kernels, input, 0, -z);
            support_put(kernels, delta, 0, 1);
            forward(softsign, input, a, 1, 1);
            backward(softsign, input, a, delta, 1, 1);
            double expected = 1 / ((1 + z) * (1 + z));
            assert_true(fabs(support_get(kernels, delta, 0) / expected - 1) < 5e-7);
        }
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

                    support_fill(tables[t], z, WIDTH, 3, 0.25, 0.75); /* no unit is off */
                    support_put(tables[t], delta, bad, (double)NAN);
                    forward(tables[t]->activations[index], z, a, 1, WIDTH);
                    backward(tables[t]->activations[index], z, a, delta, 1, WIDTH);
                    assert_true(isnan(support_get(tables[t], delta, bad)));
                }
    }
}

/* Points at and beside kinks: derivative, and piece. */
typedef struct kink {
    size_t activation;
    double z, slope;
    unsigned char piece;
} kink;

static void kinks_have_the_stated_derivative(void **state)
{
    (void)state;
    const double after_one = 1 + 0x1p-20;
    const kink kinks[] = {{BP_ACTIVATION_relu, 0, 0, 0},
                          {BP_ACTIVATION_relu, -0.0, 0, 0},
                          {BP_ACTIVATION_relu, 1e-30, 1, 1},
                          {BP_ACTIVATION_relu, -1e-30, 0, 0},
                          {BP_ACTIVATION_leaky_relu, 0, 0.01, 0},
                          {BP_ACTIVATION_leaky_relu, -0.0, 0.01, 0},
                          {BP_ACTIVATION_leaky_relu, 1e-30, 1, 1},
                          {BP_ACTIVATION_leaky_relu, -1e-30, 0.01, 0},
                          {BP_ACTIVATION_leaky_relu, -1e-45, 0.01, 0}, /* k·z is 0 in float32 */
                          {BP_ACTIVATION_hard_tanh, 1, 1, 1},
                          {BP_ACTIVATION_hard_tanh, -1, 1, 1},
                          {BP_ACTIVATION_hard_tanh, 0, 1, 1},
                          {BP_ACTIVATION_hard_tanh, after_one, 0, 2},
                          {BP_ACTIVATION_hard_tanh, -after_one, 0, 0}};
    for (int dtype = 0; dtype < BP_DTYPE_COUNT; dtype++) {
        const bp_kernels *tables[BP_ISA_COUNT];
        size_t table_count = support_tables(tables, (bp_dtype)dtype);
        for (size_t t = 0; t < table_count; t++)
            for (size_t i = 0; i < sizeof kinks / sizeof *kinks; i++) {
                const bp_activation *activation = tables[t]->activations[kinks[i].activation];
                double z[1], a[1], delta[1], slope[1];
                unsigned char piece;
                support_put(tables[t], z, 0, kinks[i].z);
                support_put(tables[t], delta, 0, 1);
                support_put(tables[t], slope, 0, kinks[i].slope);
                forward(activation, z, a, 1, 1);
                backward(activation, z, a, delta, 1, 1);
                bp_choice choice = bp_choice_default(&activation->member);
                activation->piece(z, &piece, 1, choice.value);
                assert_true(support_get(tables[t], delta, 0) == support_get(tables[t], slope, 0));
                assert_int_equal(piece, kinks[i].piece);
            }
    }
}

static void relu_gives_no_negative_zero(void **state)
{
    (void)state;
    const bp_kernels *kernels = bp_kernels_get(BP_FLOAT64, bp_isa_detect());
    double z[2] = {-0.0, -1}, a[2];
    forward(kernels->activations[BP_ACTIVATION_relu], z, a, 1, 2);
    assert_false(signbit(a[0]) || signbit(a[1]));
}

static void leaky_relu_has_a_slope(void **state)
{
    (void)state;
    const bp_kernels *kernels = bp_kernels_get(BP_FLOAT64, bp_isa_detect());
    const bp_activation *leaky = kernels->activations[BP_ACTIVATION_leaky_relu];
    assert_string_equal(leaky->member.parameters[0].name, "slope");
    const double slope = 0.25, z[2] = {-8, 8};
    double a[2], delta[2] = {3, 3};
    leaky->forward(z, a, 1, 2, &slope);
    leaky->backward(a, delta, 1, 2, &slope);
    assert_true(a[0] == -2 && a[1] == 8);
    assert_true(delta[0] == 0.75 && delta[1] == 3);
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
        cmocka_unit_test(softsign_has_long_tails),
        cmocka_unit_test(kinks_have_the_stated_derivative),
        cmocka_unit_test(relu_gives_no_negative_zero),
        cmocka_unit_test(leaky_relu_has_a_slope),
        cmocka_unit_test(bits_depend_on_the_row_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
