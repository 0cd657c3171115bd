#include "core/schedule/schedule.h"

enum { TAU = BP_SCHEDULE_OWN, PARAMETER_COUNT };

static const bp_hyperparameter parameters[PARAMETER_COUNT] = {
#include "core/schedule/common_hyperparameters.def"
    [TAU] = {.name = "tau",
             .meaning = "steps, or epochs, for which the rate stays: τ",
             .kind = BP_REAL_PARAMETER,
             .required = true,
             .exclusive_minimum = true,
             .default_value = 1,
             .minimum = 0,
             .maximum = __builtin_inf()},
};

static double rate(const double *value, const bp_schedule_time *time)
{
    const double t = (double)time->t, tau = value[TAU];
    return t > tau ? time->base_rate * (tau / t) : time->base_rate;
}

extern const bp_schedule bp_schedule_inverse_time;
const bp_schedule bp_schedule_inverse_time = {
    .member = {.name = "inverse_time",
               .summary = "The rate stays until τ, then falls with one over time",
               .formula = "α(t) = α₀ τ / max(t, τ)",
               .reference = "Bengio 2012, Practical Recommendations for Gradient-Based Training of "
                            "Deep Architectures, section 3.1.1",
               .pytorch = "torch.optim.lr_scheduler.LambdaLR(lr_lambda=lambda t: τ / max(t, τ)), "
                          "stepped after each step, or epoch",
               .index = BP_SCHEDULE_inverse_time,
               .parameter_count = PARAMETER_COUNT,
               .parameters = parameters},
    .rate = rate,
};
