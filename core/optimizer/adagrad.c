#include "core/optimizer/update_loop.h"

enum { LEARNING_RATE, EPSILON, PARAMETER_COUNT };

static const bp_hyperparameter parameters[PARAMETER_COUNT] = {
    [LEARNING_RATE] = {.name = "learning_rate",
                       .meaning = "length of a step where the gradients so far have length 1: α",
                       .kind = BP_REAL_PARAMETER,
                       .exclusive_minimum = true,
                       .default_value = 0.01,
                       .minimum = 0,
                       .maximum = __builtin_inf()},
    [EPSILON] = {.name = "epsilon",
                 .meaning = "added under the root, so that no division is by 0: ε",
                 .kind = BP_REAL_PARAMETER,
                 .default_value = 1e-8,
                 .minimum = BP_EPSILON_MINIMUM,
                 .maximum = __builtin_inf()},
};

enum { ALPHA, FLOOR };

static void prepare(double *scalar, const double *value, const bp_update_context *context)
{
    scalar[ALPHA] = context->learning_rate;
    scalar[FLOOR] = value[EPSILON];
}

static bp_vector rule(bp_vector theta, bp_vector g, bp_vector *slot, const double *scalar)
{
    slot[0] = bp_vector_fma(g, g, slot[0]);
    return theta - g * (bp_real)scalar[ALPHA] / bp_vector_sqrt(slot[0] + (bp_real)scalar[FLOOR]);
}

static void update(double *measured, void *theta, const void *gradient, void *const *slot,
                   size_t count, const double *scalar)
{
    bp_update_loop(measured, theta, gradient, slot, 1, count, scalar, rule);
}

extern const bp_optimizer BP_VARIANT(bp_optimizer_adagrad);
const bp_optimizer BP_VARIANT(bp_optimizer_adagrad) = {
    .member = {.name = "adagrad",
               .summary = "Each parameter's rate falls with the gradients that it has seen",
               .formula = "G ← G + g²; θ ← θ - α g / √(G + ε)",
               .reference = "Duchi, Hazan & Singer 2011, Adaptive Subgradient Methods for Online "
                            "Learning and Stochastic Optimization",
               .pytorch = "torch.optim.Adagrad(lr=α, lr_decay=0, eps=0, initial_accumulator_value="
                          "ε): its own eps is added to √G instead, so no value of eps alone makes "
                          "both agree; a slot here is its accumulator less ε",
               .index = BP_OPTIMIZER_adagrad,
               .parameter_count = PARAMETER_COUNT,
               .parameters = parameters},
    .slot_count = 1,
    .slot_names = {"squares"},
    .rests_at_zero = true,
    .prepare = prepare,
    .update = update,
};
