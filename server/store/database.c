#include "server/store/database.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "schema/sql/migrations.h"
#include "server/base/log.h"

enum {
    PAGE_BYTES = 16384,      /* several times faster than 4 KiB for blobs */
    CACHE_KIB = 512,         /* of each connection; the system's page cache does the rest */
    JOURNAL_BYTES = 64 << 20 /* the log is cut back to this after a checkpoint */
};

bp_status bp_database_error(sqlite3 *database, int code, const char *doing, bp_error *error)
{
    bp_status status = BP_INPUT_OUTPUT;
    switch (code & 0xff) {
    case SQLITE_FULL:
        status = BP_STORAGE_FULL;
        break;
    case SQLITE_NOMEM:
        status = BP_NO_MEMORY;
        break;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        status = BP_CORRUPT;
        break;
    case SQLITE_CONSTRAINT:
        status = BP_CONFLICT;
        break;
    default:
        break;
    }
    return bp_error_set(error, status, NULL, "%s failed: %s", doing,
                        database ? sqlite3_errmsg(database) : sqlite3_errstr(code));
}

bp_status bp_database_prepare(sqlite3_stmt **out, sqlite3 *database, const char *sql,
                              bp_error *error)
{
    const int code = sqlite3_prepare_v2(database, sql, -1, out, NULL);
    if (code != SQLITE_OK)
        return bp_database_error(database, code, "preparing a statement", error);
    return BP_OK;
}

bp_status bp_database_step_done(sqlite3_stmt *statement, bp_error *error)
{
    const int code = sqlite3_step(statement);
    bp_status status = BP_OK;
    if (code != SQLITE_DONE)
        status = bp_database_error(sqlite3_db_handle(statement), code, "writing", error);
    sqlite3_reset(statement);
    sqlite3_clear_bindings(statement);
    return status;
}

static bp_status execute(sqlite3 *database, const char *sql, bp_error *error)
{
    const int code = sqlite3_exec(database, sql, NULL, NULL, NULL);
    if (code != SQLITE_OK)
        return bp_database_error(database, code, sql, error);
    return BP_OK;
}

/* The first column of a PRAGMA's answer as text. */
static bp_status read_pragma(char *out, size_t out_size, sqlite3 *database, const char *pragma,
                             bp_error *error)
{
    sqlite3_stmt *statement = NULL;
    bp_status status = bp_database_prepare(&statement, database, pragma, error);
    if (status != BP_OK)
        return status;
    const int code = sqlite3_step(statement);
    if (code == SQLITE_ROW)
        snprintf(out, out_size, "%s", (const char *)sqlite3_column_text(statement, 0));
    else
        status = bp_database_error(database, code, pragma, error);
    sqlite3_finalize(statement);
    return status;
}

static bp_status read_number(int *out, sqlite3 *database, const char *pragma, bp_error *error)
{
    char text[32];
    const bp_status status = read_pragma(text, sizeof text, database, pragma, error);
    if (status != BP_OK)
        return status;
    char *end;
    errno = 0;
    const long number = strtol(text, &end, 10);
    if (end == text || *end || errno || number < INT_MIN || number > INT_MAX)
        return bp_error_set(error, BP_CORRUPT, NULL, "%s answers %s", pragma, text);
    *out = (int)number;
    return BP_OK;
}

static bp_status expect(sqlite3 *database, const char *pragma, const char *expected,
                        bp_error *error)
{
    char text[32];
    const bp_status status = read_pragma(text, sizeof text, database, pragma, error);
    if (status == BP_OK && strcmp(text, expected) != 0)
        return bp_error_set(error, BP_UNSUPPORTED, NULL, "%s answers %s where %s is needed", pragma,
                            text, expected);
    return status;
}

static bp_status open_connection(sqlite3 **out, const char *path, int flags, bp_error *error)
{
    sqlite3 *database = NULL;
    const int code = sqlite3_open_v2(path, &database, flags | SQLITE_OPEN_NOMUTEX, NULL);
    if (code != SQLITE_OK) {
        const bp_status status = bp_database_error(database, code, "opening the database", error);
        sqlite3_close(database);
        return status;
    }
    sqlite3_extended_result_codes(database, 1);
    sqlite3_busy_timeout(database, BP_BUSY_TIMEOUT_MS);
    /* Lookaside would give every connection 48 KiB of its own; the idle daemon has many. */
    sqlite3_db_config(database, SQLITE_DBCONFIG_LOOKASIDE, NULL, 0, 0);
    char pragmas[128];
    snprintf(pragmas, sizeof pragmas,
             "PRAGMA cache_size = -%d; PRAGMA foreign_keys = ON; PRAGMA wal_autocheckpoint = 0",
             CACHE_KIB);
    const bp_status status = execute(database, pragmas, error);
    if (status != BP_OK) {
        sqlite3_close(database);
        return status;
    }
    *out = database;
    return BP_OK;
}

