/* The data of a job over a corpus: for bp_job_data_load. */
#ifndef BP_SERVER_CORPUS_JOB_CORPORA_H
#define BP_SERVER_CORPUS_JOB_CORPORA_H

#include "server/corpus/corpus_data.h"

/* The corpora of a job, what they were read to, and which of their windows are true ones where the loss is of
 * pairs. */
typedef struct bp_job_corpora {
    bp_corpus_data data;
    size_t *true_rows[BP_CORPUS_PART_COUNT], *other_rows[BP_CORPUS_PART_COUNT];
} bp_job_corpora;

/* As bp_job_data_load. BP_INVALID: a character that the vocabulary does not have; a part without both kinds of
 * windows that the loss compares. */
BP_CHECK_RESULT bp_status bp_job_corpora_load(bp_job_data *out, bp_datasets *datasets,
                                              const bp_job_spec *spec,
                                              bool (*cancelled)(void *context), void *context,
                                              bp_error *error);
void bp_job_corpora_free(bp_job_corpora *corpora); /* accepts NULL */

#endif
