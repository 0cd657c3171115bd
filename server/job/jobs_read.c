/* Documents of jobs, from committed rows through the calling thread's own connection. What changes many
 * times a second (progress of a running job) comes from the board. They are written as text: what the
 * database has as JSON (specification, warnings, metrics) goes in as it is. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "server/base/clock.h"
#include "server/job/job_table.h"
#include "server/store/database.h"
#include "server/store/job_store.h"

/* One job a row; the order is known to put_document. */
#define JOB_COLUMNS                                                                                \
    "SELECT j.id, j.name, j.state, j.reason, j.restarts, j.reproducible, j.priority, "             \
    "j.specification, j.warnings, j.created, j.started, j.finished, j.epoch, j.step, j.steps, "    \
    "j.metrics, j.gradient_check, m.name, m.version, j.revision, j.verifies, j.weights_sha256, "   \
    "v.id, v.state, v.weights_sha256, v.metrics_same, "                                            \
    "json_extract(j.specification, '$.training.epochs') "                                          \
    "FROM jobs j LEFT JOIN models m ON m.job_id = j.id LEFT JOIN jobs v ON v.id = "                \
    "(SELECT max(id) FROM jobs WHERE verifies = j.id AND deleted = 0) "
enum {
    COLUMN_ID,
    COLUMN_NAME,
    COLUMN_STATE,
    COLUMN_REASON,
    COLUMN_RESTARTS,
    COLUMN_REPRODUCIBLE,
    COLUMN_PRIORITY,
    COLUMN_SPECIFICATION,
    COLUMN_WARNINGS,
    COLUMN_CREATED,
    COLUMN_STARTED,
    COLUMN_FINISHED,
    COLUMN_EPOCH,
    COLUMN_STEP,
    COLUMN_STEPS,
    COLUMN_METRICS,
    COLUMN_GRADIENT_CHECK,
    COLUMN_MODEL_NAME,
    COLUMN_MODEL_VERSION,
    COLUMN_REVISION,
    COLUMN_VERIFIES,
    COLUMN_WEIGHTS,
    COLUMN_VERIFIER,
    COLUMN_VERIFIER_STATE,
    COLUMN_VERIFIER_WEIGHTS,
    COLUMN_VERIFIER_METRICS,
    COLUMN_EPOCHS
};

/* A page of jobs ends early, with a cursor, once it has this many bytes: specifications can be long. */
enum { PAGE_BYTES = 4 << 20 };

/* ---- members: key with its quotes, its colon and what comes before it ---- */

static void put_text(bp_json_writer *out, const char *key, sqlite3_stmt *row, int column)
{
    const char *text = (const char *)sqlite3_column_text(row, column);
    bp_json_put_literal(out, key);
    if (text)
        bp_json_put_string(out, text, (size_t)sqlite3_column_bytes(row, column));
    else
        bp_json_put_literal(out, "null");
}

static void put_integer(bp_json_writer *out, const char *key, sqlite3_stmt *row, int column)
{
    bp_json_put_literal(out, key);
    if (sqlite3_column_type(row, column) == SQLITE_NULL)
        bp_json_put_literal(out, "null");
    else
        bp_json_put_integer(out, sqlite3_column_int64(row, column));
}

static void put_count(bp_json_writer *out, const char *key, uint64_t count)
{
    bp_json_put_literal(out, key);
    bp_json_put_integer(out, (int64_t)count);
}

static void put_flag(bp_json_writer *out, const char *key, bool value)
{
    bp_json_put_literal(out, key);
    bp_json_put_literal(out, value ? "true" : "false");
}

static void put_time(bp_json_writer *out, const char *key, sqlite3_stmt *row, int column)
{
    char text[BP_TIME_TEXT_SIZE];
    bp_json_put_literal(out, key);
    if (sqlite3_column_type(row, column) == SQLITE_NULL) {
        bp_json_put_literal(out, "null");
        return;
    }
    bp_clock_format(text, sqlite3_column_int64(row, column));
    bp_json_put_string(out, text, strlen(text));
}

static void put_known(bp_json_writer *out, const char *key, double value)
{
    bp_json_put_literal(out, key);
    if (isnan(value))
        bp_json_put_literal(out, "null");
    else
        bp_json_put_real(out, value);
}

/* What the database has checked to be JSON. */
static void put_stored(bp_json_writer *out, const char *key, sqlite3_stmt *row, int column)
{
    const char *text = (const char *)sqlite3_column_text(row, column);
    bp_json_put_literal(out, key);
    if (text)
        bp_json_put(out, text, (size_t)sqlite3_column_bytes(row, column));
    else
        bp_json_put_literal(out, "null");
}

