/* Vectors for the entries of a vocabulary. */
#ifndef BP_SERVER_CORPUS_VECTOR_TABLE_H
#define BP_SERVER_CORPUS_VECTOR_TABLE_H

#include "schema/language/vocabulary.h"
#include "server/dataset/datasets.h"

/* Receives the numbers of an entry, (dimension). */
typedef void bp_vector_function(void *context, int32_t id, const double *numbers);

/* Goes through the words of a data set of vectors and gives the numbers of each that is in the vocabulary, as that
 * folds words; of those that are the same entry the first one's. take NULL: they are counted alone, and the files
 * not verified. *out_count: how many. cancelled may be NULL. BP_NOT_FOUND, BP_CORRUPT, BP_CANCELLED, BP_NO_MEMORY.
 * On a thread with a reader. */
BP_CHECK_RESULT bp_status bp_vectors_visit(size_t *out_count, bp_datasets *datasets,
                                           const bp_job_part *vectors,
                                           const bp_vocabulary *vocabulary,
                                           bp_vector_function *take, void *take_context,
                                           bool (*cancelled)(void *context), void *context,
                                           bp_error *error);

#endif
