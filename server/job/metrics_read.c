/* Metric points and their roll-ups as documents, from committed rows through the calling thread's own
 * connection. */
#include "schema/json/json_text.h"
#include "server/base/clock.h"
#include "server/job/job_table.h"
#include "server/store/database.h"
#include "server/store/metric_store.h"
#include "server/store/rollup_store.h"

/* The members that a point and a span have in common. */
static int set_position(json_t *json, uint64_t step, uint64_t epoch, int64_t time_us)
{
    char time[BP_TIME_TEXT_SIZE];
    bp_clock_format(time, time_us);
    int failed = json_object_set_new(json, "step", json_integer((json_int_t)step));
    failed |= json_object_set_new(json, "epoch", json_integer((json_int_t)epoch));
    failed |= json_object_set_new(json, "time", json_string(time));
    return failed;
}

static json_t *point_json(const bp_metric_page *page, const bp_metric_point *point)
{
    json_t *json = json_object(), *values = json_object();
    int failed = 0;
    const double *value = bp_metric_page_values(page, point);
    for (size_t i = 0; i < point->set->count; i++)
        failed |= json_object_set_new(values, point->set->names[i], bp_json_real(value[i]));
    failed |= json_object_set_new(json, "seq", json_integer((json_int_t)point->seq));
    failed |= set_position(json, point->step, point->epoch, point->time_us);
    failed |= json_object_set_new(json, "values", values);
    if (failed) {
        json_decref(json);
        return NULL;
    }
    return json;
}

static bp_status read_finished(bool *out, sqlite3 *database, int64_t id, bp_error *error)
{
    sqlite3_stmt *statement = NULL;
    bp_status status = bp_database_prepare(
        &statement, database, "SELECT finished IS NOT NULL FROM jobs WHERE id = ?1 AND deleted = 0",
        error);
    if (status != BP_OK)
        return status;
    sqlite3_bind_int64(statement, 1, id);
    const int code = sqlite3_step(statement);
    if (code == SQLITE_ROW)
        *out = sqlite3_column_int(statement, 0) != 0;
    else if (code == SQLITE_DONE)
        status = bp_error_set(error, BP_NOT_FOUND, NULL, "there is no job %lld", (long long)id);
    else
        status = bp_database_error(database, code, "reading a job", error);
    sqlite3_finalize(statement);
    return status;
}

/* points: taken over; NULL: no memory. */
static bp_status finish_page(json_t **out, json_t *points, uint64_t next, bool complete,
                             bp_error *error)
{
    json_t *page = json_object();
    int failed = json_object_set_new(page, "points", points);
    failed |= json_object_set_new(page, "next", json_integer((json_int_t)next));
    failed |= json_object_set_new(page, "complete", json_boolean(complete));
    if (failed) {
        json_decref(page);
        return bp_error_set(error, BP_NO_MEMORY, NULL, "no memory for metrics");
    }
    *out = page;
    return BP_OK;
}

static json_t *points_json(const bp_metric_page *points, size_t count)
{
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++)
        if (json_array_append_new(list, point_json(points, &points->points[i])) != 0) {
            json_decref(list);
            return NULL;
        }
    return list;
}

bp_status bp_jobs_metrics_json(json_t **out, bp_jobs *jobs, int64_t id, uint64_t after,
                               size_t limit, bp_error *error)
{
    sqlite3 *database = NULL;
    bp_metric_page points = {0};
    bool finished = false;
    bp_status status = bp_store_begin_reading(&database, jobs->store, error);
    if (status == BP_OK) {
        status = read_finished(&finished, database, id, error);
        /* One more than asked for says whether the page is the last. */
        if (status == BP_OK)
            status = bp_metric_store_read(&points, database, id, after, limit + 1, error);
        bp_store_end_reading(database);
    }
    if (status == BP_OK) {
        const bool more = points.point_count > limit;
        const size_t count = more ? limit : points.point_count;
        const uint64_t next = count > 0 ? points.points[count - 1].seq : after;
        status = finish_page(out, points_json(&points, count), next, finished && !more, error);
    }
    bp_metric_page_done(&points);
    return status;
}

/* ---- summed up ---- */

static json_t *span_values_json(const bp_metric_span *span)
{
    json_t *values = json_object();
    for (size_t i = 0; i < span->set->count; i++) {
        json_t *value = json_object();
        int failed = json_object_set_new(value, "min", bp_json_real(span->minima[i]));
        failed |= json_object_set_new(value, "max", bp_json_real(span->maxima[i]));
        failed |= json_object_set_new(value, "last", bp_json_real(span->latest[i]));
        failed |= json_object_set_new(values, span->set->names[i], value);
        if (failed) {
            json_decref(values);
            return NULL;
        }
    }
    return values;
}

static json_t *spans_json(const bp_metric_series *series)
{
    json_t *list = json_array();
    for (size_t i = 0; i < series->count; i++) {
        const bp_metric_span span = bp_metric_series_at(series, i);
        json_t *json = json_object();
        int failed = json_object_set_new(json, "seq", json_integer((json_int_t)span.seq));
        failed |= json_object_set_new(json, "first_seq", json_integer((json_int_t)span.first_seq));
        failed |= set_position(json, span.step, span.epoch, span.time_us);
        failed |= json_object_set_new(json, "values", span_values_json(&span));
        failed |= json_array_append_new(list, json);
        if (failed) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

bp_status bp_jobs_metric_spans_json(json_t **out, bp_jobs *jobs, int64_t id, uint64_t after,
                                    size_t most, bp_error *error)
{
    sqlite3 *database = NULL;
    bp_metric_series series = {0};
    bool finished = false;
    uint64_t last = 0;
    bp_status status = bp_store_begin_reading(&database, jobs->store, error);
    if (status == BP_OK) {
        status = read_finished(&finished, database, id, error);
        if (status == BP_OK)
            status = bp_metric_store_last(&last, database, id, error);
        if (status == BP_OK)
            status = bp_rollup_store_read(&series, database, id, after, last, most, error);
        bp_store_end_reading(database);
    }
    if (status == BP_OK)
        status =
            finish_page(out, spans_json(&series), last > after ? last : after, finished, error);
    bp_metric_series_done(&series);
    return status;
}
