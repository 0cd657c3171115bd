/* What clients read about a job's checkpoints. */
#ifndef BP_SERVER_CHECKPOINT_CHECKPOINTS_READ_H
#define BP_SERVER_CHECKPOINT_CHECKPOINTS_READ_H

#include <jansson.h>

#include "server/store/store.h"

/* {"items": [{"number", "step", "epoch", "cause", "created", "size_bytes", "sha256", "metric", "best"}],
 * "next"}: newest first, at most limit of those below number `after` (0: from the newest). BP_NOT_FOUND: no
 * such job. Any thread with a reader. */
BP_CHECK_RESULT bp_status bp_checkpoints_json(json_t **out, bp_store *store, int64_t job,
                                              uint64_t after, size_t limit, bp_error *error);

#endif
