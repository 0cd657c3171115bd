/* From a text that comes in pieces to the ids of its characters or words. */
#ifndef BP_SCHEMA_LANGUAGE_TOKEN_ENCODER_H
#define BP_SCHEMA_LANGUAGE_TOKEN_ENCODER_H

#include "schema/language/vocabulary.h"

enum { BP_TOKEN_BLOCK = 4096 };

/* Receives the next count ids, at most BP_TOKEN_BLOCK. What it returns other than BP_OK ends the
 * encoding. */
typedef bp_status (*bp_token_function)(void *context, const int32_t *ids, size_t count,
                                       bp_error *error);

/* vocabulary and ids are borrowed. Some 25 KB: not for small stacks. */
typedef struct bp_token_encoder {
    const bp_vocabulary *vocabulary;
    bp_token_function ids;
    void *context;

    bp_word_splitter splitter;
    bp_utf8 utf8;
    uint64_t character_count; /* so far, for messages */
    size_t held;
    int32_t block[BP_TOKEN_BLOCK];
} bp_token_encoder;

/* Allocates nothing, and neither do the others. */
void bp_token_encoder_begin(bp_token_encoder *out, const bp_vocabulary *vocabulary,
                            bp_token_function ids, void *context);
/* The next bytes, well-formed UTF-8, cut anywhere. BP_INVALID: a character that is not in the
 * vocabulary, said with its place ("character 17"). */
BP_CHECK_RESULT bp_status bp_token_encoder_feed(bp_token_encoder *encoder, const char *bytes,
                                                size_t count, bp_error *error);
/* The end of the text: gives what is held. */
BP_CHECK_RESULT bp_status bp_token_encoder_finish(bp_token_encoder *encoder, bp_error *error);

/* The ids of a whole text; *out is allocated, the caller's, also where there are none. Errors as above,
 * and BP_NO_MEMORY. */
BP_CHECK_RESULT bp_status bp_tokens_encode(int32_t **out, size_t *out_count,
                                           const bp_vocabulary *vocabulary, const char *text,
                                           size_t length, bp_error *error);

#endif
