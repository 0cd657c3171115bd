/* How good predictions are: what a network shows for many rows against what was to be shown, added up
 * batch by batch in the order of rows, so that batches of any size give the same bits.
 *
 * Classes. With n(t, p) rows of class t taken for p, a class c has precision n(c,c) / Σ_t n(t,c), recall
 * n(c,c) / Σ_p n(c,p) and F1 = 2 n(c,c) / (Σ_t n(t,c) + Σ_p n(c,p)), each 0 where it is 0 / 0. Macro
 * averages are means over all classes, those without rows included; weighted ones over rows of their
 * true class; micro ones are of the sums, which for one label a row are all the accuracy. The log loss is
 * the mean of −ln p of the true class, in nats, without class weights. ROC AUC of a class is the share of
 * pairs (a row of the class, another row) in which the former has the higher output, ties counting half;
 * the whole's is that of the second class of two, else the mean over the classes that have it.
 *
 * Values, in the units of the targets before scaling: RMSE = √(mean of squared errors), MAE = mean of
 * absolute errors, R² = 1 − Σ errors² / Σ (target − mean)², and where all targets are equal 1 for
 * predictions without error, else 0. The whole's are means over targets.
 *
 * Source: Sokolova & Lapalme 2009, Inf. Process. Manag. 45, 427; Fawcett 2006, Pattern Recognit. Lett.
 * 27, 861 and Hanley & McNeil 1982, Radiology 143, 29 (AUC as the rank statistic). The numbers are those
 * of scikit-learn's metrics with zero_division=0 and labels= all classes. */
#ifndef BP_CORE_EVALUATION_EVALUATOR_H
#define BP_CORE_EVALUATION_EVALUATOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/dtype.h"
#include "core/base/error.h"
#include "core/loss/loss.h"

enum {
    BP_TOP_COUNT = 5,               /* of the top-k accuracy */
    BP_CONFUSION_CLASS_LIMIT = 256, /* with more classes no confusion matrix is kept */
    BP_RANKED_LIMIT = 20000000,     /* with more outputs (rows × classes) no AUC is computed */
};

typedef struct bp_evaluator_spec {
    bp_target_kind kind;
    /* Loss, accuracy and log loss alone, of classes or of pairs: for what has thousands of classes, or no
     * labels. */
    bool totals_only;
    bp_dtype dtype;   /* of shown outputs and values */
    size_t width;     /* classes or targets, at least 1 */
    size_t row_count; /* most rows of one evaluation */
    /* (width) units of a target per unit of its output; NULL: 1. Copied. */
    const double *value_scale;
} bp_evaluator_spec;

/* Rows of a batch. */
typedef struct bp_evaluation_batch {
    size_t rows;
    const void *shown; /* (rows, width): probabilities, scores or values; not for totals alone */
    double loss_sum;   /* of the rows, as trained */
    size_t
        correct; /* rows for whose label the outputs speak, or pairs ranked right: for totals alone */
    /* For BP_TARGET_CLASS; the first two not for totals alone. */
    const int32_t *label;   /* (rows) in [0, width) */
    const int32_t *decided; /* (rows) in [0, width): what the network takes them for */
    const double *log_loss; /* (rows) −ln p of the label; NULL where shown are no probabilities */
    /* For BP_TARGET_VALUE. */
    const void *value; /* (rows, width) scaled as shown is */
} bp_evaluation_batch;

typedef struct bp_class_report {
    double precision, recall, f1;
    /* NaN: no row, or all rows, of the class, a NaN among its outputs, or left out. */
    double roc_auc;
    uint64_t support, decided, correct; /* rows of it, rows taken for it, both */
} bp_class_report;

typedef struct bp_class_average {
    double precision, recall, f1;
} bp_class_average;

typedef struct bp_value_report {
    double rmse, mae, r2;
} bp_value_report;

/* NaN: what the kind, the loss or the rows do not have. Arrays are the evaluator's until the next begin. */
typedef struct bp_evaluation_report {
    size_t rows;
    double loss;
    size_t width;
    bp_target_kind kind;
    /* classes */
    double accuracy, top_accuracy /* with more than BP_TOP_COUNT classes */, log_loss, roc_auc;
    bool has_log_loss; /* every batch had one, though it may be NaN */
    bp_class_average macro, micro, weighted;
    const bp_class_report *classes; /* (width), or NULL */
    const uint64_t *confusion;      /* (width, width): true class down, decided across; or NULL */
    bool too_many_classes, too_many_outputs; /* why confusion and AUC are left out */
    /* values */
    bp_value_report values;         /* means over targets */
    const bp_value_report *targets; /* (width), or NULL */
} bp_evaluation_report;

typedef struct bp_evaluator bp_evaluator;

/* Bytes that bp_evaluator_create allocates. BP_TOO_LARGE, BP_SHAPE. Allocates nothing. Creating: also
 * BP_NO_MEMORY. Any thread. */
BP_CHECK_RESULT bp_status bp_evaluator_measure(size_t *out_bytes, const bp_evaluator_spec *spec,
                                               bp_error *error);
BP_CHECK_RESULT bp_status bp_evaluator_create(bp_evaluator **out, const bp_evaluator_spec *spec,
                                              bp_error *error);
void bp_evaluator_free(bp_evaluator *evaluator); /* accepts NULL */

/* An evaluation is begin, add …, finish; none of them allocates, and one evaluator does any number, on
 * one thread at a time. All batches together have at most row_count rows (asserted), at least one. */
void bp_evaluator_begin(bp_evaluator *evaluator);
void bp_evaluator_add(bp_evaluator *evaluator, const bp_evaluation_batch *batch);
void bp_evaluator_finish(bp_evaluator *evaluator, bp_evaluation_report *out);

#endif
