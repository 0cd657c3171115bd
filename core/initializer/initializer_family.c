#include "core/initializer/initializer.h"

#define BP_INITIALIZER(name) extern const bp_initializer bp_initializer_##name;
#include "core/initializer/initializer.def"
#undef BP_INITIALIZER

static const bp_member *const members[] = {
#define BP_INITIALIZER(name) &bp_initializer_##name.member,
#include "core/initializer/initializer.def"
#undef BP_INITIALIZER
};

const bp_family bp_initializer_family = {.name = "initializer",
                                         .title = "Initialisers",
                                         .member_count = BP_INITIALIZER_COUNT,
                                         .members = members};
