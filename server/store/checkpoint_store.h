/* Checkpoints in the database. One is written in pieces, each in a write of its own, and exists from the
 * commit that completes it; one that is no longer kept becomes incomplete again and is swept in pieces. */
#ifndef BP_SERVER_STORE_CHECKPOINT_STORE_H
#define BP_SERVER_STORE_CHECKPOINT_STORE_H

#include <sqlite3.h>
#include <stdint.h>

#include "core/training/trainer_state.h"
#include "schema/job/job_spec.h"

enum { BP_CHECKPOINT_PIECE_BYTES = 4 << 20 };

/* Texts are borrowed. */
typedef struct bp_checkpoint_row {
    int64_t id, job;
    uint64_t number;         /* within the job */
    const char *cause;       /* "epochs", "steps", "time", "paused", "stopped", "end" */
    uint64_t step, epoch;    /* finished ones */
    uint64_t metric_seq;     /* of the last point up to it; 0: none */
    double metric;           /* what "best" goes by; NaN: not evaluated */
    const char *state;       /* bp_checkpoint_state_json as text */
    const char *data_sha256; /* of the training data set */
    const char *fingerprint; /* of the numerics */
    char sha256[BP_SHA256_TEXT_SIZE];
    uint64_t size_bytes; /* of tensors and state */
    int64_t created_us;
} bp_checkpoint_row;

/* ---- writing; in the transaction of a write ---- */

/* Enters a row that is not complete yet under the job's next number, and sets row->id and row->number. */
BP_CHECK_RESULT bp_status bp_checkpoint_store_begin(bp_checkpoint_row *row, sqlite3 *database,
                                                    bp_error *error);

BP_CHECK_RESULT bp_status bp_checkpoint_store_tensor(int64_t *out_id, sqlite3 *database,
                                                     int64_t checkpoint, size_t ordinal,
                                                     const bp_state_tensor *tensor,
                                                     const char *sha256, bp_error *error);

/* bytes: at most BP_CHECKPOINT_PIECE_BYTES. */
BP_CHECK_RESULT bp_status bp_checkpoint_store_piece(sqlite3 *database, int64_t tensor,
                                                    size_t ordinal, const void *data, size_t bytes,
                                                    bp_error *error);

/* Makes it a checkpoint, says so in an event, forgets the restarts that led nowhere, and lets go of the
 * older ones that the plan does not keep and no unfinished job begins with. BP_INTERNAL: metric points
 * that belong to it are not stored. */
BP_CHECK_RESULT bp_status bp_checkpoint_store_complete(sqlite3 *database,
                                                       const bp_checkpoint_row *row,
                                                       const bp_checkpoint_plan *plan,
                                                       bp_error *error);

/* The document of the model that predictions from a job's checkpoints use (bp_model_info_json, full);
 * nothing where it is there already. */
BP_CHECK_RESULT bp_status bp_checkpoint_store_model(sqlite3 *database, int64_t job,
                                                    const char *info, bp_error *error);

/* Lets go of one that is of no use. */
BP_CHECK_RESULT bp_status bp_checkpoint_store_drop(sqlite3 *database, int64_t checkpoint,
                                                   bp_error *error);

/* Deletes some 4 MB of what is incomplete and not newer than last_id: of one job, or of all (0). False in
 * *out_more: nothing is left. Never to be called for a checkpoint that is being written. */
BP_CHECK_RESULT bp_status bp_checkpoint_store_sweep(bool *out_more, sqlite3 *database, int64_t job,
                                                    int64_t last_id, bp_error *error);

/* ---- reading; any connection ---- */

/* The largest id; 0: there are none. */
BP_CHECK_RESULT bp_status bp_checkpoint_store_last_id(int64_t *out, sqlite3 *database,
                                                      bp_error *error);

/* The metric that a job's best checkpoint goes by, from its specification. */
BP_CHECK_RESULT bp_status bp_checkpoint_store_best(uint64_t *out_number, sqlite3 *database,
                                                   int64_t job, bp_error *error);

#endif
