#include "core/regularizer/regularizer.h"

/* Metadata is the same in every variant; the family shows the records of the one that is always
 * built. */
#define BP_REGULARIZER(name) extern const bp_regularizer bp_regularizer_##name##_64_baseline;
#include "core/regularizer/regularizer.def"
#undef BP_REGULARIZER

static const bp_member *const members[] = {
#define BP_REGULARIZER(name) &bp_regularizer_##name##_64_baseline.member,
#include "core/regularizer/regularizer.def"
#undef BP_REGULARIZER
};

const bp_family bp_regularizer_family = {.name = "regularizer",
                                         .title = "Regularisers",
                                         .member_count = BP_REGULARIZER_COUNT,
                                         .members = members};
