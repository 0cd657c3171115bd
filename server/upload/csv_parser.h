/* CSV as people write it: RFC 4180 with these liberties.
 *   - The delimiter is the one of , ; tab and | that the header line holds most often (comma where
 *     there is none; on a tie the first in this order).
 *   - Lines end with LF, CRLF or CR. Blank lines are skipped. A UTF-8 byte order mark is skipped.
 *   - Blanks around an unquoted field are not part of it; a quoted field is taken as it is. A quote
 *     inside an unquoted field is an ordinary character.
 *   - The first line names the columns.
 * Refused, with the place: a missing, repeated or overlong column name, a line with more or fewer
 * fields than the header, text after a closing quote, a quote that is never closed, NUL bytes, invalid
 * UTF-8, a file without rows, overlong fields and lines. */
#ifndef BP_SERVER_UPLOAD_CSV_PARSER_H
#define BP_SERVER_UPLOAD_CSV_PARSER_H

#include "server/dataset/parser_sink.h"

enum {
    BP_CSV_FIELD_LIMIT = 1024 * 1024,       /* bytes of one decoded field */
    BP_CSV_RECORD_LIMIT = 16 * 1024 * 1024, /* bytes of one decoded line */
};

typedef struct bp_csv_parser bp_csv_parser;

/* column_limit: most columns. The sink's errors are passed on. BP_NO_MEMORY. */
BP_CHECK_RESULT bp_status bp_csv_parser_create(bp_csv_parser **out, const bp_row_sink *sink,
                                               uint64_t column_limit, bp_error *error);
/* BP_INVALID at "line 17" or "line 17, column 3" (the third field); BP_TOO_LARGE. */
BP_CHECK_RESULT bp_status bp_csv_parser_feed(bp_csv_parser *parser, const void *bytes, size_t count,
                                             bp_error *error);
/* The end of the file. */
BP_CHECK_RESULT bp_status bp_csv_parser_finish(bp_csv_parser *parser, bp_error *error);
void bp_csv_parser_free(bp_csv_parser *parser); /* accepts NULL */

#endif
