#include "core/schedule/schedule.h"

static double rate(const double *value, double base_rate, uint64_t t)
{
    (void)value, (void)t;
    return base_rate;
}

extern const bp_schedule bp_schedule_constant;
const bp_schedule bp_schedule_constant = {
    .member = {.name = "constant",
               .summary = "The same learning rate throughout",
               .formula = "α(t) = α",
               .reference = "Goodfellow, Bengio & Courville 2016, Deep Learning, section 8.3.1",
               .pytorch = "none needed: an optimizer without a scheduler keeps its lr",
               .index = BP_SCHEDULE_constant},
    .rate = rate,
};
