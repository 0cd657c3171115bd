/* Learning-rate schedules: α of a step from the optimiser's learning rate. Plain doubles, computed
 * once per step. */
#ifndef BP_CORE_SCHEDULE_SCHEDULE_H
#define BP_CORE_SCHEDULE_SCHEDULE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/family.h"

/* Hyperparameters that all members have, at these places; their own begin at BP_SCHEDULE_OWN. */
enum {
    BP_SCHEDULE_PER,
    BP_SCHEDULE_WARMUP_STEPS,
    BP_SCHEDULE_FAN_IN_SCALED,
    BP_SCHEDULE_OWN,
};

enum { BP_PER_STEP, BP_PER_EPOCH, BP_PER_COUNT };
extern const char *const bp_per_names[]; /* "step", "epoch", NULL */

/* Where a run stands when a rate is asked for. */
typedef struct bp_schedule_context {
    double base_rate;         /* α₀: the optimiser's learning rate */
    uint64_t step;            /* finished steps: 0 at the first update */
    uint64_t steps_per_epoch; /* at least 1 */
    uint64_t step_limit;      /* steps of the whole run */
    uint64_t reductions;      /* how often a plateau has been met: bp_plateau_state */
} bp_schedule_context;

/* The same in what `per` counts. */
typedef struct bp_schedule_time {
    double base_rate;
    uint64_t t;     /* finished steps or epochs */
    uint64_t total; /* of the whole run */
    uint64_t reductions;
} bp_schedule_time;

typedef struct bp_schedule {
    bp_member member;
    /* The learning rate at a time, without warm-up. Pure. value: hyperparameters in member order. */
    double (*rate)(const double *value, const bp_schedule_time *time);
} bp_schedule;

enum bp_schedule_index {
#define BP_SCHEDULE(name) BP_SCHEDULE_##name,
#include "core/schedule/schedule.def"
#undef BP_SCHEDULE
    BP_SCHEDULE_COUNT
};

extern const bp_family bp_schedule_family;

/* The record of a member of bp_schedule_family. */
static inline const bp_schedule *bp_schedule_of(const bp_member *member)
{
    return (const bp_schedule *)member; /* member is its first field */
}

/* The learning rate of a step, warm-up included: a pure function, so a resumed run needs nothing but
 * its position and its reductions. Not yet divided by √fan-in. */
double bp_schedule_rate(const bp_choice *schedule, const bp_schedule_context *context);

/* Whether the rate of each weight matrix, not of biases, is to be divided by √fan-in. */
static inline bool bp_schedule_is_fan_in_scaled(const bp_choice *schedule)
{
    return schedule->value[BP_SCHEDULE_FAN_IN_SCALED] != 0;
}

#endif
