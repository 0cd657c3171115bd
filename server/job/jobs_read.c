/* Documents of jobs, from committed rows through the calling thread's own connection. What changes many
 * times a second (progress of a running job) comes from the board. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "schema/json/json_text.h"
#include "server/base/clock.h"
#include "server/job/job_table.h"
#include "server/store/database.h"
#include "server/store/job_store.h"

/* One job a row; the order is known to read_document. */
#define JOB_COLUMNS                                                                                \
    "SELECT j.id, j.name, j.state, j.reason, j.restarts, j.reproducible, j.priority, "             \
    "j.specification, j.warnings, j.created, j.started, j.finished, j.epoch, j.step, j.steps, "    \
    "j.metrics, j.gradient_check, m.name, m.version, j.revision, j.verifies, j.weights_sha256, "   \
    "v.id, v.state, v.weights_sha256, v.metrics_same "                                             \
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
    COLUMN_VERIFIER_METRICS
};

/* A page of jobs ends early, with a cursor, once its rows have this many bytes: specifications can be
 * long, and parsed they take some ten times as much. */
enum { PAGE_BYTES = 4 << 20 };

static json_t *text_or_null(sqlite3_stmt *row, int column)
{
    const char *text = (const char *)sqlite3_column_text(row, column);
    return text ? json_string(text) : json_null();
}

static json_t *time_or_null(sqlite3_stmt *row, int column)
{
    if (sqlite3_column_type(row, column) == SQLITE_NULL)
        return json_null();
    char text[BP_TIME_TEXT_SIZE];
    bp_clock_format(text, sqlite3_column_int64(row, column));
    return json_string(text);
}

static json_t *stored_json(sqlite3_stmt *row, int column)
{
    const char *text = (const char *)sqlite3_column_text(row, column);
    return text ? json_loadb(text, (size_t)sqlite3_column_bytes(row, column), 0, NULL) : NULL;
}

static json_t *known_or_null(double value)
{
    return isnan(value) ? json_null() : bp_json_real(value);
}

static json_t *progress_json(sqlite3_stmt *row, bp_jobs *jobs, const json_t *specification)
{
    bp_progress progress = {.epoch = (uint64_t)sqlite3_column_int64(row, COLUMN_EPOCH),
                            .step = (uint64_t)sqlite3_column_int64(row, COLUMN_STEP),
                            .steps = (uint64_t)sqlite3_column_int64(row, COLUMN_STEPS),
                            .samples_per_second = NAN,
                            .seconds_left = NAN};
    if (sqlite3_column_type(row, COLUMN_FINISHED) == SQLITE_NULL)
        (void)bp_progress_board_get(&progress, jobs->run_services.board,
                                    sqlite3_column_int64(row, COLUMN_ID));
    const json_t *epochs = json_object_get(json_object_get(specification, "training"), "epochs");
    json_t *json = json_object();
    json_object_set_new(json, "epoch", json_integer((json_int_t)progress.epoch));
    json_object_set_new(json, "epochs", json_integer(json_integer_value(epochs)));
    json_object_set_new(json, "step", json_integer((json_int_t)progress.step));
    json_object_set_new(json, "steps", json_integer((json_int_t)progress.steps));
    json_object_set_new(json, "samples_per_second", known_or_null(progress.samples_per_second));
    json_object_set_new(json, "seconds_left", known_or_null(progress.seconds_left));
    return json;
}

static json_t *metrics_json(sqlite3_stmt *row)
{
    static const char *const parts[] = {"latest", "best", "train", "validation", "test"};
    json_t *stored = stored_json(row, COLUMN_METRICS), *json = json_object();
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        json_t *part = json_object_get(stored, parts[i]);
        json_object_set_new(json, parts[i], part ? json_incref(part) : json_object());
    }
    json_decref(stored);
    return json;
}

static json_t *model_json(sqlite3_stmt *row)
{
    if (sqlite3_column_type(row, COLUMN_MODEL_NAME) == SQLITE_NULL)
        return json_null();
    json_t *json = json_object();
    json_object_set_new(json, "name", text_or_null(row, COLUMN_MODEL_NAME));
    json_object_set_new(json, "version",
                        json_integer(sqlite3_column_int64(row, COLUMN_MODEL_VERSION)));
    return json;
}

/* Of a queued job what it waits for, as long as that is known; else what led to its state. */
static json_t *reason_json(sqlite3_stmt *row, bp_jobs *jobs)
{
    char waits[BP_QUEUE_REASON_SIZE];
    const char *state = (const char *)sqlite3_column_text(row, COLUMN_STATE);
    if (state && strcmp(state, bp_job_state_text(BP_JOB_QUEUED)) == 0 &&
        bp_queue_board_reason(waits, jobs->queue_board, sqlite3_column_int64(row, COLUMN_ID)))
        return json_string(waits);
    return text_or_null(row, COLUMN_REASON);
}

static json_t *number_or_null(sqlite3_stmt *row, int column)
{
    return sqlite3_column_type(row, column) == SQLITE_NULL
               ? json_null()
               : json_integer(sqlite3_column_int64(row, column));
}

