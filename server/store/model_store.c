#include "server/store/model_store.h"

#include <stdio.h>
#include <stdlib.h>

#include "schema/json/json_text.h"
#include "server/base/sha256.h"
#include "server/store/database.h"
#include "server/store/tensor_shape.h"

static bp_status next_version(uint64_t *out, sqlite3 *database, const char *name, bp_error *error)
{
    sqlite3_stmt *statement = NULL;
    bp_status status = bp_database_prepare(
        &statement, database, "SELECT coalesce(max(version), 0) + 1 FROM models WHERE name = ?1",
        error);
    if (status != BP_OK)
        return status;
    sqlite3_bind_text(statement, 1, name, -1, SQLITE_STATIC);
    const int code = sqlite3_step(statement);
    if (code == SQLITE_ROW)
        *out = (uint64_t)sqlite3_column_int64(statement, 0);
    else
        status = bp_database_error(database, code, "reading models", error);
    sqlite3_finalize(statement);
    return status;
}

static bp_status insert_model(int64_t *out_id, sqlite3 *database, const bp_model_info *info,
                              int64_t now_us, bp_error *error)
{
    json_t *json = bp_model_info_json(info, true);
    char *text = json ? bp_json_text(json, NULL) : NULL;
    json_decref(json);
    if (!text)
        return bp_error_set(error, BP_NO_MEMORY, NULL, "no memory for the model's document");
    sqlite3_stmt *statement = NULL;
    bp_status status =
        bp_database_prepare(&statement, database,
                            "INSERT INTO models (name, version, job_id, info, created) "
                            "VALUES (?1, ?2, ?3, ?4, ?5)",
                            error);
    if (status == BP_OK) {
        sqlite3_bind_text(statement, 1, info->name, -1, SQLITE_STATIC);
        sqlite3_bind_int64(statement, 2, (sqlite3_int64)info->version);
        sqlite3_bind_int64(statement, 3, info->job);
        sqlite3_bind_text(statement, 4, text, -1, SQLITE_STATIC);
        sqlite3_bind_int64(statement, 5, now_us);
        status = bp_database_step_done(statement, error);
        sqlite3_finalize(statement);
    }
    free(text);
    if (status == BP_OK)
        *out_id = sqlite3_last_insert_rowid(database);
    return status;
}

void bp_weights_sha256(char out[BP_SHA256_TEXT_SIZE], const bp_stored_tensor *tensors, size_t count)
{
    bp_sha256 hash;
    bp_sha256_begin(&hash);
    for (size_t i = 0; i < count; i++) {
        const bp_tensor *tensor = &tensors[i].tensor;
        char shape[BP_TENSOR_SHAPE_SIZE], line[BP_TENSOR_NAME_SIZE + sizeof shape + 128];
        bp_tensor_shape_text(shape, tensor);
        const int length = snprintf(line, sizeof line, "%s %s %s %s\n", tensor->name,
                                    bp_dtype_name(tensor->dtype), shape, tensors[i].sha256);
        bp_sha256_add(&hash, line, (size_t)length);
    }
    bp_sha256_finish(&hash, out);
}

static bp_status insert_tensor(sqlite3_stmt *statement, int64_t model, size_t ordinal,
                               const bp_stored_tensor *stored, bp_error *error)
{
    const bp_tensor *tensor = &stored->tensor;
    const size_t bytes = tensor->element_count * bp_dtype_size(tensor->dtype);
    if (bytes > 1000000000)
        return bp_error_set(error, BP_TOO_LARGE, tensor->name,
                            "%zu bytes are more than a stored tensor can have (1000000000)", bytes);
    char shape[BP_TENSOR_SHAPE_SIZE];
    bp_tensor_shape_text(shape, tensor);
    sqlite3_bind_int64(statement, 1, model);
    sqlite3_bind_int64(statement, 2, (sqlite3_int64)ordinal);
    sqlite3_bind_text(statement, 3, tensor->name, -1, SQLITE_STATIC);
    sqlite3_bind_text(statement, 4, bp_dtype_name(tensor->dtype), -1, SQLITE_STATIC);
    sqlite3_bind_text(statement, 5, shape, -1, SQLITE_STATIC);
    sqlite3_bind_text(statement, 6, stored->sha256, -1, SQLITE_STATIC);
    sqlite3_bind_blob64(statement, 7, tensor->data, bytes, SQLITE_STATIC);
    return bp_database_step_done(statement, error);
}

bp_status bp_model_store_insert(sqlite3 *database, bp_model_info *info,
                                const bp_stored_tensor *tensors, size_t count, int64_t now_us,
                                bp_error *error)
{
    int64_t model = 0;
    bp_status status = next_version(&info->version, database, info->name, error);
    if (status == BP_OK)
        status = insert_model(&model, database, info, now_us, error);
    if (status != BP_OK)
        return status;
    sqlite3_stmt *statement = NULL;
    status = bp_database_prepare(
        &statement, database,
        "INSERT INTO model_tensors (model_id, ordinal, name, dtype, shape, sha256, data) "
        "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        error);
    for (size_t i = 0; i < count && status == BP_OK; i++)
        status = insert_tensor(statement, model, i, &tensors[i], error);
    sqlite3_finalize(statement);
    return status;
}
