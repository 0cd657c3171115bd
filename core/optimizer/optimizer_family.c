#include "core/optimizer/optimizer.h"

/* Metadata is the same in every variant; the family shows the records of the one that is always
 * built. */
#define BP_OPTIMIZER(name) extern const bp_optimizer bp_optimizer_##name##_64_baseline;
#include "core/optimizer/optimizer.def"
#undef BP_OPTIMIZER

static const bp_member *const members[] = {
#define BP_OPTIMIZER(name) &bp_optimizer_##name##_64_baseline.member,
#include "core/optimizer/optimizer.def"
#undef BP_OPTIMIZER
};

const bp_family bp_optimizer_family = {.name = "optimizer",
                                       .title = "Optimisers",
                                       .member_count = BP_OPTIMIZER_COUNT,
                                       .members = members};
