/* What clients read about models: lists, documents, weights as a file. */
#include <stdlib.h>

#include "server/base/clock.h"
#include "server/model/model_loader.h"
#include "server/store/database.h"

static json_t *time_json(int64_t time_us)
{
    char text[BP_TIME_TEXT_SIZE];
    bp_clock_format(text, time_us);
    return json_string(text);
}

/* The rows of a statement, each turned into JSON by `item`, at most limit of them. *out_more: there is
 * another. Finalizes the statement. */
static bp_status collect(json_t **out, bool *out_more, sqlite3 *database, sqlite3_stmt *statement,
                         size_t limit, json_t *(*item)(sqlite3_stmt *statement), bp_error *error)
{
    bp_status status = BP_OK;
    json_t *items = json_array();
    int code = SQLITE_DONE;
    *out_more = false;
    while (items && (code = sqlite3_step(statement)) == SQLITE_ROW) {
        if (json_array_size(items) == limit) {
            *out_more = true;
            code = SQLITE_DONE;
            break;
        }
        if (json_array_append_new(items, item(statement)) != 0) {
            json_decref(items);
            items = NULL;
        }
    }
    if (!items)
        status = bp_error_set(error, BP_NO_MEMORY, NULL, "no memory for a list of models");
    else if (code != SQLITE_DONE)
        status = bp_database_error(database, code, "reading models", error);
    sqlite3_finalize(statement);
    if (status == BP_OK)
        *out = items;
    else
        json_decref(items);
    return status;
}

/* name, newest version, number of versions, its job, its time */
static json_t *list_item(sqlite3_stmt *statement)
{
    json_t *job = sqlite3_column_type(statement, 3) == SQLITE_NULL
                      ? json_null()
                      : json_integer(sqlite3_column_int64(statement, 3));
    return json_pack("{s:s, s:I, s:I, s:o, s:o}", "name", sqlite3_column_text(statement, 0),
                     "version", (json_int_t)sqlite3_column_int64(statement, 1), "versions",
                     (json_int_t)sqlite3_column_int64(statement, 2), "job", job, "created",
                     time_json(sqlite3_column_int64(statement, 4)));
}

bp_status bp_models_list_json(json_t **out, bp_models *models, const char *after, size_t limit,
                              bp_error *error)
{
    sqlite3 *database;
    sqlite3_stmt *statement = NULL;
    bp_status status = bp_store_reader(&database, bp_models_store(models), error);
    if (status == BP_OK) /* columns beside max() are those of its row */
        status = bp_database_prepare(&statement, database,
                                     "SELECT name, max(version), count(*), job_id, created"
                                     " FROM models WHERE name > ?1 GROUP BY name ORDER BY name",
                                     error);
    if (status != BP_OK)
        return status;
    sqlite3_bind_text(statement, 1, after ? after : "", -1, SQLITE_STATIC);
    json_t *items = NULL;
    bool more = false;
    status = collect(&items, &more, database, statement, limit, list_item, error);
    if (status != BP_OK)
        return status;
    const json_t *last =
        more ? json_object_get(json_array_get(items, json_array_size(items) - 1), "name") : NULL;
    json_t *document = json_pack("{s:o, s:o?}", "items", items, "next",
                                 last ? json_string(json_string_value(last)) : NULL);
    if (!document)
        return bp_error_set(error, BP_NO_MEMORY, NULL, "no memory for a list of models");
    *out = document;
    return BP_OK;
}

static json_t *version_number(sqlite3_stmt *statement)
{
    return json_integer(sqlite3_column_int64(statement, 0));
}

bp_status bp_models_version_json(json_t **out, bp_models *models, const char *name,
                                 uint64_t version, bp_error *error)
{
    bp_model_row row;
    bp_status status = bp_model_row_read(&row, bp_models_store(models), name, version, error);
    if (status != BP_OK)
        return status;
    json_t *document = bp_model_info_json(row.info, false);
    bp_model_info_free(row.info);
    if (!document)
        return bp_error_set(error, BP_NO_MEMORY, NULL, "no memory for a model's document");
    *out = document;
    return BP_OK;
}

bp_status bp_models_document_json(json_t **out, bp_models *models, const char *name,
                                  bp_error *error)
{
    json_t *document = NULL;
    bp_status status = bp_models_version_json(&document, models, name, 0, error);
    if (status != BP_OK)
        return status;
    sqlite3 *database;
    sqlite3_stmt *statement = NULL;
    json_t *versions = NULL;
    bool more;
    status = bp_store_reader(&database, bp_models_store(models), error);
    if (status == BP_OK)
        status = bp_database_prepare(&statement, database,
                                     "SELECT version FROM models WHERE name = ?1 ORDER BY version",
                                     error);
    if (status == BP_OK) {
        sqlite3_bind_text(statement, 1, name, -1, SQLITE_STATIC);
        status = collect(&versions, &more, database, statement, SIZE_MAX, version_number, error);
    }
    if (status == BP_OK && json_object_set_new(document, "versions", versions) != 0)
        status = bp_error_set(error, BP_NO_MEMORY, NULL, "no memory for a model's document");
    if (status == BP_OK)
        *out = document;
    else
        json_decref(document);
    return status;
}
