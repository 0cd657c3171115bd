/* A training job: what POST /api/v1/jobs takes, read, checked and resolved.
 *
 * Resolving fills in every default and everything inferred from the data. It is a fixed point: the
 * resolved document, submitted again while the data is the same, resolves to itself, which is also
 * how a stored job is read back. */
#ifndef BP_SCHEMA_JOB_JOB_SPEC_H
#define BP_SCHEMA_JOB_JOB_SPEC_H

#include <jansson.h>

#include "core/preparation/preparation.h"
#include "core/training/trainer.h"
#include "schema/dataset/dataset_info.h"
#include "schema/json/faults.h"
#include "schema/language/vocabulary.h"

typedef enum bp_task_kind {
    BP_TASK_CLASSIFICATION,
    BP_TASK_REGRESSION,
    BP_TASK_TAGGING,       /* of a tagged corpus */
    BP_TASK_LANGUAGE_MODEL /* of a text */
} bp_task_kind;

/* A feature or target column, as the job sees it (after the job's own type overrides). */
typedef struct bp_job_column {
    char *name;
    size_t index; /* in the data set's columns */
    bp_column_type type;
    size_t width;          /* raw elements */
    size_t category_count; /* categorical: prepared elements */
    size_t rank;           /* 0 unless a tensor */
    size_t shape[BP_COLUMN_RANK_LIMIT];
} bp_job_column;

/* Sorted labels of a classification, or the categories of a categorical feature. */
typedef struct bp_labels {
    bp_column_type type; /* NUMERIC: values (numbers); BOOLEAN: 0 and 1; CATEGORICAL: texts */
    size_t count;
    double *values;
    char **texts;
} bp_labels;

/* Where validation or test rows come from: nowhere, a share of the training set's rows (drawn at random
 * from the seed, file order kept within each part), or another data set. */
typedef struct bp_job_part {
    double fraction; /* 0: none */
    char *dataset;   /* NULL: none */
    char sha256[BP_SHA256_TEXT_SIZE];
} bp_job_part;

/* When checkpoints are taken (several cadences add up) and which are kept. */
typedef struct bp_checkpoint_plan {
    uint64_t every_epochs, every_steps; /* 0: not by these */
    double every_seconds;               /* since the last one; 0: not by time */
    uint64_t keep_last;                 /* newest ones, at least 1 */
    bool keep_best;                     /* and the best one by `metric` */
    bool is_judged;                     /* each epoch evaluates `metric` */
    bp_watched metric;
} bp_checkpoint_plan;

/* A job over a corpus: over text or sentences in place of columns. */
static inline bool bp_task_is_of_corpus(bp_task_kind task)
{
    return task == BP_TASK_TAGGING || task == BP_TASK_LANGUAGE_MODEL;
}

/* What a job makes of a corpus. */
typedef struct bp_corpus_spec {
    bp_vocabulary_rule rule;
    bp_vocabulary
        *vocabulary;        /* shared: of the training part, or of the model that is gone on from */
    size_t window_width;    /* tokens of a row: odd; 1 without a window, and of a text */
    size_t sequence_length; /* language model: steps of a chunk */
    /* Of each part: characters or words of a text, or sentences. */
    uint64_t training_count, validation_count, test_count;
} bp_corpus_spec;

typedef struct bp_job_spec bp_job_spec;
struct bp_job_spec {
    char *name;
    bp_task_kind task;
    int64_t priority;

    char *dataset;
    char dataset_sha256[BP_SHA256_TEXT_SIZE];
    size_t feature_count;
    bp_job_column *features;
    bp_labels *feature_categories; /* (feature_count); count 0 where not categorical */
    size_t target_count;
    bp_job_column *targets;
    bp_labels classes;   /* classification; tagging: the tags */
    size_t target_width; /* numbers to predict; else classes, tags, or entries of the vocabulary */
    bp_job_part validation, test;
    bp_corpus_spec corpus; /* tagging, language model */

    bool center, whiten;
    double whiten_epsilon; /* where whitened */
    bp_choice scaling, missing;
    bp_choice target_scaling; /* of bp_target_scaling_family; none for classes */
    size_t input_width;       /* prepared */

    size_t layer_count;
    bp_layer_spec *layers; /* owned; training.network.layers points here */
    bp_job_part vectors;   /* a data set that the embedding begins with; dataset NULL: none */
    size_t vectors_layer;  /* the embedding's place */
    bool balances_classes; /* class_weight waits for bp_job_balance_classes */
    double *class_weight;  /* (classes) or NULL; owned; training.network.class_weight points here */
    char *initial_model;   /* whose weights the training begins with; NULL: initialised ones */
    uint64_t initial_version;
    int64_t initial_job; /* or those of a checkpoint of this job; 0: none */
    uint64_t initial_checkpoint;
    bp_training_spec training; /* its network, loss, optimiser and the rest of what core is told */
    size_t threads;
    bool gradient_check; /* a check that fails before training fails the job */
    bp_checkpoint_plan checkpoint;
    uint64_t metrics_every_steps;
};

