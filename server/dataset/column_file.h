/* Column files: one column's elements, immutable, under the SHA-256 of the whole file.
 *
 * Little-endian: a header of 128 bytes, "BPCOLUM1", element, rank, two zero words (uint32 each), rows,
 * width (uint64 each), shape (8 × uint64), zeros; then row_count · width elements. */
#ifndef BP_SERVER_DATASET_COLUMN_FILE_H
#define BP_SERVER_DATASET_COLUMN_FILE_H

#include <stdbool.h>

#include "server/dataset/parser_sink.h"

enum { BP_COLUMN_HEADER_BYTES = 128 };

/* ---- writing: into a temporary file, renamed when all of a data set's columns are there ---- */

typedef struct bp_column_writer bp_column_writer;

/* directory: the data directory; the file is made in its tmp. */
BP_CHECK_RESULT bp_status bp_column_writer_open(bp_column_writer **out, const char *directory,
                                                const bp_array_layout *layout, bp_error *error);
/* BP_STORAGE_FULL, BP_INPUT_OUTPUT. */
BP_CHECK_RESULT bp_status bp_column_writer_write(bp_column_writer *writer, const void *elements,
                                                 size_t element_count, bp_error *error);
/* All elements have been written (asserted): syncs the file and closes it. */
BP_CHECK_RESULT bp_status bp_column_writer_finish(bp_column_writer *writer,
                                                  char out_sha256[BP_SHA256_TEXT_SIZE],
                                                  bp_error *error);
/* Gives the finished file its name in columns, in place of an equal one. The caller syncs the
 * directory (bp_columns_sync) after the last. */
BP_CHECK_RESULT bp_status bp_column_writer_publish(bp_column_writer *writer, bp_error *error);
BP_CHECK_RESULT bp_status bp_columns_sync(const char *directory, bp_error *error);
uint64_t bp_column_writer_size_bytes(const bp_column_writer *writer);
void bp_column_writer_free(
    bp_column_writer *writer); /* removes what was not published; takes NULL */

/* ---- reading ---- */

typedef struct bp_column_reader {
    int file; /* −1: closed */
    bp_array_layout layout;
    char sha256[BP_SHA256_TEXT_SIZE];
} bp_column_reader;

/* Opens the file of a column and checks its header and size against info. BP_NOT_FOUND, BP_CORRUPT. */
BP_CHECK_RESULT bp_status bp_column_reader_open(bp_column_reader *out, const char *directory,
                                                const bp_column_info *info, bp_error *error);
/* Reads all of the file and compares its hash with its name. cancelled may be NULL. BP_CORRUPT,
 * BP_CANCELLED. */
BP_CHECK_RESULT bp_status bp_column_reader_verify(const bp_column_reader *reader,
                                                  bool (*cancelled)(void *context), void *context,
                                                  bp_error *error);
/* Rows [first, first + count) into out (count · width elements). The rows exist (asserted). */
BP_CHECK_RESULT bp_status bp_column_reader_read(const bp_column_reader *reader, void *out,
                                                uint64_t first, size_t count, bp_error *error);
void bp_column_reader_close(bp_column_reader *reader); /* accepts a closed one */

#endif
