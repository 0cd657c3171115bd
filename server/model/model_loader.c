#include "server/model/model_loader.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "server/base/clock.h"
#include "server/base/sha256.h"
#include "server/store/database.h"

static bp_status not_found(const char *name, uint64_t version, bp_error *error)
{
    if (version == 0)
        return bp_error_set(error, BP_NOT_FOUND, NULL, "there is no model \"%s\"", name);
    return bp_error_set(error, BP_NOT_FOUND, NULL, "there is no version %llu of model \"%s\"",
                        (unsigned long long)version, name);
}

static bp_status parse_info(bp_model_info **out, sqlite3_stmt *statement, bp_error *error)
{
    const char *text = (const char *)sqlite3_column_text(statement, 1);
    json_t *json = text ? json_loads(text, JSON_REJECT_DUPLICATES, NULL) : NULL;
    if (!json)
        return bp_error_set(error, BP_CORRUPT, "models.info", "a model's document is not JSON");
    bp_model_info *info = NULL;
    bp_status status = bp_model_info_parse(&info, json, error);
    json_decref(json);
    if (status != BP_OK)
        return status;
    /* Given by the transaction that stored it, after the document was made. */
    info->version = (uint64_t)sqlite3_column_int64(statement, 2);
    info->job = sqlite3_column_int64(statement, 3);
    bp_clock_format(info->created, sqlite3_column_int64(statement, 4));
    *out = info;
    return BP_OK;
}

bp_status bp_model_row_read(bp_model_row *out, bp_store *store, const char *name, uint64_t version,
                            bp_error *error)
{
    sqlite3 *database;
    bp_status status = bp_store_reader(&database, store, error);
    if (status != BP_OK)
        return status;
    sqlite3_stmt *statement = NULL;
    status =
        bp_database_prepare(&statement, database,
                            version == 0 ? "SELECT id, info, version, job_id, created FROM models"
                                           " WHERE name = ?1 ORDER BY version DESC LIMIT 1"
                                         : "SELECT id, info, version, job_id, created FROM models"
                                           " WHERE name = ?1 AND version = ?2",
                            error);
    if (status != BP_OK)
        return status;
    sqlite3_bind_text(statement, 1, name, -1, SQLITE_STATIC);
    if (version != 0)
        sqlite3_bind_int64(statement, 2, (sqlite3_int64)version);
    int code = sqlite3_step(statement);
    bp_model_row row = {.id = 0};
    if (code == SQLITE_ROW) {
        row.id = sqlite3_column_int64(statement, 0);
        status = parse_info(&row.info, statement, error);
    } else if (code == SQLITE_DONE) {
        status = not_found(name, version, error);
    } else {
        status = bp_database_error(database, code, "reading a model", error);
    }
    sqlite3_finalize(statement);
    if (status == BP_OK)
        *out = row;
    return status;
}

bp_status bp_model_newest(uint64_t *out, bp_store *store, const char *name, bp_error *error)
{
    sqlite3 *database;
    bp_status status = bp_store_reader(&database, store, error);
    if (status != BP_OK)
        return status;
    sqlite3_stmt *statement = NULL;
    status = bp_database_prepare(&statement, database,
                                 "SELECT max(version) FROM models WHERE name = ?1", error);
    if (status != BP_OK)
        return status;
    sqlite3_bind_text(statement, 1, name, -1, SQLITE_STATIC);
    int code = sqlite3_step(statement);
    uint64_t version = 0;
    if (code == SQLITE_ROW)
        version = (uint64_t)sqlite3_column_int64(statement, 0); /* NULL: 0 */
    else
        status = bp_database_error(database, code, "reading a model", error);
    sqlite3_finalize(statement);
    if (status == BP_OK && version == 0)
        status = not_found(name, 0, error);
    if (status == BP_OK)
        *out = version;
    return status;
}

/* Copies the tensor of the statement's row to its place. */
static bp_status take_tensor(bp_network *network, size_t index, sqlite3_stmt *statement,
                             bp_error *error)
{
    if (index >= bp_network_tensor_count(network))
        return bp_error_set(error, BP_CORRUPT, "model_tensors", "a model has too many tensors");
    bp_tensor tensor = bp_network_tensor(network, index);
    size_t bytes = tensor.element_count * bp_dtype_size(tensor.dtype);
    const char *name = (const char *)sqlite3_column_text(statement, 0);
    const char *dtype = (const char *)sqlite3_column_text(statement, 1);
    const char *sha256 = (const char *)sqlite3_column_text(statement, 2);
    const void *data = sqlite3_column_blob(statement, 3);
    const size_t found_bytes = (size_t)sqlite3_column_bytes(statement, 3);
    if (!name || !dtype || !sha256 || (!data && found_bytes > 0))
        return bp_error_set(error, BP_NO_MEMORY, NULL, "no memory for a tensor");
    char found[BP_SHA256_TEXT_SIZE];
    if (strcmp(name, tensor.name) != 0 || strcmp(dtype, bp_dtype_name(tensor.dtype)) != 0 ||
        found_bytes != bytes || !data)
        return bp_error_set(error, BP_CORRUPT, tensor.name,
                            "the stored tensor is not the one that the model's layers need");
    bp_sha256_text(found, data, bytes);
    if (strcmp(found, sha256) != 0)
        return bp_error_set(error, BP_CORRUPT, tensor.name,
                            "the stored tensor does not match its checksum");
    memcpy(tensor.data, data, bytes);
    return BP_OK;
}

bp_status bp_model_weights_load(bp_network **out, bp_store *store, const bp_model_row *row,
                                bp_isa isa, bp_error *error)
{
    sqlite3 *database;
    sqlite3_stmt *statement = NULL;
    bp_network *network = NULL;
    bp_network_spec spec;
    bp_model_info_network(&spec, row->info, isa, BP_PREDICTION_CHUNK);
    assert(spec.use == BP_USE_PREDICTION && row->id != 0);
    bp_status status = bp_store_reader(&database, store, error);
    if (status == BP_OK)
        status = bp_network_create(&network, &spec, error);
    if (status == BP_OK)
        status = bp_database_prepare(&statement, database,
                                     "SELECT name, dtype, sha256, data FROM model_tensors"
                                     " WHERE model_id = ?1 ORDER BY ordinal",
                                     error);
    if (status != BP_OK) {
        bp_network_free(network);
        return status;
    }
    sqlite3_bind_int64(statement, 1, row->id);
    size_t count = 0;
    int code = SQLITE_DONE;
    while (status == BP_OK && (code = sqlite3_step(statement)) == SQLITE_ROW)
        status = take_tensor(network, count++, statement, error);
    if (status == BP_OK && code != SQLITE_DONE)
        status = bp_database_error(database, code, "reading a model's weights", error);
    if (status == BP_OK && count != bp_network_tensor_count(network))
        status = bp_error_set(error, BP_CORRUPT, "model_tensors", "a model lacks tensors");
    sqlite3_finalize(statement);
    if (status != BP_OK) {
        bp_network_free(network);
        return status;
    }
    bp_network_parameters_changed(network);
    *out = network;
    return BP_OK;
}
