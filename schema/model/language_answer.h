/* What language models answer: texts that they wrote, probabilities of texts; and the events of a text
 * that is being written. */
#ifndef BP_SCHEMA_MODEL_LANGUAGE_ANSWER_H
#define BP_SCHEMA_MODEL_LANGUAGE_ANSWER_H

#include "schema/json/json_writer.h"
#include "schema/model/predict_request.h"

/* A writer that failed had no memory, here as in all below. */

/* The beginning of an answer: {"model": …, "version": …, and of a checkpoint, whose two are null, "job" and
 * "checkpoint". Whoever calls it goes on with a comma and ends the object. */
void bp_language_answer_begin(bp_json_writer *out, const bp_model_info *info);

/* {"model", "version", "prompt", "text", "tokens"}: text is what count ids stand for, without the prompt,
 * words with a space between them. */
void bp_generate_answer_write(bp_json_writer *out, const bp_model_info *info,
                              const bp_generate_request *request, const int32_t *ids, size_t count);

/* Server-Sent Events. "token": {"index", "text"} of token number `index` of a text, from 0; the texts one
 * after another are the answer's, so the words after the first one bring their space. */
void bp_token_event_write(bp_json_writer *out, const bp_model_info *info, size_t index, int32_t id);
/* "end", with the answer as its data. */
void bp_generate_end_event_write(bp_json_writer *out, const bp_model_info *info,
                                 const bp_generate_request *request, const int32_t *ids,
                                 size_t count);
/* "error": {"detail"}: there will be no more of the text. */
void bp_generate_error_event_write(bp_json_writer *out, const char *detail);

/* A text's tokens but the first, which nothing comes before: what the model says of each. */
typedef struct bp_text_score {
    size_t count;
    size_t unknown_count;          /* of them, those that are the unknown token */
    double loss;                   /* mean of −ln p, in nats */
    const int32_t *ids;            /* (count); NULL: not shown */
    const double *log_probability; /* (count), natural logarithms */
} bp_text_score;

/* {"model", "version", "tokens", "unknown"? (words), "loss", "perplexity", "bits_per_character"?
 * (characters), "scores"?: [{"token", "log_probability"}]}. */
void bp_score_answer_write(bp_json_writer *out, const bp_model_info *info,
                           const bp_text_score *score);

#endif
