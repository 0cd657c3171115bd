/* Tokens with their targets, from JSON to ids: what backpropagation is shown for in networks over tokens. */
#ifndef BP_SCHEMA_MODEL_EXAMPLE_TOKENS_H
#define BP_SCHEMA_MODEL_EXAMPLE_TOKENS_H

#include "schema/job/job_request.h"
#include "schema/model/model_info.h"

typedef struct bp_example_tokens {
    size_t rows;    /* of a pass: of pairs the true windows, and as many wrong ones behind them */
    size_t streams; /* of a text 1, whose steps the rows are; else 0 */
    int32_t *ids;   /* (rows, window width) */
    int32_t *label; /* (rows) the next token, or the tag; NULL: pairs */
} bp_example_tokens;

/* Faults for members of the request that the model does not take, and for those that it lacks. Returns whether
 * there are none. */
bool bp_example_members_check(bp_faults *faults, const bp_model_info *info,
                              const bp_backpropagate_request *request);

/* Reads what the request has, of a model over a corpus: "text", of which each token but the last is a row and the
 * target the one after it; "sentences" with "tags", arrays of the same shape; "windows" with "corrupted", arrays of
 * as many tokens as the window is wide. limit: most rows of a pass. On BP_OK the caller owns the contents. */
BP_CHECK_RESULT bp_status bp_example_tokens_parse(bp_example_tokens *out, bp_faults *faults,
                                                  const bp_model_info *info,
                                                  const bp_backpropagate_request *request,
                                                  size_t limit);
void bp_example_tokens_done(bp_example_tokens *tokens); /* releases contents; accepts zeroed */

/* [[token, …], …], the ids of each row in words. NULL: no memory. */
json_t *bp_example_tokens_json(const bp_example_tokens *tokens, const bp_model_info *info);

#endif
