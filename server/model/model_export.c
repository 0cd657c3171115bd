/* A model's weights as a file. */
#include <stdlib.h>
#include <string.h>

#include "core/base/checked.h"
#include "schema/weights/safetensors.h"
#include "server/model/model_loader.h"

/* Header and data in one block. */
static bp_status assemble(void **out, size_t *out_bytes, const bp_tensor *tensors, size_t count,
                          const json_t *metadata, bp_error *error)
{
    unsigned char *header = NULL;
    size_t header_bytes = 0, data_bytes = 0, bytes;
    bp_status status =
        bp_safetensors_header(&header, &header_bytes, &data_bytes, tensors, count, metadata, error);
    if (status != BP_OK)
        return status;
    unsigned char *file =
        bp_checked_add(&bytes, header_bytes, data_bytes) ? realloc(header, bytes) : NULL;
    if (!file) {
        free(header);
        return bp_error_set(error, BP_NO_MEMORY, NULL, "no memory for a model's weights");
    }
    unsigned char *at = file + header_bytes;
    for (size_t i = 0; i < count; i++) {
        size_t size = tensors[i].element_count * bp_dtype_size(tensors[i].dtype);
        memcpy(at, tensors[i].data, size);
        at += size;
    }
    *out = file;
    *out_bytes = bytes;
    return BP_OK;
}

bp_status bp_models_safetensors(void **out, size_t *out_bytes, bp_models *models, const char *name,
                                uint64_t version, bp_error *error)
{
    bp_model *model = NULL;
    bp_status status = bp_models_borrow(&model, models, name, version, error);
    if (status != BP_OK)
        return status;
    bp_network *network = bp_model_owner(model);
    size_t count = bp_network_tensor_count(network);
    bp_tensor *tensors = calloc(count > 0 ? count : 1, sizeof *tensors);
    json_t *metadata = bp_model_metadata_json(bp_model_info_of(model));
    if (tensors && metadata) {
        for (size_t i = 0; i < count; i++)
            tensors[i] = bp_network_tensor(network, i);
        status = assemble(out, out_bytes, tensors, count, metadata, error);
    } else {
        status = bp_error_set(error, BP_NO_MEMORY, NULL, "no memory for a model's weights");
    }
    json_decref(metadata);
    free(tensors);
    bp_model_release(model);
    return status;
}
