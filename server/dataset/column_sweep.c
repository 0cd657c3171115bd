/* Removing column files that no data set needs, and temporary files that an earlier daemon left. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "server/base/log.h"
#include "server/dataset/datasets_state.h"
#include "server/store/database.h"

enum { PATH_BYTES = 4096 };

void bp_sweep_free(bp_sweep *sweep)
{
    if (!sweep)
        return;
    free(sweep->sha256);
    free(sweep);
}

static bool is_sha256(const char *name)
{
    return strlen(name) == BP_SHA256_TEXT_SIZE - 1 &&
           strspn(name, "0123456789abcdef") == BP_SHA256_TEXT_SIZE - 1;
}

/* A file stays when the catalogue cannot be asked. */
static bool is_unused(sqlite3_stmt *statement, const char *sha256)
{
    sqlite3_bind_text(statement, 1, sha256, -1, SQLITE_STATIC);
    const bool unused = sqlite3_step(statement) == SQLITE_DONE;
    sqlite3_reset(statement);
    return unused;
}

static sqlite3_stmt *prepare_question(bp_datasets *datasets)
{
    sqlite3 *database;
    sqlite3_stmt *statement;
    bp_error error = {0};
    if (bp_store_reader(&database, datasets->store, &error) == BP_OK &&
        bp_database_prepare(&statement, database,
                            "SELECT 1 FROM dataset_columns WHERE file_sha256 = ?1 LIMIT 1",
                            &error) == BP_OK)
        return statement;
    bp_log_error(BP_LOG_WARNING, "column files cannot be swept", &error);
    return NULL;
}

static void remove_column(bp_datasets *datasets, sqlite3_stmt *statement, const char *sha256)
{
    char path[PATH_BYTES];
    if (!is_sha256(sha256) || !is_unused(statement, sha256))
        return;
    int length =
        snprintf(path, sizeof path, "%s/columns/%s", bp_store_directory(datasets->store), sha256);
    if (length > 0 && (size_t)length < sizeof path && unlink(path) == 0)
        bp_log(BP_LOG_DEBUG, "column file removed", "sha256=%s", sha256);
}

void bp_sweep_some(bp_datasets *datasets, const bp_sweep *sweep)
{
    sqlite3_stmt *statement = prepare_question(datasets);
    if (!statement)
        return;
    for (size_t i = 0; i < sweep->count; i++)
        remove_column(datasets, statement, sweep->sha256[i]);
    sqlite3_finalize(statement);
}

static DIR *open_folder(bp_datasets *datasets, const char *name)
{
    char path[PATH_BYTES];
    int length = snprintf(path, sizeof path, "%s/%s", bp_store_directory(datasets->store), name);
    return length > 0 && (size_t)length < sizeof path ? opendir(path) : NULL;
}

void bp_sweep_all(bp_datasets *datasets)
{
    struct dirent *entry;
    DIR *folder = open_folder(datasets, "tmp");
    while (folder && (entry = readdir(folder)))
        if (strncmp(entry->d_name, "column-", 7) == 0 || strncmp(entry->d_name, "table-", 6) == 0)
            (void)unlinkat(dirfd(folder), entry->d_name, 0);
    if (folder)
        closedir(folder);
    sqlite3_stmt *statement = prepare_question(datasets);
    folder = open_folder(datasets, "columns");
    while (folder && statement && (entry = readdir(folder)))
        remove_column(datasets, statement, entry->d_name);
    if (folder)
        closedir(folder);
    sqlite3_finalize(statement);
}
