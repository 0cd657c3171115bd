/* The tokens of a tagged corpus, one after another, out of its column files. */
#ifndef BP_SERVER_CORPUS_TAGGED_READER_H
#define BP_SERVER_CORPUS_TAGGED_READER_H

#include "server/dataset/column_file.h"

typedef struct bp_tagged_reader bp_tagged_reader;

typedef struct bp_tagged_token {
    bp_text text; /* valid until the next token; no NUL follows */
    uint32_t tag; /* index among the categories of the tags' column */
    uint64_t sentence;
    bool first; /* of its sentence */
} bp_tagged_token;

/* Opens and verifies the files; directory and info, of a tagged corpus (asserted), are borrowed as long as
 * the reader lives. cancelled may be NULL. BP_NOT_FOUND, BP_CORRUPT, BP_CANCELLED, BP_NO_MEMORY. */
BP_CHECK_RESULT bp_status bp_tagged_reader_open(bp_tagged_reader **out, const char *directory,
                                                const bp_dataset_info *info,
                                                bool (*cancelled)(void *context), void *context,
                                                bp_error *error);
/* *out_more: false after the last token, which leaves *out alone. BP_CORRUPT, BP_INPUT_OUTPUT,
 * BP_CANCELLED. */
BP_CHECK_RESULT bp_status bp_tagged_reader_next(bp_tagged_reader *reader, bp_tagged_token *out,
                                                bool *out_more, bp_error *error);
void bp_tagged_reader_rewind(bp_tagged_reader *reader); /* to the first token */
void bp_tagged_reader_free(bp_tagged_reader *reader);   /* accepts NULL */

#endif
