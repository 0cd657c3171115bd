/* A text that a language model writes: the prompt is read, then each token is drawn by what the model says
 * comes next, and read in its turn. The text is a function of model, prompt and request alone.
 *
 * The work comes in turns of some milliseconds, between which nothing is held but memory of the text's own
 * size. One thread at a time. */
#ifndef BP_SERVER_MODEL_TEXT_GENERATION_H
#define BP_SERVER_MODEL_TEXT_GENERATION_H

#include "schema/model/predict_request.h"
#include "server/model/models.h"

typedef struct bp_text_generation bp_text_generation;

/* model: of a language model; its reference is taken where this succeeds. request is looked at during the
 * call alone. A model of characters that has a line break reads one before a text without a prompt, as if a
 * line began; another model's first token is drawn evenly. The unknown token is drawn only where it is
 * asked for, or where there is no other.
 * BP_INVALID: a character of the prompt that is not in the vocabulary, said with its place. BP_NO_MEMORY. */
BP_CHECK_RESULT bp_status bp_text_generation_create(bp_text_generation **out, bp_model *model,
                                                    const bp_generate_request *request,
                                                    bp_error *error);

/* Reads or writes on a little. Not after the end (asserted). BP_NOT_FINITE: the model says nothing of the
 * next token. BP_NO_MEMORY. */
BP_CHECK_RESULT bp_status bp_text_generation_turn(bp_text_generation *generation, bp_error *error);

bool bp_text_generation_is_done(const bp_text_generation *generation);
/* What has been written so far, (*out_count); borrowed until the next turn. */
const int32_t *bp_text_generation_tokens(const bp_text_generation *generation, size_t *out_count);
const bp_model_info *bp_text_generation_model(const bp_text_generation *generation);
void bp_text_generation_free(bp_text_generation *generation); /* accepts NULL */

#endif
