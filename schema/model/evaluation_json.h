/* An evaluation as it stands in the documents of jobs and models, for each part of the data. */
#ifndef BP_SCHEMA_MODEL_EVALUATION_JSON_H
#define BP_SCHEMA_MODEL_EVALUATION_JSON_H

#include "core/evaluation/evaluator.h"
#include "schema/job/job_spec.h"

/* Classes: {"loss", "accuracy", "top_5_accuracy"?, "log_loss"?, "roc_auc"?, "precision", "recall", "f1"
 * (the macro averages), "rows", "per_class": [{"label", "precision", "recall", "f1", "support",
 * "roc_auc"?}], "averages": {"macro", "micro", "weighted"}, "confusion_matrix"? (true class down, decided
 * across, in the order of classes), "omitted"?: {field: why}}.
 * Values: {"loss", "rmse", "mae", "r2" (means over targets), "rows", "per_target": [{"target",
 * "element"? (of a tensor), "rmse", "mae", "r2"}]}.
 * What a loss or a number of classes does not have is absent; what the rows leave undefined is "NaN".
 * classes: of the job, in order. targets: columns, for values. NULL: no memory. */
json_t *bp_evaluation_json(const bp_evaluation_report *report, const bp_labels *classes,
                           const bp_job_column *targets, size_t target_count);

#endif
