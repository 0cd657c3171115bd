/* Models of hand-made weights in a store, as a job would leave them. */
#ifndef BP_TESTS_SERVER_SUPPORT_MODELS_H
#define BP_TESTS_SERVER_SUPPORT_MODELS_H

#include "server/model/models.h"

/* Layers of a chain, with initialisers and default hyperparameters; `units` is each one's first
 * hyperparameter. */
typedef struct support_layer {
    size_t type; /* BP_LAYER_… */
    double units;
} support_layer;

/* A model over a corpus: info is zeroed but for task, vocabulary, classes, window_width, which stay the
 * caller's. */
void support_model_describe(bp_model_info *info, const char *name, bp_dtype dtype,
                            const support_layer *layers, size_t layer_count, size_t loss);
/* What describing has allocated. */
void support_model_forget(bp_model_info *info);

/* Stores version 1 with the weights that `weight` gives for each element of each tensor. */
void support_model_store(bp_store *store, const bp_model_info *info,
                         double (*weight)(size_t tensor, size_t element));

/* A vocabulary of a text's characters, or of its words. */
bp_vocabulary *support_vocabulary(const char *text, bp_token_unit unit, bool padded);

#endif
