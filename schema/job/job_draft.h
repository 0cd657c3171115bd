/* A job specification as it was written: types and ranges checked, nothing inferred yet. Borrows from
 * the document, but for the layers. */
#ifndef BP_SCHEMA_JOB_JOB_DRAFT_H
#define BP_SCHEMA_JOB_JOB_DRAFT_H

#include "core/layer/layer.h"
#include "core/regularizer/regularizer.h"
#include "schema/json/reader.h"

enum { BP_PRIORITY_LIMIT = 1000000 }; /* either way */

typedef struct bp_part_draft {
    bp_given_json json; /* given at all */
    bp_given_real fraction;
    bp_given_text dataset, sha256;
    bp_given_count version;
} bp_part_draft;

/* Of a corpus; the readers know whether there is one. */
typedef struct bp_corpus_draft {
    bp_given_count unit; /* bp_token_unit */
    bp_given_bool lowercase;
    bp_given_count min_count, max_vocabulary; /* max_vocabulary null: as if absent */
} bp_corpus_draft;

typedef struct bp_data_draft {
    bool given; /* as an object */
    bp_given_text dataset, sha256;
    bp_given_count version;
    bp_given_json features, target, exclude, columns; /* arrays and objects of names: read against
                                                         the data set */
    bp_corpus_draft corpus;
    bp_part_draft validation, test;
} bp_data_draft;

typedef struct bp_network_draft {
    bool given;
    size_t layer_limit;
    size_t layer_count;
    bp_layer_spec *layers;  /* member NULL: absent (activation, initializer) or at fault (layer) */
    bp_part_draft *vectors; /* (layer_count) what an embedding begins with; no fraction */
} bp_network_draft;

typedef struct bp_initial_draft {
    bp_given_text model;
    bp_given_count version, job, checkpoint;
} bp_initial_draft;

typedef struct bp_checkpoint_draft {
    bp_given_count every_epochs, every_steps, keep_last;
    bp_given_real every_seconds;
    bp_given_bool keep_best;
} bp_checkpoint_draft;

typedef struct bp_job_draft {
    bp_given_text name;
    bp_given_count task; /* bp_task_kind */
    bp_given_count priority;
    bp_data_draft data;
    struct {
        bp_given_bool center, whiten;
        bp_given_real epsilon;
        bp_choice scale, missing, target;
    } preprocess;
    bp_network_draft network;
    bp_choice loss, optimizer, schedule;         /* member NULL: absent, or at fault */
    bp_choice regularizer[BP_REGULARIZER_COUNT]; /* by index in the family; member NULL: absent */
    bp_given_json class_weights;                 /* of the loss: read against the classes */
    struct {
        bp_given_count epochs, batch_size, sequence_length, seed, dtype, threads;
        bp_given_bool shuffle, gradient_check;
        bp_given_real clip_norm;
        bp_choice early_stopping;
    } training;
    bp_initial_draft initial;
    bp_checkpoint_draft checkpoint;
    struct {
        bp_given_count every_steps;
    } metrics;
} bp_job_draft;

/* Reads the document; faults go into the reader's list. What is at fault counts as absent. */
void bp_job_draft_read(bp_job_draft *out, bp_reader *reader, const json_t *body,
                       size_t layer_limit);
void bp_job_draft_done(bp_job_draft *draft); /* releases contents; accepts zeroed */

extern const char *const bp_task_names[];  /* by bp_task_kind, NULL-terminated */
extern const char *const bp_dtype_names[]; /* by bp_dtype, NULL-terminated */

#endif
