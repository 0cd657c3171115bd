/* Uploads of texts: checked to be UTF-8 without NUL, counted, and kept byte by byte as they come, line
 * ends and byte order mark included. Memory does not grow with the text or its lines. */
#ifndef BP_SERVER_UPLOAD_TEXT_STAGE_H
#define BP_SERVER_UPLOAD_TEXT_STAGE_H

#include "server/dataset/column_draft.h"

typedef struct bp_text_stage bp_text_stage;

/* directory: the data directory, borrowed. BP_INPUT_OUTPUT, BP_STORAGE_FULL, BP_NO_MEMORY. */
BP_CHECK_RESULT bp_status bp_text_stage_create(bp_text_stage **out, const char *directory,
                                               bp_error *error);
/* BP_INVALID at "line 17": a NUL byte, or what is not UTF-8. */
BP_CHECK_RESULT bp_status bp_text_stage_feed(bp_text_stage *stage, const void *bytes, size_t count,
                                             bp_error *error);
/* The end of the text. BP_INVALID: it is empty, or ends inside a character. */
BP_CHECK_RESULT bp_status bp_text_stage_finish(bp_text_stage *stage, bp_error *error);
/* After finish, for column 0, 1 … BP_TEXT_COLUMN_COUNT − 1 until *out_done: a slice of its file, so that
 * no upload keeps the thread for long; then *out, synced, is the caller's. */
BP_CHECK_RESULT bp_status bp_text_stage_convert(bp_text_stage *stage, size_t column, bool *out_done,
                                                bp_column_draft *out, bp_error *error);
/* What was counted; after finish. It stays the stage's. */
bp_corpus_info *bp_text_stage_corpus(bp_text_stage *stage);
void bp_text_stage_free(bp_text_stage *stage); /* accepts NULL */

#endif
