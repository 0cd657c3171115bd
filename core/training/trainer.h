/* A training run: a network, an optimiser, a schedule and an order of rows, stepped by its caller.
 * The caller decides when to stop, to measure and to write; the trainer owns the mathematics. */
#ifndef BP_CORE_TRAINING_TRAINER_H
#define BP_CORE_TRAINING_TRAINER_H

#include "core/base/watched.h"
#include "core/evaluation/evaluator.h"
#include "core/network/network.h"
#include "core/regularizer/regularizer.h"
#include "core/schedule/plateau.h"
#include "core/training/diagnosis.h"
#include "core/training/early_stopping.h"

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
    size_t regularizer_count;
    bp_choice regularizers[BP_REGULARIZER_LIMIT]; /* each member at most once */
    double clip_norm;         /* c: g ← g·(c/n) where the norm n exceeds c; 0: no clipping */
    bp_choice early_stopping; /* of bp_stopping_family; no member: none */
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
    double loss;          /* mean data loss of the batch, without penalties */
    double accuracy;      /* share of rows that the loss decides for their label; NaN for values */
    double learning_rate; /* as scheduled for this step */
    double gradient_norm; /* Euclidean, over all parameters: as clipping sees it, with the gradients
                             of penalties and before it is clipped */
    double penalty;       /* what regularisers add to the loss */
    size_t rows;
    bool finite; /* false: loss or gradient is not finite; nothing was updated */
} bp_step_report;

/* Of a whole set of rows. */
typedef struct bp_evaluation {
    size_t rows;
    double loss;     /* mean over rows */
    double accuracy; /* NaN for values */
} bp_evaluation;

/* What is watched, at the end of an epoch; NaN where it was not evaluated. */
typedef struct bp_epoch_metrics {
    double value[BP_WATCHED_COUNT];
} bp_epoch_metrics;

/* What follows from it. */
typedef struct bp_epoch_verdict {
    bool new_best;     /* for early stopping */
    bool stop;         /* the run is finished */
    bool rate_reduced; /* a plateau */
} bp_epoch_verdict;

/* All that epochs have left behind besides parameters and slots: a checkpoint keeps it as it is. */
typedef struct bp_watch_state {
    bp_plateau_state plateau;
    bp_early_stopping_state early_stopping;
} bp_watch_state;

typedef struct bp_trainer bp_trainer;

/* Bytes that bp_trainer_create allocates for row_count training rows: network, optimiser slots,
 * batch buffers, the order of rows, a copy of the best weights where they are to be restored.
 * Allocates nothing. Errors as bp_network_measure. */
BP_CHECK_RESULT bp_status bp_trainer_measure(size_t *out_bytes, bp_network_size *out_network,
                                             const bp_training_spec *spec, size_t row_count,
                                             bp_error *error);

/* Plans, allocates and initialises. examples is borrowed. parallel may be NULL, is copied. Errors as
 * bp_trainer_measure and bp_network_create; BP_TOO_LARGE where steps cannot be counted. */
BP_CHECK_RESULT bp_status bp_trainer_create(bp_trainer **out, const bp_training_spec *spec,
                                            const bp_examples *examples,
                                            const bp_parallel *parallel, bp_error *error);
void bp_trainer_free(bp_trainer *trainer); /* accepts NULL */

bp_position bp_trainer_position(const bp_trainer *trainer);
bool bp_trainer_finished(const bp_trainer *trainer);

/* One update, in this order: gradient of the loss, of the penalties, clipping, optimiser with its decay,
 * projections. measure: fill accuracy, gradient_norm, penalty and bp_trainer_diagnosis (they cost a
 * little); loss, learning_rate, rows and finite are always filled. Allocates nothing. Must not be
 * called when finished (asserted). */
void bp_trainer_step(bp_trainer *trainer, bool measure, bp_step_report *out);

/* Of the last measured step, (layers of the network); borrowed. */
const bp_diagnosis *bp_trainer_diagnosis(const bp_trainer *trainer);

/* Whether the schedule or early stopping looks at a metric. */
bool bp_trainer_watches(const bp_trainer *trainer, bp_watched watched);

/* Must follow the last step of each epoch, before the next step, where anything is watched: reduces
 * the rate on a plateau, keeps the best weights, stops the run. Allocates nothing. */
bp_epoch_verdict bp_trainer_epoch_end(bp_trainer *trainer, const bp_epoch_metrics *metrics);

bp_watch_state bp_trainer_watch_state(const bp_trainer *trainer);

/* Puts the best weights in the place of the present ones; false where none are kept, because there
 * was no epoch yet or they are not wanted. For the end of a run: position and slots stay. */
bool bp_trainer_restore_best(bp_trainer *trainer);

/* Makes evaluations ask between two batches whether to go on: stop(context) true ends them early, with
 * the rows so far, and bp_trainer_interrupted is true from then on: what they said is of no use. */
void bp_trainer_set_stop(bp_trainer *trainer, bool (*stop)(void *context), void *context);
bool bp_trainer_interrupted(const bp_trainer *trainer);

/* Loss and accuracy of the present weights on any rows, in batches of the planned size.
 * Allocates nothing. */
bp_evaluation bp_trainer_evaluate(bp_trainer *trainer, const bp_examples *examples);

/* The evaluator that suits a training, for at most row_count rows; value_scale is left to the caller. */
bp_evaluator_spec bp_training_evaluator(const bp_training_spec *spec, const bp_network_size *size,
                                        size_t row_count);

/* The same pass, and everything that the evaluator finds: loss and accuracy are bit for bit those of
 * bp_trainer_evaluate. At least one row. Allocates nothing. */
void bp_trainer_evaluate_full(bp_trainer *trainer, const bp_examples *examples,
                              bp_evaluator *evaluator, bp_evaluation_report *out);

bp_network *bp_trainer_network(bp_trainer *trainer);

#endif
