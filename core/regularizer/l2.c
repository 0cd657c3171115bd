#include "core/kernel/array_kernels.h"
#include "core/regularizer/regularizer.h"

enum { LAMBDA, PARAMETER_COUNT };

static const bp_hyperparameter parameters[PARAMETER_COUNT] = {
    [LAMBDA] = {.name = "lambda",
                .meaning = "weight of the penalty: λ; tools that print ½λ‖W‖² mean twice this λ",
                .kind = BP_REAL_PARAMETER,
                .required = true,
                .minimum = 0,
                .maximum = __builtin_inf()},
};

static double penalty(const double *value, double sum)
{
    return value[LAMBDA] * sum;
}

static double slope(const double *value, double sum)
{
    (void)sum;
    return 2 * value[LAMBDA];
}

static void add_gradient(void *gradient, const void *w, size_t count, double factor)
{
    BP_VARIANT(bp_axpy)(gradient, factor, w, count);
}

extern const bp_regularizer BP_VARIANT(bp_regularizer_l2);
const bp_regularizer BP_VARIANT(bp_regularizer_l2) = {
    .member = {.name = "l2",
               .summary = "The squares of all weights: pulls each in proportion to its size",
               .formula = "J + λ Σ ‖W‖²_F; ∇W + 2 λ W; weights only, never biases",
               .reference = "Goodfellow, Bengio & Courville 2016, Deep Learning, section 7.1.1",
               .pytorch = "weight_decay = 2 λ of torch.optim.SGD, Adagrad, RMSprop or Adam, on a "
                          "parameter group without biases",
               .index = BP_REGULARIZER_l2,
               .parameter_count = PARAMETER_COUNT,
               .parameters = parameters},
    .sum = BP_VARIANT(bp_sum_squares),
    .penalty = penalty,
    .slope = slope,
    .add_gradient = add_gradient,
};
