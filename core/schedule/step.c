#include "core/math/scalar_math.h"
#include "core/schedule/schedule.h"

enum { FACTOR = BP_SCHEDULE_OWN, EVERY, PARAMETER_COUNT };

static const bp_hyperparameter parameters[PARAMETER_COUNT] = {
#include "core/schedule/common_hyperparameters.def"
    [FACTOR] = {.name = "factor",
                .meaning = "what the rate is multiplied by: c",
                .kind = BP_REAL_PARAMETER,
                .exclusive_minimum = true,
                .default_value = 0.1,
                .minimum = 0,
                .maximum = 1},
    [EVERY] = {.name = "every",
               .meaning = "after how many steps, or epochs, each time: n",
               .kind = BP_INTEGER_PARAMETER,
               .required = true,
               .default_value = 1,
               .minimum = 1,
               .maximum = 9007199254740991.0},
};

static double rate(const double *value, const bp_schedule_time *time)
{
    return time->base_rate * bp_scalar_power(value[FACTOR], time->t / (uint64_t)value[EVERY]);
}

extern const bp_schedule bp_schedule_step;
const bp_schedule bp_schedule_step = {
    .member = {.name = "step",
               .summary = "Annealing: the rate falls by a factor after every n steps or epochs",
               .formula = "α(t) = α₀ c^⌊t / n⌋",
               .reference = "Bengio 2012, Practical Recommendations for Gradient-Based Training of "
                            "Deep Architectures, section 3.1.1",
               .pytorch = "torch.optim.lr_scheduler.StepLR(step_size=n, gamma=c), stepped after "
                          "each step, or epoch",
               .index = BP_SCHEDULE_step,
               .parameter_count = PARAMETER_COUNT,
               .parameters = parameters},
    .rate = rate,
};
