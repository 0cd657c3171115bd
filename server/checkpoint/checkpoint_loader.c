#include "server/checkpoint/checkpoint_loader.h"

#include <string.h>

#include "schema/checkpoint/checkpoint_state.h"
#include "server/checkpoint/checkpoint_sum.h"
#include "server/store/checkpoint_read.h"
#include "server/store/database.h"
#include "server/store/tensor_shape.h"

/* What one load shares. */
typedef struct loading {
    sqlite3 *database;
    const bp_trainer *trainer;
    unsigned char *snapshot;
    bp_loaded_checkpoint *out;
    bp_checkpoint_sum sum;
} loading;

static bp_status corrupt(bp_error *error, const char *what)
{
    return bp_error_set(error, BP_CORRUPT, "checkpoints", "%s", what);
}

/* The statement's row against the tensor that belongs in its place. */
static bool is_tensor(sqlite3_stmt *statement, const bp_state_tensor *tensor)
{
    char shape[BP_TENSOR_SHAPE_SIZE];
    bp_tensor_shape_text(shape, &tensor->tensor);
    const char *const wanted[] = {bp_state_role_name(tensor->role), tensor->tensor.name,
                                  bp_dtype_name(tensor->tensor.dtype), shape};
    for (int i = 0; i < 4; i++) {
        const char *text = (const char *)sqlite3_column_text(statement, 2 + i);
        if (!text || strcmp(text, wanted[i]) != 0)
            return false;
    }
    return sqlite3_column_int64(statement, 1) == (sqlite3_int64)tensor->slot;
}

static bp_status read_tensors(loading *at, bp_error *error)
{
    sqlite3_stmt *statement = NULL;
    bp_status status =
        bp_database_prepare(&statement, at->database,
                            "SELECT id, slot, role, name, dtype, shape, sha256 "
                            "FROM checkpoint_tensors WHERE checkpoint_id = ?1 ORDER BY ordinal",
                            error);
    if (status != BP_OK)
        return status;
    sqlite3_bind_int64(statement, 1, at->out->id);
    const size_t count = bp_state_tensor_count(at->trainer, &at->out->state);
    size_t index = 0;
    int code;
    while (status == BP_OK && (code = sqlite3_step(statement)) == SQLITE_ROW) {
        const char *sha256 = (const char *)sqlite3_column_text(statement, 6);
        if (index == count || !sha256) {
            status = corrupt(error, "the checkpoint has too many tensors");
            break;
        }
        const bp_state_tensor tensor = bp_state_tensor_at(at->trainer, at->snapshot, index++);
        if (!is_tensor(statement, &tensor))
            status = bp_error_set(error, BP_CORRUPT, tensor.tensor.name,
                                  "the checkpoint is not one of this job's network and optimiser");
        else
            status = bp_checkpoint_read_tensor(at->database, sqlite3_column_int64(statement, 0),
                                               &tensor.tensor, sha256, error);
        if (status == BP_OK)
            bp_checkpoint_sum_add(&at->sum, &tensor, sha256);
    }
    if (status == BP_OK && code != SQLITE_DONE)
        status = bp_database_error(at->database, code, "reading a checkpoint", error);
    if (status == BP_OK && index < count)
        status = corrupt(error, "the checkpoint has too few tensors");
    sqlite3_finalize(statement);
    return status;
}

/* All that follows the row at hand. */
static bp_status read_rest(loading *at, sqlite3_stmt *row, const char *data_sha256, bp_error *error)
{
    bp_loaded_checkpoint *out = at->out;
    const uint64_t step = (uint64_t)sqlite3_column_int64(row, 2);
    const char *state = (const char *)sqlite3_column_text(row, 5);
    const char *data = (const char *)sqlite3_column_text(row, 6);
    const char *sha256 = (const char *)sqlite3_column_text(row, 7);
    if (!state || !data || !sha256)
        return bp_error_set(error, BP_NO_MEMORY, NULL, "no memory for a checkpoint");
    if (strcmp(data, data_sha256) != 0)
        return corrupt(error, "the checkpoint is of another data set");
    out->document = json_loads(state, JSON_REJECT_DUPLICATES, NULL);
    if (!out->document)
        return corrupt(error, "the state of a checkpoint cannot be read");
    bp_status status = bp_checkpoint_state_parse(&out->state, &out->summary, out->document, error);
    if (status == BP_OK && out->state.step != step)
        status = corrupt(error, "the state of a checkpoint is of another step");
    if (status != BP_OK)
        return status;
    bp_checkpoint_sum_begin(&at->sum, step, (uint64_t)sqlite3_column_int64(row, 3), out->metric_seq,
                            data, state);
    status = read_tensors(at, error);
    if (status != BP_OK)
        return status;
    char found[BP_SHA256_TEXT_SIZE];
    bp_checkpoint_sum_finish(&at->sum, found);
    return strcmp(found, sha256) == 0 ? BP_OK
                                      : corrupt(error, "the checkpoint's checksum does not hold");
}

bp_status bp_checkpoint_load(bp_loaded_checkpoint *out, bp_store *store, int64_t job,
                             uint64_t before, const bp_trainer *trainer, void *snapshot,
                             const char *data_sha256, bp_error *error)
{
    *out = (bp_loaded_checkpoint){.id = 0};
    loading at = {.trainer = trainer, .snapshot = snapshot, .out = out};
    sqlite3_stmt *statement = NULL;
    bp_status status = bp_store_reader(&at.database, store, error);
    if (status == BP_OK)
        status = bp_database_prepare(
            &statement, at.database,
            "SELECT id, number, step, epoch, metric_seq, state, data_sha256, sha256 "
            "FROM checkpoints WHERE job_id = ?1 AND complete = 1 AND (?2 = 0 OR number < ?2) "
            "ORDER BY number DESC LIMIT 1",
            error);
    if (status != BP_OK)
        return status;
    sqlite3_bind_int64(statement, 1, job);
    sqlite3_bind_int64(statement, 2, (sqlite3_int64)before);
    const int code = sqlite3_step(statement);
    if (code == SQLITE_ROW) {
        out->id = sqlite3_column_int64(statement, 0);
        out->number = (uint64_t)sqlite3_column_int64(statement, 1);
        out->metric_seq = (uint64_t)sqlite3_column_int64(statement, 4);
        status = read_rest(&at, statement, data_sha256, error);
    } else if (code == SQLITE_DONE) {
        status = bp_error_set(error, BP_NOT_FOUND, NULL, "the job has no checkpoint");
    } else {
        status = bp_database_error(at.database, code, "reading a checkpoint", error);
    }
    sqlite3_finalize(statement); /* until here all reads were one transaction */
    if (status != BP_OK) {
        json_decref(out->document);
        out->document = NULL;
        out->summary = NULL;
    }
    return status;
}
