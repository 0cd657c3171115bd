/* The sink of tagged sentences: tokens, tags and the places of sentences each in a temporary file, then
 * in column files. Memory is that of the different tags, and of what is counted. */
#ifndef BP_SERVER_UPLOAD_TAGGED_STAGE_H
#define BP_SERVER_UPLOAD_TAGGED_STAGE_H

#include "server/dataset/column_draft.h"

typedef struct bp_tagged_stage bp_tagged_stage;

/* directory: the data directory, borrowed. BP_INPUT_OUTPUT, BP_STORAGE_FULL, BP_NO_MEMORY. */
BP_CHECK_RESULT bp_status bp_tagged_stage_create(bp_tagged_stage **out, const char *directory,
                                                 bp_error *error);
/* Its calls may fail with BP_TOO_LARGE: more than BP_TAG_LIMIT different tags. */
bp_tagged_sink bp_tagged_stage_sink(bp_tagged_stage *stage);
/* After the last sentence; there is at least one. Sorts the tags. BP_NO_MEMORY. */
BP_CHECK_RESULT bp_status bp_tagged_stage_finish(bp_tagged_stage *stage, bp_error *error);
/* As bp_text_stage_convert, for the columns of a tagged corpus. */
BP_CHECK_RESULT bp_status bp_tagged_stage_convert(bp_tagged_stage *stage, size_t column,
                                                  bool *out_done, bp_column_draft *out,
                                                  bp_error *error);
/* What was counted; after finish. It stays the stage's. */
bp_corpus_info *bp_tagged_stage_corpus(bp_tagged_stage *stage);
void bp_tagged_stage_free(bp_tagged_stage *stage); /* accepts NULL */

#endif
