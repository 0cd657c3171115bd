#include "server/store/metric_rollup.h"

uint64_t bp_rollup_width(int level)
{
    return (uint64_t)1 << 3 * level;
}
_Static_assert(BP_ROLLUP_FACTOR == 1 << 3 && 3 * BP_ROLLUP_LEVELS < 63, "widths are shifts");

bp_status bp_metric_rollup_add(bp_metric_rollup *rollup, bp_metric_series *finished,
                               bp_metric_set **sets, const bp_metric_span *point, bp_error *error)
{
    bp_metric_span span = *point;
    for (int level = 1; level <= BP_ROLLUP_LEVELS; level++) {
        bp_metric_series *begun = &rollup->begun[level - 1];
        bp_status status = begun->count == 0 ? bp_metric_series_add(begun, &span, error)
                                             : bp_metric_series_merge(begun, sets, &span, error);
        if (status != BP_OK || span.seq % bp_rollup_width(level) != 0)
            return status;
        span = bp_metric_series_at(begun, 0);
        status = bp_metric_series_add(finished, &span, error);
        if (status != BP_OK)
            return status;
        /* Emptied, it keeps its memory, so the span stays readable while the next level takes it. */
        bp_metric_series_clear(begun);
    }
    return BP_OK;
}

void bp_metric_rollup_done(bp_metric_rollup *rollup)
{
    for (int level = 1; level <= BP_ROLLUP_LEVELS; level++)
        bp_metric_series_done(&rollup->begun[level - 1]);
}
