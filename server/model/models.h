/* Models: versions in the store, and immutable copies of them in memory that predict. */
#ifndef BP_SERVER_MODEL_MODELS_H
#define BP_SERVER_MODEL_MODELS_H

#include "core/language/token_windows.h"
#include "schema/model/model_info.h"
#include "server/store/store.h"

typedef struct bp_models bp_models; /* the cache; its own lock; any thread */
typedef struct bp_model bp_model;   /* counted, immutable but for its pool of arenas */

BP_CHECK_RESULT bp_status bp_models_open(bp_models **out, bp_store *store, bp_isa isa,
                                         uint64_t cache_bytes, bp_error *error);
void bp_models_close(bp_models *models);

/* The model, loaded and checked against its checksums when it is not in memory. version 0: newest.
 * BP_NOT_FOUND, BP_CORRUPT, BP_NO_MEMORY. Give back with bp_model_release. */
BP_CHECK_RESULT bp_status bp_models_borrow(bp_model **out, bp_models *models, const char *name,
                                           uint64_t version, bp_error *error);
/* The same where it is in memory already; NULL where it is not, or not known. */
bp_model *bp_models_borrow_loaded(bp_models *models, const char *name, uint64_t version);
/* The same two of a checkpoint of a job, number 0: the newest. */
BP_CHECK_RESULT bp_status bp_models_borrow_checkpoint(bp_model **out, bp_models *models,
                                                      int64_t job, uint64_t number,
                                                      bp_error *error);
bp_model *bp_models_borrow_loaded_checkpoint(bp_models *models, int64_t job, uint64_t number);
void bp_model_release(bp_model *model); /* accepts NULL */
const bp_model_info *bp_model_info_of(const bp_model *model);
/* Parameters that each row is multiplied with, at least 1: what a pass costs. Of an embedding a row reads a
 * few vectors alone. */
uint64_t bp_model_row_products(const bp_model *model);

/* What is predicted: rows of columns, or the windows of sentences, as the model's task wants. Borrowed. */
typedef struct bp_model_input {
    size_t row_count;
    const double *raw;               /* (row_count, raw width); NULL: */
    const bp_token_windows *windows; /* row_count of them, as wide as the model's */
} bp_model_input;

/* Prepares and runs rows in planned chunks on a pooled arena. shown (row_count, output width) of the
 * model's dtype, allocated; the caller frees it. A row's bits do not depend on the rows around it. */
BP_CHECK_RESULT bp_status bp_model_predict(void **out_shown, bp_model *model,
                                           const bp_model_input *input, bp_error *error);

/* What sampled networks say of rows; released with bp_model_samples_done. */
typedef struct bp_model_samples {
    double *mean, *deviation; /* (count, shown width) */
    double *entropy;          /* (count), in nats; NaN where no probabilities are shown */
} bp_model_samples;

/* The same with sample_count networks sampled from the model's dropout (at least 1): mean, population
 * standard deviation and the entropy of the mean, as bp_network_predict_samples has them. Repeatable
 * from the seed, whatever rows are asked for together. */
BP_CHECK_RESULT bp_status bp_model_predict_samples(bp_model_samples *out, bp_model *model,
                                                   const bp_model_input *input,
                                                   uint64_t sample_count, uint64_t seed,
                                                   bp_error *error);
void bp_model_samples_done(bp_model_samples *samples); /* accepts zeroed */

/* Documents. */
BP_CHECK_RESULT bp_status bp_models_list_json(json_t **out, bp_models *models, const char *after,
                                              size_t limit, bp_error *error);
BP_CHECK_RESULT bp_status bp_models_document_json(json_t **out, bp_models *models, const char *name,
                                                  bp_error *error);
BP_CHECK_RESULT bp_status bp_models_version_json(json_t **out, bp_models *models, const char *name,
                                                 uint64_t version, bp_error *error);
/* A safetensors file in memory; the caller frees *out. */
BP_CHECK_RESULT bp_status bp_models_safetensors(void **out, size_t *out_bytes, bp_models *models,
                                                const char *name, uint64_t version,
                                                bp_error *error);

#endif
