#include "core/dropout/dropout.h"

static const bp_member *const members[] = {
#define BP_DROPOUT(name) &bp_dropout_##name.member,
#include "core/dropout/dropout.def"
#undef BP_DROPOUT
};

const bp_family bp_dropout_family = {
    .name = "dropout", .title = "Dropout", .member_count = BP_DROPOUT_COUNT, .members = members};
