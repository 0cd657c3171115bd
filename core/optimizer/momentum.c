#include "core/optimizer/update_loop.h"

enum { LEARNING_RATE, MOMENTUM, NESTEROV, PARAMETER_COUNT };

static const bp_hyperparameter parameters[PARAMETER_COUNT] = {
    [LEARNING_RATE] = {.name = "learning_rate",
                       .meaning = "length of a step along the gradient: α",
                       .kind = BP_REAL_PARAMETER,
                       .exclusive_minimum = true,
                       .default_value = 0.01,
                       .minimum = 0,
                       .maximum = __builtin_inf()},
    [MOMENTUM] = {.name = "momentum",
                  .meaning = "share of the velocity that survives a step: μ",
                  .kind = BP_REAL_PARAMETER,
                  .exclusive_maximum = true,
                  .default_value = 0.9,
                  .minimum = 0,
                  .maximum = 1},
    [NESTEROV] = {.name = "nesterov",
                  .meaning = "step from where the velocity is about to lead, rather than from here",
                  .kind = BP_BOOLEAN_PARAMETER,
                  .default_value = 0,
                  .minimum = 0,
                  .maximum = 1},
};

enum { ALPHA, MU, LOOK_AHEAD };

static void prepare(double *scalar, const double *value, const bp_update_context *context)
{
    scalar[ALPHA] = context->learning_rate;
    scalar[MU] = value[MOMENTUM];
    scalar[LOOK_AHEAD] = value[NESTEROV];
}

/* v ← μ v − α g; the step is v, or μ v − α g once more with the new v. */
static bp_vector rule(bp_vector theta, bp_vector g, bp_vector *slot, const double *scalar)
{
    bp_vector mu = bp_vector_set((bp_real)scalar[MU]);
    bp_vector push = g * -(bp_real)scalar[ALPHA];
    slot[0] = bp_vector_fma(mu, slot[0], push);
    return theta + (scalar[LOOK_AHEAD] != 0 ? bp_vector_fma(mu, slot[0], push) : slot[0]);
}

static void update(double *measured, void *theta, const void *gradient, void *const *slot,
                   size_t count, const double *scalar)
{
    bp_update_loop(measured, theta, gradient, slot, 1, count, scalar, rule);
}

extern const bp_optimizer BP_VARIANT(bp_optimizer_momentum);
const bp_optimizer BP_VARIANT(bp_optimizer_momentum) = {
    .member =
        {.name = "momentum",
         .summary = "Gradient descent with a velocity that gathers speed in steady directions",
         .formula = "v ← μ v - α g; θ ← θ + v; with nesterov θ ← θ + μ v - α g",
         .reference = "Polyak 1964; Sutskever, Martens, Dahl & Hinton 2013, On the importance "
                      "of initialization and momentum in deep learning; the Nesterov form as "
                      "in Bengio, Boulanger-Lewandowski & Pascanu 2013, section 3.5",
         .pytorch = "torch.optim.SGD(lr=α, momentum=μ, dampening=0, nesterov=nesterov): its "
                    "velocity is this one divided by -α, so both agree while the learning "
                    "rate is constant; when it changes, PyTorch rescales the whole velocity "
                    "at once and this rule does not",
         .index = BP_OPTIMIZER_momentum,
         .parameter_count = PARAMETER_COUNT,
         .parameters = parameters},
    .slot_count = 1,
    .slot_names = {"velocity"},
    .prepare = prepare,
    .update = update,
};
