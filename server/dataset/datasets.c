#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "server/base/thread.h"
#include "server/dataset/catalogue.h"
#include "server/dataset/datasets_state.h"
#include "server/dataset/file_error.h"
#include "server/store/database.h"

/* A page of data sets ends early, with a cursor, once its stored documents have this many bytes: those
 * of many columns or categories are long, and parsed they take some ten times as much. */
enum { PAGE_BYTES = 4 << 20 };

/* ---- life ---- */

static bp_status make_folder(const char *directory, const char *name, bp_error *error)
{
    char path[4096];
    int length = snprintf(path, sizeof path, "%s/%s", directory, name);
    if (length < 0 || (size_t)length >= sizeof path)
        return bp_error_set(error, BP_INPUT_OUTPUT, NULL, "the data directory's path is too long");
    if (mkdir(path, 0700) != 0 && errno != EEXIST)
        return bp_file_error(error, errno, "make a folder in the data directory");
    return BP_OK;
}

bp_status bp_datasets_open(bp_datasets **out, bp_store *store, const bp_dataset_limits *limits,
                           bp_error *error)
{
    bp_status status = make_folder(bp_store_directory(store), "tmp", error);
    if (status == BP_OK)
        status = make_folder(bp_store_directory(store), "columns", error);
    if (status != BP_OK)
        return status;
    bp_datasets *datasets = calloc(1, sizeof *datasets);
    if (!datasets)
        return bp_error_set(error, BP_NO_MEMORY, NULL, "no memory for data sets");
    datasets->store = store;
    datasets->limits = *limits;
    datasets->corpora = bp_corpus_cache_create();
    if (!datasets->corpora) {
        free(datasets);
        return bp_error_set(error, BP_NO_MEMORY, NULL, "no memory for data sets");
    }
    pthread_mutex_init(&datasets->mutex, NULL);
    pthread_cond_init(&datasets->work, NULL);
    status = bp_thread_start(&datasets->thread, "ingest", bp_ingest_body, datasets, error);
    if (status != BP_OK) {
        pthread_cond_destroy(&datasets->work);
        pthread_mutex_destroy(&datasets->mutex);
        bp_corpus_cache_free(datasets->corpora);
        free(datasets);
        return status;
    }
    *out = datasets;
    return BP_OK;
}

void bp_datasets_close(bp_datasets *datasets)
{
    if (!datasets)
        return;
    pthread_mutex_lock(&datasets->mutex);
    datasets->stopping = true;
    pthread_cond_signal(&datasets->work);
    pthread_mutex_unlock(&datasets->mutex);
    pthread_join(datasets->thread, NULL);
    while (datasets->sweeps) { /* the next start sweeps them */
        bp_sweep *sweep = datasets->sweeps;
        datasets->sweeps = sweep->next;
        bp_sweep_free(sweep);
    }
    pthread_cond_destroy(&datasets->work);
    pthread_mutex_destroy(&datasets->mutex);
    bp_corpus_cache_free(datasets->corpora);
    free(datasets);
}

/* ---- reading ---- */

bp_status bp_datasets_find(bp_dataset_info **out, bp_datasets *datasets, const char *name,
                           const char *sha256, bp_error *error)
{
    sqlite3 *database;
    bp_status status = bp_store_reader(&database, datasets->store, error);
    if (status == BP_OK)
        status = bp_catalogue_find(out, database, name, sha256, error);
    return status;
}

static bp_status no_memory(bp_error *error)
{
    return bp_error_set(error, BP_NO_MEMORY, NULL, "no memory for a list of data sets");
}

/* Appends the public document at column 0 of the present row; its name goes to last. */
static bp_status append_document(json_t *items, char last[static 129], sqlite3_stmt *statement,
                                 bp_error *error)
{
    bp_dataset_info *info;
    bp_status status = bp_catalogue_info_at(&info, statement, 0, error);
    if (status != BP_OK)
        return status;
    snprintf(last, 129, "%s", info->name);
    if (json_array_append_new(items, bp_dataset_info_json(info, false)) != 0)
        status = no_memory(error);
    bp_dataset_info_free(info);
    return status;
}

bp_status bp_datasets_list_json(json_t **out, bp_datasets *datasets, const char *after,
                                size_t limit, bp_error *error)
{
    sqlite3 *database;
    sqlite3_stmt *statement = NULL;
    char last[129] = "";
    json_t *items = NULL, *list = NULL;
    bp_status status = bp_store_reader(&database, datasets->store, error);
    if (status == BP_OK)
        status = bp_database_prepare(
            &statement, database,
            "SELECT info FROM datasets JOIN dataset_versions v ON v.dataset = name WHERE name > ?1 "
            "AND version = (SELECT max(version) FROM dataset_versions WHERE dataset = name) "
            "ORDER BY name LIMIT ?2",
            error);
    if (status != BP_OK)
        return status;
    sqlite3_bind_text(statement, 1, after ? after : "", -1, SQLITE_STATIC);
    sqlite3_bind_int64(statement, 2, (int64_t)limit + 1); /* one more tells whether there is more */
    items = json_array();
    if (!items)
        status = no_memory(error);
    size_t count = 0, bytes = 0;
    int code = SQLITE_DONE;
    while (status == BP_OK && (code = sqlite3_step(statement)) == SQLITE_ROW) {
        if (count == limit || bytes >= PAGE_BYTES)
            break;
        status = append_document(items, last, statement, error);
        bytes += (size_t)sqlite3_column_bytes(statement, 0);
        count++;
    }
    if (status == BP_OK && code != SQLITE_DONE && code != SQLITE_ROW)
        status = bp_database_error(database, code, "list data sets", error);
    sqlite3_finalize(statement);
    if (status == BP_OK) {
        json_t *next = code == SQLITE_ROW && limit > 0 ? json_string(last) : json_null();
        list = json_pack("{s:O, s:o}", "items", items, "next", next);
        if (!list)
            status = no_memory(error);
    }
    json_decref(items);
    if (status == BP_OK)
        *out = list;
    return status;
}

