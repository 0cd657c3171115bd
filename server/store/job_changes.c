#include <string.h>

#include "server/store/database.h"
#include "server/store/event_store.h"
#include "server/store/job_store.h"

typedef struct job_facts {
    int64_t revision, verifies;
    bool finished, succeeded, has_hash;
    char state[16];
} job_facts;

static bp_status read_facts(job_facts *out, sqlite3 *database, int64_t id, bp_error *error)
{
    sqlite3_stmt *statement = NULL;
    *out = (job_facts){.verifies = 0};
    bp_status status = bp_database_prepare(
        &statement, database,
        "SELECT revision, verifies, finished IS NOT NULL, state, weights_sha256 IS NOT NULL "
        "FROM jobs WHERE id = ?1 AND deleted = 0",
        error);
    if (status != BP_OK)
        return status;
    sqlite3_bind_int64(statement, 1, id);
    const int code = sqlite3_step(statement);
    if (code == SQLITE_ROW) {
        *out = (job_facts){.revision = sqlite3_column_int64(statement, 0),
                           .verifies = sqlite3_column_int64(statement, 1),
                           .finished = sqlite3_column_int(statement, 2) != 0,
                           .has_hash = sqlite3_column_int(statement, 4) != 0};
        strncpy(out->state, (const char *)sqlite3_column_text(statement, 3), sizeof out->state - 1);
        out->succeeded = strcmp(out->state, "succeeded") == 0;
    } else if (code == SQLITE_DONE) {
        status = bp_error_set(error, BP_NOT_FOUND, NULL, "there is no job %lld", (long long)id);
    } else {
        status = bp_database_error(database, code, "reading a job", error);
    }
    sqlite3_finalize(statement);
    return status;
}

static bp_status check_condition(const bp_if_match *condition, int64_t revision, bp_error *error)
{
    if (!condition->given || condition->any)
        return BP_OK;
    for (size_t i = 0; i < condition->count; i++)
        if (condition->revisions[i] == revision)
            return BP_OK;
    return bp_error_set(error, BP_STALE, NULL, "the job's revision is %lld, not that of If-Match",
                        (long long)revision);
}

/* Runs one statement whose only parameters are whole numbers. */
static bp_status run_with(sqlite3 *database, const char *sql, int64_t first, int64_t second,
                          bp_error *error)
{
    sqlite3_stmt *statement = NULL;
    bp_status status = bp_database_prepare(&statement, database, sql, error);
    if (status != BP_OK)
        return status;
    sqlite3_bind_int64(statement, 1, first);
    if (sqlite3_bind_parameter_count(statement) > 1)
        sqlite3_bind_int64(statement, 2, second);
    status = bp_database_step_done(statement, error);
    sqlite3_finalize(statement);
    return status;
}

/* Reads one whole number; *out is not written where there is no row. */
static bp_status read_number(int64_t *out, sqlite3 *database, const char *sql, int64_t id,
                             bp_error *error)
{
    sqlite3_stmt *statement = NULL;
    bp_status status = bp_database_prepare(&statement, database, sql, error);
    if (status != BP_OK)
        return status;
    sqlite3_bind_int64(statement, 1, id);
    const int code = sqlite3_step(statement);
    if (code == SQLITE_ROW)
        *out = sqlite3_column_int64(statement, 0);
    else if (code != SQLITE_DONE)
        status = bp_database_error(database, code, "reading jobs", error);
    sqlite3_finalize(statement);
    return status;
}

bp_status bp_job_store_set_priority(sqlite3 *database, int64_t id, int64_t priority,
                                    const bp_if_match *condition, bp_error *error)
{
    job_facts job;
    bp_status status = read_facts(&job, database, id, error);
    if (status == BP_OK)
        status = check_condition(condition, job.revision, error);
    if (status == BP_OK && job.finished)
        status = bp_error_set(error, BP_CONFLICT, NULL,
                              "the job is %s: its priority cannot change any more", job.state);
    if (status == BP_OK)
        status = run_with(database,
                          "UPDATE jobs SET priority = ?2, revision = revision + 1 WHERE id = ?1",
                          id, priority, error);
    return status;
}

