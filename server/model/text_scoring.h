/* What a language model says of a text: the probability of each token after all those before it.
 *
 * Whatever its length, a text needs no more memory than itself; what the answer shows of each token comes on
 * top. The work comes in turns of some milliseconds. One thread at a time. */
#ifndef BP_SERVER_MODEL_TEXT_SCORING_H
#define BP_SERVER_MODEL_TEXT_SCORING_H

#include "schema/model/language_answer.h"
#include "server/model/models.h"

typedef struct bp_text_scoring bp_text_scoring;

/* model: of a language model; its reference is taken where this succeeds. The text of request is borrowed
 * as long as *out. BP_NO_MEMORY. */
BP_CHECK_RESULT bp_status bp_text_scoring_create(bp_text_scoring **out, bp_model *model,
                                                 const bp_score_request *request, bp_error *error);

/* Reads on a little; not after the end (asserted). BP_INVALID: a character that is not in the vocabulary,
 * said with its place, or fewer than two tokens in all. BP_TOO_LARGE: more tokens than are shown.
 * BP_NOT_FINITE: the model says nothing of a token. BP_NO_MEMORY. */
BP_CHECK_RESULT bp_status bp_text_scoring_turn(bp_text_scoring *scoring, bp_error *error);

bool bp_text_scoring_is_done(const bp_text_scoring *scoring);
/* After the end; its arrays are borrowed. */
bp_text_score bp_text_scoring_result(const bp_text_scoring *scoring);
const bp_model_info *bp_text_scoring_model(const bp_text_scoring *scoring);
void bp_text_scoring_free(bp_text_scoring *scoring); /* accepts NULL */

#endif
