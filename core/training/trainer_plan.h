/* A training as planned: private to core/training. */
#ifndef BP_CORE_TRAINING_TRAINER_PLAN_H
#define BP_CORE_TRAINING_TRAINER_PLAN_H

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
    bp_target_kind target_kind;
    size_t input_width, output_width;
    size_t batch_rows;
    bp_choice loss, schedule;
    double base_rate;
    bp_position position; /* epoch is derived from step when asked for */
    bp_row_order order;
    bp_update update;
    bp_choice early_stopping;
    bp_watch_state watch;
    void *best_weights;      /* the parameter block of the best epoch, where it is to be restored */
    bp_diagnosis *diagnosis; /* (layers) */
    /* One gathered batch; NULL where rows are used in place. */
    void *batch_features;        /* (batch_rows, input_width) */
    int32_t *batch_label;        /* (batch_rows) */
    void *batch_value;           /* (batch_rows, output_width) */
    int32_t *predicted;          /* (batch_rows), for BP_TARGET_CLASS */
    double *row_loss;            /* (batch_rows) */
    bool (*stop)(void *context); /* asked between batches of an evaluation; NULL: never */
    void *stop_context;
    bool interrupted;
    bp_arena arena; /* holds all of the above and this struct; not the network */
};

#endif
