#include "server/store/event_store.h"

#include <stdlib.h>
#include <string.h>

#include "schema/json/json_text.h"
#include "server/store/database.h"

/* Ids of event streams have 21 bits for the ordinal. */
enum { EVENT_LIMIT = 2000000 };

/* after_seq −1: behind the last point. */
static bp_status append(sqlite3 *database, int64_t job, int64_t after_seq, const char *type,
                        json_t *data, int64_t now_us, bp_error *error)
{
    char *text = data ? bp_json_text(data, NULL) : NULL;
    json_decref(data);
    if (!text)
        return bp_error_set(error, BP_NO_MEMORY, NULL, "no memory for an event");
    sqlite3_stmt *statement = NULL;
    /* The job's row counts its events, and by being written tells who listens of this one. */
    bp_status status = bp_database_prepare(
        &statement, database,
        "UPDATE jobs SET event_count = event_count + 1 WHERE id = ?1 AND (event_count < ?2 OR ?3)",
        error);
    if (status == BP_OK) {
        sqlite3_bind_int64(statement, 1, job);
        sqlite3_bind_int64(statement, 2, EVENT_LIMIT);
        sqlite3_bind_int(statement, 3, strcmp(type, "state") == 0);
        status = bp_database_step_done(statement, error);
        sqlite3_finalize(statement);
    }
    if (status == BP_OK && sqlite3_changes(database) == 0)
        goto done;
    if (status == BP_OK)
        status = bp_database_prepare(
            &statement, database,
            "INSERT INTO job_events (job_id, ordinal, time, after_seq, type, data) "
            "SELECT ?1, event_count, ?2, CASE WHEN ?5 >= 0 THEN ?5 ELSE "
            "(SELECT coalesce(max(seq), 0) FROM metrics WHERE job_id = ?1) END, ?3, ?4 "
            "FROM jobs WHERE id = ?1",
            error);
    if (status == BP_OK) {
        sqlite3_bind_int64(statement, 1, job);
        sqlite3_bind_int64(statement, 2, now_us);
        sqlite3_bind_text(statement, 3, type, -1, SQLITE_STATIC);
        sqlite3_bind_text(statement, 4, text, -1, SQLITE_STATIC);
        sqlite3_bind_int64(statement, 5, after_seq);
        status = bp_database_step_done(statement, error);
        sqlite3_finalize(statement);
    }
done:
    free(text);
    return status;
}

bp_status bp_event_store_append(sqlite3 *database, int64_t job, const char *type, json_t *data,
                                int64_t now_us, bp_error *error)
{
    return append(database, job, -1, type, data, now_us, error);
}

bp_status bp_event_store_append_after(sqlite3 *database, int64_t job, uint64_t after_seq,
                                      const char *type, json_t *data, int64_t now_us,
                                      bp_error *error)
{
    return append(database, job, (int64_t)after_seq, type, data, now_us, error);
}
