/* Where a language model stands in a text: what its recurrent layers carry, kept between the turns of
 * longer work, so that no network waits for the next one. Private to server/model. */
#ifndef BP_SERVER_MODEL_TEXT_PLACE_H
#define BP_SERVER_MODEL_TEXT_PLACE_H

#include "server/model/model_arena.h"

typedef struct bp_text_place {
    bp_model *model; /* counted: given back with the place */
    void *state; /* (state bytes); NULL until the first turn, which begins with an arena's zeros */
} bp_text_place;

/* Tokens that a turn may read or write: some milliseconds' work, and at least one. */
size_t bp_text_place_turn(const bp_text_place *place);
/* Takes an arena that stands there. BP_NO_MEMORY: nothing is taken. */
BP_CHECK_RESULT bp_status bp_text_place_enter(bp_model_arena *out, bp_text_place *place,
                                              bp_error *error);
/* Keeps where the arena stands now and gives it back. */
void bp_text_place_leave(bp_text_place *place, bp_model_arena *used);
void bp_text_place_done(bp_text_place *place); /* releases contents; accepts zeroed */

#endif
