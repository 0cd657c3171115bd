/* Uploads of word vectors, a word a line: the word and its numbers, between blanks or tabs, as many on every line.
 * The first line may instead be two whole numbers, how many words there are and how many numbers each has, which
 * then must be true. Lines end with LF or CRLF, empty ones are skipped, and so is a byte order mark. Words may come
 * again. Memory does not grow with the file. */
#ifndef BP_SERVER_UPLOAD_VECTORS_STAGE_H
#define BP_SERVER_UPLOAD_VECTORS_STAGE_H

#include "server/dataset/column_draft.h"

enum {
    BP_VECTOR_LINE_LIMIT = 1024 * 1024, /* bytes */
    BP_VECTOR_LIMIT = 16384             /* numbers of one */
};

typedef struct bp_vectors_stage bp_vectors_stage;

/* directory: the data directory, borrowed. BP_INPUT_OUTPUT, BP_STORAGE_FULL, BP_NO_MEMORY. */
BP_CHECK_RESULT bp_status bp_vectors_stage_create(bp_vectors_stage **out, const char *directory,
                                                  bp_error *error);
/* BP_INVALID or BP_TOO_LARGE at "line 17" or "line 17, column 3": no number, too few or too many of them, a NUL
 * byte, what is not UTF-8, an overlong line or word. */
BP_CHECK_RESULT bp_status bp_vectors_stage_feed(bp_vectors_stage *stage, const void *bytes,
                                                size_t count, bp_error *error);
/* The end of the file. BP_INVALID: no vectors, or not as many as the first line says. */
BP_CHECK_RESULT bp_status bp_vectors_stage_finish(bp_vectors_stage *stage, bp_error *error);
/* As bp_text_stage_convert, for the columns of vectors. */
BP_CHECK_RESULT bp_status bp_vectors_stage_convert(bp_vectors_stage *stage, size_t column,
                                                   bool *out_done, bp_column_draft *out,
                                                   bp_error *error);
/* What was counted; after finish. It stays the stage's. */
bp_corpus_info *bp_vectors_stage_corpus(bp_vectors_stage *stage);
void bp_vectors_stage_free(bp_vectors_stage *stage); /* accepts NULL */

#endif
