#include "server/dataset/catalogue.h"

#include <stdlib.h>
#include <string.h>

#include "server/base/clock.h"
#include "server/base/sha256.h"
#include "server/dataset/element_size.h"
#include "server/store/database.h"

bp_status bp_catalogue_info_at(bp_dataset_info **out, sqlite3_stmt *statement, int column,
                               bp_error *error)
{
    const char *text = (const char *)sqlite3_column_text(statement, column);
    const int length = sqlite3_column_bytes(statement, column);
    if (!text)
        return bp_error_set(error, BP_NO_MEMORY, NULL, "no memory for a data set's document");
    json_t *json = json_loadb(text, (size_t)length, JSON_REJECT_DUPLICATES, NULL);
    if (!json)
        return bp_error_set(error, BP_CORRUPT, NULL,
                            "the stored document of a data set cannot be read");
    bp_status status = bp_dataset_info_parse(out, json, error);
    json_decref(json);
    return status;
}

bp_status bp_catalogue_find(bp_dataset_info **out, sqlite3 *database, const char *name,
                            const char *sha256, bp_error *error)
{
    sqlite3_stmt *statement;
    bp_status status = bp_database_prepare(
        &statement, database,
        "SELECT info FROM dataset_versions WHERE dataset = ?1 AND (?2 IS NULL OR sha256 = ?2) "
        "ORDER BY version DESC LIMIT 1",
        error);
    if (status != BP_OK)
        return status;
    sqlite3_bind_text(statement, 1, name, -1, SQLITE_STATIC);
    if (sha256 && *sha256)
        sqlite3_bind_text(statement, 2, sha256, -1, SQLITE_STATIC);
    const int code = sqlite3_step(statement);
    if (code == SQLITE_ROW)
        status = bp_catalogue_info_at(out, statement, 0, error);
    else if (code == SQLITE_DONE && sha256 && *sha256)
        status = bp_error_set(error, BP_NOT_FOUND, NULL,
                              "there is no data set \"%s\" with the content %s", name, sha256);
    else if (code == SQLITE_DONE)
        status = bp_error_set(error, BP_NOT_FOUND, NULL, "there is no data set \"%s\"", name);
    else
        status = bp_database_error(database, code, "read a data set", error);
    sqlite3_finalize(statement);
    return status;
}

static bp_status no_memory(bp_error *error)
{
    return bp_error_set(error, BP_NO_MEMORY, NULL, "no memory for a data set's document");
}

static bp_status versions_json(json_t *versions, sqlite3 *database, const char *name,
                               bp_error *error)
{
    sqlite3_stmt *statement;
    bp_status status =
        bp_database_prepare(&statement, database,
                            "SELECT version, sha256, row_count, created FROM dataset_versions "
                            "WHERE dataset = ?1 ORDER BY version DESC",
                            error);
    if (status != BP_OK)
        return status;
    sqlite3_bind_text(statement, 1, name, -1, SQLITE_STATIC);
    int code;
    while (status == BP_OK && (code = sqlite3_step(statement)) == SQLITE_ROW) {
        char created[BP_TIME_TEXT_SIZE];
        bp_clock_format(created, sqlite3_column_int64(statement, 3));
        json_t *version = json_pack(
            "{s:I, s:s, s:I, s:s}", "version", (json_int_t)sqlite3_column_int64(statement, 0),
            "sha256", (const char *)sqlite3_column_text(statement, 1), "rows",
            (json_int_t)sqlite3_column_int64(statement, 2), "created", created);
        if (json_array_append_new(versions, version) != 0)
            status = no_memory(error);
    }
    if (status == BP_OK && code != SQLITE_DONE)
        status = bp_database_error(database, code, "list a data set's versions", error);
    sqlite3_finalize(statement);
    return status;
}

bp_status bp_catalogue_document_json(json_t **out, sqlite3 *database, const char *name,
                                     bp_error *error)
{
    bp_dataset_info *info = NULL;
    json_t *versions = json_array(), *document = NULL;
    bp_status status = versions ? BP_OK : no_memory(error);
    if (status == BP_OK)
        status = bp_catalogue_find(&info, database, name, NULL, error);
    if (status == BP_OK)
        status = versions_json(versions, database, name, error);
    if (status == BP_OK) {
        document = bp_dataset_info_json(info, false);
        if (json_object_set(document, "versions", versions) != 0)
            status = no_memory(error);
    }
    json_decref(versions);
    bp_dataset_info_free(info);
    if (status != BP_OK) {
        json_decref(document);
        return status;
    }
    *out = document;
    return BP_OK;
}

