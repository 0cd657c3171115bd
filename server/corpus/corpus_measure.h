/* What resolving a job over a corpus asks of the corpus's files: the vocabulary of its training part, and what
 * its parts hold. Read once and kept for a while, since a job is often submitted after it was validated. */
#ifndef BP_SERVER_CORPUS_CORPUS_MEASURE_H
#define BP_SERVER_CORPUS_CORPUS_MEASURE_H

#include "server/corpus/corpus_data.h"

/* What was read of late, by content, rule and parts. Any thread. */
typedef struct bp_corpus_cache bp_corpus_cache;
bp_corpus_cache *bp_corpus_cache_create(void);     /* NULL: no memory */
void bp_corpus_cache_free(bp_corpus_cache *cache); /* accepts NULL */

/* What a job reads. spec: data sets, parts, rule and, of sentences, seed and window are known. Borrows from
 * it. */
bp_corpus_request bp_corpus_request_of(const bp_job_spec *spec);

/* As bp_dataset_lookup.measure_corpus says, of what is known without reading a file; false: it is not. */
BP_CHECK_RESULT bool bp_corpus_recall(bp_corpus_measure *out, bp_datasets *datasets,
                                      const bp_job_spec *spec, bp_vocabulary *vocabulary);
/* The same by reading: seconds, of a large text. Errors as bp_corpus_vocabulary. On a thread with a reader. */
BP_CHECK_RESULT bp_status bp_corpus_read(bp_corpus_measure *out, bp_datasets *datasets,
                                         const bp_job_spec *spec, bp_vocabulary *vocabulary,
                                         bool (*cancelled)(void *context), void *context,
                                         bp_error *error);

#endif
