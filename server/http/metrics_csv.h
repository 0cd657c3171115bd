/* Metric points as a table: seq, step, epoch, time, then one column for each value that any of the
 * points has, in the order of their first appearance; empty where a point lacks it. Points summed up have
 * first_seq behind seq and three columns a value: "loss.min", "loss.max", "loss.last". */
#ifndef BP_SERVER_HTTP_METRICS_CSV_H
#define BP_SERVER_HTTP_METRICS_CSV_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

/* points: the array of a metrics document. malloc; NULL: no memory. Any thread. */
char *bp_metrics_csv(size_t *out_size, const json_t *points, bool summed_up);

#endif
