#include "core/schedule/schedule.h"

static const bp_hyperparameter parameters[BP_SCHEDULE_OWN] = {
#include "core/schedule/common_hyperparameters.def"
};

static double rate(const double *value, const bp_schedule_time *time)
{
    (void)value;
    return time->base_rate;
}

extern const bp_schedule bp_schedule_constant;
const bp_schedule bp_schedule_constant = {
    .member = {.name = "constant",
               .summary = "The same learning rate throughout",
               .formula = "α(t) = α₀",
               .reference = "Goodfellow, Bengio & Courville 2016, Deep Learning, section 8.3.1",
               .pytorch = "none needed: an optimizer without a scheduler keeps its lr; with "
                          "warmup_steps w > 1, lr_scheduler.LinearLR(start_factor=1/w, "
                          "total_iters=w-1), stepped after each step",
               .index = BP_SCHEDULE_constant,
               .parameter_count = BP_SCHEDULE_OWN,
               .parameters = parameters},
    .rate = rate,
};
