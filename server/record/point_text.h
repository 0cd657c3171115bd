/* Metric points as JSON text, without values in between: a page has thousands of numbers. */
#ifndef BP_SERVER_RECORD_POINT_TEXT_H
#define BP_SERVER_RECORD_POINT_TEXT_H

#include "schema/json/json_writer.h"
#include "server/store/metric_series.h"

/* {"seq", "step", "epoch", "time", "values": {…}}, in one line. Any thread. */
void bp_point_text(bp_json_writer *out, const bp_metric_page *page, const bp_metric_point *point);

/* {"seq", "first_seq", "step", "epoch", "time", "values": {name: {"min", "max", "last"}}}. */
void bp_span_text(bp_json_writer *out, const bp_metric_span *span);

#endif
