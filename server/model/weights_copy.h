/* Weights from one network to another of the same tensors, whatever their dtypes. */
#ifndef BP_SERVER_MODEL_WEIGHTS_COPY_H
#define BP_SERVER_MODEL_WEIGHTS_COPY_H

#include "core/network/network.h"
#include "server/dataset/datasets.h"

/* Rounds to nearest where `to` is narrower. BP_SHAPE: other tensors; nothing is written then. Only `to`
 * is changed; the caller's thread. */
BP_CHECK_RESULT bp_status bp_weights_copy(bp_network *to, const bp_network *from, bp_error *error);

/* The weights of the model or checkpoint that a job begins with, checked against their checksums; nothing
 * where it begins with none. Errors as bp_model_row_read, bp_model_weights_load and bp_weights_copy. On a
 * thread with a reader. */
BP_CHECK_RESULT bp_status bp_weights_copy_initial(bp_network *to, bp_store *store,
                                                  const bp_job_spec *spec, bp_isa isa,
                                                  bp_error *error);

/* The embedding's vectors that a job takes from a data set, in their rows; nothing where it takes none. cancelled
 * may be NULL. BP_NOT_FOUND, BP_CORRUPT, BP_CANCELLED, BP_NO_MEMORY. On a thread with a reader. */
BP_CHECK_RESULT bp_status bp_weights_take_vectors(bp_network *to, bp_datasets *datasets,
                                                  const bp_job_spec *spec,
                                                  bool (*cancelled)(void *context), void *context,
                                                  bp_error *error);

#endif
