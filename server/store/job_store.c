#include "server/store/job_store.h"

#include <stdio.h>
#include <string.h>

#include "server/store/database.h"
#include "server/store/event_store.h"

/* How long a repeated request gets the first answer: well beyond any client's retries. */
static const int64_t idempotency_lifetime_us = 24ll * 3600 * 1000000;

static void bind_text(sqlite3_stmt *statement, int index, const char *text)
{
    if (text)
        sqlite3_bind_text(statement, index, text, -1, SQLITE_STATIC);
    else
        sqlite3_bind_null(statement, index);
}

/* Runs a bound statement to its end and finalizes it. */
static bp_status finish(sqlite3_stmt *statement, bp_error *error)
{
    const bp_status status = bp_database_step_done(statement, error);
    sqlite3_finalize(statement);
    return status;
}

bp_status bp_job_store_find_key(int64_t *out_id, bool *out_known, sqlite3 *database,
                                const bp_new_job *job, bp_error *error)
{
    sqlite3_stmt *statement = NULL;
    bp_status status = bp_database_prepare(
        &statement, database,
        "SELECT body_sha256, json_extract(answer, '$.id') FROM idempotency_keys "
        "WHERE key = ?1 AND route = ?2 AND created >= ?3",
        error);
    if (status != BP_OK)
        return status;
    bind_text(statement, 1, job->idempotency_key);
    bind_text(statement, 2, job->idempotency_route);
    sqlite3_bind_int64(statement, 3, job->now_us - idempotency_lifetime_us);
    const int code = sqlite3_step(statement);
    if (code == SQLITE_ROW) {
        const char *body = (const char *)sqlite3_column_text(statement, 0);
        if (body && strcmp(body, job->body_sha256) == 0) {
            *out_id = sqlite3_column_int64(statement, 1);
            *out_known = true;
        } else {
            status = bp_error_set(error, BP_INVALID, "Idempotency-Key",
                                  "this key was used with another body");
        }
    } else if (code != SQLITE_DONE) {
        status = bp_database_error(database, code, "looking up a key", error);
    }
    sqlite3_finalize(statement);
    return status;
}

static bp_status keep_key(sqlite3 *database, const bp_new_job *job, int64_t id, bp_error *error)
{
    sqlite3_stmt *statement = NULL;
    bp_status status = bp_database_prepare(
        &statement, database, "DELETE FROM idempotency_keys WHERE created < ?1", error);
    if (status != BP_OK)
        return status;
    sqlite3_bind_int64(statement, 1, job->now_us - idempotency_lifetime_us);
    status = finish(statement, error);
    if (status == BP_OK)
        status = bp_database_prepare(
            &statement, database,
            "INSERT INTO idempotency_keys (key, route, body_sha256, status, location, answer, "
            "created) VALUES (?1, ?2, ?3, 201, ?4, ?5, ?6)",
            error);
    if (status != BP_OK)
        return status;
    char location[64], answer[64];
    snprintf(location, sizeof location, "/api/v1/jobs/%lld", (long long)id);
    snprintf(answer, sizeof answer, "{\"id\":%lld}", (long long)id);
    bind_text(statement, 1, job->idempotency_key);
    bind_text(statement, 2, job->idempotency_route);
    bind_text(statement, 3, job->body_sha256);
    bind_text(statement, 4, location);
    bind_text(statement, 5, answer);
    sqlite3_bind_int64(statement, 6, job->now_us);
    return finish(statement, error);
}

static bp_status insert_need(sqlite3 *database, int64_t id, const bp_job_need *need,
                             bp_error *error)
{
    sqlite3_stmt *statement = NULL;
    const bp_status status = bp_database_prepare(
        &statement, database,
        "INSERT INTO job_datasets (job_id, part, dataset_version_id) SELECT ?1, ?2, id "
        "FROM dataset_versions WHERE dataset = ?3 AND sha256 = ?4 ORDER BY version DESC LIMIT 1",
        error);
    if (status != BP_OK)
        return status;
    sqlite3_bind_int64(statement, 1, id);
    bind_text(statement, 2, need->part);
    bind_text(statement, 3, need->name);
    bind_text(statement, 4, need->sha256);
    const bp_status outcome = finish(statement, error);
    if (outcome == BP_OK && sqlite3_changes(database) == 0)
        return bp_error_set(error, BP_CONFLICT, "/data",
                            "the data set %s has gone, or what it held", need->name);
    return outcome;
}

static bp_status insert_transition(sqlite3 *database, int64_t id, const char *from, const char *to,
                                   const char *reason, int64_t now_us, bp_error *error)
{
    json_t *data = json_pack("{s:s?, s:s, s:s?}", "from", from, "to", to, "reason", reason);
    return bp_event_store_append(database, id, "state", data, now_us, error);
}

