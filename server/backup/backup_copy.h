/* One backup: a consistent copy of a data directory, taken while a daemon may be using it, that is a
 * data directory itself: a daemon started on it goes on from there.
 *
 * Holds the database as of one moment, and every column file that this database names. The copy is put
 * together under a draft name, checked (SQLite's integrity_check), synced and only then gets its name:
 * what has the name is whole. */
#ifndef BP_SERVER_BACKUP_BACKUP_COPY_H
#define BP_SERVER_BACKUP_BACKUP_COPY_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/base/error.h"

typedef struct bp_backup_plan {
    const char *from;  /* the data directory */
    const char *draft; /* where the copy is made; must not exist */
    const char *to;    /* its name at the end, on the same file system as draft */
    /* Column files share their bytes with the original's where the file system can (they never change);
     * otherwise, and where it cannot, they are copied and their SHA-256 is compared. */
    bool link;
    bool (*cancelled)(void *context); /* asked every few megabytes; may be NULL */
    void *context;
} bp_backup_plan;

typedef struct bp_backup_summary {
    uint64_t size_bytes, file_count; /* of the database and the column files */
    int64_t created_us;              /* Unix time of the database's moment */
} bp_backup_summary;

/* Waits for the disk; takes as long as reading the database thrice. Leaves nothing behind on failure.
 * BP_CONFLICT (to or draft exists), BP_NOT_FOUND (no database at from), BP_UNSUPPORTED (not ours, or newer),
 * BP_CORRUPT (the database, or a column file that is missing or not what its name says),
 * BP_STORAGE_FULL, BP_INPUT_OUTPUT, BP_CANCELLED, BP_NO_MEMORY. Any thread without locks. */
BP_CHECK_RESULT bp_status bp_backup_make(bp_backup_summary *out, const bp_backup_plan *plan,
                                         bp_error *error);

/* What a finished backup says of itself. BP_NOT_FOUND: there is none of ours at this path. */
BP_CHECK_RESULT bp_status bp_backup_read(bp_backup_summary *out, const char *path, bp_error *error);

#endif
