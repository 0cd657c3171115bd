/* Writes a run's checkpoints on a thread of its own: the trainer copies its state into a snapshot and goes
 * on while the writer hashes it and sends it to the store piece by piece, so that other writes come in
 * between. What fails here costs a run nothing but a checkpoint: it is logged. */
#ifndef BP_SERVER_CHECKPOINT_CHECKPOINT_WRITER_H
#define BP_SERVER_CHECKPOINT_CHECKPOINT_WRITER_H

#include <jansson.h>

#include "core/check/numerics_fingerprint.h"
#include "core/training/trainer_state.h"
#include "server/dataset/datasets.h"
#include "server/store/store.h"

typedef struct bp_checkpoint_writer bp_checkpoint_writer;

/* All of it outlives the writer. */
typedef struct bp_checkpoint_setup {
    bp_store *store;
    int64_t job;
    const bp_job_spec *spec;
    const bp_job_data *data;   /* prepared: what it was fitted to goes with the first checkpoint */
    const bp_trainer *trainer; /* for its layout alone */
    const char *fingerprint;   /* of the numerics */
} bp_checkpoint_setup;

/* What is to be written besides the tensors in the snapshot. */
typedef struct bp_checkpoint_request {
    const char *cause; /* static: as the table has it */
    uint64_t epoch, metric_seq;
    double metric; /* NaN: not evaluated */
    bp_trainer_state state;
    json_t *summary; /* of the metric recorder; taken over */
} bp_checkpoint_request;

/* Takes the memory of the snapshot, zeroed, at once: a checkpoint never fails for want of it. BP_NO_MEMORY,
 * BP_TOO_LARGE. */
BP_CHECK_RESULT bp_status bp_checkpoint_writer_create(bp_checkpoint_writer **out,
                                                      const bp_checkpoint_setup *setup,
                                                      bp_error *error);

/* ---- the trainer's thread ---- */

/* Where a snapshot goes (and a checkpoint is read to); not while busy. */
void *bp_checkpoint_writer_snapshot(bp_checkpoint_writer *writer);
bool bp_checkpoint_writer_is_busy(bp_checkpoint_writer *writer);
/* Waits until it is not busy, or until the monotonic clock shows deadline_ns (0: for ever). False: it still
 * is. */
BP_CHECK_RESULT bool bp_checkpoint_writer_wait(bp_checkpoint_writer *writer, uint64_t deadline_ns);
/* Gives up what is being written after the piece at hand; the next daemon sweeps what it has left. */
void bp_checkpoint_writer_abandon(bp_checkpoint_writer *writer);
/* Begins to write the snapshot. Not while busy. */
void bp_checkpoint_writer_start(bp_checkpoint_writer *writer, const bp_checkpoint_request *request);

/* Waits; accepts NULL. */
void bp_checkpoint_writer_free(bp_checkpoint_writer *writer);

#endif
