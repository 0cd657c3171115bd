/* Daemons that break a promise on purpose, each of which a test is shown to catch. The linker puts these
 * in the place of the functions that they are named after (--wrap); BACKPROPD_MUTATION chooses:
 *
 *   answer-before-commit  a write is answered as soon as it is applied
 *   database-unsynced     SQLite's commits are not synced
 *   files-unsynced        nor are files and folders
 *   forget-slots          a run that is resumed has the optimiser of a new one
 *   forget-watch          its plateau schedule and early stopping begin anew
 *   forget-carried        its recurrent layers begin with nothing
 *   forget-best           its best weights are those of the checkpoint
 *   step-back             it repeats the last step */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/training/trainer_state.h"
#include "server/store/database.h"
#include "server/store/store.h"

static bool is_mutation(const char *name)
{
    const char *chosen = getenv("BACKPROPD_MUTATION");
    return chosen && strcmp(chosen, name) == 0;
}

/* ---- answer-before-commit ---- */

typedef struct hasty_write {
    bp_write write;
    bp_write *inner; /* NULL: answered */
} hasty_write;

static bp_status apply_hastily(bp_write *write, sqlite3 *database, bp_error *error)
{
    hasty_write *hasty = (hasty_write *)write;
    const bp_status status = hasty->inner->apply(hasty->inner, database, error);
    if (status == BP_OK) {
        hasty->inner->done(hasty->inner, BP_OK, &(bp_error){.status = BP_OK});
        hasty->inner = NULL;
        usleep(20000); /* time for the answer to go out */
    }
    return status;
}

static void finish_hastily(bp_write *write, bp_status status, const bp_error *error)
{
    hasty_write *hasty = (hasty_write *)write;
    if (hasty->inner)
        hasty->inner->done(hasty->inner, status, error);
    free(hasty);
}

void __real_bp_store_write(bp_store *store, bp_write *write);
void __wrap_bp_store_write(bp_store *store, bp_write *write);
void __wrap_bp_store_write(bp_store *store, bp_write *write)
{
    hasty_write *hasty = is_mutation("answer-before-commit") ? calloc(1, sizeof *hasty) : NULL;
    if (!hasty) {
        __real_bp_store_write(store, write);
        return;
    }
    *hasty =
        (hasty_write){.write = {.apply = apply_hastily, .done = finish_hastily}, .inner = write};
    __real_bp_store_write(store, &hasty->write);
}

/* ---- database-unsynced, files-unsynced ---- */

bp_status __real_bp_database_open_writer(sqlite3 **out, const char *path, bp_error *error);
bp_status __wrap_bp_database_open_writer(sqlite3 **out, const char *path, bp_error *error);
bp_status __wrap_bp_database_open_writer(sqlite3 **out, const char *path, bp_error *error)
{
    const bp_status status = __real_bp_database_open_writer(out, path, error);
    if (status == BP_OK && is_mutation("database-unsynced"))
        sqlite3_exec(*out, "PRAGMA synchronous = OFF", NULL, NULL, NULL);
    return status;
}

int __real_fsync(int file);
int __wrap_fsync(int file);
int __wrap_fsync(int file)
{
    return is_mutation("files-unsynced") ? 0 : __real_fsync(file);
}

/* ---- resuming ---- */

static void forget_tensors(const bp_trainer *trainer, const bp_trainer_state *state, void *snapshot,
                           bp_state_role role)
{
    const size_t count = bp_state_tensor_count(trainer, state);
    size_t weights = 0;
    for (size_t i = 0; i < count; i++) {
        const bp_state_tensor at = bp_state_tensor_at(trainer, snapshot, i);
        const size_t bytes = at.tensor.element_count * bp_dtype_size(at.tensor.dtype);
        if (at.role == role && role != BP_STATE_BEST)
            memset(at.tensor.data, 0, bytes);
        else if (at.role == role)
            memcpy(at.tensor.data, bp_state_tensor_at(trainer, snapshot, weights++).tensor.data,
                   bytes);
    }
}

bp_status __real_bp_trainer_restore(bp_trainer *trainer, const bp_trainer_state *state,
                                    const void *snapshot, bp_error *error);
bp_status __wrap_bp_trainer_restore(bp_trainer *trainer, const bp_trainer_state *state,
                                    const void *snapshot, bp_error *error);
bp_status __wrap_bp_trainer_restore(bp_trainer *trainer, const bp_trainer_state *state,
                                    const void *snapshot, bp_error *error)
{
    const size_t bytes = bp_snapshot_bytes(trainer);
    bp_trainer_state changed = *state;
    void *copy = malloc(bytes);
    if (!copy)
        abort();
    memcpy(copy, snapshot, bytes);
    if (is_mutation("forget-slots"))
        forget_tensors(trainer, state, copy, BP_STATE_SLOT);
    if (is_mutation("forget-carried"))
        forget_tensors(trainer, state, copy, BP_STATE_CARRIED);
    if (is_mutation("forget-best"))
        forget_tensors(trainer, state, copy, BP_STATE_BEST);
    if (is_mutation("forget-watch"))
        changed.watch = (bp_watch_state){.plateau.started = 0};
    if (is_mutation("step-back") && changed.step > 0)
        changed.step--;
    const bp_status status = __real_bp_trainer_restore(trainer, &changed, copy, error);
    free(copy);
    return status;
}
