#include "core/optimizer/update_loop.h"

enum { LEARNING_RATE, PARAMETER_COUNT };

static const bp_hyperparameter parameters[PARAMETER_COUNT] = {
    [LEARNING_RATE] = {.name = "learning_rate",
                       .meaning = "length of a step along the gradient: α",
                       .kind = BP_REAL_PARAMETER,
                       .exclusive_minimum = true,
                       .default_value = 0.01,
                       .minimum = 0,
                       .maximum = __builtin_inf()},
};

static void prepare(double *scalar, const double *value, const bp_update_context *context)
{
    (void)value;
    scalar[0] = context->learning_rate;
}

static bp_vector rule(bp_vector theta, bp_vector g, bp_vector *slot, const double *scalar)
{
    (void)slot;
    return bp_vector_fma(bp_vector_set(-(bp_real)scalar[0]), g, theta);
}

static void update(double *measured, void *theta, const void *gradient, void *const *slot,
                   size_t count, const double *scalar)
{
    bp_update_loop(measured, theta, gradient, slot, 0, count, scalar, rule);
}

extern const bp_optimizer BP_VARIANT(bp_optimizer_sgd);
const bp_optimizer BP_VARIANT(bp_optimizer_sgd) = {
    .member = {.name = "sgd",
               .summary = "Stochastic gradient descent: a step against the gradient of a batch",
               .formula = "θ ← θ - α g",
               .reference = "Robbins & Monro 1951; Goodfellow, Bengio & Courville 2016, Deep "
                            "Learning, section 8.3.1",
               .pytorch = "torch.optim.SGD(lr=α)",
               .index = BP_OPTIMIZER_sgd,
               .parameter_count = PARAMETER_COUNT,
               .parameters = parameters},
    .rests_at_zero = true,
    .prepare = prepare,
    .update = update,
};
