#include "server/event/event_feed.h"

#include <stdlib.h>

#include "server/base/clock.h"
#include "server/record/point_text.h"
#include "server/store/database.h"
#include "server/store/metric_store.h"

enum { TEXT_BYTES = 64 << 10, POINT_LIMIT = 256, SEQ_BITS = 32 };

uint64_t bp_event_position_id(bp_event_position position)
{
    return position.event << SEQ_BITS | position.seq;
}

bp_event_position bp_event_position_of(uint64_t id)
{
    return (bp_event_position){.event = id >> SEQ_BITS,
                               .seq = id & ((UINT64_C(1) << SEQ_BITS) - 1)};
}

bool bp_event_position_equal(bp_event_position a, bp_event_position b)
{
    return a.event == b.event && a.seq == b.seq;
}

bp_status bp_event_feed_head(bp_event_head *out, sqlite3 *database, int64_t job, bp_error *error)
{
    sqlite3_stmt *statement = NULL;
    bp_status status = bp_database_prepare(
        &statement, database,
        "SELECT event_count, (SELECT coalesce(max(seq), 0) FROM metrics WHERE job_id = ?1), "
        "finished IS NOT NULL FROM jobs WHERE id = ?1 AND deleted = 0",
        error);
    if (status != BP_OK)
        return status;
    sqlite3_bind_int64(statement, 1, job);
    const int code = sqlite3_step(statement);
    if (code == SQLITE_ROW)
        *out = (bp_event_head){
            .position = {.event = (uint64_t)sqlite3_column_int64(statement, 0),
                         .seq = (uint64_t)sqlite3_column_int64(statement, 1)},
            .finished = sqlite3_column_int(statement, 2) != 0,
        };
    else if (code == SQLITE_DONE)
        status = bp_error_set(error, BP_NOT_FOUND, NULL, "there is no job %lld", (long long)job);
    else
        status = bp_database_error(database, code, "reading a job", error);
    sqlite3_finalize(statement);
    return status;
}

bp_status bp_event_feed_check(sqlite3 *database, int64_t job, const bp_event_head *head,
                              bp_event_position position, bp_error *error)
{
    int64_t first_seq = 0;
    bool valid = position.event <= head->position.event;
    /* Behind an older event a reader may have seen points that were computed anew later. */
    if (position.event == head->position.event)
        valid = position.seq <= head->position.seq;
    if (position.event == 0)
        valid = position.seq == 0;
    if (valid && position.event > 0) {
        sqlite3_stmt *statement = NULL;
        const bp_status status = bp_database_prepare(
            &statement, database,
            "SELECT after_seq FROM job_events WHERE job_id = ?1 AND ordinal = ?2", error);
        if (status != BP_OK)
            return status;
        sqlite3_bind_int64(statement, 1, job);
        sqlite3_bind_int64(statement, 2, (sqlite3_int64)position.event);
        const int code = sqlite3_step(statement);
        if (code == SQLITE_ROW)
            first_seq = sqlite3_column_int64(statement, 0);
        sqlite3_finalize(statement);
        if (code != SQLITE_ROW && code != SQLITE_DONE)
            return bp_database_error(database, code, "reading events", error);
        valid = code == SQLITE_ROW && position.seq >= (uint64_t)first_seq;
    }
    return valid ? BP_OK
                 : bp_error_set(error, BP_INVALID, NULL, "job %lld has no event %llu",
                                (long long)job, (unsigned long long)bp_event_position_id(position));
}

/* id, event and the beginning of data. */
static void begin_item(bp_json_writer *out, bp_event_position position, const char *type)
{
    bp_json_put_literal(out, "id: ");
    bp_json_put_integer(out, (int64_t)bp_event_position_id(position));
    bp_json_put_literal(out, "\nevent: ");
    bp_json_put_literal(out, type);
    bp_json_put_literal(out, "\ndata: ");
}

