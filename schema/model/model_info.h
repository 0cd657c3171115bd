/* A model: what is needed to answer predictions, beside the weights. Stored as one JSON document. */
#ifndef BP_SCHEMA_MODEL_MODEL_INFO_H
#define BP_SCHEMA_MODEL_MODEL_INFO_H

#include "schema/job/job_spec.h"

typedef struct bp_model_info {
    char *name;
    uint64_t version;
    int64_t job;         /* lineage */
    uint64_t checkpoint; /* of that job; 0: a version of a model. Not part of the document */
    json_t *initial;     /* what the training began with, as its job had it; NULL: nothing */
    char *dataset;
    char dataset_sha256[BP_SHA256_TEXT_SIZE];
    bp_task_kind task;
    size_t feature_count;
    bp_job_column *features;       /* names, types and widths, in input order */
    bp_labels *feature_categories; /* (feature_count) */
    size_t target_count;
    char **target_names;
    bp_labels classes; /* tagging: the tags, also where the network gives a score alone */
    size_t
        target_width; /* numbers of a regression; of a corpus tags, or entries of the vocabulary */
    /* Of a corpus, which has neither features nor preparations; without one all of it is zero. */
    bp_vocabulary *vocabulary;          /* shared */
    bp_vocabulary_rule vocabulary_rule; /* how it was made */
    size_t window_width; /* tokens of a row: odd; 1 without a window, and of a text */
    bool center, whiten; /* how the preparation was fitted */
    double whiten_epsilon;
    bp_choice scaling, missing, target_scaling;
    bp_preparation preparation; /* fitted */
    /* Fitted, of the targets as one column; column_count 0: none. */
    bp_preparation target_preparation;
    bp_dtype dtype;
    size_t layer_count;
    bp_layer_spec *layers;
    bp_choice loss;
    size_t parameter_count;
    json_t *metrics; /* of the finished job, or NULL */
    char created[32];
} bp_model_info;

/* Takes what it needs (copies) from a job and its fitted preparations, which a job over a corpus does not have
 * (NULL); target NULL or without columns: the targets are not scaled. BP_NO_MEMORY. */
BP_CHECK_RESULT bp_status bp_model_info_create(bp_model_info **out, const bp_job_spec *spec,
                                               const bp_preparation *preparation,
                                               const bp_preparation *target, bp_error *error);
/* full: the stored document, exact (float64 numbers round-trip); else the public one, without the
 * preparation's arrays and with only the first BP_SHOWN_TOKENS of a vocabulary. NULL: no memory. */
json_t *bp_model_info_json(const bp_model_info *info, bool full);
/* Reads the stored document back. BP_CORRUPT, BP_NO_MEMORY. */
BP_CHECK_RESULT bp_status bp_model_info_parse(bp_model_info **out, const json_t *json,
                                              bp_error *error);
void bp_model_info_free(bp_model_info *info); /* accepts NULL */

/* The network for predictions in chunks of `rows`; spec->layers is borrowed from info. Of a language model:
 * one stream, so many steps. */
void bp_model_info_network(bp_network_spec *out, const bp_model_info *info, bp_isa isa,
                           size_t rows);

/* A predicted number of target `index` of a regression in the target's own units. */
double bp_model_info_value(const bp_model_info *info, size_t index, double output);

/* Reads "rows" of a prediction's body into raw rows for bp_preparation_apply: each an array (the
 * flattened features) or an object (column names; a tensor nested or flat; null: missing). *out_raw is
 * allocated, (count, raw width). Faults: missing column, unknown column, unknown category, wrong
 * length, not a number. limit: most rows. */
BP_CHECK_RESULT bp_status bp_predict_rows_parse(double **out_raw, size_t *out_count,
                                                bp_faults *faults, const bp_model_info *info,
                                                const json_t *rows, size_t limit);

/* BP_NOT_FINITE at "/rows/i" for each row of a classification whose numbers are not: it has no label. */
void bp_predict_check(bp_faults *faults, const bp_model_info *info, const void *shown,
                      size_t count);

/* The answer: {"model", "version" (both null of a checkpoint, which adds "job" and "checkpoint"),
 * "classes"?, "predictions": [{"label", "probabilities" or "scores"} or {"value"}]}, values in their own
 * units. shown: (count, output width) of info->dtype. NULL: no memory. */
json_t *bp_predict_answer_json(const bp_model_info *info, const void *shown, size_t count);

/* Adds to each of its predictions what sampled networks say: "mean" and "std" of what it shows (values in
 * their own units) and "entropy" of the mean in nats, null where it shows no probabilities.
 * mean, deviation (predictions, output width); entropy (predictions). False: no memory. */
BP_CHECK_RESULT bool bp_predict_answer_add_samples(json_t *answer, const bp_model_info *info,
                                                   const double *mean, const double *deviation,
                                                   const double *entropy);

#endif
