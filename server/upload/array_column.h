/* The sink of IDX and NPY uploads: one column, written to its file as it comes. */
#ifndef BP_SERVER_UPLOAD_ARRAY_COLUMN_H
#define BP_SERVER_UPLOAD_ARRAY_COLUMN_H

#include "server/dataset/column_draft.h"

typedef struct bp_array_column bp_array_column;

/* directory is borrowed, name is copied. */
BP_CHECK_RESULT bp_status bp_array_column_create(bp_array_column **out, const char *directory,
                                                 const char *name, bp_error *error);
bp_array_sink bp_array_column_sink(bp_array_column *column);
/* After the last value: syncs the file. *out is the caller's. */
BP_CHECK_RESULT bp_status bp_array_column_finish(bp_array_column *column, bp_column_draft *out,
                                                 bp_error *error);
void bp_array_column_free(bp_array_column *column); /* accepts NULL */

#endif
