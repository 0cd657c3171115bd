/* Resolving a job, in stages that share this: read (job_draft), data, network, size, document. Each
 * stage does what it can where an earlier one found faults. Private to schema/job. */
#ifndef BP_SCHEMA_JOB_JOB_WORK_H
#define BP_SCHEMA_JOB_JOB_WORK_H

#include "schema/dataset/column_names.h"
#include "schema/job/job_draft.h"
#include "schema/job/job_spec.h"

typedef struct bp_job_work {
    bp_reader reader;
    const bp_dataset_lookup *lookup;
    const bp_job_limits *limits;
    bp_job_draft draft;
    /* The data sets, borrowed from the lookup; NULL: none, or not found. */
    const bp_dataset_info *training, *validation, *test;
    /* The training set where it is a corpus; then the three above are NULL. */
    const bp_dataset_info *corpus;
    bp_column_names names; /* of training; owned */
    bp_column_type *types; /* of the training set's columns under the job's overrides; owned */
    bool features_known, targets_known, task_known; /* resolved without a fault */
    uint64_t training_rows, validation_rows, test_rows;
    size_t raw_width;
    uint64_t preparation_bytes, fitting_bytes; /* fitted; what it takes to fit it */
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
void bp_job_resolve_parts(bp_job_work *work);   /* validation and test, missing values */
void bp_job_find_initial(bp_job_work *work);    /* the model that "initial" names */
void bp_job_resolve_network(bp_job_work *work); /* preparation, layers, loss, training */
void bp_job_resolve_class_weights(bp_job_work *work);
void bp_job_resolve_checkpoint(bp_job_work *work); /* after the network: early stopping is known */
void bp_job_check_initial(bp_job_work *work);      /* shapes of the initial model's weights */
void bp_job_resolve_size(bp_job_work *work, bp_job_size *out);  /* memory against limits */
json_t *bp_job_document(const bp_job_work *work);               /* NULL: no memory */
json_t *bp_job_checkpoint_json(const bp_checkpoint_plan *plan); /* NULL: no memory */

#endif