void bp_catalogue_columns_sha256(char out[BP_SHA256_TEXT_SIZE], const bp_dataset_info *info)
{
    bp_sha256 hash;
    bp_sha256_begin(&hash);
    for (size_t i = 0; i < info->column_count; i++) {
        /* Names hold no NUL, so the separator keeps the list unambiguous. */
        bp_sha256_add(&hash, info->columns[i].name, strlen(info->columns[i].name) + 1);
        bp_sha256_add(&hash, info->columns[i].sha256, BP_SHA256_TEXT_SIZE);
    }
    bp_sha256_finish(&hash, out);
}

typedef struct insert_write {
    bp_write write; /* first */
    const bp_catalogue_entry *entry;
    bp_dataset_info *info; /* under construction */
    bool created;
    json_t *document;
} insert_write;

/* Moves the drafts' infos to the end of info's columns, or in the place of one of the same name. */
static bp_status take_columns(insert_write *insert, bp_error *error)
{
    const bp_catalogue_entry *entry = insert->entry;
    bp_dataset_info *info = insert->info;
    bp_column_info *columns =
        realloc(info->columns, (info->column_count + entry->draft_count) * sizeof *columns);
    if (!columns)
        return no_memory(error);
    info->columns = columns;
    for (size_t i = 0; i < entry->draft_count; i++) {
        bp_column_info *draft = &entry->drafts[i].info;
        size_t at = entry->column ? bp_dataset_info_column(info, draft->name) : SIZE_MAX;
        if (at == SIZE_MAX) {
            info->columns[info->column_count++] = *draft;
            memset(draft, 0, sizeof *draft);
        } else {
            /* What is replaced is freed with the draft. */
            bp_column_info replaced = info->columns[at];
            info->columns[at] = *draft;
            *draft = replaced;
        }
    }
    if (info->column_count > entry->column_limit)
        return bp_error_set(error, BP_TOO_LARGE, NULL,
                            "the data set would have %zu columns, more than the limit of %llu",
                            info->column_count, (unsigned long long)entry->column_limit);
    return BP_OK;
}

static void count_rows(bp_dataset_info *info)
{
    info->equal_lengths = true;
    if (info->kind == BP_DATASET_TEXT)
        info->row_count = info->corpus.line_count;
    if (info->kind == BP_DATASET_TAGGED)
        info->row_count = info->corpus.sentence_count;
    if (info->kind == BP_DATASET_VECTORS)
        info->row_count = info->corpus.word_count;
    if (info->kind != BP_DATASET_TABLE)
        return;
    info->row_count = info->columns[0].row_count;
    for (size_t i = 1; i < info->column_count; i++) {
        const uint64_t rows = info->columns[i].row_count;
        info->equal_lengths = info->equal_lengths && rows == info->row_count;
        if (rows < info->row_count)
            info->row_count = rows;
    }
}

static bool same_column(const bp_dataset_info *newest, const bp_column_info *column)
{
    const size_t at = bp_dataset_info_column(newest, column->name);
    return at != SIZE_MAX && newest->columns[at].type == column->type &&
           strcmp(newest->columns[at].sha256, column->sha256) == 0;
}

