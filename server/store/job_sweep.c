#include "server/store/job_sweep.h"

#include <stddef.h>

#include "server/store/database.h"

/* What goes before the job's own row, whose deletion takes the small rest with it; each statement removes
 * a bounded number of rows (of pieces, 16 MB), and the next one runs when it finds none. */
static const char *const steps[] = {
    "DELETE FROM metrics WHERE job_id = ?1 AND seq <= "
    "(SELECT min(seq) + 4999 FROM metrics WHERE job_id = ?1)",
    "DELETE FROM metric_rollups WHERE job_id = ?1 AND (level, bucket) IN "
    "(SELECT level, bucket FROM metric_rollups WHERE job_id = ?1 LIMIT 5000)",
    "DELETE FROM checkpoint_pieces WHERE id IN (SELECT p.id FROM checkpoints c "
    "JOIN checkpoint_tensors t ON t.checkpoint_id = c.id "
    "JOIN checkpoint_pieces p ON p.tensor_id = t.id WHERE c.job_id = ?1 LIMIT 4)",
    "DELETE FROM checkpoints WHERE id IN "
    "(SELECT id FROM checkpoints WHERE job_id = ?1 LIMIT 100)",
    "DELETE FROM job_events WHERE job_id = ?1 AND ordinal <= "
    "(SELECT min(ordinal) + 4999 FROM job_events WHERE job_id = ?1)",
    "DELETE FROM jobs WHERE id = ?1",
};
enum { STEP_COUNT = sizeof steps / sizeof *steps };

/* 0: none. A verification goes before the job that it verifies, which would take it along at once. */
static bp_status find_deleted(sqlite3_int64 *out, sqlite3 *database, bp_error *error)
{
    sqlite3_stmt *statement = NULL;
    bp_status status = bp_database_prepare(
        &statement, database, "SELECT id FROM jobs WHERE deleted = 1 ORDER BY id DESC LIMIT 1",
        error);
    if (status != BP_OK)
        return status;
    const int code = sqlite3_step(statement);
    if (code == SQLITE_ROW)
        *out = sqlite3_column_int64(statement, 0);
    else if (code == SQLITE_DONE)
        *out = 0;
    else
        status = bp_database_error(database, code, "looking for deleted jobs", error);
    sqlite3_finalize(statement);
    return status;
}

bp_status bp_job_sweep_step(bool *out_more, sqlite3 *database, bp_error *error)
{
    sqlite3_int64 id = 0;
    bp_status status = find_deleted(&id, database, error);
    int removed = 0;
    for (int i = 0; i < STEP_COUNT && status == BP_OK && id != 0 && removed == 0; i++) {
        sqlite3_stmt *statement = NULL;
        status = bp_database_prepare(&statement, database, steps[i], error);
        if (status != BP_OK)
            return status;
        sqlite3_bind_int64(statement, 1, id);
        status = bp_database_step_done(statement, error);
        removed = sqlite3_changes(database);
        sqlite3_finalize(statement);
    }
    if (status == BP_OK)
        *out_more = id != 0;
    return status;
}