/* Points up to seq `last`, as far as there is room. False in *out_room: there was more. */
static bp_status write_points(bp_json_writer *out, bp_event_position *position, uint64_t last,
                              bool *out_room, sqlite3 *database, int64_t job, bp_error *error)
{
    while (position->seq < last) {
        *out_room = out->length < TEXT_BYTES && !out->failed;
        if (!*out_room)
            return BP_OK;
        const uint64_t wanted = last - position->seq;
        bp_metric_page page = {0};
        const bp_status status =
            bp_metric_store_read(&page, database, job, position->seq,
                                 wanted < POINT_LIMIT ? (size_t)wanted : POINT_LIMIT, error);
        size_t written = 0;
        while (status == BP_OK && written < page.point_count && out->length < TEXT_BYTES) {
            const bp_metric_point *point = &page.points[written++];
            position->seq = point->seq;
            begin_item(out, *position, "metrics");
            bp_point_text(out, &page, point);
            bp_json_put_literal(out, "\n\n");
        }
        bp_metric_page_done(&page);
        if (status != BP_OK)
            return status;
        if (written == 0)
            return bp_error_set(error, BP_CORRUPT, NULL, "metric points of job %lld are missing",
                                (long long)job);
    }
    return BP_OK;
}

/* The event's object with its time first. */
static void write_event(bp_json_writer *out, sqlite3_stmt *row)
{
    char time[BP_TIME_TEXT_SIZE];
    bp_clock_format(time, sqlite3_column_int64(row, 1));
    const char *data = (const char *)sqlite3_column_text(row, 4);
    json_t *json = data ? json_loadb(data, (size_t)sqlite3_column_bytes(row, 4), 0, NULL) : NULL;
    json_t *shown = json_object();
    int failed = json_object_set_new(shown, "time", json_string(time));
    failed |= json ? json_object_update(shown, json) : -1;
    if (failed)
        out->failed = true;
    else
        bp_json_put_value(out, shown);
    json_decref(json);
    json_decref(shown);
    bp_json_put_literal(out, "\n\n");
}

bp_status bp_event_feed_read(bp_json_writer *out, bp_event_position *position,
                             bp_event_position end, sqlite3 *database, int64_t job, bp_error *error)
{
    sqlite3_stmt *statement = NULL;
    bp_status status =
        bp_database_prepare(&statement, database,
                            "SELECT ordinal, time, after_seq, type, data FROM job_events "
                            "WHERE job_id = ?1 AND ordinal > ?2 AND ordinal <= ?3 ORDER BY ordinal",
                            error);
    if (status != BP_OK)
        return status;
    sqlite3_bind_int64(statement, 1, job);
    sqlite3_bind_int64(statement, 2, (sqlite3_int64)position->event);
    sqlite3_bind_int64(statement, 3, (sqlite3_int64)end.event);
    bool room = true;
    int code = SQLITE_DONE;
    while (room && status == BP_OK && (code = sqlite3_step(statement)) == SQLITE_ROW) {
        const uint64_t after_seq = (uint64_t)sqlite3_column_int64(statement, 2);
        status = write_points(out, position, after_seq, &room, database, job, error);
        room = room && out->length < TEXT_BYTES;
        if (status != BP_OK || !room)
            break;
        position->event = (uint64_t)sqlite3_column_int64(statement, 0);
        position->seq = after_seq;
        begin_item(out, *position, (const char *)sqlite3_column_text(statement, 3));
        write_event(out, statement);
    }
    if (status == BP_OK && code != SQLITE_DONE && code != SQLITE_ROW)
        status = bp_database_error(database, code, "reading events", error);
    sqlite3_finalize(statement);
    if (status == BP_OK && room && position->event < end.event)
        status =
            bp_error_set(error, BP_CORRUPT, NULL, "events of job %lld are missing", (long long)job);
    if (status == BP_OK && room)
        status = write_points(out, position, end.seq, &room, database, job, error);
    if (status == BP_OK && out->failed)
        status = bp_error_set(error, BP_NO_MEMORY, NULL, "no memory for events");
    return status;
}
