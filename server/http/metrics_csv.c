#include "server/http/metrics_csv.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "server/base/clock.h"

typedef struct column_list {
    size_t count, room;
    const char **names; /* of the points' sets */
} column_list;

/* Where a name stands among some; count: nowhere. guess: looked at first. */
static size_t find(const char *const *names, size_t count, const char *name, size_t guess)
{
    for (size_t i = 0; i < count; i++) {
        const size_t at = (guess + i) % count;
        if (strcmp(names[at], name) == 0)
            return at;
    }
    return count;
}

static const bp_metric_set *set_at(const bp_metrics_view *view, size_t index)
{
    return view->summed_up ? view->series.entries[index].set : view->page.points[index].set;
}

/* False: no memory. */
static bool add_names(column_list *columns, const bp_metric_set *set)
{
    for (size_t i = 0; i < set->count; i++) {
        if (find(columns->names, columns->count, set->names[i], i) < columns->count)
            continue;
        if (columns->count == columns->room) {
            const size_t room = columns->room ? 2 * columns->room : 32;
            const char **names = reallocarray(columns->names, room, sizeof *names);
            if (!names)
                return false;
            columns->names = names;
            columns->room = room;
        }
        columns->names[columns->count++] = set->names[i];
    }
    return true;
}

static bool collect_columns(column_list *columns, const bp_metrics_view *view)
{
    const bp_metric_set *seen = NULL;
    for (size_t i = 0; i < view->count; i++) {
        const bp_metric_set *set = set_at(view, i);
        if (set != seen && !add_names(columns, set))
            return false;
        seen = set;
    }
    return true;
}

static void put_header(bp_json_writer *out, const column_list *columns, bool summed_up)
{
    static const char *const parts[] = {".min", ".max", ".last"};
    bp_json_put_literal(out, summed_up ? "seq,first_seq,step,epoch,time" : "seq,step,epoch,time");
    for (size_t i = 0; i < columns->count; i++)
        for (size_t part = 0; part < (summed_up ? 3 : 1); part++) {
            bp_json_put(out, ",", 1);
            bp_json_put_literal(out, columns->names[i]);
            if (summed_up)
                bp_json_put_literal(out, parts[part]);
        }
    bp_json_put_literal(out, "\r\n");
}

/* Without the quotes that JSON has around what is not finite. */
static void put_cell(bp_json_writer *out, double value)
{
    bp_json_put(out, ",", 1);
    if (isnan(value))
        bp_json_put_literal(out, "NaN");
    else if (isinf(value))
        bp_json_put_literal(out, value > 0 ? "Infinity" : "-Infinity");
    else
        bp_json_put_real(out, value);
}

static void put_row(bp_json_writer *out, const column_list *columns, const bp_metric_span *row,
                    bool summed_up)
{
    char time[BP_TIME_TEXT_SIZE];
    bp_clock_format(time, row->time_us);
    bp_json_put_integer(out, (int64_t)row->seq);
    bp_json_put(out, ",", 1);
    if (summed_up) {
        bp_json_put_integer(out, (int64_t)row->first_seq);
        bp_json_put(out, ",", 1);
    }
    bp_json_put_integer(out, (int64_t)row->step);
    bp_json_put(out, ",", 1);
    bp_json_put_integer(out, (int64_t)row->epoch);
    bp_json_put(out, ",", 1);
    bp_json_put_literal(out, time);
    for (size_t i = 0; i < columns->count; i++) {
        const size_t at = find(row->set->names, row->set->count, columns->names[i], i);
        if (at == row->set->count) {
            bp_json_put_literal(out, summed_up ? ",,," : ",");
            continue;
        }
        put_cell(out, row->minima[at]);
        if (summed_up) {
            put_cell(out, row->maxima[at]);
            put_cell(out, row->latest[at]);
        }
    }
    bp_json_put_literal(out, "\r\n");
}

void bp_metrics_put_csv(bp_json_writer *out, const bp_metrics_view *view)
{
    column_list columns = {0};
    if (!collect_columns(&columns, view))
        out->failed = true;
    put_header(out, &columns, view->summed_up);
    for (size_t i = 0; i < view->count; i++) {
        const bp_metric_span row = view->summed_up
                                       ? bp_metric_series_at(&view->series, i)
                                       : bp_metric_span_of(&view->page, &view->page.points[i]);
        put_row(out, &columns, &row, view->summed_up);
    }
    free(columns.names);
}
