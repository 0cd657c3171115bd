/* Files and folders of a backup: copying, syncing, removing. errno becomes a status as in file_error.h. */
#ifndef BP_SERVER_BACKUP_BACKUP_FILES_H
#define BP_SERVER_BACKUP_BACKUP_FILES_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/error.h"

/* "folder/name"; the caller frees it. NULL: no memory. */
char *bp_backup_path(const char *folder, const char *name);

/* Copies a column file, whose name is its SHA-256, and syncs the copy (link: gives it a second name
 * instead, where the file system can). *out_bytes: its size. BP_NOT_FOUND (from is not there),
 * BP_CORRUPT (its bytes are not those of its name), BP_CANCELLED, BP_STORAGE_FULL, BP_INPUT_OUTPUT. */
BP_CHECK_RESULT bp_status bp_backup_copy_column(uint64_t *out_bytes, const char *from,
                                                const char *to, const char *sha256, bool link,
                                                bool (*cancelled)(void *context), void *context,
                                                bp_error *error);

/* Writes a small file and syncs it. */
BP_CHECK_RESULT bp_status bp_backup_write_file(const char *path, const char *text, bp_error *error);

/* Syncs a file or a folder. */
BP_CHECK_RESULT bp_status bp_backup_sync(const char *path, bp_error *error);
/* Syncs the folder that a path is in. */
BP_CHECK_RESULT bp_status bp_backup_sync_parent(const char *path, bp_error *error);

/* Gives a folder its name. BP_CONFLICT: there is something of that name. */
BP_CHECK_RESULT bp_status bp_backup_rename(const char *from, const char *to, bp_error *error);

/* Removes a folder with all that is in it, as far as it can; follows no links. */
void bp_backup_remove_tree(const char *path);

#endif
