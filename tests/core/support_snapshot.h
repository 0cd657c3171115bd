/* Snapshots of trainings, for tests that go on from them or compare what two trainings have come to. */
#ifndef BP_TESTS_CORE_SUPPORT_SNAPSHOT_H
#define BP_TESTS_CORE_SUPPORT_SNAPSHOT_H

#include "core/training/trainer_state.h"

typedef struct support_snapshot {
    bp_trainer_state state;
    size_t bytes;
    void *memory; /* freed by the taker */
} support_snapshot;

support_snapshot support_snapshot_take(const bp_trainer *trainer);

bool support_snapshot_same(const support_snapshot *a, const support_snapshot *b);

/* Puts the run there, or fails the test. */
void support_snapshot_restore(bp_trainer *trainer, const support_snapshot *taken);

/* Zeroes all tensors of a role. Returns how many there are. */
size_t support_snapshot_zero(const bp_trainer *trainer, support_snapshot *taken,
                             bp_state_role role);

#endif