static void put_progress(bp_json_writer *out, sqlite3_stmt *row, bp_jobs *jobs)
{
    bp_progress progress = {.epoch = (uint64_t)sqlite3_column_int64(row, COLUMN_EPOCH),
                            .step = (uint64_t)sqlite3_column_int64(row, COLUMN_STEP),
                            .steps = (uint64_t)sqlite3_column_int64(row, COLUMN_STEPS),
                            .samples_per_second = NAN,
                            .seconds_left = NAN};
    /* Of a run that has ended the row says the last; the board may not have been told yet. */
    const char *state = (const char *)sqlite3_column_text(row, COLUMN_STATE);
    if (state && (strcmp(state, bp_job_state_text(BP_JOB_RUNNING)) == 0 ||
                  strcmp(state, bp_job_state_text(BP_JOB_STOPPING)) == 0))
        (void)bp_progress_board_get(&progress, jobs->run_services.board,
                                    sqlite3_column_int64(row, COLUMN_ID));
    put_count(out, ",\"progress\":{\"epoch\":", progress.epoch);
    put_count(out, ",\"epochs\":", (uint64_t)sqlite3_column_int64(row, COLUMN_EPOCHS));
    put_count(out, ",\"step\":", progress.step);
    put_count(out, ",\"steps\":", progress.steps);
    put_known(out, ",\"samples_per_second\":", progress.samples_per_second);
    put_known(out, ",\"seconds_left\":", progress.seconds_left);
    bp_json_put(out, "}", 1);
}

/* Behind the string that begins at `at`. */
static const char *skip_string(const char *at)
{
    for (at++; *at && *at != '"'; at++)
        if (*at == '\\' && at[1])
            at++;
    return *at ? at + 1 : at;
}

/* Does an object, as text of ours without spaces, have a member of that name? */
static bool has_member(const char *object, const char *name)
{
    const size_t length = strlen(name);
    int depth = 0;
    for (const char *at = object; *at;) {
        if (*at == '"') {
            const char *end = skip_string(at);
            if (depth == 1 && *end == ':' && (size_t)(end - at) == length + 2 &&
                memcmp(at + 1, name, length) == 0)
                return true;
            at = end;
            continue;
        }
        depth += (*at == '{' || *at == '[') - (*at == '}' || *at == ']');
        at++;
    }
    return false;
}

/* As stored, with empty parts for those that are not there yet. */
static void put_metrics(bp_json_writer *out, sqlite3_stmt *row)
{
    static const char *const parts[] = {"latest", "best", "train", "validation", "test"};
    const char *stored = (const char *)sqlite3_column_text(row, COLUMN_METRICS);
    const size_t size = (size_t)sqlite3_column_bytes(row, COLUMN_METRICS);
    bool first = size <= 2;
    bp_json_put_literal(out, ",\"metrics\":{");
    if (!first)
        bp_json_put(out, stored + 1, size - 2);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        if (stored && has_member(stored, parts[i]))
            continue;
        bp_json_put_literal(out, first ? "\"" : ",\"");
        bp_json_put_literal(out, parts[i]);
        bp_json_put_literal(out, "\":{}");
        first = false;
    }
    bp_json_put(out, "}", 1);
}

static void put_model(bp_json_writer *out, sqlite3_stmt *row)
{
    if (sqlite3_column_type(row, COLUMN_MODEL_NAME) == SQLITE_NULL) {
        bp_json_put_literal(out, ",\"model\":null");
        return;
    }
    put_text(out, ",\"model\":{\"name\":", row, COLUMN_MODEL_NAME);
    put_integer(out, ",\"version\":", row, COLUMN_MODEL_VERSION);
    bp_json_put(out, "}", 1);
}

/* Of a queued job what it waits for, as long as that is known; else what led to its state. */
static void put_reason(bp_json_writer *out, sqlite3_stmt *row, bp_jobs *jobs)
{
    char waits[BP_QUEUE_REASON_SIZE];
    const char *state = (const char *)sqlite3_column_text(row, COLUMN_STATE);
    if (state && strcmp(state, bp_job_state_text(BP_JOB_QUEUED)) == 0 &&
        bp_queue_board_reason(waits, jobs->queue_board, sqlite3_column_int64(row, COLUMN_ID))) {
        bp_json_put_literal(out, ",\"reason\":");
        bp_json_put_string(out, waits, strlen(waits));
    } else {
        put_text(out, ",\"reason\":", row, COLUMN_REASON);
    }
}

