/* Sentences that a tagger is asked about, from JSON to windows, and what it answers. */
#ifndef BP_SCHEMA_MODEL_SENTENCE_ROWS_H
#define BP_SCHEMA_MODEL_SENTENCE_ROWS_H

#include "core/language/token_windows.h"
#include "schema/json/json_writer.h"
#include "schema/model/model_info.h"

typedef struct bp_sentence_rows {
    const json_t *sentences; /* borrowed: arrays of strings */
    size_t sentence_count;
    size_t *first;            /* (sentence_count + 1) row of each one's first token, and the end */
    bp_token_windows windows; /* a row a token, without labels */
    int32_t *ids;             /* the arrays of windows */
    uint32_t *place;
} bp_sentence_rows;

/* Whether a tagger gives each token a tag, as against a score for the window around it. */
bool bp_tagger_has_tags(const bp_model_info *info);

/* Reads "sentences": each an array of tokens, which are looked up in the model's vocabulary; a token that is
 * not there is the unknown one, and a sentence may be empty. Faults: not strings, an empty token, more
 * than token_limit tokens or sentences. On BP_OK the caller owns the contents. */
BP_CHECK_RESULT bp_status bp_sentence_rows_parse(bp_sentence_rows *out, bp_faults *faults,
                                                 const bp_model_info *info, const json_t *sentences,
                                                 size_t token_limit);
void bp_sentence_rows_done(bp_sentence_rows *rows); /* releases contents; accepts zeroed */

/* BP_NOT_FINITE at "/sentences/i/j" for each token whose numbers are not: it has no tag.
 * shown: (rows, outputs) of info->dtype. */
void bp_tag_answer_check(bp_faults *faults, const bp_model_info *info, const bp_sentence_rows *rows,
                         const void *shown);

/* What sampled networks add: mean and deviation (rows, outputs), entropy (rows), NaN where there is none. */
typedef struct bp_tag_samples {
    const double *mean, *deviation, *entropy;
} bp_tag_samples;

/* {"model", "version" (a checkpoint's as bp_predict_answer_json), "tags", "predictions": [{"tokens": [{"token",
 * "tag", "score", "probabilities" or "scores"?, "mean"?, "std"?, "entropy"?}], "entities"?: [{"start",
 * "end", "type", "text"}]}]}. score: the probability, or score, of the tag. A model whose loss scores
 * windows has no tags: {"token", "score"}. Entities, where the tags are of IOB2: tokens start to end − 1,
 * text them with a space between.
 * samples may be NULL. A writer that failed: no memory. */
void bp_tag_answer_write(bp_json_writer *out, const bp_model_info *info,
                         const bp_sentence_rows *rows, const void *shown, bool probabilities,
                         const bp_tag_samples *samples);

#endif
