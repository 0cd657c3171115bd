/* A training run: a network, an optimiser, a schedule and an order of rows, stepped by its caller.
 * The caller decides when to stop, to measure and to write; the trainer owns the mathematics. */
#ifndef BP_CORE_TRAINING_TRAINER_H
#define BP_CORE_TRAINING_TRAINER_H

#include "core/network/network.h"

/* Prepared rows, borrowed and immutable while a trainer uses them. */
typedef struct bp_examples {
    size_t row_count;
    const void *features; /* (row_count, input_width) row-major, of the network's dtype */
    const int32_t *label; /* (row_count), for BP_TARGET_CLASS */
    const void *value;    /* (row_count, output width), for BP_TARGET_VALUE */
} bp_examples;

typedef struct bp_training_spec {
    bp_network_spec network; /* use and batch_rows are set by the trainer */
    bp_choice optimizer;     /* its first hyperparameter is the learning rate */
    bp_choice schedule;
    uint64_t seed;
    uint64_t epochs;
    size_t batch_size; /* a batch larger than the rows is one batch */
    bool shuffle;      /* false: rows in file order; either way the last short batch is taken */
} bp_training_spec;

/* Where a run stands: 0-based epoch and its next batch; step counts finished updates. */
typedef struct bp_position {
    uint64_t epoch, step;
    uint64_t steps_per_epoch, step_limit; /* step_limit = epochs · steps_per_epoch */
} bp_position;

/* Of one step, before its update. */
typedef struct bp_step_report {
    double loss;          /* mean data loss of the batch */
    double accuracy;      /* share of rows that the loss decides for their label; NaN for values */
    double learning_rate; /* as scheduled for this step */
    double gradient_norm; /* Euclidean, over all parameters */
    size_t rows;
    bool finite; /* false: loss or gradient is not finite; nothing was updated */
} bp_step_report;

/* Of a whole set of rows. */
typedef struct bp_evaluation {
    size_t rows;
    double loss;     /* mean over rows */
    double accuracy; /* NaN for values */
} bp_evaluation;

typedef struct bp_trainer bp_trainer;

/* Bytes that bp_trainer_create allocates for row_count training rows: network, optimiser slots,
 * batch buffers, the order of rows. Allocates nothing. Errors as bp_network_measure. */
BP_CHECK_RESULT bp_status bp_trainer_measure(size_t *out_bytes, bp_network_size *out_network,
                                             const bp_training_spec *spec, size_t row_count,
                                             bp_error *error);

/* Plans, allocates and initialises. examples is borrowed. parallel may be NULL, is copied. */
BP_CHECK_RESULT bp_status bp_trainer_create(bp_trainer **out, const bp_training_spec *spec,
                                            const bp_examples *examples,
                                            const bp_parallel *parallel, bp_error *error);
void bp_trainer_free(bp_trainer *trainer);

bp_position bp_trainer_position(const bp_trainer *trainer);
bool bp_trainer_finished(const bp_trainer *trainer);

/* One update. measure: fill accuracy and gradient_norm (they cost a little); loss, learning_rate,
 * rows and finite are always filled. Allocates nothing. Must not be called when finished
 * (asserted). */
void bp_trainer_step(bp_trainer *trainer, bool measure, bp_step_report *out);

/* Loss and accuracy of the present weights on any rows, in batches of the planned size.
 * Allocates nothing. */
bp_evaluation bp_trainer_evaluate(bp_trainer *trainer, const bp_examples *examples);

bp_network *bp_trainer_network(bp_trainer *trainer);

#endif
