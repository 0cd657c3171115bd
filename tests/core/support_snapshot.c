#include "tests/core/support_snapshot.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

support_snapshot support_snapshot_take(const bp_trainer *trainer)
{
    support_snapshot taken = {.bytes = bp_snapshot_bytes(trainer)};
    taken.memory = aligned_alloc(BP_ALIGNMENT, taken.bytes);
    assert_non_null(taken.memory);
    memset(taken.memory, 0, taken.bytes);
    taken.state = bp_trainer_snapshot(trainer, taken.memory);
    return taken;
}

bool support_snapshot_same(const support_snapshot *a, const support_snapshot *b)
{
    return a->bytes == b->bytes && !memcmp(&a->state, &b->state, sizeof a->state) &&
           !memcmp(a->memory, b->memory, a->bytes);
}

void support_snapshot_restore(bp_trainer *trainer, const support_snapshot *taken)
{
    assert_int_equal(bp_trainer_restore(trainer, &taken->state, taken->memory, NULL), BP_OK);
}

size_t support_snapshot_zero(const bp_trainer *trainer, support_snapshot *taken, bp_state_role role)
{
    size_t count = 0;
    for (size_t i = 0; i < bp_state_tensor_count(trainer, &taken->state); i++) {
        const bp_state_tensor view = bp_state_tensor_at(trainer, taken->memory, i);
        if (view.role != role)
            continue;
        memset(view.tensor.data, 0, view.tensor.element_count * bp_dtype_size(view.tensor.dtype));
        count++;
    }
    return count;
}
