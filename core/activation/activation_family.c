#include "core/activation/activation.h"

/* Metadata is the same in every variant; the family shows the records of the one that is always
 * built. */
#define BP_ACTIVATION(name) extern const bp_activation bp_activation_##name##_64_baseline;
#include "core/activation/activation.def"
#undef BP_ACTIVATION

static const bp_member *const members[] = {
#define BP_ACTIVATION(name) &bp_activation_##name##_64_baseline.member,
#include "core/activation/activation.def"
#undef BP_ACTIVATION
};

const bp_family bp_activation_family = {.name = "activation",
                                        .title = "Activations",
                                        .member_count = BP_ACTIVATION_COUNT,
                                        .members = members};
