/* The sink of CSV uploads. A column's type is known only after the last row, so the fields are staged
 * in a temporary file, in groups of rows that lie column by column; then each column is read back,
 * converted and written to its file. Memory is that of one group and of one column's texts.
 *
 * Types: all values present numbers → numeric (a column without any value as well); all "true" or
 * "false" → boolean; else categorical, the texts as they are. Numeric and boolean columns are float64. */
#ifndef BP_SERVER_UPLOAD_TABLE_STAGE_H
#define BP_SERVER_UPLOAD_TABLE_STAGE_H

#include "server/dataset/column_draft.h"

/* Over all categorical columns of a table: their texts live in the catalogue's document. */
enum { BP_CATEGORY_LIMIT = 1000000, BP_CATEGORY_BYTES_LIMIT = 64 * 1024 * 1024 };

typedef struct bp_table_stage bp_table_stage;

/* directory: the data directory, borrowed. BP_INPUT_OUTPUT, BP_NO_MEMORY. */
BP_CHECK_RESULT bp_status bp_table_stage_create(bp_table_stage **out, const char *directory,
                                                bp_error *error);
bp_row_sink bp_table_stage_sink(bp_table_stage *stage);
/* After the last row. */
BP_CHECK_RESULT bp_status bp_table_stage_finish(bp_table_stage *stage, bp_error *error);
size_t bp_table_stage_column_count(const bp_table_stage *stage);
/* After finish, once for each column: its file, synced. *out is the caller's. BP_TOO_LARGE: too many
 * different texts. */
BP_CHECK_RESULT bp_status bp_table_stage_convert(bp_table_stage *stage, size_t column,
                                                 bp_column_draft *out, bp_error *error);
void bp_table_stage_free(bp_table_stage *stage); /* removes the staging file; accepts NULL */

#endif