/* What the newest job that has trained this one again found. */
static json_t *verification_json(sqlite3_stmt *row)
{
    if (sqlite3_column_type(row, COLUMN_VERIFIER) == SQLITE_NULL)
        return json_null();
    const char *weights = (const char *)sqlite3_column_text(row, COLUMN_WEIGHTS);
    const char *again = (const char *)sqlite3_column_text(row, COLUMN_VERIFIER_WEIGHTS);
    const bool compared = weights && again;
    const bool metrics_known = sqlite3_column_type(row, COLUMN_VERIFIER_METRICS) != SQLITE_NULL;
    json_t *json = json_object();
    json_object_set_new(json, "job", number_or_null(row, COLUMN_VERIFIER));
    json_object_set_new(json, "state", text_or_null(row, COLUMN_VERIFIER_STATE));
    json_object_set_new(json, "same",
                        compared ? json_boolean(strcmp(weights, again) == 0) : json_null());
    json_object_set_new(json, "weights_sha256", text_or_null(row, COLUMN_VERIFIER_WEIGHTS));
    json_object_set_new(json, "metrics_same",
                        metrics_known
                            ? json_boolean(sqlite3_column_int(row, COLUMN_VERIFIER_METRICS))
                            : json_null());
    return json;
}

static bp_status read_transitions(json_t **out, sqlite3 *database, int64_t id, bp_error *error)
{
    sqlite3_stmt *statement = NULL;
    bp_status status = bp_database_prepare(&statement, database,
                                           "SELECT time, data FROM job_events "
                                           "WHERE job_id = ?1 AND type = 'state' ORDER BY ordinal",
                                           error);
    if (status != BP_OK)
        return status;
    sqlite3_bind_int64(statement, 1, id);
    json_t *list = json_array();
    int code;
    while ((code = sqlite3_step(statement)) == SQLITE_ROW) {
        json_t *data = stored_json(statement, 1), *transition = json_object();
        json_object_set_new(transition, "time", time_or_null(statement, 0));
        json_object_update(transition, data);
        json_decref(data);
        json_array_append_new(list, transition);
    }
    if (code != SQLITE_DONE) {
        status = bp_database_error(database, code, "reading a job", error);
        json_decref(list);
    } else if (!list) {
        status = bp_error_set(error, BP_NO_MEMORY, NULL, "no memory for a job's document");
    }
    sqlite3_finalize(statement);
    if (status == BP_OK)
        *out = list;
    return status;
}

static bp_status read_document(json_t **out, sqlite3_stmt *row, sqlite3 *database, bp_jobs *jobs,
                               bp_error *error)
{
    json_t *transitions = NULL;
    const int64_t id = sqlite3_column_int64(row, COLUMN_ID);
    const bp_status status = read_transitions(&transitions, database, id, error);
    if (status != BP_OK)
        return status;
    json_t *specification = stored_json(row, COLUMN_SPECIFICATION);
    json_t *json = json_object();
    int failed = !specification;
    failed |= json_object_set_new(json, "id", json_integer(id));
    failed |= json_object_set_new(json, "name", text_or_null(row, COLUMN_NAME));
    failed |= json_object_set_new(json, "state", text_or_null(row, COLUMN_STATE));
    failed |= json_object_set_new(json, "reason", reason_json(row, jobs));
    failed |= json_object_set_new(json, "restarts",
                                  json_integer(sqlite3_column_int64(row, COLUMN_RESTARTS)));
    failed |= json_object_set_new(json, "reproducible",
                                  json_boolean(sqlite3_column_int(row, COLUMN_REPRODUCIBLE)));
    failed |= json_object_set_new(json, "priority",
                                  json_integer(sqlite3_column_int64(row, COLUMN_PRIORITY)));
    failed |= json_object_set_new(json, "revision", number_or_null(row, COLUMN_REVISION));
    failed |= json_object_set_new(json, "progress", progress_json(row, jobs, specification));
    failed |= json_object_set_new(json, "metrics", metrics_json(row));
    if (sqlite3_column_type(row, COLUMN_GRADIENT_CHECK) != SQLITE_NULL)
        failed |=
            json_object_set_new(json, "gradient_check", stored_json(row, COLUMN_GRADIENT_CHECK));
    failed |= json_object_set_new(json, "model", model_json(row));
    failed |= json_object_set_new(json, "weights_sha256", text_or_null(row, COLUMN_WEIGHTS));
    failed |= json_object_set_new(json, "verifies", number_or_null(row, COLUMN_VERIFIES));
    failed |= json_object_set_new(json, "verification", verification_json(row));
    failed |= json_object_set_new(json, "created", time_or_null(row, COLUMN_CREATED));
    failed |= json_object_set_new(json, "started", time_or_null(row, COLUMN_STARTED));
    failed |= json_object_set_new(json, "finished", time_or_null(row, COLUMN_FINISHED));
    failed |= json_object_set_new(json, "transitions", transitions);
    failed |= json_object_set_new(json, "warnings", stored_json(row, COLUMN_WARNINGS));
    failed |= json_object_set_new(json, "specification", specification);
    if (failed) {
        json_decref(json);
        return bp_error_set(error, BP_NO_MEMORY, NULL, "no memory for a job's document");
    }
    *out = json;
    return BP_OK;
}