/* What the newest job that has trained this one again found. */
static void put_verification(bp_json_writer *out, sqlite3_stmt *row)
{
    if (sqlite3_column_type(row, COLUMN_VERIFIER) == SQLITE_NULL) {
        bp_json_put_literal(out, ",\"verification\":null");
        return;
    }
    const char *weights = (const char *)sqlite3_column_text(row, COLUMN_WEIGHTS);
    const char *again = (const char *)sqlite3_column_text(row, COLUMN_VERIFIER_WEIGHTS);
    put_integer(out, ",\"verification\":{\"job\":", row, COLUMN_VERIFIER);
    put_text(out, ",\"state\":", row, COLUMN_VERIFIER_STATE);
    if (weights && again)
        put_flag(out, ",\"same\":", strcmp(weights, again) == 0);
    else
        bp_json_put_literal(out, ",\"same\":null");
    put_text(out, ",\"weights_sha256\":", row, COLUMN_VERIFIER_WEIGHTS);
    if (sqlite3_column_type(row, COLUMN_VERIFIER_METRICS) != SQLITE_NULL)
        put_flag(out, ",\"metrics_same\":", sqlite3_column_int(row, COLUMN_VERIFIER_METRICS));
    else
        bp_json_put_literal(out, ",\"metrics_same\":null");
    bp_json_put(out, "}", 1);
}

/* ---- documents ---- */

/* The statements of an answer, in one snapshot; transitions serves one job after the other. */
typedef struct document_reader {
    bp_jobs *jobs;
    sqlite3 *database;
    sqlite3_stmt *rows, *transitions;
} document_reader;

static bp_status begin_documents(document_reader *out, bp_jobs *jobs, const char *sql,
                                 bp_error *error)
{
    *out = (document_reader){.jobs = jobs};
    bp_status status = bp_store_begin_reading(&out->database, jobs->store, error);
    if (status != BP_OK)
        return status;
    status = bp_database_prepare(&out->rows, out->database, sql, error);
    if (status == BP_OK)
        status = bp_database_prepare(&out->transitions, out->database,
                                     "SELECT time, data FROM job_events "
                                     "WHERE job_id = ?1 AND type = 'state' ORDER BY ordinal",
                                     error);
    return status;
}

/* After a failed beginning too. */
static void end_documents(document_reader *reader)
{
    sqlite3_finalize(reader->rows);
    sqlite3_finalize(reader->transitions);
    if (reader->database && !sqlite3_get_autocommit(reader->database))
        bp_store_end_reading(reader->database);
}

static bp_status put_transitions(bp_json_writer *out, document_reader *reader, int64_t id,
                                 bp_error *error)
{
    sqlite3_stmt *row = reader->transitions;
    const char *separator = ",\"transitions\":[{\"time\":";
    int code;
    sqlite3_bind_int64(row, 1, id);
    while ((code = sqlite3_step(row)) == SQLITE_ROW) {
        const char *data = (const char *)sqlite3_column_text(row, 1);
        const size_t size = (size_t)sqlite3_column_bytes(row, 1);
        put_time(out, separator, row, 0);
        if (data && size > 2) {
            bp_json_put(out, ",", 1);
            bp_json_put(out, data + 1, size - 2);
        }
        bp_json_put(out, "}", 1);
        separator = ",{\"time\":";
    }
    bp_json_put_literal(out,
                        *separator == ',' && separator[1] == '{' ? "]" : ",\"transitions\":[]");
    sqlite3_reset(row);
    return code == SQLITE_DONE ? BP_OK
                               : bp_database_error(reader->database, code, "reading a job", error);
}

static bp_status put_document(bp_json_writer *out, document_reader *reader, bp_error *error)
{
    sqlite3_stmt *row = reader->rows;
    put_integer(out, "{\"id\":", row, COLUMN_ID);
    put_text(out, ",\"name\":", row, COLUMN_NAME);
    put_text(out, ",\"state\":", row, COLUMN_STATE);
    put_reason(out, row, reader->jobs);
    put_integer(out, ",\"restarts\":", row, COLUMN_RESTARTS);
    put_flag(out, ",\"reproducible\":", sqlite3_column_int(row, COLUMN_REPRODUCIBLE));
    put_integer(out, ",\"priority\":", row, COLUMN_PRIORITY);
    put_integer(out, ",\"revision\":", row, COLUMN_REVISION);
    put_progress(out, row, reader->jobs);
    put_metrics(out, row);
    if (sqlite3_column_type(row, COLUMN_GRADIENT_CHECK) != SQLITE_NULL)
        put_stored(out, ",\"gradient_check\":", row, COLUMN_GRADIENT_CHECK);
    put_model(out, row);
    put_text(out, ",\"weights_sha256\":", row, COLUMN_WEIGHTS);
    put_integer(out, ",\"verifies\":", row, COLUMN_VERIFIES);
    put_verification(out, row);
    put_time(out, ",\"created\":", row, COLUMN_CREATED);
    put_time(out, ",\"started\":", row, COLUMN_STARTED);
    put_time(out, ",\"finished\":", row, COLUMN_FINISHED);
    const bp_status status =
        put_transitions(out, reader, sqlite3_column_int64(row, COLUMN_ID), error);
    put_stored(out, ",\"warnings\":", row, COLUMN_WARNINGS);
    put_stored(out, ",\"specification\":", row, COLUMN_SPECIFICATION);
    bp_json_put(out, "}", 1);
    return status;
}

