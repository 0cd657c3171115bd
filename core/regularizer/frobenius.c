#include <math.h>

#include "core/kernel/array_kernels.h"
#include "core/regularizer/regularizer.h"

enum { LAMBDA, PARAMETER_COUNT };

static const bp_hyperparameter parameters[PARAMETER_COUNT] = {
    [LAMBDA] = {.name = "lambda",
                .meaning = "weight of the penalty: λ",
                .kind = BP_REAL_PARAMETER,
                .required = true,
                .minimum = 0,
                .maximum = __builtin_inf()},
};

static double penalty(const double *value, double sum)
{
    return value[LAMBDA] * sqrt(sum);
}

static double slope(const double *value, double sum)
{
    return sum > 0 ? value[LAMBDA] / sqrt(sum) : 0;
}

static void add_gradient(void *gradient, const void *w, size_t count, double factor)
{
    BP_VARIANT(bp_axpy)(gradient, factor, w, count);
}

static unsigned char piece(double w, double sum)
{
    (void)w;
    return sum > 0;
}

extern const bp_regularizer BP_VARIANT(bp_regularizer_frobenius);
const bp_regularizer BP_VARIANT(bp_regularizer_frobenius) = {
    .member = {.name = "frobenius",
               .summary = "The length of each weight matrix, not squared: pulls all matrices alike",
               .formula = "J + λ Σ ‖W‖_F; ∇W + λ W / ‖W‖_F, 0 where ‖W‖_F = 0; weights only, never "
                          "biases",
               .reference = "Yuan & Lin 2006, Model Selection and Estimation in Regression with "
                            "Grouped Variables, with a matrix as the group",
               .pytorch = "none: add lambda * sum(w.norm() for the weights w) to the loss; the "
                          "gradient of norm at 0 is 0 there too",
               .index = BP_REGULARIZER_frobenius,
               .parameter_count = PARAMETER_COUNT,
               .parameters = parameters},
    .sum = BP_VARIANT(bp_sum_squares),
    .penalty = penalty,
    .slope = slope,
    .slope_needs_sum = true,
    .add_gradient = add_gradient,
    .piece = piece,
};
