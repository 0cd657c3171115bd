/* Roll-ups of a job's points as they come: level l has a span for each BP_ROLLUP_FACTOR^l points, written
 * once its last point is there. What is not yet whole is held here, one span a level. */
#ifndef BP_SERVER_STORE_METRIC_ROLLUP_H
#define BP_SERVER_STORE_METRIC_ROLLUP_H

#include "server/store/metric_series.h"

enum { BP_ROLLUP_FACTOR = 8, BP_ROLLUP_LEVELS = 20 }; /* 8^20 is more than any job has points */

/* begun[l − 1]: of level l, empty or one span, which consists of whole spans of level l − 1. Zeroed, it
 * is that of a job without points. */
typedef struct bp_metric_rollup {
    bp_metric_series begun[BP_ROLLUP_LEVELS];
} bp_metric_rollup;

/* 8^level points. */
uint64_t bp_rollup_width(int level);

/* Takes the next point. Spans that it completes are added to `finished`, level 1 first. sets: the list
 * that the points' sets are of; joined ones are put into it. BP_NO_MEMORY. */
BP_CHECK_RESULT bp_status bp_metric_rollup_add(bp_metric_rollup *rollup, bp_metric_series *finished,
                                               bp_metric_set **sets, const bp_metric_span *point,
                                               bp_error *error);

void bp_metric_rollup_done(bp_metric_rollup *rollup); /* releases all */

#endif
