#include "core/loss/loss.h"

/* Metadata is the same in every variant; the family shows the records of the one that is always
 * built. */
#define BP_LOSS(name) extern const bp_loss bp_loss_##name##_64_baseline;
#include "core/loss/loss.def"
#undef BP_LOSS

static const bp_member *const members[] = {
#define BP_LOSS(name) &bp_loss_##name##_64_baseline.member,
#include "core/loss/loss.def"
#undef BP_LOSS
};

const char *bp_shown_name(bp_shown shown)
{
    static const char *const names[] = {
#define BP_SHOWN_TEXT(name, text) text,
        BP_SHOWN_LIST(BP_SHOWN_TEXT)
#undef BP_SHOWN_TEXT
    };
    return names[shown];
}

const bp_family bp_loss_family = {
    .name = "loss", .title = "Losses", .member_count = BP_LOSS_COUNT, .members = members};
