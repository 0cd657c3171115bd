/* Learning-rate schedules: α of a step from the optimiser's learning rate. Plain doubles, computed
 * once per step. */
#ifndef BP_CORE_SCHEDULE_SCHEDULE_H
#define BP_CORE_SCHEDULE_SCHEDULE_H

#include <stdint.h>

#include "core/base/family.h"

typedef struct bp_schedule {
    bp_member member;
    /* The learning rate after t finished steps; base_rate is the optimiser's. A pure function, so a
     * resumed run needs t alone. value: hyperparameters in member order. */
    double (*rate)(const double *value, double base_rate, uint64_t t);
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

#endif
