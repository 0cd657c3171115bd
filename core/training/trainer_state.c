#include "core/training/trainer_state.h"

#include <assert.h>
#include <string.h>

#include "core/base/checked.h"
#include "core/training/trainer_plan.h"

/* Parts of a snapshot, one after the other: weights, slots, best weights, each as large as the parameter
 * block; then the block of what recurrent layers carry. */

static size_t part_count(const bp_optimizer *optimizer, const bp_choice *early_stopping)
{
    return 1 + optimizer->slot_count + bp_early_stopping_keeps_best(early_stopping);
}

static size_t part_bytes(const bp_trainer *trainer)
{
    return trainer->update.count * trainer->kernels->real_size;
}

const char *bp_state_role_name(bp_state_role role)
{
    static const char *const names[] = {[BP_STATE_WEIGHTS] = "weights",
                                        [BP_STATE_SLOT] = "slot",
                                        [BP_STATE_CARRIED] = "state",
                                        [BP_STATE_BEST] = "best"};
    return names[role];
}

bp_status bp_snapshot_measure(size_t *out_bytes, const bp_training_spec *spec,
                              const bp_network_size *network, bp_error *error)
{
    const bp_kernels *kernels = bp_kernels_get(spec->network.dtype, BP_ISA_BASELINE);
    const bp_optimizer *optimizer = kernels->optimizers[spec->optimizer.member->index];
    size_t bytes;
    if (!bp_checked_multiply(&bytes, network->parameter_bytes,
                             part_count(optimizer, &spec->early_stopping)) ||
        !bp_checked_add(&bytes, bytes, network->state_bytes))
        return bp_error_set(error, BP_TOO_LARGE, "/training", "the training is too large");
    *out_bytes = bytes;
    return BP_OK;
}

/* Where the carried state begins. */
static size_t state_offset(const bp_trainer *trainer)
{
    return part_bytes(trainer) * part_count(trainer->update.optimizer, &trainer->early_stopping);
}

size_t bp_snapshot_bytes(const bp_trainer *trainer)
{
    return state_offset(trainer) + trainer->state_bytes;
}

/* Whether best weights are wanted and there are some. */
static bool has_best(const bp_trainer *trainer, const bp_watch_state *watch)
{
    return trainer->best_weights && watch->early_stopping.started;
}

bp_trainer_state bp_trainer_snapshot(const bp_trainer *trainer, void *snapshot)
{
    const size_t bytes = part_bytes(trainer), slots = trainer->update.optimizer->slot_count;
    unsigned char *at = snapshot;
    memcpy(at, trainer->update.theta, bytes);
    for (size_t slot = 0; slot < slots; slot++)
        memcpy(at += bytes, trainer->update.slot[slot], bytes);
    if (has_best(trainer, &trainer->watch))
        memcpy(at + bytes, trainer->best_weights, bytes);
    if (trainer->state_bytes > 0)
        memcpy((unsigned char *)snapshot + state_offset(trainer),
               bp_network_state(trainer->network), trainer->state_bytes);
    return (bp_trainer_state){.step = trainer->position.step, .watch = trainer->watch};
}

size_t bp_state_tensor_count(const bp_trainer *trainer, const bp_trainer_state *state)
{
    const size_t parts =
        1 + trainer->update.optimizer->slot_count + has_best(trainer, &state->watch);
    return parts * bp_network_tensor_count(trainer->network) +
           bp_network_state_count(trainer->network);
}

static bp_state_tensor carried_at(const bp_trainer *trainer, void *snapshot, size_t index)
{
    bp_state_tensor view = {.role = BP_STATE_CARRIED,
                            .tensor = bp_network_state_tensor(trainer->network, index)};
    const unsigned char *live = view.tensor.data, *block = bp_network_state(trainer->network);
    view.tensor.data = (unsigned char *)snapshot + state_offset(trainer) + (live - block);
    return view;
}

bp_state_tensor bp_state_tensor_at(const bp_trainer *trainer, void *snapshot, size_t index)
{
    const size_t tensors = bp_network_tensor_count(trainer->network);
    const size_t slots = trainer->update.optimizer->slot_count, before = (1 + slots) * tensors;
    const size_t carried = bp_network_state_count(trainer->network);
    if (index >= before && index < before + carried)
        return carried_at(trainer, snapshot, index - before);
    if (index >= before)
        index -= carried;
    const size_t part = index / tensors;
    assert(part < part_count(trainer->update.optimizer, &trainer->early_stopping));
    bp_state_tensor view = {.role = part == 0       ? BP_STATE_WEIGHTS
                                    : part <= slots ? BP_STATE_SLOT
                                                    : BP_STATE_BEST,
                            .slot = part > 0 && part <= slots ? part - 1 : 0,
                            .tensor = bp_network_tensor(trainer->network, index % tensors)};
    const unsigned char *live = view.tensor.data, *block = trainer->update.theta;
    view.tensor.data = (unsigned char *)snapshot + part * part_bytes(trainer) + (live - block);
    return view;
}

/* ---- restoring ---- */

static bool is_flag(uint64_t value)
{
    return value <= 1;
}

/* Whether a run of this specification can be in the state: what later code relies on, and no more. */
static bool is_possible(const bp_trainer *trainer, const bp_trainer_state *state)
{
    const bp_plateau_state *plateau = &state->watch.plateau;
    const bp_early_stopping_state *stopping = &state->watch.early_stopping;
    if (state->step > trainer->position.step_limit || !is_flag(plateau->started) ||
        !is_flag(stopping->started) || !is_flag(stopping->stopped))
        return false;
    if (trainer->schedule.member->index != BP_SCHEDULE_plateau &&
        (plateau->started || plateau->waited || plateau->reductions))
        return false;
    if (!trainer->early_stopping.member &&
        (stopping->started || stopping->stopped || stopping->waited))
        return false;
    return stopping->best_step <= state->step;
}

bp_status bp_trainer_restore(bp_trainer *trainer, const bp_trainer_state *state,
                             const void *snapshot, bp_error *error)
{
    if (!is_possible(trainer, state))
        return bp_error_set(error, BP_CORRUPT, "",
                            "a run of this job cannot be in the state at step %llu",
                            (unsigned long long)state->step);
    const size_t bytes = part_bytes(trainer), slots = trainer->update.optimizer->slot_count;
    const unsigned char *at = snapshot;
    memcpy(trainer->update.theta, at, bytes);
    for (size_t slot = 0; slot < slots; slot++)
        memcpy(trainer->update.slot[slot], at += bytes, bytes);
    if (has_best(trainer, &state->watch))
        memcpy(trainer->best_weights, at + bytes, bytes);
    if (trainer->state_bytes > 0)
        memcpy(bp_network_state(trainer->network),
               (const unsigned char *)snapshot + state_offset(trainer), trainer->state_bytes);
    trainer->watch = state->watch;
    trainer->position.step = state->step;
    bp_network_parameters_changed(trainer->network);
    return BP_OK;
}
