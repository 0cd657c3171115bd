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
