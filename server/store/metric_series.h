/* Metric points summed up: spans of consecutive points with the minimum, the maximum and the last value
 * of each metric. A point is the span of itself.
 *
 * Merging spans in order gives the same bits whatever they were merged from: of equal values (0 and −0)
 * the first stays, NaN gives way to any number, and a name stands where it first appeared. */
#ifndef BP_SERVER_STORE_METRIC_SERIES_H
#define BP_SERVER_STORE_METRIC_SERIES_H

#include "server/store/metric_page.h"

/* What is merged into a series, and a view of one of its spans. */
typedef struct bp_metric_span {
    uint64_t first_seq, seq; /* seq of the first and of the last point */
    uint64_t step, epoch;    /* of the last point */
    int64_t time_us;
    const bp_metric_set *set;               /* names of all metrics in it */
    const double *minima, *maxima, *latest; /* (set->count) each; of one point they are one array */
} bp_metric_span;

typedef struct bp_metric_entry {
    uint64_t first_seq, seq, step, epoch;
    int64_t time_us;
    const bp_metric_set *set;
    size_t first_value; /* 3·set->count: minima, maxima, latest */
} bp_metric_entry;

/* Grows as spans come; zeroed, it is empty. */
typedef struct bp_metric_series {
    bp_metric_set *sets; /* owned; NULL where spans refer to somebody else's */
    size_t count, room;
    bp_metric_entry *entries;
    size_t value_count, value_room;
    double *values;
} bp_metric_series;

/* Adds a copy of a span behind the last one. BP_NO_MEMORY. */
BP_CHECK_RESULT bp_status bp_metric_series_add(bp_metric_series *series, const bp_metric_span *span,
                                               bp_error *error);

/* Extends the last span by the one that follows it. Where they have other names, a set of all of them is
 * found in or put into *sets, the list that the spans' sets are of. BP_NO_MEMORY. */
BP_CHECK_RESULT bp_status bp_metric_series_merge(bp_metric_series *series, bp_metric_set **sets,
                                                 const bp_metric_span *span, bp_error *error);

/* A view, valid until the series changes. */
bp_metric_span bp_metric_series_at(const bp_metric_series *series, size_t index);
bp_metric_span bp_metric_span_of(const bp_metric_page *page, const bp_metric_point *point);

void bp_metric_series_clear(bp_metric_series *series); /* keeps its memory, and the sets */
void bp_metric_series_done(bp_metric_series *series);  /* releases all */

#endif
