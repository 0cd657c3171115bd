#include "core/schedule/schedule.h"

#define BP_SCHEDULE(name) extern const bp_schedule bp_schedule_##name;
#include "core/schedule/schedule.def"
#undef BP_SCHEDULE

static const bp_member *const members[] = {
#define BP_SCHEDULE(name) &bp_schedule_##name.member,
#include "core/schedule/schedule.def"
#undef BP_SCHEDULE
};

const bp_family bp_schedule_family = {.name = "schedule",
                                      .title = "Schedules",
                                      .member_count = BP_SCHEDULE_COUNT,
                                      .members = members};

const char *const bp_per_names[] = {
    [BP_PER_STEP] = "step", [BP_PER_EPOCH] = "epoch", [BP_PER_COUNT] = NULL};

double bp_schedule_rate(const bp_choice *schedule, const bp_schedule_context *context)
{
    const uint64_t unit =
        schedule->value[BP_SCHEDULE_PER] == BP_PER_EPOCH ? context->steps_per_epoch : 1;
    const bp_schedule_time time = {.base_rate = context->base_rate,
                                   .t = context->step / unit,
                                   .total = context->step_limit / unit,
                                   .reductions = context->reductions};
    const double rate = bp_schedule_of(schedule->member)->rate(schedule->value, &time);
    const double warmup_steps = schedule->value[BP_SCHEDULE_WARMUP_STEPS];
    const double step = (double)context->step + 1;
    return step < warmup_steps ? rate * step / warmup_steps : rate;
}
