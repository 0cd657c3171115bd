/* The store: one data directory, locked, with one SQLite database. One thread owns the only
 * connection that writes and checkpoints; every reading thread has a read-only connection of its own.
 *
 * A write is a plain struct sent to the store thread. Writes that wait are applied in order inside one
 * transaction (each in a savepoint, so that one failing write does not undo its neighbours), and
 * answered after the commit is on the disk. An error of the commit itself ends the process. */
#ifndef BP_SERVER_STORE_STORE_H
#define BP_SERVER_STORE_STORE_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/base/error.h"
#include "server/base/mailbox.h"

typedef struct bp_store bp_store;

typedef struct bp_write {
    bp_message message; /* first */
    /* On the store thread, inside the transaction. On failure set error and return its status: the
     * savepoint is rolled back. */
    bp_status (*apply)(struct bp_write *write, sqlite3 *database, bp_error *error);
    /* On the store thread, after the commit (or after the rollback of this write). Must be short: it
     * posts to a mailbox or resumes a connection. Owns the write from here on. */
    void (*done)(struct bp_write *write, bp_status status, const bp_error *error);
    /* A full disk does not fail this write: it waits for space, and apply is called again and again until
     * there is some (what an earlier call wrote is rolled back each time). For what a job that runs has to
     * write. Later writes may overtake it. */
    bool waits_for_space;
} bp_write;

/* Creates the directory where it is missing, locks it (BP_CONFLICT: another daemon has it), opens and
 * migrates the database (BP_UNSUPPORTED: it is of a newer version), starts the thread. */
BP_CHECK_RESULT bp_status bp_store_open(bp_store **out, const char *directory, bp_error *error);

/* From now on nothing waits for space: such writes end with BP_CANCELLED, as the daemon stops. Any
 * thread. */
void bp_store_stop_waiting(bp_store *store);

/* Sends a write; ownership goes with it. After bp_store_close has begun, done is called at once with
 * BP_CANCELLED. Any thread. */
void bp_store_write(bp_store *store, bp_write *write);

/* The same, but waits and returns the outcome; done is not called and the write stays the caller's.
 * Not on the store thread, the main thread or an HTTP thread. */
BP_CHECK_RESULT bp_status bp_store_write_wait(bp_store *store, bp_write *write, bp_error *error);

/* The calling thread's read-only connection, opened at its first call and closed by bp_store_close.
 * Keep read transactions short: reset every statement before returning to the event loop. */
BP_CHECK_RESULT bp_status bp_store_reader(sqlite3 **out, bp_store *store, bp_error *error);

/* That connection with a transaction begun: all that is read until the end is of one moment. End it only
 * where the beginning succeeded. */
BP_CHECK_RESULT bp_status bp_store_begin_reading(sqlite3 **out, bp_store *store, bp_error *error);
void bp_store_end_reading(sqlite3 *database);

/* Has `changed` called on the store thread after each commit, once for each job whose row was written
 * in it (an event or a metric point never comes without); job 0: many. Must be short. NULL: nobody any
 * more; when this returns the previous one is not running. Any thread. */
void bp_store_listen(bp_store *store, void (*changed)(void *context, int64_t job), void *context);

const char *bp_store_directory(const bp_store *store);

/* Applies what waits, checkpoints the log, closes all connections, releases the lock. All other users
 * have stopped. */
void bp_store_close(bp_store *store);

#endif
