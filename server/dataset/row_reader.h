/* Rows of a data set as a job sees them: float64, the chosen columns side by side, whatever types they
 * have in the column files. */
#ifndef BP_SERVER_DATASET_ROW_READER_H
#define BP_SERVER_DATASET_ROW_READER_H

#include <stdbool.h>

#include "schema/job/job_spec.h"
#include "server/dataset/column_file.h"

typedef struct bp_row_reader bp_row_reader;

/* Opens and verifies the files of columns (count), found in info by name. labels (count): a column with
 * labels (categories, or classes) is read as indices into them; labels NULL or with count 0: as
 * numbers. directory and cancelled (may be NULL) are borrowed while opening; labels and info as long as
 * the reader lives. BP_INVALID: a column that is not there, or of a type that does not fit; BP_CONFLICT:
 * unequal lengths; BP_NOT_FOUND, BP_CORRUPT, BP_CANCELLED, BP_NO_MEMORY. */
BP_CHECK_RESULT bp_status bp_row_reader_open(bp_row_reader **out, const char *directory,
                                             const bp_dataset_info *info,
                                             const bp_job_column *columns, const bp_labels *labels,
                                             size_t count, bool (*cancelled)(void *context),
                                             void *context, bp_error *error);
uint64_t bp_row_reader_row_count(const bp_row_reader *reader);
size_t bp_row_reader_width(const bp_row_reader *reader); /* numbers a row */
/* Whether any value may come out as missing (NaN). */
bool bp_row_reader_may_miss(const bp_row_reader *reader);

/* Fills out (count, width) with the rows whose indices are given, ascending. A missing value is NaN, and
 * so is one that has no label. */
BP_CHECK_RESULT bp_status bp_row_reader_read(bp_row_reader *reader, double *out,
                                             const uint64_t *rows, size_t count, bp_error *error);
/* For messages: how column 0 writes its value in a row that came out as NaN, into text. False: the value
 * is missing. */
BP_CHECK_RESULT bp_status bp_row_reader_describe(bp_row_reader *reader, uint64_t row,
                                                 bool *out_missing, char *text, size_t size,
                                                 bp_error *error);
void bp_row_reader_free(bp_row_reader *reader); /* accepts NULL */

#endif