struct bp_model_info;

/* What a job over a corpus must know of it that its document does not say. */
typedef struct bp_corpus_measure {
    bp_vocabulary *vocabulary; /* of the training part, by the job's rule; the receiver's */
    /* Tagging: tokens that each part takes of the training set, and those of them whose tag is not
     * BP_OUTSIDE_TAG. */
    uint64_t training_rows, validation_rows, test_rows;
    uint64_t training_entities, validation_entities, test_entities;
    uint64_t vector_words; /* entries of the vocabulary for which the job's vectors have one */
} bp_corpus_measure;

/* The tag of a token that belongs to no entity; and the first id of a word in a vocabulary with padding, behind
 * the two tokens. */
#define BP_OUTSIDE_TAG "O"
enum { BP_FIRST_WORD = 2 };

/* Finds what a job names. Answers are borrowed until the resolving call returns. */
typedef struct bp_dataset_lookup {
    void *context;
    /* A data set: the newest version (sha256 NULL) or one by content. NULL: there is none. */
    const bp_dataset_info *(*find)(void *context, const char *name, const char *sha256);
    /* A version of a model, 0: the newest. NULL: there is none. The function may be NULL: there are no
     * models. */
    const struct bp_model_info *(*find_model)(void *context, const char *name, uint64_t version);
    /* What predicts from a checkpoint of a job, 0: the newest; its job and checkpoint say which it is. NULL:
     * there is none. May be NULL too. */
    const struct bp_model_info *(*find_checkpoint)(void *context, int64_t job, uint64_t number);
    /* Reads the corpora of a job whose data sets, parts, rule and seed are known. vocabulary: one that the job
     * takes in place of making one, which *out then shares; NULL: none. BP_INVALID and BP_TOO_LARGE are faults
     * of the job, told by the message; what else fails makes resolving fail without a fault's worth. NULL:
     * no job over a corpus can be resolved. */
    bp_status (*measure_corpus)(void *context, bp_corpus_measure *out,
                                const struct bp_job_spec *spec, bp_vocabulary *vocabulary,
                                bp_error *error);
} bp_dataset_lookup;

typedef struct bp_job_limits {
    uint64_t memory_bytes;    /* most that one job may need */
    uint64_t parameter_count; /* most numbers in a network */
    size_t layer_count;
    size_t thread_count; /* most threads a job may ask for */
} bp_job_limits;

/* What a job will need, as validate_only shows it. */
typedef struct bp_job_size {
    bp_network_size network;
    /* Of the trainer and a snapshot of its state, and the most of what comes and goes beside them: a check
     * of the gradient, an evaluation, a checkpoint on its way to the disk. */
    uint64_t training_bytes;
    uint64_t data_bytes; /* prepared matrices and labels of all parts, and the preparation */
    /* The most at one time: of the data while it is read, or while it is trained. */
    uint64_t total_bytes;
    /* Of tables before drop_row; of sentences and texts tokens. */
    uint64_t training_rows, validation_rows, test_rows;
    size_t stream_count, step_count; /* of a step over a text: the product is its rows; else 0 */
} bp_job_size;

/* Checks body and resolves it. Every fault goes into faults, in document order where possible. On
 * BP_OK the caller owns *out, *out_resolved (the "specification" of the job's document) and
 * *out_warnings (array of strings). Otherwise none is written and faults holds at least one entry.
 * isa: what the daemon computes with. Any thread. */
BP_CHECK_RESULT bp_status bp_job_resolve(bp_job_spec **out, json_t **out_resolved,
                                         json_t **out_warnings, bp_job_size *out_size,
                                         bp_faults *faults, const json_t *body,
                                         const bp_dataset_lookup *lookup,
                                         const bp_job_limits *limits, bp_isa isa);

/* The answer to validate_only: {"specification", "layers": [{"type", "input", "output",
 * "parameters", "tensors"}], "parameters", "memory": {…}, "rows": {…}, "vocabulary"?, "sequence"?, "warnings"}.
 * Steals nothing. */
json_t *bp_job_validation_json(const bp_job_spec *spec, json_t *resolved, json_t *warnings,
                               const bp_job_size *size);

/* {"model", "version"} or {"job", "checkpoint"}: whose weights a job begins with, one of which it has. NULL:
 * no memory. */
json_t *bp_job_initial_json(const bp_job_spec *spec);

/* How a loss of pairs makes its wrong windows. */
bp_corruption_kind bp_job_corruption(const bp_choice *loss);

/* "balanced" class weights from the labels of the training rows, (row_count) each below the number of
 * classes: n / (k n_c) for a class of n_c among n rows, k classes in all; 1 for a class without rows.
 * Does nothing for a job that does not ask for them. To be called before the trainer is created.
 * BP_NO_MEMORY. */
BP_CHECK_RESULT bp_status bp_job_balance_classes(bp_job_spec *spec, const int32_t *label,
                                                 size_t row_count, bp_error *error);

void bp_job_spec_free(bp_job_spec *spec); /* accepts NULL */

#endif
