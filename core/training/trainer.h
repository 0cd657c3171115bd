/* A training run: a network, an optimiser, a schedule and an order of rows, stepped by its caller.
 * The caller decides when to stop, to measure and to write; the trainer owns the mathematics.
 *
 * A text is read as at most batch_size streams side by side, sequence_length steps at a time: a batch is
 * one such chunk, an epoch goes through all of them in order, and what recurrent layers carry is zero when
 * it begins. No gradient goes from a chunk into the one before. */
#ifndef BP_CORE_TRAINING_TRAINER_H
#define BP_CORE_TRAINING_TRAINER_H

#include "core/base/watched.h"
#include "core/evaluation/evaluator.h"
#include "core/language/token_source.h"
#include "core/language/token_windows.h"
#include "core/network/network.h"
#include "core/regularizer/regularizer.h"
#include "core/schedule/plateau.h"
#include "core/training/diagnosis.h"
#include "core/training/early_stopping.h"

/* What a batch is made of. */
typedef enum bp_examples_kind {
    BP_EXAMPLES_ROWS,    /* rows of numbers */
    BP_EXAMPLES_WINDOWS, /* windows around the tokens of sentences */
    BP_EXAMPLES_STREAMS  /* steps of a text */
} bp_examples_kind;

/* How a window is made wrong, for a loss of pairs. */
typedef enum bp_corruption_kind {
    BP_CORRUPT_BY_OTHER, /* another window in its place */
    BP_CORRUPT_CENTRE    /* another token in its middle */
} bp_corruption_kind;

typedef struct bp_corruption {
    bp_corruption_kind kind;
    const size_t *others; /* (other_count), at least 1: windows to draw from, for BY_OTHER */
    size_t other_count;
    int32_t low, high; /* ids [low, high), at least 2, to draw from, for CENTRE */
} bp_corruption;

/* Prepared examples, borrowed and immutable while a trainer uses them. Token ids are below the network's
 * token_count, and labels below its classes: their maker sees to it. */
typedef struct bp_examples {
    bp_examples_kind kind;
    /* Rows; windows that are trained on, which are the pairs where the loss is of pairs; or tokens of the
     * text. */
    size_t row_count;
    /* rows */
    const void *features; /* (row_count, input_width) row-major, of the network's dtype */
    const int32_t *label; /* (row_count), for BP_TARGET_CLASS */
    const void *value;    /* (row_count, output width), for BP_TARGET_VALUE */
    /* windows, as wide as the network's input; with labels unless the loss is of pairs */
    bp_token_windows windows;
    const size_t *window_row; /* (row_count) of windows, those that are trained on; NULL: all */
    bp_corruption corruption; /* where the loss is of pairs */
    /* streams */
    bp_token_source text; /* row_count tokens, whose targets are the ones after them */
} bp_examples;

typedef struct bp_training_spec {
    bp_network_spec network; /* use, batch_rows and sequence are set by the trainer */
    bp_examples_kind kind;   /* of all examples that the trainer will see */
    size_t sequence_length;  /* steps of a chunk, at least 1, for BP_EXAMPLES_STREAMS */
    bp_choice optimizer;     /* its first hyperparameter is the learning rate */
    bp_choice schedule;
    size_t regularizer_count;
    bp_choice regularizers[BP_REGULARIZER_LIMIT]; /* each member at most once */
    double clip_norm;         /* c: g ← g·(c/n) where the norm n exceeds c; 0: no clipping */
    bp_choice early_stopping; /* of bp_stopping_family; no member: none */
    uint64_t seed;
    uint64_t epochs;
    /* Rows, windows, pairs or streams; a batch larger than the rows is one batch. */
    size_t batch_size;
    /* false: rows in file order, as a text always is; either way the last short batch is taken */
    bool shuffle;
} bp_training_spec;

/* Where a run stands: 0-based epoch and its next batch; step counts finished updates. */
typedef struct bp_position {
    uint64_t epoch, step;
    uint64_t steps_per_epoch, step_limit; /* step_limit = epochs · steps_per_epoch */
} bp_position;