bp_status bp_datasets_document_json(json_t **out, bp_datasets *datasets, const char *name,
                                    bp_error *error)
{
    sqlite3 *database;
    bp_status status = bp_store_reader(&database, datasets->store, error);
    if (status == BP_OK)
        status = bp_catalogue_document_json(out, database, name, error);
    return status;
}

/* ---- deleting ---- */

typedef struct delete_write {
    bp_write write; /* first */
    bp_datasets *datasets;
    void (*done)(void *context, bp_status status, const bp_error *error);
    void *context;
    bp_sweep *sweep; /* the files that the deleted versions used */
    char name[];
} delete_write;

static bp_status check_deletable(delete_write *request, sqlite3 *database, bp_error *error)
{
    sqlite3_stmt *statement;
    bp_status status = bp_database_prepare(
        &statement, database,
        "SELECT (SELECT min(job_id) FROM job_datasets JOIN dataset_versions v "
        "ON v.id = dataset_version_id WHERE v.dataset = name) FROM datasets WHERE name = ?1",
        error);
    if (status != BP_OK)
        return status;
    sqlite3_bind_text(statement, 1, request->name, -1, SQLITE_STATIC);
    const int code = sqlite3_step(statement);
    if (code == SQLITE_DONE)
        status =
            bp_error_set(error, BP_NOT_FOUND, NULL, "there is no data set \"%s\"", request->name);
    else if (code != SQLITE_ROW)
        status = bp_database_error(database, code, "delete a data set", error);
    else if (sqlite3_column_type(statement, 0) != SQLITE_NULL)
        status = bp_error_set(error, BP_CONFLICT, NULL,
                              "job %lld, which is not finished, needs the data set \"%s\"",
                              (long long)sqlite3_column_int64(statement, 0), request->name);
    sqlite3_finalize(statement);
    return status;
}

static bp_status collect_files(delete_write *request, sqlite3 *database, bp_error *error)
{
    sqlite3_stmt *statement;
    bp_sweep *sweep = request->sweep;
    size_t capacity = 0;
    bp_status status = bp_database_prepare(
        &statement, database,
        "SELECT DISTINCT file_sha256 FROM dataset_columns JOIN dataset_versions v "
        "ON v.id = dataset_version_id WHERE v.dataset = ?1",
        error);
    if (status != BP_OK)
        return status;
    sqlite3_bind_text(statement, 1, request->name, -1, SQLITE_STATIC);
    int code = SQLITE_DONE;
    while (status == BP_OK && (code = sqlite3_step(statement)) == SQLITE_ROW) {
        if (sweep->count == capacity) {
            capacity = capacity ? 2 * capacity : 16;
            void *grown = realloc(sweep->sha256, capacity * sizeof *sweep->sha256);
            if (!grown) {
                status = no_memory(error);
                break;
            }
            sweep->sha256 = grown;
        }
        snprintf(sweep->sha256[sweep->count++], BP_SHA256_TEXT_SIZE, "%s",
                 (const char *)sqlite3_column_text(statement, 0));
    }
    if (status == BP_OK && code != SQLITE_DONE)
        status = bp_database_error(database, code, "delete a data set", error);
    sqlite3_finalize(statement);
    return status;
}

static bp_status apply_delete(bp_write *write, sqlite3 *database, bp_error *error)
{
    delete_write *request = (delete_write *)write;
    sqlite3_stmt *statement;
    bp_status status = check_deletable(request, database, error);
    if (status == BP_OK)
        status = collect_files(request, database, error);
    if (status == BP_OK)
        status = bp_database_prepare(&statement, database, "DELETE FROM datasets WHERE name = ?1",
                                     error);
    if (status != BP_OK)
        return status;
    sqlite3_bind_text(statement, 1, request->name, -1, SQLITE_STATIC);
    status = bp_database_step_done(statement, error);
    sqlite3_finalize(statement);
    return status;
}

static void delete_done(bp_write *write, bp_status status, const bp_error *error)
{
    delete_write *request = (delete_write *)write;
    bp_datasets *datasets = request->datasets;
    if (status == BP_OK) {
        pthread_mutex_lock(&datasets->mutex);
        request->sweep->next = datasets->sweeps;
        datasets->sweeps = request->sweep;
        pthread_cond_signal(&datasets->work);
        pthread_mutex_unlock(&datasets->mutex);
    } else {
        bp_sweep_free(request->sweep);
    }
    request->done(request->context, status, error);
    free(request);
}

void bp_datasets_delete(bp_datasets *datasets, const char *name,
                        void (*done)(void *context, bp_status status, const bp_error *error),
                        void *context)
{
    const size_t length = strlen(name);
    delete_write *request = calloc(1, sizeof *request + length + 1);
    bp_sweep *sweep = calloc(1, sizeof *sweep);
    if (!request || !sweep) {
        bp_error error = {0};
        free(request);
        free(sweep);
        done(context, no_memory(&error), &error);
        return;
    }
    request->write.apply = apply_delete;
    request->write.done = delete_done;
    request->datasets = datasets;
    request->done = done;
    request->context = context;
    request->sweep = sweep;
    memcpy(request->name, name, length + 1);
    bp_store_write(datasets->store, &request->write);
}
