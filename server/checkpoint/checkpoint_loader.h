/* Checkpoints read back from the store, against their checksums. */
#ifndef BP_SERVER_CHECKPOINT_CHECKPOINT_LOADER_H
#define BP_SERVER_CHECKPOINT_CHECKPOINT_LOADER_H

#include <jansson.h>

#include "core/training/trainer_state.h"
#include "server/store/store.h"

/* A checkpoint that can be gone on from. */
typedef struct bp_loaded_checkpoint {
    int64_t id;
    uint64_t number, metric_seq;
    bp_trainer_state state;
    json_t *document;      /* owned: the state as stored */
    const json_t *summary; /* in document: of the metric recorder */
} bp_loaded_checkpoint;

/* Reads the newest complete checkpoint of a job below number `before` (0: the newest of all) into a
 * snapshot of trainer's, whose layout it must have. BP_NOT_FOUND: there is none. BP_CORRUPT, BP_UNSUPPORTED
 * (it is of no use: out->id and out->number are set, and the next older one may do), BP_NO_MEMORY. Release
 * out->document. On a thread with a reader. */
BP_CHECK_RESULT bp_status bp_checkpoint_load(bp_loaded_checkpoint *out, bp_store *store,
                                             int64_t job, uint64_t before,
                                             const bp_trainer *trainer, void *snapshot,
                                             const char *data_sha256, bp_error *error);

#endif
