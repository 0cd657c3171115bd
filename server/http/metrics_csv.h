/* Metric points as a table: seq, step, epoch, time, then one column for each value that any of the
 * points has, in the order of their first appearance; empty where a point lacks it. Points summed up have
 * first_seq behind seq and three columns a value: "loss.min", "loss.max", "loss.last". */
#ifndef BP_SERVER_HTTP_METRICS_CSV_H
#define BP_SERVER_HTTP_METRICS_CSV_H

#include "server/job/metrics_read.h"

/* Numbers in the digits that JSON has them in; no memory shows in the writer. Any thread. */
void bp_metrics_put_csv(bp_json_writer *out, const bp_metrics_view *view);

#endif
