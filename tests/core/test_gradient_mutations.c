/* Whether the gradient check would notice: every gradient of core is made wrong in turn, and the check
 * must fail. All gradients reach a network through its table of kernels, so a changed copy of the table
 * is put in its place (the linker wraps bp_kernels_get). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/check/gradient_check.h"
#include "tests/core/support_network.h"

enum { ROWS = 6 /* even: some losses compare pairs */, IN = 4, HIDDEN = 6, OUT = 3 };

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

static const double class_weight[OUT] = {1, 2.5, 0.5};
static bool weigh_classes;
static bp_choice regularizer; /* no member: none */

/* How many gradients the check finds wrong. */
static size_t failures(const char *hidden, const char *last, const char *loss)
{
    const bp_loss *record = bp_loss_of(bp_family_find(&bp_loss_family, loss));
    const size_t out = bp_loss_output_width(record, OUT);
    const bp_layer_spec layers[] = {support_dense(HIDDEN, hidden), support_dense(out, last)};
    bp_network_spec spec = support_network_spec(layers, 2, IN, ROWS, loss);
    spec.keep_z = true;
    spec.class_weight = weigh_classes ? class_weight : NULL;
    bp_network *network = support_network_create(&spec);
    support_parameters(network, 17, 0.8);
    double x[ROWS * IN], t[ROWS * OUT];
    int32_t label[ROWS];
    support_values(x, BP_FLOAT64, ROWS * IN, 1);
    support_values(t, BP_FLOAT64, ROWS * OUT, 2);
    support_labels(label, ROWS, bp_loss_shown_width(record, out), 3);
    const bp_targets targets = {.label = label, .value = t};
    const bp_check_spec check = {.difference = BP_DIFFERENCE_CENTRAL,
                                 .epsilon = 1e-5,
                                 .max_elements = SIZE_MAX,
                                 .regularizer_count = regularizer.member != NULL,
                                 .regularizers = {regularizer}};
    bp_check_report reports[4];
    assert_int_equal(bp_gradient_check(reports, network, x, ROWS, &targets, &check, NULL), BP_OK);
    size_t failed = 0;
    for (size_t index = 0; index < 4; index++)
        failed += reports[index].failed;
    bp_network_free(network);
    return failed;
}

static void test_nothing_wrong(void **state)
{
    (void)state;
    replacement = NULL;
    assert_int_equal(failures("tanh", "identity", "mean_squared_error"), 0);
    assert_int_equal(failures("tanh", "softmax", "mean_squared_error"), 0);
    assert_int_equal(failures("relu", "softmax", "softmax_cross_entropy"), 0);
    assert_int_equal(failures("leaky_relu", "sigmoid", "binary_cross_entropy"), 0);
    assert_int_equal(failures("hard_tanh", "identity", "hinge"), 0);
    assert_int_equal(failures("tanh", "identity", "max_margin"), 0);
}

/* ---- the dense layer ---- */

static bool is_weight_gradient(const bp_gemm_call *call)
{
    return call->a_row_stride == 1 && call->a_column_stride == call->m && call->m > 1;
}

static bool is_input_gradient(const bp_gemm_call *call)
{
    return !is_weight_gradient(call) && !call->activation && !call->bias;
}

static void gemm_with_last_row_forgotten(const bp_gemm_call *call)
{
    bp_gemm_call changed = *call;
    if (is_weight_gradient(call))
        changed.k--;
    true_table()->gemm(&changed);
}

static void gemm_with_weight_gradient_scaled(const bp_gemm_call *call)
{
    true_table()->gemm(call);
    if (is_weight_gradient(call))
        true_table()->scale(call->c, 1 + 1e-5, call->m * call->n);
}

static void gemm_with_last_unit_forgotten(const bp_gemm_call *call)
{
    bp_gemm_call changed = *call;
    if (is_input_gradient(call))
        changed.k--;
    true_table()->gemm(&changed);
}

static void gemm_with_input_gradient_scaled(const bp_gemm_call *call)
{
    true_table()->gemm(call);
    if (is_input_gradient(call))
        true_table()->scale(call->c, 1 + 1e-5, call->m * call->n);
}

static void sum_rows_with_last_row_forgotten(void *out, const void *x, size_t m, size_t n)
{
    true_table()->sum_rows(out, x, m - 1, n);
}

