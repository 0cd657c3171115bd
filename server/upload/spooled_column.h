/* From a spool file to a column file, a slice at a time. */
#ifndef BP_SERVER_UPLOAD_SPOOLED_COLUMN_H
#define BP_SERVER_UPLOAD_SPOOLED_COLUMN_H

#include "server/dataset/spool_file.h"

/* Zeroed: nothing is under way. */
typedef struct bp_spooled_column {
    bp_spool_file *spool; /* borrowed */
    uint64_t offset;
    bp_column_draft draft;
} bp_spooled_column;

/* Begins the column `name` of spool's elements. info: type, element, width, rank and shape; the rest is
 * made up here, its categories are the caller's to fill in later. BP_INPUT_OUTPUT, BP_STORAGE_FULL,
 * BP_NO_MEMORY. */
BP_CHECK_RESULT bp_status bp_spooled_column_begin(bp_spooled_column *column, const char *directory,
                                                  const char *name, const bp_column_info *info,
                                                  bp_spool_file *spool, bp_error *error);
/* Copies a slice. After the last, *out_done: the file is synced, *out is the caller's and nothing is
 * under way. */
BP_CHECK_RESULT bp_status bp_spooled_column_turn(bp_spooled_column *column, bool *out_done,
                                                 bp_column_draft *out, bp_error *error);
void bp_spooled_column_done(bp_spooled_column *column); /* gives up; accepts zeroed */

#endif
