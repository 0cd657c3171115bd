/* All that a run would lose: parameters, optimiser slots, what recurrent layers carry, best weights,
 * position, what epochs have left behind. With specification and data it is the whole run, so a run that is put back to it goes on with
 * the same bits: the order of rows, corrupted windows, dropout and rates follow from the position.
 *
 * A snapshot is one block of memory of the caller's, in which each part lies as it does in the trainer;
 * its tensors are views into it. */
#ifndef BP_CORE_TRAINING_TRAINER_STATE_H
#define BP_CORE_TRAINING_TRAINER_STATE_H

#include "core/training/trainer.h"

typedef enum bp_state_role {
    BP_STATE_WEIGHTS,
    BP_STATE_SLOT,    /* of the optimiser */
    BP_STATE_CARRIED, /* what recurrent layers carry into the next step */
    BP_STATE_BEST     /* weights of the best epoch, where they are to be restored at the end */
} bp_state_role;

/* "weights", "slot", "state", "best". */
const char *bp_state_role_name(bp_state_role role);

typedef struct bp_state_tensor {
    bp_state_role role;
    size_t slot;      /* which one, for BP_STATE_SLOT; else 0 */
    bp_tensor tensor; /* of the parameter that it belongs to: "layers.0.weight"; or "layers.1.h" */
} bp_state_tensor;

/* Everything besides the tensors. */
typedef struct bp_trainer_state {
    uint64_t step; /* finished updates */
    bp_watch_state watch;
} bp_trainer_state;

/* Bytes of a snapshot of a training that bp_trainer_measure has measured, best weights included.
 * BP_TOO_LARGE. */
BP_CHECK_RESULT bp_status bp_snapshot_measure(size_t *out_bytes, const bp_training_spec *spec,
                                              const bp_network_size *network, bp_error *error);

/* The same for a trainer that is there. */
size_t bp_snapshot_bytes(const bp_trainer *trainer);

/* Copies what the trainer holds into a snapshot of bp_snapshot_bytes, aligned to BP_ALIGNMENT. Between
 * two steps, and not between the last step of an epoch and bp_trainer_epoch_end. Allocates nothing. */
bp_trainer_state bp_trainer_snapshot(const bp_trainer *trainer, void *snapshot);

/* Tensors that a state has, in order: weights, each slot, what recurrent layers carry, and the best
 * weights once there are any. */
size_t bp_state_tensor_count(const bp_trainer *trainer, const bp_trainer_state *state);

/* A view of one of them in a snapshot. index below bp_state_tensor_count (asserted). */
bp_state_tensor bp_state_tensor_at(const bp_trainer *trainer, void *snapshot, size_t index);

/* Puts the run where a snapshot was taken: one of a trainer of the same specification and data, whatever
 * machine it ran on. Elements between tensors are 0 in a snapshot that began as zeros. Changes nothing on
 * failure: BP_CORRUPT (a state that no such run can be in). Allocates nothing. */
BP_CHECK_RESULT bp_status bp_trainer_restore(bp_trainer *trainer, const bp_trainer_state *state,
                                             const void *snapshot, bp_error *error);

#endif
