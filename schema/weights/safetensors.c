#include "schema/weights/safetensors.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/checked.h"
#include "schema/json/json_text.h"
#include "schema/json/stored.h"

enum { LENGTH_BYTES = 8, ALIGNMENT = 8 };

static json_t *tensor_json(const bp_tensor *tensor, size_t begin, size_t end)
{
    double shape[BP_RANK_LIMIT];
    for (size_t axis = 0; axis < tensor->rank; axis++)
        shape[axis] = (double)tensor->shape[axis];
    return json_pack("{s:s, s:o, s:[I, I]}", "dtype", tensor->dtype == BP_FLOAT32 ? "F32" : "F64",
                     "shape", bp_numbers_json(shape, tensor->rank), "data_offsets",
                     (json_int_t)begin, (json_int_t)end);
}

/* The header's JSON. *out NULL with BP_OK: no memory. */
static bp_status header_json(json_t **out, size_t *out_data_size, const bp_tensor *tensors,
                             size_t tensor_count, const json_t *metadata, bp_error *error)
{
    size_t begin = 0, end = 0;
    json_t *header = json_object();
    bool ok = header && (!metadata || json_object_set_new(header, "__metadata__",
                                                          json_deep_copy(metadata)) == 0);
    for (size_t index = 0; ok && index < tensor_count; index++, begin = end) {
        const bp_tensor *tensor = &tensors[index];
        size_t bytes;
        if (!bp_checked_multiply(&bytes, tensor->element_count, bp_dtype_size(tensor->dtype)) ||
            !bp_checked_add(&end, begin, bytes)) {
            json_decref(header);
            return bp_error_set(error, BP_TOO_LARGE, tensor->name, "the tensors are too large");
        }
        ok = json_object_set_new(header, tensor->name, tensor_json(tensor, begin, end)) == 0;
    }
    if (!ok) {
        json_decref(header);
        return bp_error_set(error, BP_NO_MEMORY, NULL, "no memory for a weights file");
    }
    *out = header;
    *out_data_size = end;
    return BP_OK;
}

bp_status bp_safetensors_header(unsigned char **out, size_t *out_size, size_t *out_data_size,
                                const bp_tensor *tensors, size_t tensor_count,
                                const json_t *metadata, bp_error *error)
{
    json_t *header = NULL;
    size_t data_size = 0, length, padded;
    bp_status status = header_json(&header, &data_size, tensors, tensor_count, metadata, error);
    if (status != BP_OK)
        return status;
    char *text = bp_json_text(header, &length);
    json_decref(header);
    unsigned char *made = NULL;
    if (text && bp_checked_align(&padded, length, ALIGNMENT) && padded <= SIZE_MAX - LENGTH_BYTES)
        made = malloc(LENGTH_BYTES + padded);
    if (!made) {
        free(text);
        return bp_error_set(error, BP_NO_MEMORY, NULL, "no memory for a weights file");
    }
    for (size_t byte = 0; byte < LENGTH_BYTES; byte++)
        made[byte] = (unsigned char)((uint64_t)padded >> 8 * byte);
    memcpy(made + LENGTH_BYTES, text, length);
    memset(made + LENGTH_BYTES + length, ' ', padded - length);
    free(text);
    *out = made;
    *out_size = LENGTH_BYTES + padded;
    *out_data_size = data_size;
    return BP_OK;
}

/* Takes json in every case: its text as a string member. */
static bool add_text(json_t *object, const char *key, json_t *json)
{
    char *text = json ? bp_json_text(json, NULL) : NULL;
    bool ok = text && json_object_set_new(object, key, json_string(text)) == 0;
    json_decref(json);
    free(text);
    return ok;
}

json_t *bp_model_metadata_json(const bp_model_info *info)
{
    json_t *document = bp_model_info_json(info, true);
    json_t *public_document = bp_model_info_json(info, false);
    json_t *metadata = json_pack("{s:s, s:s}", "format", "pt", "model", info->name);
    bool ok = document && public_document && metadata;
    ok = ok && add_text(metadata, "version", json_integer((json_int_t)info->version));
    ok = ok && json_object_set(metadata, "task", json_object_get(document, "task")) == 0;
    static const char *const members[] = {"features", "targets", "classes",   "tags",
                                          "window",   "layers",  "preprocess"};
    for (size_t index = 0; ok && index < sizeof members / sizeof *members; index++) {
        json_t *member = json_object_get(public_document, members[index]);
        ok = !member || add_text(metadata, members[index], json_incref(member));
    }
    static const char *const whole[] = {"preparation", "vocabulary"};
    for (size_t index = 0; ok && index < sizeof whole / sizeof *whole; index++) {
        json_t *member = json_object_get(document, whole[index]);
        ok = !member || add_text(metadata, whole[index], json_incref(member));
    }
    json_decref(document);
    json_decref(public_document);
    return bp_json_whole(metadata, ok);
}
