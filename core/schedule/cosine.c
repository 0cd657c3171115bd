#include "core/math/scalar_math.h"
#include "core/schedule/schedule.h"

enum { MINIMUM = BP_SCHEDULE_OWN, PARAMETER_COUNT };

static const bp_hyperparameter parameters[PARAMETER_COUNT] = {
#include "core/schedule/common_hyperparameters.def"
    [MINIMUM] = {.name = "minimum",
                 .meaning = "where the rate ends: α_min",
                 .kind = BP_REAL_PARAMETER,
                 .default_value = 0,
                 .minimum = 0,
                 .maximum = __builtin_inf()},
};

static double rate(const double *value, const bp_schedule_time *time)
{
    const double pi = 0x1.921fb54442d18p+1;
    const double share = time->total > 0 ? (double)time->t / (double)time->total : 0;
    const double wave = (1 + bp_scalar_cos(pi * share)) / 2;
    return value[MINIMUM] + (time->base_rate - value[MINIMUM]) * wave;
}

extern const bp_schedule bp_schedule_cosine;
const bp_schedule bp_schedule_cosine = {
    .member = {.name = "cosine",
               .summary = "Half a cosine from the learning rate to the minimum, over the whole run",
               .formula = "α(t) = α_min + (α₀ - α_min) (1 + cos(π t / T)) / 2, T the steps or "
                          "epochs of the run",
               .reference = "Loshchilov & Hutter 2017, SGDR: Stochastic Gradient Descent with Warm "
                            "Restarts, equation 5",
               .pytorch = "torch.optim.lr_scheduler.CosineAnnealingLR(T_max=T, eta_min=α_min), "
                          "stepped after each step, or epoch",
               .index = BP_SCHEDULE_cosine,
               .parameter_count = PARAMETER_COUNT,
               .parameters = parameters},
    .rate = rate,
};
