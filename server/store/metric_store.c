#include "server/store/metric_store.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "schema/json/json_text.h"
#include "server/store/database.h"
#include "server/store/metric_rollup.h"

/* ---- sets of names ---- */

static bp_status write_set(sqlite3 *database, int64_t job, const bp_metric_set *set,
                           bp_error *error)
{
    json_t *names = json_array();
    int failed = !names;
    for (size_t i = 0; i < set->count; i++)
        failed |= json_array_append_new(names, json_string(set->names[i]));
    char *text = failed ? NULL : bp_json_text(names, NULL);
    json_decref(names);
    if (!text)
        return bp_error_set(error, BP_NO_MEMORY, NULL, "no memory for metrics");
    sqlite3_stmt *statement = NULL;
    bp_status status = bp_database_prepare(
        &statement, database,
        "INSERT OR IGNORE INTO metric_sets (job_id, id, names) VALUES (?1, ?2, ?3)", error);
    if (status == BP_OK) {
        sqlite3_bind_int64(statement, 1, job);
        sqlite3_bind_int64(statement, 2, set->id);
        sqlite3_bind_text(statement, 3, text, -1, SQLITE_STATIC);
        status = bp_database_step_done(statement, error);
    }
    sqlite3_finalize(statement);
    free(text);
    return status;
}

bp_status bp_metric_store_need_set(bp_metric_sets_written *written, sqlite3 *database, int64_t job,
                                   const bp_metric_set *set, bp_error *error)
{
    for (size_t i = 0; i < written->count; i++)
        if (written->set[i] == set)
            return BP_OK;
    const bp_status status = write_set(database, job, set, error);
    if (status == BP_OK && written->count < sizeof written->set / sizeof *written->set)
        written->set[written->count++] = set;
    return status;
}

static bp_status read_set(bp_metric_set **list, sqlite3_stmt *statement, bp_error *error)
{
    const char *text = (const char *)sqlite3_column_text(statement, 1);
    json_t *json =
        text ? json_loadb(text, (size_t)sqlite3_column_bytes(statement, 1), 0, NULL) : NULL;
    const size_t count = json_array_size(json);
    const char **names = calloc(count + 1, sizeof *names);
    bp_status status = BP_OK;
    if (!names)
        status = bp_error_set(error, BP_NO_MEMORY, NULL, "no memory for metrics");
    for (size_t i = 0; i < count && status == BP_OK; i++) {
        names[i] = json_string_value(json_array_get(json, i));
        if (!names[i])
            status = bp_error_set(error, BP_CORRUPT, NULL, "the names of metrics cannot be read");
    }
    if (status == BP_OK)
        status =
            json_is_array(json)
                ? bp_metric_set_add(list, sqlite3_column_int64(statement, 0), names, count, error)
                : bp_error_set(error, BP_CORRUPT, NULL, "the names of metrics cannot be read");
    free(names);
    json_decref(json);
    return status;
}

bp_status bp_metric_store_read_sets(bp_metric_set **out, sqlite3 *database, int64_t job,
                                    bp_error *error)
{
    sqlite3_stmt *statement = NULL;
    bp_status status = bp_database_prepare(
        &statement, database, "SELECT id, names FROM metric_sets WHERE job_id = ?1", error);
    if (status != BP_OK)
        return status;
    sqlite3_bind_int64(statement, 1, job);
    bp_metric_set *list = NULL;
    int code = SQLITE_DONE;
    while (status == BP_OK && (code = sqlite3_step(statement)) == SQLITE_ROW)
        status = read_set(&list, statement, error);
    if (status == BP_OK && code != SQLITE_DONE)
        status = bp_database_error(database, code, "reading metrics", error);
    sqlite3_finalize(statement);
    if (status != BP_OK)
        bp_metric_sets_free(list);
    else
        *out = list;
    return status;
}

/* ---- points ---- */

/* buffer: room for the point's values as stored. */
static bp_status write_point(sqlite3_stmt *statement, int64_t job, const bp_metric_page *page,
                             const bp_metric_point *point, unsigned char *buffer, bp_error *error)
{
    const double *values = bp_metric_page_values(page, point);
    bp_metric_values_pack(buffer, values, point->set->count);
    sqlite3_bind_int64(statement, 1, job);
    sqlite3_bind_int64(statement, 2, (sqlite3_int64)point->seq);
    sqlite3_bind_int64(statement, 3, (sqlite3_int64)point->step);
    sqlite3_bind_int64(statement, 4, (sqlite3_int64)point->epoch);
    sqlite3_bind_int64(statement, 5, point->time_us);
    sqlite3_bind_int64(statement, 6, point->set->id);
    sqlite3_bind_blob64(statement, 7, buffer, point->set->count * BP_METRIC_VALUE_BYTES,
                        SQLITE_STATIC);
    return bp_database_step_done(statement, error);
}

