#include "core/math/scalar_math.h"
#include "core/optimizer/update_loop.h"

#include <math.h>

enum {
    LEARNING_RATE,
    BETA1,
    BETA2,
    EPSILON,
    BIAS_CORRECTION,
    WEIGHT_DECAY,
    PARAMETER_COUNT,
};

static const bp_hyperparameter parameters[PARAMETER_COUNT] = {
    [LEARNING_RATE] = {.name = "learning_rate",
                       .meaning = "length of a step along a gradient that does not change: α",
                       .kind = BP_REAL_PARAMETER,
                       .exclusive_minimum = true,
                       .default_value = 0.001,
                       .minimum = 0,
                       .maximum = __builtin_inf()},
    [BETA1] = {.name = "beta1",
               .meaning = "share of the running mean of gradients that survives a step: β₁",
               .kind = BP_REAL_PARAMETER,
               .exclusive_maximum = true,
               .default_value = 0.9,
               .minimum = 0,
               .maximum = 1},
    [BETA2] = {.name = "beta2",
               .meaning = "share of the running mean of squares that survives a step: β₂",
               .kind = BP_REAL_PARAMETER,
               .exclusive_maximum = true,
               .default_value = 0.999,
               .minimum = 0,
               .maximum = 1},
    [EPSILON] = {.name = "epsilon",
                 .meaning = "added to the root, so that no division is by 0: ε",
                 .kind = BP_REAL_PARAMETER,
                 .default_value = 1e-8,
                 .minimum = BP_EPSILON_MINIMUM,
                 .maximum = __builtin_inf()},
    [BIAS_CORRECTION] = {.name = "bias_correction",
                         .meaning = "divide the means by what they lack of 1 for having begun at 0",
                         .kind = BP_BOOLEAN_PARAMETER,
                         .default_value = 1,
                         .minimum = 0,
                         .maximum = 1},
    [WEIGHT_DECAY] = {.name = "weight_decay",
                      .meaning = "decoupled decay of weights, not of biases, after the step: λ",
                      .kind = BP_REAL_PARAMETER,
                      .default_value = 0,
                      .minimum = 0,
                      .maximum = __builtin_inf()},
};

enum { ALPHA, ROOT_SCALE, FIRST, FIRST_REST, SECOND, SECOND_REST, FLOOR, DECAY };

static void prepare(double *scalar, const double *value, const bp_update_context *context)
{
    double lack1 = 1, lack2 = 1;
    if (value[BIAS_CORRECTION] != 0) {
        lack1 = 1 - bp_scalar_power(value[BETA1], context->t + 1);
        lack2 = 1 - bp_scalar_power(value[BETA2], context->t + 1);
    }
    /* α (m / lack1) / (√(v / lack2) + ε) with one division of each scalar only. */
    scalar[ALPHA] = context->learning_rate / lack1;
    scalar[ROOT_SCALE] = 1 / sqrt(lack2);
    scalar[FIRST] = value[BETA1];
    scalar[FIRST_REST] = 1 - value[BETA1];
    scalar[SECOND] = value[BETA2];
    scalar[SECOND_REST] = 1 - value[BETA2];
    scalar[FLOOR] = value[EPSILON];
    scalar[DECAY] = context->is_weight ? context->learning_rate * value[WEIGHT_DECAY] : 0;
}

static bp_vector rule(bp_vector theta, bp_vector g, bp_vector *slot, const double *scalar)
{
    slot[0] = bp_vector_fma(bp_vector_set((bp_real)scalar[FIRST]), slot[0],
                            g * (bp_real)scalar[FIRST_REST]);
    slot[1] = bp_vector_fma(bp_vector_set((bp_real)scalar[SECOND]), slot[1],
                            g * g * (bp_real)scalar[SECOND_REST]);
    bp_vector below =
        bp_vector_sqrt(slot[1]) * (bp_real)scalar[ROOT_SCALE] + (bp_real)scalar[FLOOR];
    bp_vector moved = theta - slot[0] * (bp_real)scalar[ALPHA] / below;
    return moved - moved * (bp_real)scalar[DECAY];
}

static void update(double *measured, void *theta, const void *gradient, void *const *slot,
                   size_t count, const double *scalar)
{
    bp_update_loop(measured, theta, gradient, slot, 2, count, scalar, rule);
}

extern const bp_optimizer BP_VARIANT(bp_optimizer_adam);
const bp_optimizer BP_VARIANT(bp_optimizer_adam) = {
    .member =
        {.name = "adam",
         .summary = "A mean gradient, in units of each parameter's usual gradient of late",
         .formula = "m ← β₁ m + (1 - β₁) g; v ← β₂ v + (1 - β₂) g²; θ ← θ - α m̂ / (√v̂ + ε), m̂ = "
                    "m / (1 - β₁ⁿ), v̂ = v / (1 - β₂ⁿ) at the n-th step, or m and v themselves "
                    "without bias_correction; then θ ← θ - α λ θ for weights, not for biases",
         .reference = "Kingma & Ba 2015, Adam: a Method for Stochastic Optimization, algorithm 1; "
                      "Loshchilov & Hutter 2019, Decoupled Weight Decay Regularization",
         .pytorch =
             "torch.optim.Adam(lr=α, betas=(β₁, β₂), eps=ε) with bias_correction and without "
             "weight_decay; none without bias_correction; torch.optim.AdamW(weight_decay=λ) "
             "decays before the step instead of after it, and whatever parameters it is "
             "given, so that its weights differ by α λ times the step",
         .index = BP_OPTIMIZER_adam,
         .parameter_count = PARAMETER_COUNT,
         .parameters = parameters},
    .slot_count = 2,
    .slot_names = {"mean", "mean_square"},
    .prepare = prepare,
    .update = update,
};
