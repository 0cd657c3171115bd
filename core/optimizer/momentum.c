#include "core/kernel/simd.h"
#include "core/optimizer/optimizer.h"

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

static void prepare(double *scalar, const double *value, double learning_rate, uint64_t t)
{
    (void)t;
    scalar[ALPHA] = learning_rate;
    scalar[MU] = value[MOMENTUM];
    scalar[LOOK_AHEAD] = value[NESTEROV];
}

/* v ← μ v − α g; returns the step: v, or μ v − α g once more with the new v. */
BP_INLINE bp_vector advance(bp_vector *v, bp_vector g, const double *scalar)
{
    bp_vector mu = bp_vector_set((bp_real)scalar[MU]);
    bp_vector push = g * -(bp_real)scalar[ALPHA];
    *v = bp_vector_fma(mu, *v, push);
    return scalar[LOOK_AHEAD] != 0 ? bp_vector_fma(mu, *v, push) : *v;
}

static void update(void *theta, const void *gradient, void *const *slot, size_t count,
                   const double *scalar)
{
    bp_real *weight = theta, *velocity = slot[0];
    const bp_real *slope = gradient;
    size_t i = 0;
    for (; count - i >= BP_VECTOR_COUNT; i += BP_VECTOR_COUNT) {
        bp_vector v = bp_vector_load(velocity + i);
        bp_vector step = advance(&v, bp_vector_load(slope + i), scalar);
        bp_vector_store(velocity + i, v);
        bp_vector_store(weight + i, bp_vector_load(weight + i) + step);
    }
    if (i < count) {
        size_t rest = count - i;
        bp_vector v = bp_vector_load_partial(velocity + i, rest, 0);
        bp_vector step = advance(&v, bp_vector_load_partial(slope + i, rest, 0), scalar);
        bp_vector_store_partial(velocity + i, v, rest);
        bp_vector_store_partial(weight + i, bp_vector_load_partial(weight + i, rest, 0) + step,
                                rest);
    }
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
