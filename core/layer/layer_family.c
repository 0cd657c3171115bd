#include "core/layer/layer.h"

static const bp_member *const members[] = {
#define BP_LAYER(name) &bp_layer_##name.member,
#include "core/layer/layer.def"
#undef BP_LAYER
};

const bp_family bp_layer_family = {
    .name = "layer", .title = "Layers", .member_count = BP_LAYER_COUNT, .members = members};
