/* Reading a checkpoint's tensors; any connection. */
#ifndef BP_SERVER_STORE_CHECKPOINT_READ_H
#define BP_SERVER_STORE_CHECKPOINT_READ_H

#include <sqlite3.h>
#include <stdint.h>

#include "core/base/error.h"
#include "core/base/tensor.h"

/* Joins the pieces of a tensor at tensor->data, where there is room for all of it. BP_CORRUPT: it is not as
 * long, or not what sha256 says. */
BP_CHECK_RESULT bp_status bp_checkpoint_read_tensor(sqlite3 *database, int64_t tensor_id,
                                                    const bp_tensor *tensor, const char *sha256,
                                                    bp_error *error);

#endif
