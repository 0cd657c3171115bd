#include "server/job/job_result.h"

#include <stdlib.h>
#include <string.h>

#include "schema/json/json_text.h"
#include "server/base/sha256.h"

static bp_status copy_tensor(bp_stored_tensor *out, const bp_network *network, size_t index,
                             bp_error *error)
{
    const bp_tensor tensor = bp_network_tensor(network, index);
    if (!bp_network_kernels(network)->all_finite(tensor.data, tensor.element_count))
        return bp_error_set(error, BP_NOT_FINITE, tensor.name, "a weight is not finite");
    const size_t bytes = tensor.element_count * bp_dtype_size(tensor.dtype);
    void *data = malloc(bytes ? bytes : 1);
    if (!data)
        return bp_error_set(error, BP_NO_MEMORY, tensor.name, "no memory for %zu bytes", bytes);
    memcpy(data, tensor.data, bytes);
    out->tensor = tensor;
    out->tensor.data = data;
    bp_sha256_text(out->sha256, data, bytes);
    return BP_OK;
}

bp_status bp_job_result_create(bp_job_result **out, const bp_job_spec *spec, int64_t job,
                               const bp_job_data *data, const bp_network *network, json_t *metrics,
                               const bp_progress *progress, bp_error *error)
{
    bp_job_result *result = calloc(1, sizeof *result);
    if (!result)
        return bp_error_set(error, BP_NO_MEMORY, NULL, "no memory for the model");
    bp_status status = bp_model_info_create(&result->info, spec, &data->preparation,
                                            &data->target_preparation, error);
    if (status == BP_OK) {
        result->info->job = job;
        json_decref(result->info->metrics);
        result->info->metrics = json_deep_copy(metrics);
        result->progress = *progress;
        result->metrics = bp_json_text(metrics, NULL);
        result->tensors = calloc(bp_network_tensor_count(network), sizeof *result->tensors);
        if (!result->info->metrics || !result->metrics || !result->tensors)
            status = bp_error_set(error, BP_NO_MEMORY, NULL, "no memory for the model");
    }
    for (size_t i = 0; i < bp_network_tensor_count(network) && status == BP_OK; i++) {
        status = copy_tensor(&result->tensors[i], network, i, error);
        if (status == BP_OK)
            result->tensor_count++;
    }
    if (status != BP_OK) {
        bp_job_result_free(result);
        return status;
    }
    bp_weights_sha256(result->weights_sha256, result->tensors, result->tensor_count);
    *out = result;
    return BP_OK;
}

void bp_job_result_free(bp_job_result *result)
{
    if (!result)
        return;
    for (size_t i = 0; i < result->tensor_count; i++)
        free(result->tensors[i].tensor.data);
    free(result->tensors);
    free(result->metrics);
    bp_model_info_free(result->info);
    free(result);
}