/* One snapshot for all statements of an answer. */
static bp_status begin_reading(sqlite3 **out, bp_jobs *jobs, bp_error *error)
{
    return bp_store_begin_reading(out, jobs->store, error);
}

static void end_reading(sqlite3 *database)
{
    bp_store_end_reading(database);
}

static bp_status not_found(int64_t id, bp_error *error)
{
    return bp_error_set(error, BP_NOT_FOUND, NULL, "there is no job %lld", (long long)id);
}

bp_status bp_jobs_document_json(json_t **out, bp_jobs *jobs, int64_t id, bp_error *error)
{
    sqlite3 *database = NULL;
    sqlite3_stmt *statement = NULL;
    bp_status status = begin_reading(&database, jobs, error);
    if (status != BP_OK)
        return status;
    status = bp_database_prepare(&statement, database,
                                 JOB_COLUMNS "WHERE j.id = ?1 AND j.deleted = 0", error);
    if (status == BP_OK) {
        sqlite3_bind_int64(statement, 1, id);
        const int code = sqlite3_step(statement);
        if (code == SQLITE_ROW)
            status = read_document(out, statement, database, jobs, error);
        else if (code == SQLITE_DONE)
            status = not_found(id, error);
        else
            status = bp_database_error(database, code, "reading a job", error);
        sqlite3_finalize(statement);
    }
    end_reading(database);
    return status;
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
    bp_status status = begin_reading(&database, jobs, error);
    if (status != BP_OK)
        return status;
    status = bp_job_store_find_key(&id, &known, database, &job, error);
    end_reading(database);
    if (status == BP_OK)
        *out_id = known ? id : 0;
    return status;
}

static bp_status read_list(json_t *items, int64_t *out_next, sqlite3 *database, bp_jobs *jobs,
                           const bp_jobs_filter *filter, bp_error *error)
{
    char sql[1024];
    snprintf(sql, sizeof sql,
             JOB_COLUMNS "WHERE j.id < ?1 AND j.deleted = 0%s%s ORDER BY j.id DESC LIMIT ?4",
             filter->state ? " AND j.state = ?2" : "", filter->name ? " AND j.name = ?3" : "");
    sqlite3_stmt *statement = NULL;
    bp_status status = bp_database_prepare(&statement, database, sql, error);
    if (status != BP_OK)
        return status;
    sqlite3_bind_int64(statement, 1, filter->after > 0 ? filter->after : INT64_MAX);
    if (filter->state)
        sqlite3_bind_text(statement, 2, filter->state, -1, SQLITE_STATIC);
    if (filter->name)
        sqlite3_bind_text(statement, 3, filter->name, -1, SQLITE_STATIC);
    /* One more than asked for says whether there is a next page. */
    sqlite3_bind_int64(statement, 4, (sqlite3_int64)filter->limit + 1);
    int code = SQLITE_DONE;
    int64_t last = 0;
    size_t bytes = 0;
    *out_next = 0;
    while (status == BP_OK && (code = sqlite3_step(statement)) == SQLITE_ROW) {
        if (json_array_size(items) == filter->limit || bytes >= PAGE_BYTES) {
            *out_next = last;
            code = SQLITE_DONE;
            break;
        }
        json_t *document = NULL;
        status = read_document(&document, statement, database, jobs, error);
        if (status == BP_OK && json_array_append_new(items, document) != 0)
            status = bp_error_set(error, BP_NO_MEMORY, NULL, "no memory for a list of jobs");
        last = sqlite3_column_int64(statement, COLUMN_ID);
        bytes += (size_t)sqlite3_column_bytes(statement, COLUMN_SPECIFICATION) +
                 (size_t)sqlite3_column_bytes(statement, COLUMN_WARNINGS) +
                 (size_t)sqlite3_column_bytes(statement, COLUMN_METRICS);
    }
    if (status == BP_OK && code != SQLITE_DONE)
        status = bp_database_error(database, code, "reading jobs", error);
    sqlite3_finalize(statement);
    return status;
}

bp_status bp_jobs_list_json(json_t **out, bp_jobs *jobs, const bp_jobs_filter *filter,
                            bp_error *error)
{
    sqlite3 *database = NULL;
    bp_status status = begin_reading(&database, jobs, error);
    if (status != BP_OK)
        return status;
    json_t *items = json_array(), *list = json_object();
    int64_t next = 0;
    status = read_list(items, &next, database, jobs, filter, error);
    end_reading(database);
    int failed = json_object_set_new(list, "items", items);
    failed |= json_object_set_new(list, "next", next ? json_integer(next) : json_null());
    if (status == BP_OK && failed)
        status = bp_error_set(error, BP_NO_MEMORY, NULL, "no memory for a list of jobs");
    if (status != BP_OK) {
        json_decref(list);
        return status;
    }
    *out = list;
    return BP_OK;
}
