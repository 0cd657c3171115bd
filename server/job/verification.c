#include "server/job/verification.h"

#include "server/store/database.h"
#include "server/store/job_store.h"

/* Compared in one read transaction: they are short, so that the log can be checkpointed meanwhile. */
enum { PAGE_POINTS = 10000 };

typedef struct pair {
    sqlite3 *database;
    int64_t original, again;
} pair;

/* Reads up to two numbers with the parameters ?1 … ?4. No row: *out_found false. */
static bp_status read_numbers(bool *out_found, int64_t out[2], sqlite3 *database, const char *sql,
                              const int64_t parameters[4], bp_error *error)
{
    sqlite3_stmt *statement = NULL;
    bp_status status = bp_database_prepare(&statement, database, sql, error);
    if (status != BP_OK)
        return status;
    for (int i = 0; i < sqlite3_bind_parameter_count(statement); i++)
        sqlite3_bind_int64(statement, i + 1, parameters[i]);
    const int code = sqlite3_step(statement);
    *out_found = code == SQLITE_ROW;
    for (int i = 0; code == SQLITE_ROW && i < sqlite3_column_count(statement); i++)
        out[i] = sqlite3_column_int64(statement, i);
    if (code != SQLITE_ROW && code != SQLITE_DONE)
        status = bp_database_error(database, code, "comparing metrics", error);
    sqlite3_finalize(statement);
    return status;
}

static bp_status page_differs(bool *out, const pair *jobs, int64_t after, bp_error *error)
{
    static const char sql[] =
        "SELECT 1 FROM metrics a JOIN metrics b ON b.job_id = ?2 AND b.seq = a.seq "
        "WHERE a.job_id = ?1 AND a.seq > ?3 AND a.seq <= ?4 AND (a.step <> b.step OR "
        "a.epoch <> b.epoch OR a.\"values\" <> b.\"values\" OR "
        "(SELECT names FROM metric_sets WHERE job_id = a.job_id AND id = a.set_id) <> "
        "(SELECT names FROM metric_sets WHERE job_id = b.job_id AND id = b.set_id)) LIMIT 1";
    int64_t ignored[2];
    return read_numbers(out, ignored, jobs->database, sql,
                        (const int64_t[4]){jobs->original, jobs->again, after, after + PAGE_POINTS},
                        error);
}

typedef struct same_write {
    bp_write write; /* first */
    int64_t job;
    bool same;
} same_write;

static bp_status apply_same(bp_write *write, sqlite3 *database, bp_error *error)
{
    const same_write *self = (const same_write *)write;
    return bp_job_store_metrics_same(database, self->job, self->same, error);
}

bp_status bp_verification_compare(bp_store *store, int64_t job, bool (*is_stopped)(void *context),
                                  void *context, bp_error *error)
{
    pair jobs = {.again = job};
    int64_t found[2] = {0, 0};
    bool is_there = false;
    bp_status status = bp_store_reader(&jobs.database, store, error);
    if (status == BP_OK)
        status =
            read_numbers(&is_there, found, jobs.database, "SELECT verifies FROM jobs WHERE id = ?1",
                         (const int64_t[4]){job}, error);
    if (status != BP_OK || !is_there || found[0] == 0)
        return status;
    jobs.original = found[0];
    /* Points are numbered without gaps: as many of one as of the other have each its partner. */
    status = read_numbers(&is_there, found, jobs.database,
                          "SELECT (SELECT coalesce(max(seq), 0) FROM metrics WHERE job_id = ?1), "
                          "(SELECT coalesce(max(seq), 0) FROM metrics WHERE job_id = ?2)",
                          (const int64_t[4]){jobs.original, jobs.again}, error);
    bool differs = found[0] != found[1];
    for (int64_t after = 0; status == BP_OK && !differs && after < found[0]; after += PAGE_POINTS) {
        if (is_stopped(context))
            return bp_error_set(error, BP_CANCELLED, NULL, "stopped");
        status = page_differs(&differs, &jobs, after, error);
    }
    if (status != BP_OK)
        return status;
    same_write write = {.write.apply = apply_same, .job = job, .same = !differs};
    return bp_store_write_wait(store, &write.write, error);
}