static void test_dense(void **state)
{
    (void)state;
    void (*const products[])(const bp_gemm_call *) = {
        gemm_with_last_row_forgotten, gemm_with_weight_gradient_scaled,
        gemm_with_last_unit_forgotten, gemm_with_input_gradient_scaled};
    bp_kernels mutant = *true_table();
    replacement = &mutant;
    for (size_t i = 0; i < sizeof products / sizeof products[0]; i++) {
        mutant.gemm = products[i];
        assert_true(failures("tanh", "identity", "mean_squared_error") > 0);
    }
    mutant.gemm = true_table()->gemm;
    mutant.sum_rows = sum_rows_with_last_row_forgotten;
    assert_true(failures("tanh", "identity", "mean_squared_error") > 0);
    replacement = NULL;
}

/* ---- activations ---- */

static const bp_activation *changed_activation; /* the true one */

static void derivative_forgotten(const void *kept, void *delta, size_t rows, size_t width,
                                 const double *value)
{
    (void)kept;
    (void)delta;
    (void)rows;
    (void)width;
    (void)value;
}

static void derivative_scaled(const void *kept, void *delta, size_t rows, size_t width,
                              const double *value)
{
    changed_activation->backward(kept, delta, rows, width, value);
    true_table()->scale(delta, 1 + 1e-5, rows * width);
}

static void test_activations(void **state)
{
    (void)state;
    bp_kernels mutant = *true_table();
    const bp_activation *activations[BP_ACTIVATION_COUNT];
    mutant.activations = activations;
    replacement = &mutant;
    for (size_t index = 0; index < BP_ACTIVATION_COUNT; index++) {
        memcpy(activations, true_table()->activations, sizeof activations);
        changed_activation = activations[index];
        bp_activation changed = *changed_activation;
        activations[index] = &changed;
        const char *name = changed.member.name;
        const char *hidden = changed.rowwise ? "identity" : name;
        const char *last = changed.rowwise ? name : "softmax";
        changed.backward = derivative_scaled;
        assert_true(failures(hidden, last, "mean_squared_error") > 0);
        changed.backward = derivative_forgotten;
        const bool is_identity = index == BP_ACTIVATION_identity; /* f' = 1 may be forgotten */
        assert_int_equal(failures(hidden, last, "mean_squared_error") > 0, !is_identity);
    }
    replacement = NULL;
}

/* ---- losses ---- */

static const bp_loss *changed_loss; /* the true one */
static double loss_factor;

static void loss_scaled(const bp_loss_call *call, size_t first, size_t count)
{
    changed_loss->rows(call, first, count);
    if (call->gradient)
        true_table()->scale((double *)call->gradient + first * call->width, loss_factor,
                            count * call->width);
}

static void test_losses(void **state)
{
    (void)state;
    const double factors[] = {1 + 1e-5, ROWS /* the mean forgotten */, -1};
    bp_kernels mutant = *true_table();
    const bp_loss *losses[BP_LOSS_COUNT];
    mutant.losses = losses;
    replacement = &mutant;
    for (size_t index = 0; index < BP_LOSS_COUNT; index++)
        for (size_t i = 0; i < sizeof factors / sizeof factors[0]; i++) {
            memcpy(losses, true_table()->losses, sizeof losses);
            changed_loss = losses[index];
            loss_factor = factors[i];
            bp_loss changed = *changed_loss;
            changed.rows = loss_scaled;
            losses[index] = &changed;
            assert_true(failures("tanh", "identity", changed.member.name) > 0);
        }
    replacement = NULL;
}

/* The weight of one class in the value only, as if the gradient had been forgotten; and the other way
 * about. */
static bool weight_in_gradient;

static void loss_weighed_by_half(const bp_loss_call *call, size_t first, size_t count)
{
    bp_loss_call changed = *call;
    changed.class_weight = NULL;
    if (weight_in_gradient)
        changed.row_loss = NULL;
    else
        changed.gradient = NULL;
    changed_loss->rows(&changed, first, count); /* one of the two without weights */
    changed = *call;
    if (weight_in_gradient)
        changed.gradient = NULL;
    else
        changed.row_loss = NULL;
    if (changed.row_loss || changed.gradient)
        changed_loss->rows(&changed, first, count);
}

static void test_class_weights(void **state)
{
    (void)state;
    bp_kernels mutant = *true_table();
    const bp_loss *losses[BP_LOSS_COUNT];
    mutant.losses = losses;
    weigh_classes = true;
    for (size_t index = 0; index < BP_LOSS_COUNT; index++) {
        memcpy(losses, true_table()->losses, sizeof losses);
        changed_loss = losses[index];
        if (changed_loss->target_kind != BP_TARGET_CLASS)
            continue;
        replacement = NULL;
        assert_int_equal(failures("tanh", "identity", changed_loss->member.name), 0);
        replacement = &mutant;
        bp_loss changed = *changed_loss;
        changed.rows = loss_weighed_by_half;
        losses[index] = &changed;
        for (int half = 0; half < 2; half++) {
            weight_in_gradient = half;
            assert_true(failures("tanh", "identity", changed.member.name) > 0);
        }
    }
    weigh_classes = false;
    replacement = NULL;
}

