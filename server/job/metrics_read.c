#include "server/job/metrics_read.h"

#include <string.h>

#include "server/job/job_table.h"
#include "server/record/point_text.h"
#include "server/store/database.h"
#include "server/store/metric_store.h"
#include "server/store/rollup_store.h"

static bp_status read_head(bp_metrics_head *out, sqlite3 *database, int64_t id, bp_error *error)
{
    sqlite3_stmt *statement = NULL;
    bp_status status =
        bp_database_prepare(&statement, database,
                            "SELECT finished IS NOT NULL, coalesce(fingerprint, ''), "
                            "(SELECT coalesce(max(seq), 0) FROM metrics WHERE job_id = ?1) "
                            "FROM jobs WHERE id = ?1 AND deleted = 0",
                            error);
    if (status != BP_OK)
        return status;
    sqlite3_bind_int64(statement, 1, id);
    const int code = sqlite3_step(statement);
    *out = (bp_metrics_head){.last = 0};
    if (code == SQLITE_ROW) {
        const char *fingerprint = (const char *)sqlite3_column_text(statement, 1);
        out->finished = sqlite3_column_int(statement, 0) != 0;
        strncpy(out->fingerprint, fingerprint ? fingerprint : "", sizeof out->fingerprint - 1);
        out->last = (uint64_t)sqlite3_column_int64(statement, 2);
    } else if (code == SQLITE_DONE) {
        status = bp_error_set(error, BP_NOT_FOUND, NULL, "there is no job %lld", (long long)id);
    } else {
        status = bp_database_error(database, code, "reading a job", error);
    }
    sqlite3_finalize(statement);
    return status;
}

bp_status bp_metrics_read_head(bp_metrics_head *out, bp_jobs *jobs, int64_t id, bp_error *error)
{
    sqlite3 *database = NULL;
    const bp_status status = bp_store_reader(&database, jobs->store, error);
    return status == BP_OK ? read_head(out, database, id, error) : status;
}

bp_status bp_metrics_read_points(bp_metrics_view *out, bp_jobs *jobs, int64_t id, uint64_t after,
                                 size_t limit, bp_error *error)
{
    sqlite3 *database = NULL;
    bp_status status = bp_store_begin_reading(&database, jobs->store, error);
    if (status != BP_OK)
        return status;
    status = read_head(&out->head, database, id, error);
    /* One more than asked for says whether the page is the last. */
    if (status == BP_OK)
        status = bp_metric_store_read(&out->page, database, id, after, limit + 1, error);
    bp_store_end_reading(database);
    const bool more = out->page.point_count > limit;
    out->count = more ? limit : out->page.point_count;
    out->next = out->count > 0 ? out->page.points[out->count - 1].seq : after;
    out->complete = out->head.finished && !more;
    return status;
}

bp_status bp_metrics_read_spans(bp_metrics_view *out, bp_jobs *jobs, int64_t id, uint64_t after,
                                size_t most, bp_error *error)
{
    sqlite3 *database = NULL;
    bp_status status = bp_store_begin_reading(&database, jobs->store, error);
    if (status != BP_OK)
        return status;
    status = read_head(&out->head, database, id, error);
    const uint64_t last = out->head.last;
    if (status == BP_OK)
        status = bp_rollup_store_read(&out->series, database, id, after, last, most, error);
    bp_store_end_reading(database);
    out->summed_up = true;
    out->complete = out->head.finished;
    out->count = out->series.count;
    out->next = last > after ? last : after;
    return status;
}

void bp_metrics_put_json(bp_json_writer *out, const bp_metrics_view *view)
{
    bp_json_put_literal(out, "{\"points\":[");
    for (size_t i = 0; i < view->count; i++) {
        if (i > 0)
            bp_json_put(out, ",", 1);
        if (view->summed_up) {
            const bp_metric_span span = bp_metric_series_at(&view->series, i);
            bp_span_text(out, &span);
        } else {
            bp_point_text(out, &view->page, &view->page.points[i]);
        }
    }
    bp_json_put_literal(out, "],\"next\":");
    bp_json_put_integer(out, (int64_t)view->next);
    bp_json_put_literal(out, view->complete ? ",\"complete\":true}" : ",\"complete\":false}");
}

void bp_metrics_view_done(bp_metrics_view *view)
{
    bp_metric_page_done(&view->page);
    bp_metric_series_done(&view->series);
    *view = (bp_metrics_view){.summed_up = false};
}
