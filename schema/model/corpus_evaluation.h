/* Evaluations of corpora as they stand in the documents of jobs and models. */
#ifndef BP_SCHEMA_MODEL_CORPUS_EVALUATION_H
#define BP_SCHEMA_MODEL_CORPUS_EVALUATION_H

#include "core/evaluation/entity_score.h"
#include "schema/model/evaluation_json.h"

/* e to the mean loss; and the loss in bits. The bits of the result do not depend on the processor. */
double bp_perplexity(double loss);
double bp_bits_per_token(double loss);

/* A language model's: {"loss", "accuracy", "perplexity", "bits_per_character"? (characters), "rows"}. NULL: no
 * memory. */
json_t *bp_text_evaluation_json(const bp_evaluation_report *report, bp_token_unit unit);

/* Of a loss of pairs: {"loss", "accuracy", "rows"}. NULL: no memory. */
json_t *bp_pair_evaluation_json(const bp_evaluation_report *report);

/* {"precision", "recall", "f1", "expected", "found", "correct", "by_type": [{"type", and the same}]}: counts and
 * types (type_count), in the order in which the types come. NULL: no memory. */
json_t *bp_entities_json(const bp_entity_count *counts, const char *const *types,
                         size_t type_count);

#endif