/* ---- kinks ---- */

static const bp_activation *true_kinked;

/* The derivative of the piece beside the right one, wherever z is: a kink in the wrong place. */
static void derivative_beyond_one(const void *kept, void *delta, size_t rows, size_t width,
                                  const double *value)
{
    (void)value;
    const double *z = kept;
    double *d = delta;
    for (size_t i = 0; i < rows * width; i++)
        if (z[i] < -0.5 || z[i] > 0.5)
            d[i] = 0;
}

static void derivative_without_slope(const void *kept, void *delta, size_t rows, size_t width,
                                     const double *value)
{
    (void)value;
    const double steep[1] = {0};
    true_kinked->backward(kept, delta, rows, width, steep);
}

static void test_kinks(void **state)
{
    (void)state;
    const struct {
        size_t index;
        void (*backward)(const void *, void *, size_t, size_t, const double *);
    } wrong[] = {{BP_ACTIVATION_hard_tanh, derivative_beyond_one},
                 {BP_ACTIVATION_leaky_relu, derivative_without_slope}};
    bp_kernels mutant = *true_table();
    const bp_activation *activations[BP_ACTIVATION_COUNT];
    mutant.activations = activations;
    replacement = &mutant;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        memcpy(activations, true_table()->activations, sizeof activations);
        true_kinked = activations[wrong[i].index];
        bp_activation changed = *true_kinked;
        changed.backward = wrong[i].backward;
        activations[wrong[i].index] = &changed;
        assert_true(failures(changed.member.name, "identity", "mean_squared_error") > 0);
    }
    replacement = NULL;
}

/* ---- regularisers ---- */

static const bp_regularizer *changed_regularizer; /* the true one */

static void penalty_gradient_forgotten(void *gradient, const void *w, size_t count, double slope)
{
    (void)gradient;
    (void)w;
    (void)count;
    (void)slope;
}

static void penalty_gradient_scaled(void *gradient, const void *w, size_t count, double slope)
{
    changed_regularizer->add_gradient(gradient, w, count, slope * (1 + 1e-5));
}

/* As the tools do that print ½λ. */
static void penalty_gradient_halved(void *gradient, const void *w, size_t count, double slope)
{
    changed_regularizer->add_gradient(gradient, w, count, slope / 2);
}

static void penalty_gradient_without_first(void *gradient, const void *w, size_t count,
                                           double slope)
{
    changed_regularizer->add_gradient((double *)gradient + 1, (const double *)w + 1, count - 1,
                                      slope);
}

static void test_regularizers(void **state)
{
    (void)state;
    void (*const wrong[])(void *, const void *, size_t,
                          double) = {penalty_gradient_forgotten, penalty_gradient_scaled,
                                     penalty_gradient_halved, penalty_gradient_without_first};
    bp_kernels mutant = *true_table();
    const bp_regularizer *regularizers[BP_REGULARIZER_COUNT];
    mutant.regularizers = regularizers;
    size_t penalties = 0;
    for (size_t index = 0; index < BP_REGULARIZER_COUNT; index++) {
        memcpy(regularizers, true_table()->regularizers, sizeof regularizers);
        changed_regularizer = regularizers[index];
        bp_regularizer changed = *changed_regularizer;
        regularizers[index] = &changed;
        regularizer = (bp_choice){.member = &changed.member, .value = {0.3}};
        replacement = &mutant;
        assert_int_equal(failures("tanh", "identity", "mean_squared_error"), 0);
        if (!changed.add_gradient) /* a projection has no part in J */
            continue;
        penalties++;
        for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
            changed.add_gradient = wrong[i];
            assert_true(failures("tanh", "identity", "mean_squared_error") > 0);
        }
    }
    assert_int_equal(penalties, 3);
    regularizer.member = NULL;
    replacement = NULL;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_wrong), cmocka_unit_test(test_dense),
        cmocka_unit_test(test_activations),   cmocka_unit_test(test_losses),
        cmocka_unit_test(test_class_weights), cmocka_unit_test(test_kinks),
        cmocka_unit_test(test_regularizers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
