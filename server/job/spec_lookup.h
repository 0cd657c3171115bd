/* What resolving a job asks for, from data sets and models on the disk, kept until it has returned. On a
 * thread with a reader. */
#ifndef BP_SERVER_JOB_SPEC_LOOKUP_H
#define BP_SERVER_JOB_SPEC_LOOKUP_H

#include "schema/model/model_info.h"
#include "server/dataset/datasets.h"

enum { BP_LOOKUP_LIMIT = 8 }; /* data sets that one job can name: three parts, and room */

typedef struct bp_spec_lookup {
    bp_datasets *datasets;
    bp_store *store;
    int64_t own_job; /* whose stored specification it is; 0: a new one */
    /* Vocabularies are made by reading files, for seconds where they are large. */
    bool
        reads_nothing; /* this thread may not: resolving ends without a result, and must_read says so */
    bool (*cancelled)(void *context); /* polled while files are read; may be NULL */
    void *context;
    bool must_read;
    uint64_t read_bytes; /* where files must be read: of them */
    size_t count;
    bp_dataset_info *found[BP_LOOKUP_LIMIT];
    bp_model_info *model; /* of "initial"; NULL: not asked for, or there is none */
    bp_error error;       /* the first failure other than BP_NOT_FOUND */
} bp_spec_lookup;

/* For bp_job_resolve; context is the lookup, whose datasets and store are set. */
bp_dataset_lookup bp_spec_lookup_of(bp_spec_lookup *lookup);
void bp_spec_lookup_done(bp_spec_lookup *lookup);

#endif
