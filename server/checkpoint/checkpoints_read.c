#include "server/checkpoint/checkpoints_read.h"

#include <string.h>

#include "schema/json/json_text.h"
#include "server/base/clock.h"
#include "server/store/checkpoint_store.h"
#include "server/store/database.h"

static json_t *metric_json(sqlite3_stmt *statement, int column)
{
    double metric;
    if (sqlite3_column_bytes(statement, column) != (int)sizeof metric)
        return json_null();
    memcpy(&metric, sqlite3_column_blob(statement, column), sizeof metric);
    return bp_json_real(metric);
}

static json_t *item_json(sqlite3_stmt *statement, uint64_t best)
{
    const uint64_t number = (uint64_t)sqlite3_column_int64(statement, 0);
    char created[BP_TIME_TEXT_SIZE];
    bp_clock_format(created, sqlite3_column_int64(statement, 4));
    return json_pack("{s:I, s:I, s:I, s:s, s:s, s:I, s:s, s:o, s:b}", "number", (json_int_t)number,
                     "step", (json_int_t)sqlite3_column_int64(statement, 1), "epoch",
                     (json_int_t)sqlite3_column_int64(statement, 2), "cause",
                     sqlite3_column_text(statement, 3), "created", created, "size_bytes",
                     (json_int_t)sqlite3_column_int64(statement, 5), "sha256",
                     sqlite3_column_text(statement, 6), "metric", metric_json(statement, 7), "best",
                     (int)(number == best));
}

static bp_status check_job(sqlite3 *database, int64_t job, bp_error *error)
{
    sqlite3_stmt *statement = NULL;
    bp_status status = bp_database_prepare(
        &statement, database, "SELECT 1 FROM jobs WHERE id = ?1 AND deleted = 0", error);
    if (status != BP_OK)
        return status;
    sqlite3_bind_int64(statement, 1, job);
    const int code = sqlite3_step(statement);
    if (code == SQLITE_DONE)
        status = bp_error_set(error, BP_NOT_FOUND, NULL, "there is no job %lld", (long long)job);
    else if (code != SQLITE_ROW)
        status = bp_database_error(database, code, "reading a job", error);
    sqlite3_finalize(statement);
    return status;
}

static bp_status read_items(json_t **out, bool *out_more, sqlite3 *database, int64_t job,
                            uint64_t after, size_t limit, uint64_t best, bp_error *error)
{
    sqlite3_stmt *statement = NULL;
    bp_status status = bp_database_prepare(
        &statement, database,
        "SELECT number, step, epoch, cause, created, size_bytes, sha256, metric FROM checkpoints "
        "WHERE job_id = ?1 AND complete = 1 AND (?2 = 0 OR number < ?2) "
        "ORDER BY number DESC LIMIT ?3",
        error);
    if (status != BP_OK)
        return status;
    sqlite3_bind_int64(statement, 1, job);
    sqlite3_bind_int64(statement, 2, (sqlite3_int64)after);
    sqlite3_bind_int64(statement, 3, (sqlite3_int64)limit + 1);
    json_t *items = json_array();
    int code = SQLITE_DONE;
    *out_more = false;
    while (items && (code = sqlite3_step(statement)) == SQLITE_ROW) {
        if (json_array_size(items) == limit) {
            *out_more = true;
        } else if (json_array_append_new(items, item_json(statement, best)) != 0) {
            json_decref(items);
            items = NULL;
        }
    }
    if (!items)
        status = bp_error_set(error, BP_NO_MEMORY, NULL, "no memory for a list of checkpoints");
    else if (code != SQLITE_DONE)
        status = bp_database_error(database, code, "reading checkpoints", error);
    sqlite3_finalize(statement);
    if (status == BP_OK)
        *out = items;
    else
        json_decref(items);
    return status;
}

bp_status bp_checkpoints_json(json_t **out, bp_store *store, int64_t job, uint64_t after,
                              size_t limit, bp_error *error)
{
    sqlite3 *database = NULL;
    json_t *items = NULL;
    uint64_t best = 0;
    bool more = false;
    bp_status status = bp_store_begin_reading(&database, store, error);
    if (status != BP_OK)
        return status;
    status = check_job(database, job, error);
    if (status == BP_OK)
        status = bp_checkpoint_store_best(&best, database, job, error);
    if (status == BP_OK)
        status = read_items(&items, &more, database, job, after, limit, best, error);
    bp_store_end_reading(database);
    if (status != BP_OK)
        return status;
    const json_t *last =
        more ? json_object_get(json_array_get(items, json_array_size(items) - 1), "number") : NULL;
    json_t *document = json_pack("{s:o, s:o?}", "items", items, "next",
                                 last ? json_integer(json_integer_value(last)) : NULL);
    if (!document)
        return bp_error_set(error, BP_NO_MEMORY, NULL, "no memory for a list of checkpoints");
    *out = document;
    return BP_OK;
}
