#include "server/store/metric_store.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "schema/json/json_text.h"
#include "server/store/database.h"

enum { VALUE_BYTES = 8 };

static void put_value(unsigned char *out, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    for (int i = 0; i < VALUE_BYTES; i++)
        out[i] = (unsigned char)(bits >> 8 * i);
}

static double get_value(const unsigned char *in)
{
    uint64_t bits = 0;
    for (int i = 0; i < VALUE_BYTES; i++)
        bits |= (uint64_t)in[i] << 8 * i;
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

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
    for (size_t i = 0; i < point->set->count; i++)
        put_value(buffer + i * VALUE_BYTES, values[i]);
    sqlite3_bind_int64(statement, 1, job);
    sqlite3_bind_int64(statement, 2, (sqlite3_int64)point->seq);
    sqlite3_bind_int64(statement, 3, (sqlite3_int64)point->step);
    sqlite3_bind_int64(statement, 4, (sqlite3_int64)point->epoch);
    sqlite3_bind_int64(statement, 5, point->time_us);
    sqlite3_bind_int64(statement, 6, point->set->id);
    sqlite3_bind_blob64(statement, 7, buffer, point->set->count * VALUE_BYTES, SQLITE_STATIC);
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
    unsigned char *buffer = calloc(most, VALUE_BYTES);
    if (!buffer)
        return bp_error_set(error, BP_NO_MEMORY, NULL, "no memory for metrics");
    sqlite3_stmt *statement = NULL;
    bp_status status = bp_database_prepare(
        &statement, database,
        "INSERT INTO metrics (job_id, seq, step, epoch, time, set_id, \"values\") "
        "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        error);
    const bp_metric_set *written = NULL;
    for (size_t i = 0; i < page->point_count && status == BP_OK; i++) {
        const bp_metric_point *point = &page->points[i];
        if (point->set != written)
            status = write_set(database, job, point->set, error);
        written = point->set;
        if (status == BP_OK)
            status = write_point(statement, job, page, point, buffer, error);
    }
    sqlite3_finalize(statement);
    free(buffer);
    return status;
}

static const bp_metric_set *set_with_id(const bp_metric_set *list, int64_t id)
{
    while (list && list->id != id)
        list = list->next;
    return list;
}

static bp_status read_point(bp_metric_page *page, sqlite3_stmt *statement, bp_error *error)
{
    const bp_metric_point point = {
        .seq = (uint64_t)sqlite3_column_int64(statement, 0),
        .step = (uint64_t)sqlite3_column_int64(statement, 1),
        .epoch = (uint64_t)sqlite3_column_int64(statement, 2),
        .time_us = sqlite3_column_int64(statement, 3),
        .set = set_with_id(page->sets, sqlite3_column_int64(statement, 4)),
    };
    const unsigned char *bytes = sqlite3_column_blob(statement, 5);
    const size_t size = (size_t)sqlite3_column_bytes(statement, 5);
    if (!point.set || size != point.set->count * VALUE_BYTES || (size > 0 && !bytes))
        return bp_error_set(error, BP_CORRUPT, NULL, "metric point %llu cannot be read",
                            (unsigned long long)point.seq);
    double *values = NULL;
    const bp_status status = bp_metric_page_add(&values, page, &point, error);
    for (size_t i = 0; i < point.set->count && status == BP_OK; i++)
        values[i] = get_value(bytes + i * VALUE_BYTES);
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
