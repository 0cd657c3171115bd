/* Resolving a job, in stages that share this: read (job_draft), data, network, size, document. Each
 * stage does what it can where an earlier one found faults. Private to schema/job. */
#ifndef BP_SCHEMA_JOB_JOB_WORK_H
#define BP_SCHEMA_JOB_JOB_WORK_H

#include <stdio.h>

#include "schema/dataset/column_names.h"
#include "schema/job/byte_sum.h"
#include "schema/job/job_draft.h"
#include "schema/job/job_spec.h"

enum { BP_DEFAULT_SEED = 1 };

typedef struct bp_job_work {
    bp_reader reader;
    const bp_dataset_lookup *lookup;
    const bp_job_limits *limits;
    bp_job_draft draft;
    /* The data sets, borrowed from the lookup; NULL: none, or not found. */
    const bp_dataset_info *training, *validation, *test;
    /* The training set where it is a corpus; then the first of the three is NULL. */
    const bp_dataset_info *corpus;
    const bp_dataset_info *vectors; /* what the embedding begins with; NULL: none, or not found */
    bp_column_names names;          /* of training; owned */
    bp_column_type *types; /* of the training set's columns under the job's overrides; owned */
    bool features_known, targets_known, task_known; /* resolved without a fault */
    uint64_t training_rows, validation_rows, test_rows;
    /* Of sentences: rows that belong to an entity. */
    uint64_t training_entities, validation_entities, test_entities;
    size_t raw_width;
    uint64_t preparation_bytes, fitting_bytes; /* fitted; what it takes to fit it */
    bool initial_is_sought;
    const struct bp_model_info *initial; /* borrowed from the lookup; NULL: none, or not found */
    bp_job_spec *spec;
    json_t *warnings;
} bp_job_work;

/* A fault at a place that needs no escaping. */
#define bp_job_fault(work, ...) bp_faults_add((work)->reader.faults, __VA_ARGS__)

/* A fault at a hyperparameter or field of a layer. */
void bp_job_layer_fault(bp_job_work *work, bp_status status, size_t index, const char *field,
                        const char *format, ...) __attribute__((format(printf, 5, 6)));

void bp_job_no_memory(bp_job_work *work);
void bp_job_warn(bp_job_work *work, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* What a fault says of the model that a job goes on from; free() it. NULL: no memory, which is remembered. */
char *bp_job_source_text(bp_job_work *work);
/* A value of a hyperparameter that must exist (asserted). */
void bp_job_set_value(bp_choice *choice, const char *name, double value);
/* strdup that remembers failure. */
char *bp_job_copy(bp_job_work *work, const char *text);
/* calloc of at least one element that remembers failure. */
void *bp_job_allocate(bp_job_work *work, size_t count, size_t size);

/* Finds what {"dataset", "sha256", "version"} at a place (of an object) name, of any kind; NULL after a
 * fault. */
const bp_dataset_info *bp_job_find_dataset(bp_job_work *work, const char *pointer, const char *name,
                                           const char *sha256, bp_given_count version);

void bp_job_resolve_data(bp_job_work *work);   /* data sets, columns, task, classes */
void bp_job_resolve_corpus(bp_job_work *work); /* the same of a corpus, and its parts */
/* Faults for what only a corpus has, where the data set is a table. */
void bp_job_refuse_corpus_fields(bp_job_work *work);
void bp_job_resolve_parts(bp_job_work *work); /* validation and test, missing values */
/* The vocabulary of a corpus, and what its parts hold. */
void bp_job_resolve_vocabulary(bp_job_work *work);
/* Layers where a job over a corpus names none. */
void bp_job_default_token_layers(bp_job_work *work);
/* Faults for layers that read tokens where there are none, and for what a network over tokens cannot be;
 * notes the width of the window. */
void bp_job_check_token_layers(bp_job_work *work);
void bp_job_check_corpus_loss(bp_job_work *work);
/* What the network reads, and what a batch is made of. */
void bp_job_resolve_token_input(bp_job_work *work);
/* Rows that an epoch takes: of a text tokens, of a loss of pairs the true windows. */
uint64_t bp_job_epoch_rows(const bp_job_work *work);
/* Updates of one epoch. */
uint64_t bp_job_step_count(const bp_job_work *work);
/* Streams and steps of a batch of a text; otherwise 0. */
void bp_job_chunk_size(size_t *out_streams, size_t *out_steps, const bp_job_work *work);
/* Characters or words of a text, or sentences. */
uint64_t bp_job_unit_count(const bp_dataset_info *info, const bp_vocabulary_rule *rule);
/* Of a corpus: what a run keeps of it, and what reading it takes beside that. */
bp_byte_sum bp_job_corpus_bytes(const bp_job_work *work);
bp_byte_sum bp_job_corpus_loading_bytes(const bp_job_work *work);
/* "version 3 of model \"x\"", "checkpoint 2 of job 7". */
void bp_job_put_source(FILE *out, const struct bp_model_info *info);
void bp_job_find_initial(bp_job_work *work);    /* the model that "initial" names */
void bp_job_resolve_network(bp_job_work *work); /* preparation, layers, loss, training */
void bp_job_resolve_class_weights(bp_job_work *work);
void bp_job_resolve_checkpoint(bp_job_work *work); /* after the network: early stopping is known */
void bp_job_check_initial(bp_job_work *work);      /* shapes of the initial model's weights */
void bp_job_resolve_size(bp_job_work *work, bp_job_size *out);  /* memory against limits */
json_t *bp_job_document(const bp_job_work *work);               /* NULL: no memory */
json_t *bp_job_checkpoint_json(const bp_checkpoint_plan *plan); /* NULL: no memory */

#endif
