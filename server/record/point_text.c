#include "server/record/point_text.h"

#include <string.h>

#include "server/base/clock.h"

static void put_member(bp_json_writer *out, const char *key, uint64_t value)
{
    bp_json_put_literal(out, key);
    bp_json_put_integer(out, (int64_t)value);
}

static void put_position(bp_json_writer *out, uint64_t step, uint64_t epoch, int64_t time_us)
{
    char time[BP_TIME_TEXT_SIZE];
    bp_clock_format(time, time_us);
    put_member(out, ",\"step\":", step);
    put_member(out, ",\"epoch\":", epoch);
    bp_json_put_literal(out, ",\"time\":\"");
    bp_json_put_literal(out, time);
    bp_json_put_literal(out, "\",\"values\":{");
}

static void put_name(bp_json_writer *out, const bp_metric_set *set, size_t index)
{
    if (index > 0)
        bp_json_put(out, ",", 1);
    bp_json_put_string(out, set->names[index], strlen(set->names[index]));
}

void bp_point_text(bp_json_writer *out, const bp_metric_page *page, const bp_metric_point *point)
{
    put_member(out, "{\"seq\":", point->seq);
    put_position(out, point->step, point->epoch, point->time_us);
    const double *values = bp_metric_page_values(page, point);
    for (size_t i = 0; i < point->set->count; i++) {
        put_name(out, point->set, i);
        bp_json_put(out, ":", 1);
        bp_json_put_real(out, values[i]);
    }
    bp_json_put_literal(out, "}}");
}

void bp_span_text(bp_json_writer *out, const bp_metric_span *span)
{
    put_member(out, "{\"seq\":", span->seq);
    put_member(out, ",\"first_seq\":", span->first_seq);
    put_position(out, span->step, span->epoch, span->time_us);
    for (size_t i = 0; i < span->set->count; i++) {
        put_name(out, span->set, i);
        bp_json_put_literal(out, ":{\"min\":");
        bp_json_put_real(out, span->minima[i]);
        bp_json_put_literal(out, ",\"max\":");
        bp_json_put_real(out, span->maxima[i]);
        bp_json_put_literal(out, ",\"last\":");
        bp_json_put_real(out, span->latest[i]);
        bp_json_put(out, "}", 1);
    }
    bp_json_put_literal(out, "}}");
}
