#include "core/math/scalar_math.h"
#include "core/schedule/schedule.h"

enum { K = BP_SCHEDULE_OWN, PARAMETER_COUNT };

static const bp_hyperparameter parameters[PARAMETER_COUNT] = {
#include "core/schedule/common_hyperparameters.def"
    [K] = {.name = "k",
           .meaning = "how fast the rate falls, by step or epoch: k",
           .kind = BP_REAL_PARAMETER,
           .default_value = 0.0001,
           .minimum = 0,
           .maximum = __builtin_inf()},
};

static double rate(const double *value, const bp_schedule_time *time)
{
    return time->base_rate * bp_scalar_exp(-value[K] * (double)time->t);
}

extern const bp_schedule bp_schedule_exponential;
const bp_schedule bp_schedule_exponential = {
    .member = {.name = "exponential",
               .summary = "Exponential decay",
               .formula = "α(t) = α₀ e^(-k t)",
               .reference = "Senior, Heigold, Ranzato & Yang 2013, An empirical study of learning "
                            "rates in deep neural networks for speech recognition",
               .pytorch = "torch.optim.lr_scheduler.ExponentialLR(gamma=exp(-k)), stepped after "
                          "each step, or epoch",
               .index = BP_SCHEDULE_exponential,
               .parameter_count = PARAMETER_COUNT,
               .parameters = parameters},
    .rate = rate,
};
