#include "server/store/checkpoint_store.h"

#include <math.h>
#include <string.h>

#include "schema/json/json_text.h"
#include "server/store/database.h"
#include "server/store/event_store.h"
#include "server/store/tensor_shape.h"

static void bind_text(sqlite3_stmt *statement, int index, const char *text)
{
    sqlite3_bind_text(statement, index, text, -1, SQLITE_STATIC);
}

/* Runs a bound statement to its end and finalizes it. */
static bp_status finish(sqlite3_stmt *statement, bp_error *error)
{
    const bp_status status = bp_database_step_done(statement, error);
    sqlite3_finalize(statement);
    return status;
}

/* Runs a statement whose only parameter is an id. */
static bp_status run(sqlite3 *database, const char *sql, int64_t id, bp_error *error)
{
    sqlite3_stmt *statement = NULL;
    const bp_status status = bp_database_prepare(&statement, database, sql, error);
    if (status != BP_OK)
        return status;
    sqlite3_bind_int64(statement, 1, id);
    return finish(statement, error);
}

/* The one whole number that a statement of one parameter gives; 0 where it gives no row. */
static bp_status read_number(int64_t *out, sqlite3 *database, const char *sql, int64_t id,
                             bp_error *error)
{
    sqlite3_stmt *statement = NULL;
    bp_status status = bp_database_prepare(&statement, database, sql, error);
    if (status != BP_OK)
        return status;
    if (sqlite3_bind_parameter_count(statement) > 0)
        sqlite3_bind_int64(statement, 1, id);
    const int code = sqlite3_step(statement);
    if (code == SQLITE_ROW || code == SQLITE_DONE)
        *out = code == SQLITE_ROW ? sqlite3_column_int64(statement, 0) : 0;
    else
        status = bp_database_error(database, code, "reading checkpoints", error);
    sqlite3_finalize(statement);
    return status;
}

/* ---- writing ---- */

static bp_status insert_row(bp_checkpoint_row *row, sqlite3 *database, bp_error *error)
{
    sqlite3_stmt *statement = NULL;
    bp_status status = bp_database_prepare(
        &statement, database,
        "INSERT INTO checkpoints (job_id, number, cause, step, epoch, metric_seq, metric, state, "
        "data_sha256, fingerprint, sha256, size_bytes, created) "
        "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
        error);
    if (status != BP_OK)
        return status;
    sqlite3_bind_int64(statement, 1, row->job);
    sqlite3_bind_int64(statement, 2, (sqlite3_int64)row->number);
    bind_text(statement, 3, row->cause);
    sqlite3_bind_int64(statement, 4, (sqlite3_int64)row->step);
    sqlite3_bind_int64(statement, 5, (sqlite3_int64)row->epoch);
    sqlite3_bind_int64(statement, 6, (sqlite3_int64)row->metric_seq);
    if (!isnan(row->metric))
        sqlite3_bind_blob(statement, 7, &row->metric, sizeof row->metric, SQLITE_STATIC);
    bind_text(statement, 8, row->state);
    bind_text(statement, 9, row->data_sha256);
    bind_text(statement, 10, row->fingerprint);
    bind_text(statement, 11, row->sha256);
    sqlite3_bind_int64(statement, 12, (sqlite3_int64)row->size_bytes);
    sqlite3_bind_int64(statement, 13, row->created_us);
    status = finish(statement, error);
    if (status == BP_OK)
        row->id = sqlite3_last_insert_rowid(database);
    return status;
}

bp_status bp_checkpoint_store_begin(bp_checkpoint_row *row, sqlite3 *database, bp_error *error)
{
    int64_t number = 0;
    bp_status status = run(database, "UPDATE jobs SET checkpoints = checkpoints + 1 WHERE id = ?1",
                           row->job, error);
    if (status == BP_OK)
        status = read_number(&number, database, "SELECT checkpoints FROM jobs WHERE id = ?1",
                             row->job, error);
    if (status != BP_OK)
        return status;
    row->number = (uint64_t)number;
    return insert_row(row, database, error);
}

