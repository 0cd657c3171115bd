/* Opening the SQLite database with the settings that everything else relies on. Used by the store
 * alone; everybody else writes by bp_store_write and reads by bp_store_reader. */
#ifndef BP_SERVER_STORE_DATABASE_H
#define BP_SERVER_STORE_DATABASE_H

#include <sqlite3.h>
#include <stdbool.h>

#include "core/base/error.h"

/* Of every connection; only recovery at the first opening can make anybody wait. */
enum { BP_BUSY_TIMEOUT_MS = 5000 };

/* Status of a result code of SQLite: BP_STORAGE_FULL, BP_NO_MEMORY, BP_CORRUPT, BP_CONFLICT (a
 * constraint) or BP_INPUT_OUTPUT. Sets error with SQLite's own words. */
bp_status bp_database_error(sqlite3 *database, int code, const char *doing, bp_error *error);

/* The connection that writes: creates the file, sets and asserts WAL, synchronous=FULL and foreign
 * keys, and migrates. No automatic checkpoints: the store makes them after it has answered. The contents of
 * a new file are on the disk, but its name is only once the directory has been synced, which the caller
 * does before the first commit. BP_UNSUPPORTED (a newer version, not a database of ours), BP_CORRUPT,
 * BP_INPUT_OUTPUT. */
BP_CHECK_RESULT bp_status bp_database_open_writer(sqlite3 **out, const char *path, bp_error *error);

/* A connection that cannot write or checkpoint. */
BP_CHECK_RESULT bp_status bp_database_open_reader(sqlite3 **out, const char *path, bp_error *error);

/* Prepares one statement for the calling connection. */
BP_CHECK_RESULT bp_status bp_database_prepare(sqlite3_stmt **out, sqlite3 *database,
                                              const char *sql, bp_error *error);
/* Steps a statement that returns no rows, resets it and clears its bindings. */
BP_CHECK_RESULT bp_status bp_database_step_done(sqlite3_stmt *statement, bp_error *error);

#endif