static bp_status insert_rows(insert_write *insert, sqlite3 *database, int64_t now, bp_error *error)
{
    const bp_dataset_info *info = insert->info;
    sqlite3_stmt *statement = NULL;
    json_t *json = bp_dataset_info_json(info, true);
    char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
    json_decref(json);
    if (!text)
        return no_memory(error);
    bp_status status = bp_database_prepare(
        &statement, database, "INSERT OR IGNORE INTO datasets (name, created) VALUES (?1, ?2)",
        error);
    if (status == BP_OK) {
        sqlite3_bind_text(statement, 1, info->name, -1, SQLITE_STATIC);
        sqlite3_bind_int64(statement, 2, now);
        status = bp_database_step_done(statement, error);
    }
    sqlite3_finalize(statement);
    statement = NULL;
    if (status == BP_OK)
        status = bp_database_prepare(
            &statement, database,
            "INSERT INTO dataset_versions (dataset, version, sha256, row_count, info, created) "
            "VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            error);
    if (status == BP_OK) {
        sqlite3_bind_text(statement, 1, info->name, -1, SQLITE_STATIC);
        sqlite3_bind_int64(statement, 2, (int64_t)info->version);
        sqlite3_bind_text(statement, 3, info->sha256, -1, SQLITE_STATIC);
        sqlite3_bind_int64(statement, 4, (int64_t)info->row_count);
        sqlite3_bind_text64(statement, 5, text, strlen(text), SQLITE_STATIC, SQLITE_UTF8);
        sqlite3_bind_int64(statement, 6, now);
        status = bp_database_step_done(statement, error);
    }
    sqlite3_finalize(statement);
    statement = NULL;
    free(text);
    const int64_t version_id = sqlite3_last_insert_rowid(database);
    if (status == BP_OK)
        status = bp_database_prepare(
            &statement, database,
            "INSERT INTO dataset_columns (dataset_version_id, ordinal, name, file_sha256, "
            "size_bytes) VALUES (?1, ?2, ?3, ?4, ?5)",
            error);
    for (size_t i = 0; i < info->column_count && status == BP_OK; i++) {
        const bp_column_info *column = &info->columns[i];
        sqlite3_bind_int64(statement, 1, version_id);
        sqlite3_bind_int64(statement, 2, (int64_t)i);
        sqlite3_bind_text(statement, 3, column->name, -1, SQLITE_STATIC);
        sqlite3_bind_text(statement, 4, column->sha256, -1, SQLITE_STATIC);
        sqlite3_bind_int64(
            statement, 5,
            (int64_t)(BP_COLUMN_HEADER_BYTES +
                      column->row_count * column->width * bp_element_size(column->element)));
        status = bp_database_step_done(statement, error);
    }
    sqlite3_finalize(statement);
    return status;
}

/* Whether the newest version (NULL: there is none) is what the entry holds. */
static bool is_there(const bp_dataset_info *newest, const bp_catalogue_entry *entry)
{
    if (!newest)
        return false;
    if (entry->column)
        return same_column(newest, &entry->drafts[0].info);
    return newest->kind == entry->kind && strcmp(newest->sha256, entry->sha256) == 0;
}

/* The version to be: for a column the newest one, which is taken over; else an empty one. */
static bp_status begin_version(insert_write *insert, bp_dataset_info **newest, bp_error *error)
{
    const bp_catalogue_entry *entry = insert->entry;
    const uint64_t version = *newest ? (*newest)->version + 1 : 1;
    if (*newest && entry->column && (*newest)->kind != BP_DATASET_TABLE)
        return bp_error_set(error, BP_CONFLICT, NULL,
                            "the data set \"%s\" is of kind \"%s\"; only a table takes columns",
                            entry->name, bp_dataset_kind_name((*newest)->kind));
    if (*newest && entry->column) {
        insert->info = *newest;
        *newest = NULL;
    } else {
        insert->info = calloc(1, sizeof *insert->info);
        if (insert->info)
            insert->info->name = strdup(entry->name);
        if (!insert->info || !insert->info->name)
            return no_memory(error);
        insert->info->kind = entry->kind;
    }
    insert->info->version = version;
    if (entry->corpus) {
        insert->info->corpus = *entry->corpus;
        *entry->corpus = (bp_corpus_info){0};
    }
    return BP_OK;
}

static bp_status apply_insert(bp_write *write, sqlite3 *database, bp_error *error)
{
    insert_write *insert = (insert_write *)write;
    const bp_catalogue_entry *entry = insert->entry;
    bp_dataset_info *newest = NULL;
    bp_error ignored = {0};
    bp_status status = bp_catalogue_find(&newest, database, entry->name, NULL, &ignored);
    if (status != BP_OK && status != BP_NOT_FOUND)
        return bp_error_set(error, status, ignored.where, "%s", ignored.message);
    insert->created = !is_there(newest, entry);
    status = BP_OK;
    if (!insert->created)
        goto done;
    status = begin_version(insert, &newest, error);
    if (status != BP_OK)
        goto done;
    bp_dataset_info *info = insert->info;
    const int64_t now = bp_clock_now_us();
    bp_clock_format(info->created, now);
    status = take_columns(insert, error);
    if (status != BP_OK)
        goto done;
    count_rows(info);
    if (entry->column)
        bp_catalogue_columns_sha256(info->sha256, info);
    else
        memcpy(info->sha256, entry->sha256, BP_SHA256_TEXT_SIZE);
    status = insert_rows(insert, database, now, error);
done:
    bp_dataset_info_free(newest);
    if (status == BP_OK)
        status =
            bp_catalogue_document_json(&insert->document, database, insert->entry->name, error);
    return status;
}

bp_status bp_catalogue_insert(bool *out_created, json_t **out_document, bp_store *store,
                              const bp_catalogue_entry *entry, bp_error *error)
{
    insert_write insert = {.write = {.apply = apply_insert}, .entry = entry};
    bp_status status = bp_store_write_wait(store, &insert.write, error);
    if (status == BP_OK) {
        *out_created = insert.created;
        *out_document = insert.document;
    } else {
        json_decref(insert.document);
    }
    bp_dataset_info_free(insert.info);
    return status;
}
