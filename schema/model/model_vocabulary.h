/* What a model keeps of the corpus that it was made from, in its document. */
#ifndef BP_SCHEMA_MODEL_MODEL_VOCABULARY_H
#define BP_SCHEMA_MODEL_MODEL_VOCABULARY_H

#include "schema/model/model_info.h"

enum {
    BP_SHOWN_TOKENS = 20000
}; /* of a vocabulary in a public document; the weights file has all */

/* {"unit", "lowercase", "min_count", "max_vocabulary", "size", "unknown", "padding", "tokens"}; full: the
 * stored one, with all tokens. NULL: no memory. */
json_t *bp_model_vocabulary_json(const bp_model_info *info, bool full);
/* Reads the stored one into info. */
void bp_model_vocabulary_parse(bp_stored *stored, bp_model_info *info, const json_t *json);

#endif