static bp_status migrate_once(sqlite3 *database, const bp_migration *migration, bp_error *error)
{
    char set_version[64];
    snprintf(set_version, sizeof set_version, "PRAGMA user_version = %d; COMMIT",
             migration->version);
    bp_status status = execute(database, "BEGIN IMMEDIATE", error);
    if (status == BP_OK) {
        const int code = sqlite3_exec(database, migration->sql, NULL, NULL, NULL);
        if (code != SQLITE_OK)
            status = bp_database_error(database, code, migration->name, error);
    }
    if (status == BP_OK)
        status = execute(database, set_version, error);
    if (status != BP_OK && !sqlite3_get_autocommit(database))
        sqlite3_exec(database, "ROLLBACK", NULL, NULL, NULL);
    if (status == BP_OK)
        bp_log(BP_LOG_INFO, "database migrated", "migration=%s", migration->name);
    return status;
}

static bp_status migrate(sqlite3 *database, bp_error *error)
{
    int application = 0, version = 0, page_count = 0;
    const int newest = (int)bp_migration_count;
    bp_status status = read_number(&application, database, "PRAGMA application_id", error);
    if (status == BP_OK)
        status = read_number(&version, database, "PRAGMA user_version", error);
    if (status == BP_OK)
        status = read_number(&page_count, database, "PRAGMA schema_version", error);
    if (status != BP_OK)
        return status;
    const bool empty = page_count == 0 && version == 0 && application == 0;
    if (!empty && application != BP_APPLICATION_ID)
        return bp_error_set(error, BP_UNSUPPORTED, NULL, "the database is of another application");
    if (version > newest)
        return bp_error_set(error, BP_UNSUPPORTED, NULL,
                            "the database is of version %d, newer than %d, the newest that this "
                            "program knows",
                            version, newest);
    for (int i = version; i < newest && status == BP_OK; i++)
        status = migrate_once(database, &bp_migrations[i], error);
    return status;
}

/* ---- a new database ---- */

static bp_status build(const char *path, bp_error *error)
{
    sqlite3 *database = NULL;
    bp_status status = open_connection(
        &database, path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOFOLLOW, error);
    if (status != BP_OK)
        return status;
    char pragmas[96];
    snprintf(pragmas, sizeof pragmas, "PRAGMA page_size = %d; PRAGMA synchronous = OFF",
             PAGE_BYTES);
    status = execute(database, pragmas, error);
    if (status == BP_OK)
        status = migrate(database, error);
    if (status == BP_OK)
        status = expect(database, "PRAGMA journal_mode = WAL", "wal", error);
    const int code = sqlite3_close(database);
    if (status == BP_OK && code != SQLITE_OK)
        status = bp_database_error(NULL, code, "closing the new database", error);
    return status;
}

static bool sync_file(const char *path)
{
    const int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return false;
    const bool synced = fsync(file) == 0;
    return close(file) == 0 && synced;
}

/* Builds the database beside its place without syncing each step (eight waits for the disk, most of the
 * time of a first start), syncs the whole once and puts it in place. A crash leaves either nothing or a
 * whole database there. SQLite has the file closed meanwhile, so its locks are not at stake. */
static bp_status create(const char *path, bp_error *error)
{
    const size_t size = strlen(path) + 8;
    char *draft = malloc(size);
    if (!draft)
        return bp_error_set(error, BP_NO_MEMORY, NULL, "no memory");
    snprintf(draft, size, "%s.new", path);
    (void)unlink(draft); /* of a start that did not get this far */
    /* A log without its database would be replayed into the new one. */
    static const char *const stale[] = {"-wal", "-shm"};
    for (size_t i = 0; i < sizeof stale / sizeof *stale; i++) {
        snprintf(draft, size, "%s%s", path, stale[i]);
        (void)unlink(draft);
    }
    snprintf(draft, size, "%s.new", path);
    bp_status status = build(draft, error);
    if (status == BP_OK && (!sync_file(draft) || rename(draft, path) != 0))
        status = bp_error_set(error, BP_INPUT_OUTPUT, path, "the database cannot be made: %s",
                              strerror(errno));
    free(draft);
    return status;
}

bp_status bp_database_open_writer(sqlite3 **out, const char *path, bp_error *error)
{
    sqlite3 *database = NULL;
    bp_status status = BP_OK;
    if (access(path, F_OK) != 0 && errno == ENOENT)
        status = create(path, error);
    if (status == BP_OK)
        status =
            open_connection(&database, path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOFOLLOW, error);
    if (status != BP_OK)
        return status;
    char pragmas[128];
    snprintf(pragmas, sizeof pragmas, "PRAGMA secure_delete = OFF; PRAGMA journal_size_limit = %d",
             JOURNAL_BYTES);
    status = execute(database, pragmas, error);
    if (status == BP_OK)
        status = expect(database, "PRAGMA journal_mode = WAL", "wal", error);
    if (status == BP_OK)
        status = execute(database, "PRAGMA synchronous = FULL", error);
    if (status == BP_OK)
        status = expect(database, "PRAGMA synchronous", "2", error);
    if (status == BP_OK)
        status = expect(database, "PRAGMA foreign_keys", "1", error);
    if (status == BP_OK)
        status = migrate(database, error);
    if (status != BP_OK) {
        sqlite3_close(database);
        return status;
    }
    *out = database;
    return BP_OK;
}

bp_status bp_database_open_reader(sqlite3 **out, const char *path, bp_error *error)
{
    return open_connection(out, path, SQLITE_OPEN_READONLY, error);
}
