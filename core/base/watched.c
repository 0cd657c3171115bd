#include "core/base/watched.h"

#include <stddef.h>

const char *const bp_watched_names[] = {
#define BP_WATCHED_NAME(name, text, rises) text,
    BP_WATCHED_LIST(BP_WATCHED_NAME)
#undef BP_WATCHED_NAME
        NULL};

static const bool larger_is_better[] = {
#define BP_WATCHED_RISES(name, text, rises) rises,
    BP_WATCHED_LIST(BP_WATCHED_RISES)
#undef BP_WATCHED_RISES
};

bool bp_watched_better(bp_watched watched, double metric, double best, double min_delta)
{
    return (larger_is_better[watched] ? metric - best : best - metric) > min_delta;
}
