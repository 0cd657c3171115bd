/* Model versions in the database: what the store thread writes when a job succeeds. */
#ifndef BP_SERVER_STORE_MODEL_STORE_H
#define BP_SERVER_STORE_MODEL_STORE_H

#include <sqlite3.h>

#include "core/base/tensor.h"
#include "schema/model/model_info.h"

/* A tensor's bytes with their checksum. */
typedef struct bp_stored_tensor {
    bp_tensor tensor; /* data: row-major, owned by whoever owns this */
    char sha256[BP_SHA256_TEXT_SIZE];
} bp_stored_tensor;

/* The hash of all weights of a network: over a line for each tensor, in order, of name, type, shape and
 * the SHA-256 of its bytes: "layers.0.weight float32 [3,4] 9f86…". */
void bp_weights_sha256(char out[BP_SHA256_TEXT_SIZE], const bp_stored_tensor *tensors,
                       size_t count);

/* Enters the next version of info->name and sets info->version. BP_TOO_LARGE for a tensor beyond
 * SQLite's limit of a blob (1,000,000,000 bytes). */
BP_CHECK_RESULT bp_status bp_model_store_insert(sqlite3 *database, bp_model_info *info,
                                                const bp_stored_tensor *tensors, size_t count,
                                                int64_t now_us, bp_error *error);

#endif
