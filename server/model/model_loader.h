/* Reading model versions from the store. On any thread with a reader. */
#ifndef BP_SERVER_MODEL_MODEL_LOADER_H
#define BP_SERVER_MODEL_MODEL_LOADER_H

#include "core/network/network.h"
#include "server/model/models.h"

enum { BP_PREDICTION_CHUNK = 64 }; /* rows of one pass */

/* Where the cache reads from. */
bp_store *bp_models_store(const bp_models *models);
bp_isa bp_models_isa(const bp_models *models);

/* The network that holds the model's parameters; read only, as long as the model is borrowed. */
bp_network *bp_model_owner(const bp_model *model);

/* A version as stored. */
typedef struct bp_model_row {
    int64_t id;
    int64_t checkpoint;  /* not 0: it is this one, and no version of a model */
    bp_model_info *info; /* owned */
} bp_model_row;

/* version 0: the newest. BP_NOT_FOUND; BP_CORRUPT (its document is not one). */
BP_CHECK_RESULT bp_status bp_model_row_read(bp_model_row *out, bp_store *store, const char *name,
                                            uint64_t version, bp_error *error);

/* The newest version's number, without its document. */
BP_CHECK_RESULT bp_status bp_model_newest(uint64_t *out, bp_store *store, const char *name,
                                          bp_error *error);

/* A network for predictions of at most BP_PREDICTION_CHUNK rows with this version's weights, each
 * tensor checked against its name, size and SHA-256: weights that fail are never served
 * (BP_CORRUPT). */
BP_CHECK_RESULT bp_status bp_model_weights_load(bp_network **out, bp_store *store,
                                                const bp_model_row *row, bp_isa isa,
                                                bp_error *error);

#endif
