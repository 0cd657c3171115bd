/* Tagged sentences as the shared tasks of CoNLL and WNUT write them:
 *   - A line a token: columns, the first the token, the last its tag, the same number on every line. They
 *     stand between tabs where the first token's line has one (a token may then hold blanks), else
 *     between blanks.
 *   - An empty line, or one of blanks and tabs, ends a sentence, and so does one that begins with
 *     -DOCSTART-, which is skipped. Lines end with LF or CRLF; a UTF-8 byte order mark is skipped.
 *   - A line that begins with # is a comment where it cannot be a token's: it has another number of
 *     columns, or no tab and at its end nothing like an IOB tag, though the first token has one or is yet
 *     to come.
 * Refused, with the line: other lines of too few or too many columns, carriage returns within lines, NUL
 * bytes, invalid UTF-8, overlong lines, tokens, tags and sentences, a file without tokens. */
#ifndef BP_SERVER_UPLOAD_CONLL_PARSER_H
#define BP_SERVER_UPLOAD_CONLL_PARSER_H

#include <stdbool.h>

#include "server/dataset/parser_sink.h"

enum {
    BP_CONLL_LINE_LIMIT = 64 * 1024, /* bytes */
    BP_SENTENCE_BYTES = 1024 * 1024, /* of all tokens, one more each */
};

typedef struct bp_conll_parser bp_conll_parser;

/* The sink's errors are passed on, with the line where they say none. BP_NO_MEMORY. */
BP_CHECK_RESULT bp_status bp_conll_parser_create(bp_conll_parser **out, const bp_tagged_sink *sink,
                                                 bp_error *error);
/* BP_INVALID or BP_TOO_LARGE at "line 17". */
BP_CHECK_RESULT bp_status bp_conll_parser_feed(bp_conll_parser *parser, const void *bytes,
                                               size_t count, bp_error *error);
/* The end of the file. */
BP_CHECK_RESULT bp_status bp_conll_parser_finish(bp_conll_parser *parser, bp_error *error);
void bp_conll_parser_free(bp_conll_parser *parser); /* accepts NULL */

/* Whether a text looks like a tag of a chunk: O, or B, I, E, S, L, U or M, a hyphen and more. */
bool bp_is_chunk_tag(const char *text, size_t length);

#endif
