#include "server/model/checkpoint_model.h"

#include <string.h>

#include "server/base/clock.h"
#include "server/store/checkpoint_read.h"
#include "server/store/database.h"

static bp_status not_found(int64_t job, uint64_t number, bp_error *error)
{
    if (number == 0)
        return bp_error_set(error, BP_NOT_FOUND, NULL, "there is no checkpoint of a job %lld",
                            (long long)job);
    return bp_error_set(error, BP_NOT_FOUND, NULL, "there is no checkpoint %llu of job %lld",
                        (unsigned long long)number, (long long)job);
}

/* The row of a checkpoint; the columns are those of the select list. *out is NULL where there is none. */
static bp_status find_row(sqlite3_stmt **out, sqlite3 **out_database, bp_store *store,
                          const char *sql, int64_t job, uint64_t number, bp_error *error)
{
    sqlite3_stmt *statement = NULL;
    bp_status status = bp_store_reader(out_database, store, error);
    if (status == BP_OK)
        status = bp_database_prepare(&statement, *out_database, sql, error);
    if (status != BP_OK)
        return status;
    sqlite3_bind_int64(statement, 1, job);
    sqlite3_bind_int64(statement, 2, (sqlite3_int64)number);
    const int code = sqlite3_step(statement);
    if (code == SQLITE_ROW) {
        *out = statement;
        return BP_OK;
    }
    status = code == SQLITE_DONE
                 ? not_found(job, number, error)
                 : bp_database_error(*out_database, code, "reading a checkpoint", error);
    sqlite3_finalize(statement);
    return status;
}

#define FROM_CHECKPOINTS                                                                           \
    "FROM checkpoints c JOIN jobs j ON j.id = c.job_id JOIN job_models m ON m.job_id = j.id "      \
    "WHERE c.job_id = ?1 AND (?2 = 0 OR c.number = ?2) AND c.complete = 1 AND j.deleted = 0 "      \
    "ORDER BY c.number DESC LIMIT 1"

bp_status bp_checkpoint_number(uint64_t *out, bp_store *store, int64_t job, uint64_t number,
                               bp_error *error)
{
    sqlite3 *database;
    sqlite3_stmt *statement = NULL;
    const bp_status status = find_row(&statement, &database, store,
                                      "SELECT c.number " FROM_CHECKPOINTS, job, number, error);
    if (status != BP_OK)
        return status;
    *out = (uint64_t)sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return BP_OK;
}

bp_status bp_checkpoint_row_read(bp_model_row *out, bp_store *store, int64_t job, uint64_t number,
                                 bp_error *error)
{
    sqlite3 *database;
    sqlite3_stmt *statement = NULL;
    bp_status status =
        find_row(&statement, &database, store,
                 "SELECT c.id, m.info, c.number, c.created " FROM_CHECKPOINTS, job, number, error);
    if (status != BP_OK)
        return status;
    const char *text = (const char *)sqlite3_column_text(statement, 1);
    json_t *json = text ? json_loads(text, JSON_REJECT_DUPLICATES, NULL) : NULL;
    bp_model_info *info = NULL;
    if (!json)
        status =
            bp_error_set(error, BP_CORRUPT, "job_models.info", "a model's document is not JSON");
    else
        status = bp_model_info_parse(&info, json, error);
    json_decref(json);
    if (status == BP_OK) {
        info->job = job;
        info->checkpoint = (uint64_t)sqlite3_column_int64(statement, 2);
        bp_clock_format(info->created, sqlite3_column_int64(statement, 3));
        *out = (bp_model_row){.checkpoint = sqlite3_column_int64(statement, 0), .info = info};
    }
    sqlite3_finalize(statement);
    return status;
}

/* The tensor of the statement's row into its place. */
static bp_status take_tensor(bp_network *network, size_t index, sqlite3 *database,
                             sqlite3_stmt *statement, bp_error *error)
{
    const char *name = (const char *)sqlite3_column_text(statement, 1);
    const char *dtype = (const char *)sqlite3_column_text(statement, 2);
    const char *sha256 = (const char *)sqlite3_column_text(statement, 3);
    if (index >= bp_network_tensor_count(network))
        return bp_error_set(error, BP_CORRUPT, "checkpoints", "a checkpoint has too many tensors");
    const bp_tensor tensor = bp_network_tensor(network, index);
    if (!name || !dtype || !sha256)
        return bp_error_set(error, BP_NO_MEMORY, NULL, "no memory for a tensor");
    if (strcmp(name, tensor.name) != 0 || strcmp(dtype, bp_dtype_name(tensor.dtype)) != 0)
        return bp_error_set(error, BP_CORRUPT, tensor.name,
                            "the stored tensor is not the one that the job's layers need");
    return bp_checkpoint_read_tensor(database, sqlite3_column_int64(statement, 0), &tensor, sha256,
                                     error);
}

bp_status bp_checkpoint_weights_load(bp_network **out, bp_store *store, const bp_model_row *row,
                                     bp_isa isa, bp_error *error)
{
    sqlite3 *database;
    sqlite3_stmt *statement = NULL;
    bp_network *network = NULL;
    bp_network_spec spec;
    bp_model_info_network(&spec, row->info, isa, BP_PREDICTION_CHUNK);
    bp_status status = bp_store_reader(&database, store, error);
    if (status == BP_OK)
        status = bp_network_create(&network, &spec, error);
    if (status == BP_OK)
        status = bp_database_prepare(&statement, database,
                                     "SELECT id, name, dtype, sha256 FROM checkpoint_tensors "
                                     "WHERE checkpoint_id = ?1 AND role = 'weights' "
                                     "ORDER BY ordinal",
                                     error);
    size_t count = 0;
    int code = SQLITE_DONE;
    if (status == BP_OK)
        sqlite3_bind_int64(statement, 1, row->checkpoint);
    while (status == BP_OK && (code = sqlite3_step(statement)) == SQLITE_ROW)
        status = take_tensor(network, count++, database, statement, error);
    if (status == BP_OK && code != SQLITE_DONE)
        status = bp_database_error(database, code, "reading a checkpoint", error);
    /* Read while it was being deleted: nothing of it is there, or not all. */
    if (status == BP_OK && count != bp_network_tensor_count(network))
        status = count == 0
                     ? not_found(row->info->job, row->info->checkpoint, error)
                     : bp_error_set(error, BP_CORRUPT, "checkpoints", "a checkpoint lacks tensors");
    sqlite3_finalize(statement);
    if (status != BP_OK) {
        bp_network_free(network);
        return status;
    }
    bp_network_parameters_changed(network);
    *out = network;
    return BP_OK;
}
