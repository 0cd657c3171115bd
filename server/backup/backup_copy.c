/* How a copy is taken without stopping anybody:
 *
 *   1. the column files that the database names now are linked or copied
 *   2. in one read transaction the database's pages are copied, and the files that it names are listed
 *   3. the files that came in between are taken; one that has gone in between sends us back to 2
 *   4. files that 1 took and the copied database does not name are dropped
 *   5. the copy is checked and synced, and gets its name
 *
 * Column files never change and their names are their hashes, so 1 needs no lock, neither against the
 * daemon of this process nor, from the command line, against that of another one. */
#include "server/backup/backup_copy.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "schema/dataset/dataset_info.h"
#include "schema/sql/migrations.h"
#include "server/backup/backup_files.h"
#include "server/base/clock.h"
#include "server/dataset/file_error.h"
#include "server/store/database.h"

enum {
    STEP_PAGES = 256,       /* 4 MiB between two looks at `cancelled` */
    PROGRESS_STEPS = 20000, /* of SQLite's machine, the same while checking */
    ATTEMPT_LIMIT = 8       /* against data sets that are deleted just then */
};

static const char database_name[] = "backpropd.db", manifest_name[] = "backup.json";

typedef struct name_list {
    char (*sha256)[BP_SHA256_TEXT_SIZE]; /* ascending */
    size_t count, room;
} name_list;

typedef struct backup_work {
    const bp_backup_plan *plan;
    sqlite3 *source;
    char *columns_from, *columns_to, *database, *manifest;
    name_list names;
    bp_backup_summary summary;
} backup_work;

static bp_status no_memory(bp_error *error)
{
    return bp_error_set(error, BP_NO_MEMORY, NULL, "no memory for a backup");
}

static bool is_cancelled(void *context)
{
    const bp_backup_plan *plan = ((backup_work *)context)->plan;
    return plan->cancelled && plan->cancelled(plan->context);
}

static bp_status cancelled_error(bp_error *error)
{
    return bp_error_set(error, BP_CANCELLED, NULL, "the backup was cancelled");
}

static bp_status execute(sqlite3 *database, const char *sql, bp_error *error)
{
    const int code = sqlite3_exec(database, sql, NULL, NULL, NULL);
    return code == SQLITE_OK ? BP_OK : bp_database_error(database, code, sql, error);
}

/* ---- the source ---- */

static bp_status read_number(int64_t *out, sqlite3 *database, const char *sql, bp_error *error)
{
    sqlite3_stmt *statement = NULL;
    bp_status status = bp_database_prepare(&statement, database, sql, error);
    if (status != BP_OK)
        return status;
    const int code = sqlite3_step(statement);
    if (code == SQLITE_ROW)
        *out = sqlite3_column_int64(statement, 0);
    else
        status = bp_database_error(database, code, sql, error);
    sqlite3_finalize(statement);
    return status;
}