/* A job that has a checkpoint of its own does not need the one that it began with. */
static bp_status enter_initial(sqlite3 *database, int64_t id, bp_error *error)
{
    sqlite3_stmt *statement = NULL;
    bp_status status = bp_database_prepare(
        &statement, database,
        "INSERT INTO job_initials (job_id, checkpoint_id) SELECT j.id, c.id FROM jobs j "
        "JOIN checkpoints c ON c.job_id = json_extract(j.specification, '$.initial.job') AND "
        "c.number = json_extract(j.specification, '$.initial.checkpoint') AND c.complete = 1 "
        "JOIN jobs b ON b.id = c.job_id AND b.deleted = 0 WHERE j.id = ?1",
        error);
    if (status != BP_OK)
        return status;
    sqlite3_bind_int64(statement, 1, id);
    status = finish(statement, error);
    if (status != BP_OK || sqlite3_changes(database) > 0)
        return status;
    status = bp_database_prepare(
        &statement, database,
        "SELECT 1 FROM jobs j WHERE j.id = ?1 AND json_extract(j.specification, '$.initial.job') "
        "IS NOT NULL AND NOT EXISTS (SELECT 1 FROM checkpoints WHERE job_id = ?1 AND complete = 1)",
        error);
    if (status != BP_OK)
        return status;
    sqlite3_bind_int64(statement, 1, id);
    const int code = sqlite3_step(statement);
    if (code == SQLITE_ROW)
        status = bp_error_set(error, BP_CONFLICT, "/initial",
                              "the checkpoint that the job begins with has gone");
    else if (code != SQLITE_DONE)
        status = bp_database_error(database, code, "reading what a job begins with", error);
    sqlite3_finalize(statement);
    return status;
}

bp_status bp_job_store_insert(int64_t *out_id, bool *out_known, sqlite3 *database,
                              const bp_new_job *job, bp_error *error)
{
    int64_t id = 0;
    bool known = false;
    bp_status status = BP_OK;
    if (job->idempotency_key[0])
        status = bp_job_store_find_key(&id, &known, database, job, error);
    if (status == BP_OK && !known) {
        sqlite3_stmt *statement = NULL;
        status = bp_database_prepare(
            &statement, database,
            "INSERT INTO jobs (name, state, reason, priority, specification, warnings, "
            "memory_bytes, created) VALUES (?1, 'queued', 'submitted', ?2, ?3, ?4, ?5, ?6)",
            error);
        if (status == BP_OK) {
            bind_text(statement, 1, job->name);
            sqlite3_bind_int64(statement, 2, job->priority);
            bind_text(statement, 3, job->specification);
            bind_text(statement, 4, job->warnings);
            sqlite3_bind_int64(statement, 5, (sqlite3_int64)job->memory_bytes);
            sqlite3_bind_int64(statement, 6, job->now_us);
            status = finish(statement, error);
        }
        if (status == BP_OK)
            id = sqlite3_last_insert_rowid(database);
        for (size_t i = 0; i < sizeof job->needs / sizeof *job->needs && status == BP_OK; i++)
            if (job->needs[i].name)
                status = insert_need(database, id, &job->needs[i], error);
        if (status == BP_OK)
            status = enter_initial(database, id, error);
        if (status == BP_OK)
            status =
                insert_transition(database, id, NULL, "queued", "submitted", job->now_us, error);
        if (status == BP_OK && job->idempotency_key[0])
            status = keep_key(database, job, id, error);
    }
    if (status != BP_OK)
        return status;
    *out_id = id;
    *out_known = known;
    return BP_OK;
}

static bp_status refuse_unknown(int64_t id, bp_error *error)
{
    return bp_error_set(error, BP_NOT_FOUND, NULL, "there is no job %lld", (long long)id);
}