bp_status bp_metric_store_append(sqlite3 *database, int64_t job, const bp_metric_page *page,
                                 bp_error *error)
{
    if (page->point_count == 0)
        return BP_OK;
    size_t most = 1;
    for (size_t i = 0; i < page->point_count; i++)
        if (page->points[i].set->count > most)
            most = page->points[i].set->count;
    unsigned char *buffer = calloc(most, BP_METRIC_VALUE_BYTES);
    if (!buffer)
        return bp_error_set(error, BP_NO_MEMORY, NULL, "no memory for metrics");
    sqlite3_stmt *statement = NULL;
    bp_status status = bp_database_prepare(
        &statement, database,
        "INSERT INTO metrics (job_id, seq, step, epoch, time, set_id, \"values\") "
        "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        error);
    bp_metric_sets_written written = {.count = 0};
    for (size_t i = 0; i < page->point_count && status == BP_OK; i++) {
        const bp_metric_point *point = &page->points[i];
        status = bp_metric_store_need_set(&written, database, job, point->set, error);
        if (status == BP_OK)
            status = write_point(statement, job, page, point, buffer, error);
    }
    sqlite3_finalize(statement);
    free(buffer);
    return status;
}

static bp_status read_point(bp_metric_page *page, sqlite3_stmt *statement, bp_error *error)
{
    const bp_metric_point point = {
        .seq = (uint64_t)sqlite3_column_int64(statement, 0),
        .step = (uint64_t)sqlite3_column_int64(statement, 1),
        .epoch = (uint64_t)sqlite3_column_int64(statement, 2),
        .time_us = sqlite3_column_int64(statement, 3),
        .set = bp_metric_set_with_id(page->sets, sqlite3_column_int64(statement, 4)),
    };
    const unsigned char *bytes = sqlite3_column_blob(statement, 5);
    const size_t size = (size_t)sqlite3_column_bytes(statement, 5);
    if (!point.set || size != point.set->count * BP_METRIC_VALUE_BYTES || (size > 0 && !bytes))
        return bp_error_set(error, BP_CORRUPT, NULL, "metric point %llu cannot be read",
                            (unsigned long long)point.seq);
    double *values = NULL;
    const bp_status status = bp_metric_page_add(&values, page, &point, error);
    if (status == BP_OK)
        bp_metric_values_unpack(values, bytes, point.set->count);
    return status;
}

bp_status bp_metric_store_read(bp_metric_page *page, sqlite3 *database, int64_t job, uint64_t after,
                               size_t limit, bp_error *error)
{
    bp_status status = bp_metric_store_read_sets(&page->sets, database, job, error);
    sqlite3_stmt *statement = NULL;
    if (status == BP_OK)
        status = bp_database_prepare(&statement, database,
                                     "SELECT seq, step, epoch, time, set_id, \"values\" "
                                     "FROM metrics "
                                     "WHERE job_id = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3",
                                     error);
    if (status != BP_OK)
        return status;
    sqlite3_bind_int64(statement, 1, job);
    sqlite3_bind_int64(statement, 2, after > INT64_MAX ? INT64_MAX : (sqlite3_int64)after);
    sqlite3_bind_int64(statement, 3, (sqlite3_int64)limit);
    int code = SQLITE_DONE;
    while (status == BP_OK && (code = sqlite3_step(statement)) == SQLITE_ROW)
        status = read_point(page, statement, error);
    if (status == BP_OK && code != SQLITE_DONE)
        status = bp_database_error(database, code, "reading metrics", error);
    sqlite3_finalize(statement);
    return status;
}

bp_status bp_metric_store_last(uint64_t *out, sqlite3 *database, int64_t job, bp_error *error)
{
    sqlite3_stmt *statement = NULL;
    bp_status status = bp_database_prepare(
        &statement, database, "SELECT coalesce(max(seq), 0) FROM metrics WHERE job_id = ?1", error);
    if (status != BP_OK)
        return status;
    sqlite3_bind_int64(statement, 1, job);
    const int code = sqlite3_step(statement);
    if (code == SQLITE_ROW)
        *out = (uint64_t)sqlite3_column_int64(statement, 0);
    else
        status = bp_database_error(database, code, "reading metrics", error);
    sqlite3_finalize(statement);
    return status;
}

static bp_status delete_rows(sqlite3 *database, const char *sql, int64_t job, uint64_t from,
                             int level, bp_error *error)
{
    sqlite3_stmt *statement = NULL;
    bp_status status = bp_database_prepare(&statement, database, sql, error);
    if (status != BP_OK)
        return status;
    sqlite3_bind_int64(statement, 1, job);
    sqlite3_bind_int64(statement, 2, (sqlite3_int64)from);
    if (level > 0)
        sqlite3_bind_int64(statement, 3, level);
    status = bp_database_step_done(statement, error);
    sqlite3_finalize(statement);
    return status;
}

bp_status bp_metric_store_truncate(sqlite3 *database, int64_t job, uint64_t seq, bp_error *error)
{
    uint64_t last = 0;
    bp_status status = bp_metric_store_last(&last, database, job, error);
    if (status != BP_OK || seq >= last)
        return status;
    status = delete_rows(database, "DELETE FROM metrics WHERE job_id = ?1 AND seq > ?2", job, seq,
                         0, error);
    for (int level = 1; status == BP_OK && level <= BP_ROLLUP_LEVELS; level++) {
        const uint64_t width = bp_rollup_width(level);
        if (width > last)
            break;
        status = delete_rows(database,
                             "DELETE FROM metric_rollups "
                             "WHERE job_id = ?1 AND bucket >= ?2 AND level = ?3",
                             job, seq / width, level, error);
    }
    return status;
}
