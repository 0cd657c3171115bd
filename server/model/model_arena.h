/* What computes for a model, for one request at a time: private to server/model. */
#ifndef BP_SERVER_MODEL_MODEL_ARENA_H
#define BP_SERVER_MODEL_MODEL_ARENA_H

#include "server/model/model_loader.h"

typedef struct bp_model_arena {
    bp_network *network; /* for passes of at most BP_PREDICTION_CHUNK rows; of a text, steps */
    void *input;         /* (BP_PREDICTION_CHUNK, input width) prepared numbers, or int32 ids */
} bp_model_arena;

/* One of the model's pool, or a new one. What recurrent layers carry is zero, whoever had it before. Any
 * thread. BP_NO_MEMORY. */
BP_CHECK_RESULT bp_status bp_model_arena_take(bp_model_arena *out, bp_model *model,
                                              bp_error *error);
void bp_model_arena_give(bp_model *model, bp_model_arena *used);

#endif
