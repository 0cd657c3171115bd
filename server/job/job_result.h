/* What a finished training leaves: the model's document, its weights with checksums, and the metrics of
 * the job's document. Independent of the trainer that made it, so that its memory can go at once. */
#ifndef BP_SERVER_JOB_JOB_RESULT_H
#define BP_SERVER_JOB_JOB_RESULT_H

#include "server/dataset/datasets.h"
#include "server/record/progress_board.h"
#include "server/store/model_store.h"

typedef struct bp_job_result {
    bp_model_info *info;
    size_t tensor_count;
    bp_stored_tensor *tensors; /* data owned */
    char weights_sha256[BP_SHA256_TEXT_SIZE];
    char *metrics; /* JSON text */
    bp_progress progress;
} bp_job_result;

/* Copies the network's tensors and the preparations of data. metrics (latest, best, train, …) is
 * borrowed. BP_NO_MEMORY; BP_NOT_FINITE when a weight is not. */
BP_CHECK_RESULT bp_status bp_job_result_create(bp_job_result **out, const bp_job_spec *spec,
                                               int64_t job, const bp_job_data *data,
                                               const bp_network *network, json_t *metrics,
                                               const bp_progress *progress, bp_error *error);
void bp_job_result_free(bp_job_result *result); /* accepts NULL */

#endif
