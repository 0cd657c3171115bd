/* The backups that the daemon keeps in its data directory, in "backups", each under the moment it was
 * begun at ("20260301T093000.000Z"). One is made at a time, on a thread of its own. */
#ifndef BP_SERVER_BACKUP_BACKUPS_H
#define BP_SERVER_BACKUP_BACKUPS_H

#include <jansson.h>
#include <stddef.h>

#include "core/base/error.h"

typedef struct bp_backups bp_backups;

/* directory: the data directory, borrowed; no other daemon uses it. Removes what an interrupted backup
 * or deletion left. BP_INPUT_OUTPUT, BP_NO_MEMORY. */
BP_CHECK_RESULT bp_status bp_backups_open(bp_backups **out, const char *directory, bp_error *error);

/* Takes the document (NULL unless BP_OK). On the backup's thread. */
typedef void bp_backup_done(void *context, json_t *document, bp_status status,
                            const bp_error *error);

/* Begins a backup; done is called once if this returns BP_OK, else never. BP_CONFLICT: one is being
 * made. BP_CANCELLED: the daemon stops. Any thread. */
BP_CHECK_RESULT bp_status bp_backups_start(bp_backups *backups, bp_backup_done *done, void *context,
                                           bp_error *error);

/* {"items": […], "next"}: by name, those after `after` (NULL: from the first). Reads small files; any
 * thread. */
BP_CHECK_RESULT bp_status bp_backups_list_json(json_t **out, bp_backups *backups, const char *after,
                                               size_t limit, bp_error *error);

/* Removes one: when it returns BP_OK the name is gone from the disk. BP_NOT_FOUND; BP_CONFLICT: a daemon
 * runs on it. Not on an HTTP thread. */
BP_CHECK_RESULT bp_status bp_backups_delete(bp_backups *backups, const char *name, bp_error *error);

/* No new backups; the one being made ends soon, with BP_CANCELLED. Any thread. */
void bp_backups_stop(bp_backups *backups);
/* Stops, waits for its thread and frees. Accepts NULL. */
void bp_backups_close(bp_backups *backups);

#endif
