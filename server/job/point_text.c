#include "server/job/point_text.h"

#include <string.h>

#include "server/base/clock.h"

void bp_point_text(bp_json_writer *out, const bp_metric_page *page, const bp_metric_point *point)
{
    char time[BP_TIME_TEXT_SIZE];
    bp_clock_format(time, point->time_us);
    bp_json_put_literal(out, "{\"seq\":");
    bp_json_put_integer(out, (int64_t)point->seq);
    bp_json_put_literal(out, ",\"step\":");
    bp_json_put_integer(out, (int64_t)point->step);
    bp_json_put_literal(out, ",\"epoch\":");
    bp_json_put_integer(out, (int64_t)point->epoch);
    bp_json_put_literal(out, ",\"time\":\"");
    bp_json_put_literal(out, time);
    bp_json_put_literal(out, "\",\"values\":{");
    const double *values = bp_metric_page_values(page, point);
    for (size_t i = 0; i < point->set->count; i++) {
        if (i > 0)
            bp_json_put(out, ",", 1);
        bp_json_put_string(out, point->set->names[i], strlen(point->set->names[i]));
        bp_json_put(out, ":", 1);
        bp_json_put_real(out, values[i]);
    }
    bp_json_put_literal(out, "}}");
}
