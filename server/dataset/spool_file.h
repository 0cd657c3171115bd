/* A temporary file that takes bytes of unknown number and gives them back from the beginning: a column
 * file says at its head how many elements follow. */
#ifndef BP_SERVER_DATASET_SPOOL_FILE_H
#define BP_SERVER_DATASET_SPOOL_FILE_H

#include <stddef.h>
#include <stdint.h>

#include "server/dataset/column_draft.h"

typedef struct bp_spool_file bp_spool_file;

/* directory: the data directory; the file is made in its tmp and has no name. BP_INPUT_OUTPUT,
 * BP_STORAGE_FULL, BP_NO_MEMORY. */
BP_CHECK_RESULT bp_status bp_spool_file_create(bp_spool_file **out, const char *directory,
                                               bp_error *error);
BP_CHECK_RESULT bp_status bp_spool_file_add(bp_spool_file *spool, const void *bytes, size_t count,
                                            bp_error *error);
uint64_t bp_spool_file_size(const bp_spool_file *spool); /* bytes added so far */
/* Bytes [offset, offset + count) that have been added (asserted). */
BP_CHECK_RESULT bp_status bp_spool_file_read(bp_spool_file *spool, void *out, uint64_t offset,
                                             size_t count, bp_error *error);
/* Copies at most `most` bytes from *offset on to the writer, whole elements of element_bytes, and moves
 * *offset on. */
BP_CHECK_RESULT bp_status bp_spool_file_copy(bp_spool_file *spool, bp_column_writer *writer,
                                             uint64_t *offset, uint64_t most, size_t element_bytes,
                                             bp_error *error);
void bp_spool_file_free(bp_spool_file *spool); /* accepts NULL */

#endif
