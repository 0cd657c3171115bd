#include "server/store/checkpoint_read.h"

#include <string.h>

#include "server/base/sha256.h"
#include "server/store/database.h"

bp_status bp_checkpoint_read_tensor(sqlite3 *database, int64_t tensor_id, const bp_tensor *tensor,
                                    const char *sha256, bp_error *error)
{
    const size_t bytes = tensor->element_count * bp_dtype_size(tensor->dtype);
    sqlite3_stmt *statement = NULL;
    bp_status status = bp_database_prepare(
        &statement, database,
        "SELECT data FROM checkpoint_pieces WHERE tensor_id = ?1 ORDER BY ordinal", error);
    if (status != BP_OK)
        return status;
    sqlite3_bind_int64(statement, 1, tensor_id);
    size_t used = 0;
    int code = SQLITE_DONE;
    while (status == BP_OK && (code = sqlite3_step(statement)) == SQLITE_ROW) {
        const size_t size = (size_t)sqlite3_column_bytes(statement, 0);
        const void *data = sqlite3_column_blob(statement, 0);
        if (size > bytes - used || (!data && size > 0)) {
            status = bp_error_set(error, BP_CORRUPT, tensor->name,
                                  "a tensor of the checkpoint is too long");
        } else if (size > 0) {
            memcpy((unsigned char *)tensor->data + used, data, size);
            used += size;
        }
    }
    if (status == BP_OK && code != SQLITE_DONE)
        status = bp_database_error(database, code, "reading a checkpoint", error);
    sqlite3_finalize(statement);
    if (status != BP_OK)
        return status;
    char found[BP_SHA256_TEXT_SIZE];
    bp_sha256_text(found, tensor->data, bytes);
    return used == bytes && strcmp(found, sha256) == 0
               ? BP_OK
               : bp_error_set(error, BP_CORRUPT, tensor->name,
                              "a tensor of the checkpoint is not what its checksum says");
}
