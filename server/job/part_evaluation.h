/* How good a run's weights are on a part of its data: at the end of an epoch, and in full at the end. */
#ifndef BP_SERVER_JOB_PART_EVALUATION_H
#define BP_SERVER_JOB_PART_EVALUATION_H

#include "core/training/trainer.h"
#include "server/dataset/datasets.h"

enum { BP_PART_TRAIN, BP_PART_VALIDATION, BP_PART_TEST, BP_PART_COUNT };
extern const char *const bp_part_names[]; /* "train", "validation", "test" */

typedef struct bp_part_evaluation bp_part_evaluation;

/* NaN: what the task does not have. */
typedef struct bp_part_metrics {
    double loss, accuracy;
    double perplexity, bits_per_character; /* of a text */
    double entity_f1;                      /* where the tags say where entities begin */
} bp_part_metrics;

/* All is borrowed. Takes the memory for what tokens are taken for at once. BP_NO_MEMORY. */
BP_CHECK_RESULT bp_status bp_part_evaluation_create(bp_part_evaluation **out,
                                                    const bp_job_spec *spec,
                                                    const bp_job_data *data, bp_trainer *trainer,
                                                    bp_error *error);
const bp_examples *bp_part_examples(const bp_part_evaluation *evaluation, size_t part);

/* Of a part that has rows, as are those below. Where the trainer was interrupted the result is of no use.
 * Errors of a text's source. */
BP_CHECK_RESULT bp_status bp_part_evaluate(bp_part_metrics *out, bp_part_evaluation *evaluation,
                                           size_t part, bp_error *error);

/* What a job's document says of each part, added to metrics under its name. BP_CANCELLED (the trainer was
 * interrupted), BP_NOT_FINITE (the training part's loss), BP_NO_MEMORY, errors of a text's source. */
BP_CHECK_RESULT bp_status bp_parts_evaluate_full(json_t *metrics, bp_part_evaluation *evaluation,
                                                 bp_error *error);

void bp_part_evaluation_free(bp_part_evaluation *evaluation); /* accepts NULL */

#endif
