/* The words of a data set of vectors, one after another, and the numbers of those that are wanted. */
#ifndef BP_SERVER_CORPUS_VECTOR_READER_H
#define BP_SERVER_CORPUS_VECTOR_READER_H

#include "server/dataset/column_file.h"

typedef struct bp_vector_reader bp_vector_reader;

/* Opens the files, and verifies them where that is asked for; directory and info, of vectors (asserted), are
 * borrowed as long as the reader lives. cancelled may be NULL. BP_NOT_FOUND, BP_CORRUPT, BP_CANCELLED,
 * BP_NO_MEMORY. */
BP_CHECK_RESULT bp_status bp_vector_reader_open(bp_vector_reader **out, const char *directory,
                                                const bp_dataset_info *info, bool verify,
                                                bool (*cancelled)(void *context), void *context,
                                                bp_error *error);
/* Goes to word number `word`, which exists (asserted). BP_CORRUPT, BP_INPUT_OUTPUT. */
BP_CHECK_RESULT bp_status bp_vector_reader_seek(bp_vector_reader *reader, uint64_t word,
                                                bp_error *error);
/* The next word, valid until the one after it. *out_more: false behind the last, which leaves *out alone.
 * BP_CORRUPT, BP_INPUT_OUTPUT, BP_CANCELLED. */
BP_CHECK_RESULT bp_status bp_vector_reader_next(bp_vector_reader *reader, bp_text *out,
                                                bool *out_more, bp_error *error);
/* The numbers of the word that next gave last, (dimension) into out. */
BP_CHECK_RESULT bp_status bp_vector_reader_numbers(bp_vector_reader *reader, double *out,
                                                   bp_error *error);
void bp_vector_reader_free(bp_vector_reader *reader); /* accepts NULL */

#endif
