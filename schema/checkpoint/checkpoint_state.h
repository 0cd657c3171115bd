/* What a checkpoint holds besides its tensors, as the database keeps it: one JSON document. */
#ifndef BP_SCHEMA_CHECKPOINT_CHECKPOINT_STATE_H
#define BP_SCHEMA_CHECKPOINT_CHECKPOINT_STATE_H

#include <jansson.h>

#include "core/training/trainer_state.h"

/* {"version": 1, "step", "plateau": {…}, "early_stopping": {…}, "summary"}; every number comes back as it
 * was. summary ({"latest", "best"} of the job's metrics) is borrowed. A new reference; NULL: no memory. */
json_t *bp_checkpoint_state_json(const bp_trainer_state *state, const json_t *summary);

/* Reads it back; *out_summary is borrowed from json. BP_CORRUPT, BP_UNSUPPORTED (a newer version). */
BP_CHECK_RESULT bp_status bp_checkpoint_state_parse(bp_trainer_state *out,
                                                    const json_t **out_summary, const json_t *json,
                                                    bp_error *error);

#endif
