/* A training as planned: private to core/training. */
#ifndef BP_CORE_TRAINING_TRAINER_PLAN_H
#define BP_CORE_TRAINING_TRAINER_PLAN_H

#include "core/training/batch.h"
#include "core/training/row_order.h"
#include "core/training/trainer.h"
#include "core/training/update.h"

struct bp_trainer {
    bp_network *network;
    const bp_kernels *kernels;
    const bp_kernels *kernels64;
    bp_examples examples;
    bp_parallel parallel_copy;
    const bp_parallel *parallel; /* NULL or &parallel_copy */
    bp_batch_room room;
    bp_batches batches; /* of the training's examples */
    bp_choice loss, schedule;
    bool weighs_classes;
    double base_rate;
    bp_position position; /* epoch is derived from step when asked for */
    uint64_t seed;
    bp_row_order order;
    bp_update update;
    bp_choice early_stopping;
    bp_watch_state watch;
    void *best_weights;      /* the parameter block of the best epoch, where it is to be restored */
    bp_diagnosis *diagnosis; /* (layers) */
    int32_t *predicted;      /* (room.rows), where there are classes */
    double *row_loss;        /* (room.rows) */
    size_t state_bytes;      /* of what recurrent layers carry */
    void *kept_state;        /* that of the training while an evaluation has its own */
    bool (*stop)(void *context); /* asked between batches of an evaluation; NULL: never */
    void *stop_context;
    bool interrupted;
    bp_arena arena; /* holds all of the above and this struct; not the network */
};

/* Rows, or pairs, of a batch that the outputs of a pass speak for; 0 for values. Fills `predicted` where
 * there are classes. */
size_t bp_trainer_count_correct(bp_trainer *trainer, const void *output, const bp_batch *batch);

/* Whether the loss is of classes, one for each row. */
static inline bool bp_trainer_has_classes(const bp_trainer *trainer)
{
    return trainer->room.target_kind == BP_TARGET_CLASS && !trainer->room.paired;
}

#endif