/* Is there an unfinished job that needs this one? */
static bp_status check_unneeded(sqlite3 *database, int64_t id, bp_error *error)
{
    int64_t user = 0;
    bp_status status = read_number(
        &user, database, "SELECT id FROM jobs WHERE verifies = ?1 AND finished IS NULL", id, error);
    if (status == BP_OK && user)
        return bp_error_set(error, BP_CONFLICT, NULL, "the job is being verified by job %lld",
                            (long long)user);
    if (status == BP_OK)
        status = read_number(&user, database,
                             "SELECT i.job_id FROM job_initials i JOIN checkpoints c "
                             "ON c.id = i.checkpoint_id WHERE c.job_id IN "
                             "(SELECT id FROM jobs WHERE id = ?1 OR verifies = ?1)",
                             id, error);
    if (status == BP_OK && user)
        return bp_error_set(error, BP_CONFLICT, NULL,
                            "job %lld begins with a checkpoint of this one or of its verification",
                            (long long)user);
    return status;
}

bp_status bp_job_store_delete(sqlite3 *database, int64_t id, const bp_if_match *condition,
                              bp_error *error)
{
    job_facts job;
    bp_status status = read_facts(&job, database, id, error);
    if (status == BP_OK)
        status = check_condition(condition, job.revision, error);
    if (status == BP_OK && !job.finished)
        status = bp_error_set(error, BP_CONFLICT, NULL,
                              "the job is %s: only a finished one can be deleted", job.state);
    if (status == BP_OK)
        status = check_unneeded(database, id, error);
    if (status == BP_OK)
        status = run_with(database, "UPDATE jobs SET deleted = 1 WHERE id = ?1 OR verifies = ?1",
                          id, 0, error);
    return status;
}

static bp_status insert_verification(bp_verification_job *out, sqlite3 *database, int64_t id,
                                     int64_t now_us, bp_error *error)
{
    bp_status status = run_with(
        database,
        "INSERT INTO jobs (name, state, reason, priority, specification, memory_bytes, created, "
        "verifies) SELECT name, 'queued', 'verification', priority, specification, memory_bytes, "
        "?2, id FROM jobs WHERE id = ?1",
        id, now_us, error);
    if (status != BP_OK)
        return status;
    out->id = sqlite3_last_insert_rowid(database);
    status = bp_job_store_enter_needs(database, out->id, error);
    if (status == BP_OK)
        status = bp_event_store_append(
            database, out->id, "state",
            json_pack("{s:n, s:s, s:s}", "from", "to", "queued", "reason", "verification"), now_us,
            error);
    return status;
}

bp_status bp_job_store_verify(bp_verification_job *out, sqlite3 *database, int64_t id,
                              int64_t now_us, bp_error *error)
{
    job_facts job;
    bp_verification_job made = {.id = 0};
    bp_status status = read_facts(&job, database, id, error);
    if (status == BP_OK && job.verifies)
        status = bp_error_set(error, BP_CONFLICT, NULL, "the job verifies job %lld itself",
                              (long long)job.verifies);
    if (status == BP_OK && !job.succeeded)
        status =
            bp_error_set(error, BP_CONFLICT, NULL,
                         "the job is %s: only one that has succeeded can be verified", job.state);
    if (status == BP_OK && !job.has_hash)
        status = bp_error_set(error, BP_CONFLICT, NULL,
                              "the job was trained by a version that kept no hash of its weights");
    if (status == BP_OK)
        status =
            read_number(&made.id, database,
                        "SELECT id FROM jobs WHERE verifies = ?1 AND finished IS NULL", id, error);
    made.known = made.id != 0;
    if (status == BP_OK && !made.known)
        status = insert_verification(&made, database, id, now_us, error);
    int64_t memory_bytes = 0;
    if (status == BP_OK)
        status = read_number(&made.priority, database, "SELECT priority FROM jobs WHERE id = ?1",
                             made.id, error);
    if (status == BP_OK)
        status = read_number(&memory_bytes, database, "SELECT memory_bytes FROM jobs WHERE id = ?1",
                             made.id, error);
    if (status != BP_OK)
        return status;
    made.memory_bytes = (uint64_t)memory_bytes;
    *out = made;
    return BP_OK;
}

bp_status bp_job_store_metrics_same(sqlite3 *database, int64_t id, bool same, bp_error *error)
{
    return run_with(database, "UPDATE jobs SET metrics_same = ?2 WHERE id = ?1", id, same, error);
}
