/* Bodies of what models are asked: predictions, texts to write, texts to score. Everything is read and
 * every fault kept; what is borrowed lives as long as the body. */
#ifndef BP_SCHEMA_MODEL_PREDICT_REQUEST_H
#define BP_SCHEMA_MODEL_PREDICT_REQUEST_H

#include "core/language/token_sampler.h"
#include "schema/json/faults.h"
#include "schema/model/model_info.h"

enum {
    BP_SAMPLE_LIMIT = 100000,      /* networks of one prediction */
    BP_GENERATE_LIMIT = 10000,     /* tokens of one text */
    BP_GENERATE_LENGTH = 200,      /* where the body says nothing */
    BP_SCORED_TOKEN_LIMIT = 100000 /* whose probabilities one answer shows */
};

/* POST …/predict. */
typedef struct bp_predict_request {
    const json_t *rows,
        *sentences;        /* borrowed; the one that the model takes, or NULL after a fault */
    bool probabilities;    /* sentences: all of them, not the tag's alone */
    uint64_t sample_count; /* 0: none are sampled */
    uint64_t seed;
} bp_predict_request;

/* body: an object. For models that predict rows or tags. */
void bp_predict_request_read(bp_predict_request *out, bp_faults *faults, const bp_model_info *info,
                             const json_t *body);

/* POST …/generate. */
typedef struct bp_generate_request {
    const char *prompt; /* borrowed; "" where there is none */
    size_t prompt_length;
    uint64_t length; /* tokens to write, at least 1 */
    bp_sampler_spec sampler;
    uint64_t seed;
    bool unknown; /* the unknown token may be drawn */
    bool stream;
} bp_generate_request;

void bp_generate_request_read(bp_generate_request *out, bp_faults *faults, const json_t *body);

/* POST …/score. */
typedef struct bp_score_request {
    const char *text; /* borrowed; NULL after a fault */
    size_t text_length;
    bool tokens; /* the log probability of each is wanted */
} bp_score_request;

void bp_score_request_read(bp_score_request *out, bp_faults *faults, const json_t *body);

#endif