static bp_status no_memory(bp_error *error)
{
    return bp_error_set(error, BP_NO_MEMORY, NULL, "no memory for a job's document");
}

bp_status bp_jobs_put_document(bp_json_writer *out, int64_t *out_revision, bp_jobs *jobs,
                               int64_t id, bp_error *error)
{
    document_reader reader;
    bp_status status =
        begin_documents(&reader, jobs, JOB_COLUMNS "WHERE j.id = ?1 AND j.deleted = 0", error);
    if (status == BP_OK) {
        sqlite3_bind_int64(reader.rows, 1, id);
        const int code = sqlite3_step(reader.rows);
        if (code == SQLITE_ROW)
            status = put_document(out, &reader, error);
        else if (code == SQLITE_DONE)
            status = bp_error_set(error, BP_NOT_FOUND, NULL, "there is no job %lld", (long long)id);
        else
            status = bp_database_error(reader.database, code, "reading a job", error);
        if (status == BP_OK && out_revision)
            *out_revision = sqlite3_column_int64(reader.rows, COLUMN_REVISION);
    }
    end_documents(&reader);
    return status == BP_OK && out->failed ? no_memory(error) : status;
}

static bp_status put_items(bp_json_writer *out, int64_t *out_next, document_reader *reader,
                           size_t limit, bp_error *error)
{
    bp_status status = BP_OK;
    int64_t last = 0;
    size_t count = 0;
    int code = SQLITE_DONE;
    *out_next = 0;
    while (status == BP_OK && (code = sqlite3_step(reader->rows)) == SQLITE_ROW) {
        if (count == limit || out->length >= PAGE_BYTES) {
            *out_next = last;
            return BP_OK;
        }
        if (count++ > 0)
            bp_json_put(out, ",", 1);
        status = put_document(out, reader, error);
        last = sqlite3_column_int64(reader->rows, COLUMN_ID);
    }
    if (status == BP_OK && code != SQLITE_DONE)
        status = bp_database_error(reader->database, code, "reading jobs", error);
    return status;
}

bp_status bp_jobs_put_list(bp_json_writer *out, bp_jobs *jobs, const bp_jobs_filter *filter,
                           bp_error *error)
{
    char sql[1280];
    snprintf(sql, sizeof sql,
             JOB_COLUMNS "WHERE j.id < ?1 AND j.deleted = 0%s%s ORDER BY j.id DESC LIMIT ?4",
             filter->state ? " AND j.state = ?2" : "", filter->name ? " AND j.name = ?3" : "");
    document_reader reader;
    int64_t next = 0;
    bp_status status = begin_documents(&reader, jobs, sql, error);
    if (status == BP_OK) {
        sqlite3_bind_int64(reader.rows, 1, filter->after > 0 ? filter->after : INT64_MAX);
        if (filter->state)
            sqlite3_bind_text(reader.rows, 2, filter->state, -1, SQLITE_STATIC);
        if (filter->name)
            sqlite3_bind_text(reader.rows, 3, filter->name, -1, SQLITE_STATIC);
        /* One more than asked for says whether there is a next page. */
        sqlite3_bind_int64(reader.rows, 4, (sqlite3_int64)filter->limit + 1);
        bp_json_put_literal(out, "{\"items\":[");
        status = put_items(out, &next, &reader, filter->limit, error);
    }
    end_documents(&reader);
    bp_json_put_literal(out, "],\"next\":");
    if (next)
        bp_json_put_integer(out, next);
    else
        bp_json_put_literal(out, "null");
    bp_json_put(out, "}", 1);
    return status == BP_OK && out->failed ? no_memory(error) : status;
}

bp_status bp_jobs_find_submitted(int64_t *out_id, bp_jobs *jobs, const char *key, const char *route,
                                 const char *body_sha256, bp_error *error)
{
    const bp_new_job job = {.now_us = bp_clock_now_us(),
                            .idempotency_key = key,
                            .idempotency_route = route,
                            .body_sha256 = body_sha256};
    sqlite3 *database = NULL;
    int64_t id = 0;
    bool known = false;
    bp_status status = bp_store_begin_reading(&database, jobs->store, error);
    if (status != BP_OK)
        return status;
    status = bp_job_store_find_key(&id, &known, database, &job, error);
    bp_store_end_reading(database);
    if (status == BP_OK)
        *out_id = known ? id : 0;
    return status;
}