static bp_status open_source(backup_work *work, bp_error *error)
{
    char *path = bp_backup_path(work->plan->from, database_name);
    if (!path)
        return no_memory(error);
    bp_status status = BP_OK;
    if (access(path, F_OK) != 0)
        status = bp_error_set(error, BP_NOT_FOUND, work->plan->from,
                              "this is no data directory: it has no %s", database_name);
    if (status == BP_OK)
        status = bp_database_open_reader(&work->source, path, error);
    free(path);
    /* Where no daemon runs this may be the last connection: the log is the next daemon's to copy. */
    if (status == BP_OK)
        sqlite3_db_config(work->source, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    int64_t application = 0, version = 0;
    if (status == BP_OK)
        status = read_number(&application, work->source, "PRAGMA application_id", error);
    if (status == BP_OK)
        status = read_number(&version, work->source, "PRAGMA user_version", error);
    if (status == BP_OK && application != BP_APPLICATION_ID)
        status = bp_error_set(error, BP_UNSUPPORTED, work->plan->from,
                              "the database is of another application");
    if (status == BP_OK && version > (int64_t)bp_migration_count)
        status = bp_error_set(error, BP_UNSUPPORTED, work->plan->from,
                              "the database is of version %lld, newer than this program",
                              (long long)version);
    return status;
}

/* ---- column files ---- */

static bp_status append_name(name_list *names, const char *sha256, bp_error *error)
{
    if (!sha256 || strlen(sha256) != BP_SHA256_TEXT_SIZE - 1 ||
        strspn(sha256, "0123456789abcdef") != BP_SHA256_TEXT_SIZE - 1)
        return bp_error_set(error, BP_CORRUPT, NULL, "the catalogue names no column file");
    if (names->count == names->room) {
        const size_t room = names->room ? names->room * 2 : 64;
        char(*larger)[BP_SHA256_TEXT_SIZE] = realloc(names->sha256, room * sizeof *larger);
        if (!larger)
            return no_memory(error);
        names->sha256 = larger;
        names->room = room;
    }
    memcpy(names->sha256[names->count++], sha256, BP_SHA256_TEXT_SIZE);
    return BP_OK;
}

/* All at once, so that no transaction stays open while files are copied. */
static bp_status list_names(backup_work *work, bp_error *error)
{
    sqlite3_stmt *statement = NULL;
    bp_status status = bp_database_prepare(
        &statement, work->source,
        "SELECT DISTINCT file_sha256 FROM dataset_columns ORDER BY file_sha256", error);
    work->names.count = 0;
    int code = SQLITE_DONE;
    while (status == BP_OK && (code = sqlite3_step(statement)) == SQLITE_ROW)
        status = append_name(&work->names, (const char *)sqlite3_column_text(statement, 0), error);
    if (status == BP_OK && code != SQLITE_DONE)
        status = bp_database_error(work->source, code, "listing column files", error);
    sqlite3_finalize(statement);
    return status;
}

/* Takes the files that are not there yet. *out_gone: the first that the original does not have, or NULL. */
static bp_status take_columns(backup_work *work, const char **out_gone, bp_error *error)
{
    bp_status status = BP_OK;
    *out_gone = NULL;
    for (size_t i = 0; i < work->names.count && status == BP_OK; i++) {
        const char *sha256 = work->names.sha256[i];
        char *from = bp_backup_path(work->columns_from, sha256);
        char *to = bp_backup_path(work->columns_to, sha256);
        bp_error missing = {.status = BP_OK};
        uint64_t bytes;
        if (!from || !to)
            status = no_memory(error);
        else if (access(to, F_OK) != 0)
            status = bp_backup_copy_column(&bytes, from, to, sha256, work->plan->link, is_cancelled,
                                           work, &missing);
        free(from);
        free(to);
        if (status == BP_NOT_FOUND) {
            *out_gone = *out_gone ? *out_gone : sha256;
            status = BP_OK;
        } else if (missing.status != BP_OK) {
            (void)bp_error_set(error, status, missing.where, "%s", missing.message);
        }
    }
    return status;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(a, b);
}

/* Drops what the copied database does not name, and counts the rest. */
static bp_status trim_columns(backup_work *work, bp_error *error)
{
    const name_list *names = &work->names;
    DIR *folder = opendir(work->columns_to);
    if (!folder)
        return bp_file_error(error, errno, "read a folder of a backup");
    bp_status status = BP_OK;
    struct dirent *entry;
    while (status == BP_OK && (entry = readdir(folder))) {
        struct stat found;
        if (entry->d_name[0] == '.')
            continue;
        if (!names->count || !bsearch(entry->d_name, names->sha256, names->count,
                                      sizeof *names->sha256, compare_names)) {
            (void)unlinkat(dirfd(folder), entry->d_name, 0);
        } else if (fstatat(dirfd(folder), entry->d_name, &found, AT_SYMLINK_NOFOLLOW) != 0) {
            status = bp_file_error(error, errno, "look at a file of a backup");
        } else {
            work->summary.file_count++;
            work->summary.size_bytes += (uint64_t)found.st_size;
        }
    }
    closedir(folder);
    return status;
}

/* ---- the database ---- */

static bp_status copy_pages(backup_work *work, sqlite3 *target, bp_error *error)
{
    sqlite3_backup *backup = sqlite3_backup_init(target, "main", work->source, "main");
    if (!backup)
        return bp_database_error(target, sqlite3_errcode(target), "copying the database", error);
    int code = SQLITE_OK;
    while (code == SQLITE_OK && !is_cancelled(work))
        code = sqlite3_backup_step(backup, STEP_PAGES);
    (void)sqlite3_backup_finish(backup);
    if (code == SQLITE_OK)
        return cancelled_error(error);
    if (code != SQLITE_DONE)
        return bp_database_error(NULL, code, "copying the database", error);
    return BP_OK;
}

/* The transaction that the source has open gives the moment. */
static bp_status copy_database(backup_work *work, bp_error *error)
{
    sqlite3 *target = NULL;
    (void)unlink(work->database); /* of an earlier attempt */
    const int code =
        sqlite3_open_v2(work->database, &target,
                        SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);
    bp_status status = BP_OK;
    if (code != SQLITE_OK)
        status = bp_database_error(target, code, "making the copy of the database", error);
    /* Nobody sees the copy before it is whole: no journal, and one sync at the end. */
    if (status == BP_OK)
        status = execute(target, "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF", error);
    if (status == BP_OK)
        status = copy_pages(work, target, error);
    const int closed = sqlite3_close(target);
    if (status == BP_OK && closed != SQLITE_OK)
        status = bp_database_error(NULL, closed, "closing the copy of the database", error);
    return status;
}

static bp_status copy_moment(backup_work *work, bp_error *error)
{
    int64_t schema;
    bp_status status = execute(work->source, "BEGIN", error);
    if (status == BP_OK) /* the first read fixes the moment */
        status = read_number(&schema, work->source, "PRAGMA schema_version", error);
    work->summary.created_us = bp_clock_now_us();
    if (status == BP_OK)
        status = list_names(work, error);
    if (status == BP_OK)
        status = copy_database(work, error);
    if (!sqlite3_get_autocommit(work->source))
        sqlite3_exec(work->source, "ROLLBACK", NULL, NULL, NULL);
    return status;
}

static int stop_if_cancelled(void *context)
{
    return is_cancelled(context);
}

/* "file:…?immutable=1": SQLite then makes no log and no locks beside the copy. NULL: no memory. */
static char *immutable_uri(const char *path)
{
    char *uri = malloc(strlen(path) * 3 + 32), *at = uri;
    if (!uri)
        return NULL;
    at += sprintf(at, "file:");
    for (; *path; path++)
        if (strchr("%?#", *path))
            at += sprintf(at, "%%%02X", (unsigned)(unsigned char)*path);
        else
            *at++ = *path;
    sprintf(at, "?immutable=1");
    return uri;
}

static bp_status check_integrity(backup_work *work, sqlite3 *database, bp_error *error)
{
    sqlite3_stmt *statement = NULL;
    sqlite3_progress_handler(database, PROGRESS_STEPS, stop_if_cancelled, work);
    bp_status status =
        bp_database_prepare(&statement, database, "PRAGMA integrity_check(1)", error);
    if (status != BP_OK)
        return status;
    const int code = sqlite3_step(statement);
    const char *answer =
        code == SQLITE_ROW ? (const char *)sqlite3_column_text(statement, 0) : NULL;
    if ((code & 0xff) == SQLITE_INTERRUPT)
        status = cancelled_error(error);
    else if (code != SQLITE_ROW)
        status = bp_database_error(database, code, "checking the copy of the database", error);
    else if (!answer || strcmp(answer, "ok") != 0)
        status = bp_error_set(error, BP_CORRUPT, NULL, "the database is damaged: %s",
                              answer ? answer : "no answer");
    sqlite3_finalize(statement);
    return status;
}

static bp_status check_database(backup_work *work, bp_error *error)
{
    sqlite3 *database = NULL;
    char *uri = immutable_uri(work->database);
    if (!uri)
        return no_memory(error);
    const int code = sqlite3_open_v2(
        uri, &database, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX, NULL);
    free(uri);
    bp_status status = BP_OK;
    if (code != SQLITE_OK)
        status = bp_database_error(database, code, "opening the copy of the database", error);
    if (status == BP_OK)
        status = check_integrity(work, database, error);
    sqlite3_close(database);
    return status;
}

/* ---- the whole ---- */

static bp_status make_folder(const char *path, bp_error *error)
{
    if (mkdir(path, 0700) == 0)
        return BP_OK;
    if (errno == EEXIST)
        return bp_error_set(
            error, BP_CONFLICT, path,
            "this is there already: of a backup that is under way, or of one that was "
            "interrupted and may be removed");
    return bp_file_error(error, errno, "make a folder for a backup");
}

/* The steps 1 to 4. */
static bp_status take_all(backup_work *work, bp_error *error)
{
    const char *gone;
    bp_status status = list_names(work, error);
    if (status == BP_OK)
        status = take_columns(work, &gone, error);
    for (int attempt = 0; status == BP_OK; attempt++) {
        status = copy_moment(work, error);
        if (status == BP_OK)
            status = take_columns(work, &gone, error);
        if (status != BP_OK || !gone)
            break;
        if (attempt + 1 == ATTEMPT_LIMIT)
            status =
                bp_error_set(error, BP_CORRUPT, NULL,
                             "the column file %s is missing; a backup is possible once the data "
                             "sets that name it are deleted",
                             gone);
    }
    if (status == BP_OK)
        status = trim_columns(work, error);
    return status;
}

static bp_status write_manifest(backup_work *work, bp_error *error)
{
    char created[BP_TIME_TEXT_SIZE];
    bp_clock_format(created, work->summary.created_us);
    json_t *manifest = json_pack("{s:s, s:I, s:I, s:I}", "created", created, "created_us",
                                 (json_int_t)work->summary.created_us, "bytes",
                                 (json_int_t)work->summary.size_bytes, "files",
                                 (json_int_t)work->summary.file_count);
    char *text = manifest ? json_dumps(manifest, JSON_INDENT(2)) : NULL;
    bp_status status = text ? bp_backup_write_file(work->manifest, text, error) : no_memory(error);
    free(text);
    json_decref(manifest);
    return status;
}

static bp_status finish(backup_work *work, bp_error *error)
{
    struct stat found;
    bp_status status = check_database(work, error);
    if (status == BP_OK && stat(work->database, &found) != 0)
        status = bp_file_error(error, errno, "look at a file of a backup");
    if (status != BP_OK)
        return status;
    work->summary.file_count++;
    work->summary.size_bytes += (uint64_t)found.st_size;
    status = write_manifest(work, error);
    if (status == BP_OK)
        status = bp_backup_sync(work->database, error);
    if (status == BP_OK)
        status = bp_backup_sync(work->columns_to, error);
    if (status == BP_OK)
        status = bp_backup_sync(work->plan->draft, error);
    if (status == BP_OK && is_cancelled(work))
        status = cancelled_error(error);
    if (status == BP_OK)
        status = bp_backup_rename(work->plan->draft, work->plan->to, error);
    return status;
}

bp_status bp_backup_make(bp_backup_summary *out, const bp_backup_plan *plan, bp_error *error)
{
    if (access(plan->to, F_OK) == 0)
        return bp_error_set(error, BP_CONFLICT, plan->to,
                            "there is something of that name already");
    backup_work work = {.plan = plan,
                        .columns_from = bp_backup_path(plan->from, "columns"),
                        .columns_to = bp_backup_path(plan->draft, "columns"),
                        .database = bp_backup_path(plan->draft, database_name),
                        .manifest = bp_backup_path(plan->draft, manifest_name)};
    bool made = false, named = false;
    bp_status status = BP_OK;
    if (!work.columns_from || !work.columns_to || !work.database || !work.manifest)
        status = no_memory(error);
    if (status == BP_OK)
        status = open_source(&work, error);
    if (status == BP_OK) {
        status = make_folder(plan->draft, error);
        made = status == BP_OK;
    }
    if (status == BP_OK)
        status = make_folder(work.columns_to, error);
    if (status == BP_OK)
        status = take_all(&work, error);
    if (status == BP_OK) {
        status = finish(&work, error);
        named = status == BP_OK;
    }
    if (named)
        status = bp_backup_sync_parent(plan->to, error);
    if (made && status != BP_OK)
        bp_backup_remove_tree(named ? plan->to : plan->draft);
    if (status == BP_OK)
        *out = work.summary;
    sqlite3_close(work.source);
    free(work.names.sha256);
    free(work.manifest);
    free(work.database);
    free(work.columns_to);
    free(work.columns_from);
    return status;
}

bp_status bp_backup_read(bp_backup_summary *out, const char *path, bp_error *error)
{
    char *file = bp_backup_path(path, manifest_name);
    if (!file)
        return no_memory(error);
    json_t *manifest = json_load_file(file, JSON_REJECT_DUPLICATES, NULL);
    free(file);
    json_int_t created = 0, bytes = 0, files = 0;
    const bool read = json_unpack(manifest, "{s:I, s:I, s:I}", "created_us", &created, "bytes",
                                  &bytes, "files", &files) == 0;
    json_decref(manifest);
    if (!read || bytes < 0 || files < 0)
        return bp_error_set(error, BP_NOT_FOUND, NULL, "there is no backup of this name");
    *out = (bp_backup_summary){
        .size_bytes = (uint64_t)bytes, .file_count = (uint64_t)files, .created_us = created};
    return BP_OK;
}
