#include "core/optimizer/update_loop.h"

enum { LEARNING_RATE, DECAY, EPSILON, PARAMETER_COUNT };

static const bp_hyperparameter parameters[PARAMETER_COUNT] = {
    [LEARNING_RATE] = {.name = "learning_rate",
                       .meaning = "length of a step along a gradient of usual size: α",
                       .kind = BP_REAL_PARAMETER,
                       .exclusive_minimum = true,
                       .default_value = 0.001,
                       .minimum = 0,
                       .maximum = __builtin_inf()},
    [DECAY] = {.name = "decay",
               .meaning = "share of the running mean of squares that survives a step: ρ",
               .kind = BP_REAL_PARAMETER,
               .exclusive_maximum = true,
               .default_value = 0.9,
               .minimum = 0,
               .maximum = 1},
    [EPSILON] = {.name = "epsilon",
                 .meaning = "added to the root, so that no division is by 0: ε",
                 .kind = BP_REAL_PARAMETER,
                 .default_value = 1e-8,
                 .minimum = BP_EPSILON_MINIMUM,
                 .maximum = __builtin_inf()},
};

enum { ALPHA, RHO, REST, FLOOR };

static void prepare(double *scalar, const double *value, const bp_update_context *context)
{
    scalar[ALPHA] = context->learning_rate;
    scalar[RHO] = value[DECAY];
    scalar[REST] = 1 - value[DECAY];
    scalar[FLOOR] = value[EPSILON];
}

static bp_vector rule(bp_vector theta, bp_vector g, bp_vector *slot, const double *scalar)
{
    slot[0] =
        bp_vector_fma(bp_vector_set((bp_real)scalar[RHO]), slot[0], g * g * (bp_real)scalar[REST]);
    return theta - g * (bp_real)scalar[ALPHA] / (bp_vector_sqrt(slot[0]) + (bp_real)scalar[FLOOR]);
}

static void update(double *measured, void *theta, const void *gradient, void *const *slot,
                   size_t count, const double *scalar)
{
    bp_update_loop(measured, theta, gradient, slot, 1, count, scalar, rule);
}

extern const bp_optimizer BP_VARIANT(bp_optimizer_rmsprop);
const bp_optimizer BP_VARIANT(bp_optimizer_rmsprop) = {
    .member = {.name = "rmsprop",
               .summary = "Steps in units of each parameter's usual gradient of late",
               .formula = "G ← ρ G + (1 - ρ) g²; θ ← θ - α g / (√G + ε)",
               .reference = "Tieleman & Hinton 2012, Neural Networks for Machine Learning, lecture "
                            "6.5",
               .pytorch = "torch.optim.RMSprop(lr=α, alpha=ρ, eps=ε), whose alpha is 0.99 by "
                          "default",
               .index = BP_OPTIMIZER_rmsprop,
               .parameter_count = PARAMETER_COUNT,
               .parameters = parameters},
    .slot_count = 1,
    .slot_names = {"mean_square"},
    .prepare = prepare,
    .update = update,
};