bp_status bp_checkpoint_store_tensor(int64_t *out_id, sqlite3 *database, int64_t checkpoint,
                                     size_t ordinal, const bp_state_tensor *tensor,
                                     const char *sha256, bp_error *error)
{
    char shape[BP_TENSOR_SHAPE_SIZE];
    bp_tensor_shape_text(shape, &tensor->tensor);
    sqlite3_stmt *statement = NULL;
    bp_status status = bp_database_prepare(
        &statement, database,
        "INSERT INTO checkpoint_tensors (checkpoint_id, ordinal, role, slot, name, dtype, shape, "
        "sha256) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        error);
    if (status != BP_OK)
        return status;
    sqlite3_bind_int64(statement, 1, checkpoint);
    sqlite3_bind_int64(statement, 2, (sqlite3_int64)ordinal);
    bind_text(statement, 3, bp_state_role_name(tensor->role));
    sqlite3_bind_int64(statement, 4, (sqlite3_int64)tensor->slot);
    bind_text(statement, 5, tensor->tensor.name);
    bind_text(statement, 6, bp_dtype_name(tensor->tensor.dtype));
    bind_text(statement, 7, shape);
    bind_text(statement, 8, sha256);
    status = finish(statement, error);
    if (status == BP_OK)
        *out_id = sqlite3_last_insert_rowid(database);
    return status;
}

bp_status bp_checkpoint_store_piece(sqlite3 *database, int64_t tensor, size_t ordinal,
                                    const void *data, size_t bytes, bp_error *error)
{
    sqlite3_stmt *statement = NULL;
    const bp_status status = bp_database_prepare(
        &statement, database,
        "INSERT INTO checkpoint_pieces (tensor_id, ordinal, data) VALUES (?1, ?2, ?3)", error);
    if (status != BP_OK)
        return status;
    sqlite3_bind_int64(statement, 1, tensor);
    sqlite3_bind_int64(statement, 2, (sqlite3_int64)ordinal);
    sqlite3_bind_blob64(statement, 3, data, bytes, SQLITE_STATIC);
    return finish(statement, error);
}

bp_status bp_checkpoint_store_model(sqlite3 *database, int64_t job, const char *info,
                                    bp_error *error)
{
    sqlite3_stmt *statement = NULL;
    const bp_status status = bp_database_prepare(
        &statement, database, "INSERT OR IGNORE INTO job_models (job_id, info) VALUES (?1, ?2)",
        error);
    if (status != BP_OK)
        return status;
    sqlite3_bind_int64(statement, 1, job);
    bind_text(statement, 2, info);
    return finish(statement, error);
}

/* ---- which is best, which are kept ---- */

static double column_metric(sqlite3_stmt *statement, int column)
{
    double metric = NAN;
    if (sqlite3_column_bytes(statement, column) == (int)sizeof metric)
        memcpy(&metric, sqlite3_column_blob(statement, column), sizeof metric);
    return metric;
}

/* The number of the best one; the earlier among equals; 0: none was evaluated. */
static bp_status find_best(uint64_t *out, sqlite3 *database, int64_t job, bp_watched watched,
                           bp_error *error)
{
    sqlite3_stmt *statement = NULL;
    bp_status status =
        bp_database_prepare(&statement, database,
                            "SELECT number, metric FROM checkpoints WHERE job_id = ?1 AND "
                            "complete = 1 AND metric IS NOT NULL ORDER BY number",
                            error);
    if (status != BP_OK)
        return status;
    sqlite3_bind_int64(statement, 1, job);
    uint64_t best = 0;
    double best_metric = NAN;
    int code;
    while ((code = sqlite3_step(statement)) == SQLITE_ROW) {
        const double metric = column_metric(statement, 1);
        if (best && !bp_watched_better(watched, metric, best_metric, 0))
            continue;
        best = (uint64_t)sqlite3_column_int64(statement, 0);
        best_metric = metric;
    }
    if (code != SQLITE_DONE)
        status = bp_database_error(database, code, "reading checkpoints", error);
    sqlite3_finalize(statement);
    if (status == BP_OK)
        *out = best;
    return status;
}

bp_status bp_checkpoint_store_best(uint64_t *out_number, sqlite3 *database, int64_t job,
                                   bp_error *error)
{
    sqlite3_stmt *statement = NULL;
    bp_status status = bp_database_prepare(
        &statement, database,
        "SELECT json_extract(specification, '$.training.early_stopping.metric') FROM jobs "
        "WHERE id = ?1",
        error);
    if (status != BP_OK)
        return status;
    sqlite3_bind_int64(statement, 1, job);
    bp_watched watched = BP_WATCHED_VALIDATION_LOSS;
    const int code = sqlite3_step(statement);
    const char *name = code == SQLITE_ROW ? (const char *)sqlite3_column_text(statement, 0) : NULL;
    for (int i = 0; name && i < BP_WATCHED_COUNT; i++)
        if (!strcmp(name, bp_watched_names[i]))
            watched = (bp_watched)i;
    if (code != SQLITE_ROW && code != SQLITE_DONE)
        status = bp_database_error(database, code, "reading a job", error);
    sqlite3_finalize(statement);
    return status == BP_OK ? find_best(out_number, database, job, watched, error) : status;
}

/* Those that are let go become incomplete: they are gone at once, their pieces later. */
static bp_status let_go(sqlite3 *database, const bp_checkpoint_row *row,
                        const bp_checkpoint_plan *plan, bp_error *error)
{
    uint64_t best = 0;
    bp_status status = BP_OK;
    if (plan->keep_best)
        status = find_best(&best, database, row->job, plan->metric, error);
    sqlite3_stmt *statement = NULL;
    if (status == BP_OK)
        status = bp_database_prepare(
            &statement, database,
            "UPDATE checkpoints SET complete = 0 WHERE job_id = ?1 AND complete = 1 AND "
            "number <> ?2 AND number NOT IN (SELECT number FROM checkpoints WHERE job_id = ?1 AND "
            "complete = 1 ORDER BY number DESC LIMIT ?3) AND id NOT IN "
            "(SELECT checkpoint_id FROM job_initials)",
            error);
    if (status != BP_OK)
        return status;
    sqlite3_bind_int64(statement, 1, row->job);
    sqlite3_bind_int64(statement, 2, (sqlite3_int64)best);
    sqlite3_bind_int64(statement, 3, (sqlite3_int64)plan->keep_last);
    return finish(statement, error);
}

static bp_status check_points(sqlite3 *database, const bp_checkpoint_row *row, bp_error *error)
{
    int64_t last = 0;
    const bp_status status =
        read_number(&last, database, "SELECT coalesce(max(seq), 0) FROM metrics WHERE job_id = ?1",
                    row->job, error);
    if (status == BP_OK && (uint64_t)last < row->metric_seq)
        return bp_error_set(error, BP_INTERNAL, NULL,
                            "the metric points up to a checkpoint are not stored");
    return status;
}

bp_status bp_checkpoint_store_complete(sqlite3 *database, const bp_checkpoint_row *row,
                                       const bp_checkpoint_plan *plan, bp_error *error)
{
    bp_status status = check_points(database, row, error);
    if (status == BP_OK)
        status = run(database, "UPDATE checkpoints SET complete = 1 WHERE id = ?1", row->id, error);
    if (status == BP_OK)
        status = run(database,
                     "UPDATE jobs SET stalled_restarts = 0 WHERE id = ?1 AND stalled_restarts > 0",
                     row->job, error);
    if (status == BP_OK) {
        json_t *event =
            json_pack("{s:I, s:I, s:I, s:s, s:s, s:I}", "number", (json_int_t)row->number, "step",
                      (json_int_t)row->step, "epoch", (json_int_t)row->epoch, "cause", row->cause,
                      "sha256", row->sha256, "size_bytes", (json_int_t)row->size_bytes);
        status =
            bp_event_store_append(database, row->job, "checkpoint", event, row->created_us, error);
    }
    return status == BP_OK ? let_go(database, row, plan, error) : status;
}

/* ---- sweeping ---- */

bp_status bp_checkpoint_store_drop(sqlite3 *database, int64_t checkpoint, bp_error *error)
{
    return run(database, "UPDATE checkpoints SET complete = 0 WHERE id = ?1", checkpoint, error);
}

/* Deletes pieces of a checkpoint until some 4 MB have gone; *out_bytes: how many did. */
static bp_status delete_pieces(int64_t *out_bytes, sqlite3 *database, int64_t checkpoint,
                               bp_error *error)
{
    sqlite3_stmt *statement = NULL;
    bp_status status = bp_database_prepare(
        &statement, database,
        "SELECT p.id, length(p.data) FROM checkpoint_tensors t JOIN checkpoint_pieces p "
        "ON p.tensor_id = t.id WHERE t.checkpoint_id = ?1",
        error);
    if (status != BP_OK)
        return status;
    enum { MOST = 1024 };
    int64_t ids[MOST], bytes = 0;
    size_t count = 0;
    sqlite3_bind_int64(statement, 1, checkpoint);
    int code = SQLITE_DONE;
    while (count < MOST && bytes < BP_CHECKPOINT_PIECE_BYTES &&
           (code = sqlite3_step(statement)) == SQLITE_ROW) {
        ids[count++] = sqlite3_column_int64(statement, 0);
        bytes += sqlite3_column_int64(statement, 1);
    }
    if (code != SQLITE_ROW && code != SQLITE_DONE)
        status = bp_database_error(database, code, "reading checkpoints", error);
    sqlite3_finalize(statement);
    for (size_t i = 0; i < count && status == BP_OK; i++)
        status = run(database, "DELETE FROM checkpoint_pieces WHERE id = ?1", ids[i], error);
    *out_bytes = bytes;
    return status;
}

bp_status bp_checkpoint_store_sweep(bool *out_more, sqlite3 *database, int64_t job, int64_t last_id,
                                    bp_error *error)
{
    int64_t total = 0;
    *out_more = false;
    while (total < BP_CHECKPOINT_PIECE_BYTES) {
        sqlite3_stmt *statement = NULL;
        bp_status status =
            bp_database_prepare(&statement, database,
                                "SELECT id FROM checkpoints WHERE complete = 0 AND id <= ?1 AND "
                                "(?2 = 0 OR job_id = ?2) LIMIT 1",
                                error);
        if (status != BP_OK)
            return status;
        sqlite3_bind_int64(statement, 1, last_id);
        sqlite3_bind_int64(statement, 2, job);
        const int code = sqlite3_step(statement);
        const int64_t id = code == SQLITE_ROW ? sqlite3_column_int64(statement, 0) : 0;
        if (code != SQLITE_ROW && code != SQLITE_DONE)
            status = bp_database_error(database, code, "reading checkpoints", error);
        sqlite3_finalize(statement);
        int64_t bytes = 0;
        if (status == BP_OK && id)
            status = delete_pieces(&bytes, database, id, error);
        if (status != BP_OK || !id)
            return status;
        total += bytes;
        if (bytes > 0)
            continue; /* there may be more of it */
        status = run(database, "DELETE FROM checkpoints WHERE id = ?1", id, error);
        if (status != BP_OK)
            return status;
    }
    *out_more = true;
    return BP_OK;
}

bp_status bp_checkpoint_store_last_id(int64_t *out, sqlite3 *database, bp_error *error)
{
    return read_number(out, database, "SELECT max(id) FROM checkpoints", 0, error);
}