/* Of one step, before its update. */
typedef struct bp_step_report {
    double loss; /* mean data loss of the batch, without penalties */
    /* Share of rows that the loss decides for their label, or of pairs whose true window has the higher
     * score; NaN for values. */
    double accuracy;
    double learning_rate; /* as scheduled for this step */
    double gradient_norm; /* Euclidean, over all parameters: as clipping sees it, with the gradients
                             of penalties and before it is clipped */
    double penalty;       /* what regularisers add to the loss */
    size_t rows;          /* rows, windows, pairs, or steps of all streams */
    /* false: loss or gradient is not finite; nothing was updated, though what recurrent layers carry has
     * gone on: there is no way to continue */
    bool finite;
} bp_step_report;

/* Of a whole set of examples. */
typedef struct bp_evaluation {
    size_t rows;     /* rows, windows, pairs, or steps of all streams */
    double loss;     /* mean over them; of a text the perplexity is exp(loss) */
    double accuracy; /* as in bp_step_report */
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

/* Bytes that bp_trainer_create allocates for examples of row_count: network, optimiser slots,
 * batch buffers, the order of rows, a copy of the best weights where they are to be restored, one of
 * the carried state. Allocates nothing. Errors as bp_network_measure. */
BP_CHECK_RESULT bp_status bp_trainer_measure(size_t *out_bytes, bp_network_size *out_network,
                                             const bp_training_spec *spec, size_t row_count,
                                             bp_error *error);

/* Plans, allocates and initialises. examples is borrowed. parallel may be NULL, is copied. Errors as
 * bp_trainer_measure and bp_network_create; BP_SHAPE (examples of another kind or width), BP_TOO_LARGE
 * where steps cannot be counted. */
BP_CHECK_RESULT bp_status bp_trainer_create(bp_trainer **out, const bp_training_spec *spec,
                                            const bp_examples *examples,
                                            const bp_parallel *parallel, bp_error *error);
void bp_trainer_free(bp_trainer *trainer); /* accepts NULL */

bp_position bp_trainer_position(const bp_trainer *trainer);
bool bp_trainer_finished(const bp_trainer *trainer);

/* One update, in this order: gradient of the loss, of the penalties, clipping, optimiser with its decay,
 * projections. measure: fill accuracy, gradient_norm, penalty and bp_trainer_diagnosis (they cost a
 * little); loss, learning_rate, rows and finite are always filled. Allocates nothing. Must not be
 * called when finished (asserted). Errors are those of a text's source, on the thread of its reader:
 * nothing has changed then. */
BP_CHECK_RESULT bp_status bp_trainer_step(bp_step_report *out, bp_trainer *trainer, bool measure,
                                          bp_error *error);

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

/* Loss and accuracy of the present weights on any examples of the training's kind, in batches of the
 * planned size. The training's own state is left as it is.
 *   decided   (row_count) of the class that each row or window is taken for, or NULL; there is none for
 *             values, pairs and texts (asserted)
 * A text is cut into streams of its own, at most as many as the training's, and begun with zero state.
 * Of pairs the corrupted windows depend on seed and row alone, so they are the same in all evaluations.
 * BP_INVALID: a text of fewer than two tokens; errors of a text's source. Allocates nothing. */
BP_CHECK_RESULT bp_status bp_trainer_evaluate(bp_evaluation *out, bp_trainer *trainer,
                                              const bp_examples *examples, int32_t *decided,
                                              bp_error *error);

/* The evaluator that suits a training, for examples of at most row_count; value_scale is left to the
 * caller. */
bp_evaluator_spec bp_training_evaluator(const bp_training_spec *spec, const bp_network_size *size,
                                        size_t row_count);

/* The same pass, and everything that the evaluator finds: loss and accuracy are bit for bit those of
 * bp_trainer_evaluate. At least one row. Errors as there. Allocates nothing. */
BP_CHECK_RESULT bp_status bp_trainer_evaluate_full(bp_evaluation_report *out, bp_trainer *trainer,
                                                   const bp_examples *examples,
                                                   bp_evaluator *evaluator, int32_t *decided,
                                                   bp_error *error);

bp_network *bp_trainer_network(bp_trainer *trainer);

#endif