bp_status bp_job_store_enter_needs(sqlite3 *database, int64_t id, bp_error *error)
{
    /* An embedding is the first layer, or the second behind a window. */
    static const char *const parts[] = {"training", "validation", "test", "vectors", "vectors"};
    static const char *const places[] = {"$.data", "$.data.validation", "$.data.test",
                                         "$.network.layers[0].vectors",
                                         "$.network.layers[1].vectors"};
    bp_status status = BP_OK;
    for (size_t i = 0; i < sizeof parts / sizeof *parts && status == BP_OK; i++) {
        sqlite3_stmt *statement = NULL;
        status = bp_database_prepare(
            &statement, database,
            "SELECT json_extract(specification, ?2 || '.dataset'), "
            "json_extract(specification, ?2 || '.sha256') FROM jobs WHERE id = ?1",
            error);
        if (status != BP_OK)
            return status;
        sqlite3_bind_int64(statement, 1, id);
        bind_text(statement, 2, places[i]);
        const int code = sqlite3_step(statement);
        if (code != SQLITE_ROW) {
            status = bp_database_error(database, code, "reading what a job needs", error);
        } else if (sqlite3_column_type(statement, 0) != SQLITE_NULL) {
            const bp_job_need need = {.part = parts[i],
                                      .name = (const char *)sqlite3_column_text(statement, 0),
                                      .sha256 = (const char *)sqlite3_column_text(statement, 1)};
            status = insert_need(database, id, &need, error);
        }
        sqlite3_finalize(statement);
    }
    return status == BP_OK ? enter_initial(database, id, error) : status;
}

bp_status bp_job_store_move(sqlite3 *database, const bp_transition *transition, bp_error *error)
{
    sqlite3_stmt *statement = NULL;
    bp_status status =
        bp_database_prepare(&statement, database,
                            "UPDATE jobs SET state = ?3, reason = ?4, restarts = restarts + ?5, "
                            "stalled_restarts = iif(?9, 0, stalled_restarts + ?5), "
                            "started = iif(?6, coalesce(started, ?8), started), "
                            "finished = iif(?7, ?8, iif(?9, NULL, finished)) "
                            "WHERE id = ?1 AND state = ?2 AND deleted = 0",
                            error);
    if (status != BP_OK)
        return status;
    sqlite3_bind_int64(statement, 1, transition->id);
    bind_text(statement, 2, transition->from);
    bind_text(statement, 3, transition->to);
    bind_text(statement, 4, transition->reason);
    sqlite3_bind_int(statement, 5, transition->counts_restart);
    sqlite3_bind_int(statement, 6, transition->begins);
    sqlite3_bind_int(statement, 7, transition->finishes);
    sqlite3_bind_int64(statement, 8, transition->now_us);
    sqlite3_bind_int(statement, 9, transition->retries);
    status = bp_database_step_done(statement, error);
    /* sqlite3_changes does not count what the trigger deletes. */
    const int changed = sqlite3_changes(database);
    sqlite3_finalize(statement);
    if (status == BP_OK && changed != 1)
        status = transition->retries ? refuse_unknown(transition->id, error)
                                     : bp_error_set(error, BP_INTERNAL, NULL, "job %lld is not %s",
                                                    (long long)transition->id, transition->from);
    if (status == BP_OK && transition->retries)
        status = bp_job_store_enter_needs(database, transition->id, error);
    if (status == BP_OK)
        status = insert_transition(database, transition->id, transition->from, transition->to,
                                   transition->reason, transition->now_us, error);
    return status;
}

bp_status bp_job_store_progress(sqlite3 *database, int64_t id, uint64_t epoch, uint64_t step,
                                uint64_t steps, const char *metrics, bp_error *error)
{
    sqlite3_stmt *statement = NULL;
    const bp_status status = bp_database_prepare(
        &statement, database,
        "UPDATE jobs SET epoch = ?2, step = ?3, steps = ?4, metrics = ?5 WHERE id = ?1", error);
    if (status != BP_OK)
        return status;
    sqlite3_bind_int64(statement, 1, id);
    sqlite3_bind_int64(statement, 2, (sqlite3_int64)epoch);
    sqlite3_bind_int64(statement, 3, (sqlite3_int64)step);
    sqlite3_bind_int64(statement, 4, (sqlite3_int64)steps);
    bind_text(statement, 5, metrics);
    return finish(statement, error);
}

bp_status bp_job_store_gradient_check(sqlite3 *database, int64_t id, const char *report,
                                      bp_error *error)
{
    sqlite3_stmt *statement = NULL;
    const bp_status status = bp_database_prepare(
        &statement, database, "UPDATE jobs SET gradient_check = ?2 WHERE id = ?1", error);
    if (status != BP_OK)
        return status;
    sqlite3_bind_int64(statement, 1, id);
    bind_text(statement, 2, report);
    return finish(statement, error);
}

bp_status bp_job_store_weights(sqlite3 *database, int64_t id, const char *sha256, bp_error *error)
{
    sqlite3_stmt *statement = NULL;
    const bp_status status = bp_database_prepare(
        &statement, database, "UPDATE jobs SET weights_sha256 = ?2 WHERE id = ?1", error);
    if (status != BP_OK)
        return status;
    sqlite3_bind_int64(statement, 1, id);
    bind_text(statement, 2, sha256);
    return finish(statement, error);
}
