/* Words of a text that comes in pieces: what stands between white space. */
#ifndef BP_SCHEMA_LANGUAGE_WORD_SPLITTER_H
#define BP_SCHEMA_LANGUAGE_WORD_SPLITTER_H

#include <stdbool.h>

#include "core/base/error.h"
#include "schema/language/utf8.h"

enum { BP_WORD_LIMIT = 4096 }; /* bytes of a word */

/* Receives a word in UTF-8, valid during the call. cut: the word is longer than BP_WORD_LIMIT, and
 * these are its first bytes. What it returns other than BP_OK ends the splitting. */
typedef bp_status (*bp_word_function)(void *context, const char *word, size_t length, bool cut,
                                      bp_error *error);

/* Zeroed but for `lowercase`, `word` and `context` it is at the beginning of a text. */
typedef struct bp_word_splitter {
    bool lowercase; /* words are given in lower case */
    bp_word_function word;
    void *context;

    bp_utf8 utf8;
    bool cut;
    size_t length;
    char text[BP_WORD_LIMIT]; /* of the word so far */
} bp_word_splitter;

/* Takes the next bytes of a text: well-formed UTF-8, cut anywhere. Allocates nothing. */
BP_CHECK_RESULT bp_status bp_word_splitter_feed(bp_word_splitter *splitter, const char *bytes,
                                                size_t count, bp_error *error);
/* The end of the text: gives the last word, if there is one, and is at the beginning again. */
BP_CHECK_RESULT bp_status bp_word_splitter_finish(bp_word_splitter *splitter, bp_error *error);

/* Writes a word of length bytes, at most BP_WORD_LIMIT of them, in lower case into out; returns the
 * bytes written, or 0 where they would be more than BP_WORD_LIMIT. */
size_t bp_word_lowercase(char out[static BP_WORD_LIMIT], const char *word, size_t length);

#endif
