/* Weights as a safetensors file: an 8-byte little-endian length, a JSON header of that length, then the
 * tensors' bytes in order. Source: the format's description in its reference implementation. */
#ifndef BP_SCHEMA_WEIGHTS_SAFETENSORS_H
#define BP_SCHEMA_WEIGHTS_SAFETENSORS_H

#include <stddef.h>

#include "core/base/error.h"
#include "core/base/tensor.h"
#include "schema/model/model_info.h"

/* Makes all that comes before the first tensor's bytes: length and header, padded with spaces so that
 * the data begins at a multiple of 8. After it follow the tensors' bytes (row-major, little-endian) in
 * the given order without gaps; *out_data_size is their sum. metadata: an object of strings, or NULL.
 * The tensors' data is not read. BP_TOO_LARGE, BP_NO_MEMORY. free() *out. Any thread. */
BP_CHECK_RESULT bp_status bp_safetensors_header(unsigned char **out, size_t *out_size,
                                                size_t *out_data_size, const bp_tensor *tensors,
                                                size_t tensor_count, const json_t *metadata,
                                                bp_error *error);

/* What goes into a model's __metadata__: strings "format", "model", "version", "task", and as JSON
 * text "layers" and, of a table, "features", "targets", "classes" (classification), "preprocess",
 * "preparation"; of a corpus "vocabulary", whole, and "tags", "window" (tagging). NULL: no memory. */
json_t *bp_model_metadata_json(const bp_model_info *info);

#endif
