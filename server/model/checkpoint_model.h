/* Checkpoints as models: the preparation that the job was fitted with, and the weights of one moment. */
#ifndef BP_SERVER_MODEL_CHECKPOINT_MODEL_H
#define BP_SERVER_MODEL_CHECKPOINT_MODEL_H

#include "server/model/model_loader.h"

/* Which checkpoint of a job it is (number 0: the newest), without its document. BP_NOT_FOUND: no such job or
 * checkpoint, or no longer. */
BP_CHECK_RESULT bp_status bp_checkpoint_number(uint64_t *out, bp_store *store, int64_t job,
                                               uint64_t number, bp_error *error);

/* What predicts from it; row->checkpoint and row->info->checkpoint are set. Errors as bp_model_row_read. */
BP_CHECK_RESULT bp_status bp_checkpoint_row_read(bp_model_row *out, bp_store *store, int64_t job,
                                                 uint64_t number, bp_error *error);

/* bp_model_weights_load for such a row. */
BP_CHECK_RESULT bp_status bp_checkpoint_weights_load(bp_network **out, bp_store *store,
                                                     const bp_model_row *row, bp_isa isa,
                                                     bp_error *error);

#endif
