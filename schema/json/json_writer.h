/* JSON text written piece by piece, for answers that are too large or too frequent to be built as values
 * first. Bytes gather in one growing buffer; a failed allocation is remembered and everything after it
 * is dropped, so that only the end needs a look. Any thread; one at a time. */
#ifndef BP_SCHEMA_JSON_JSON_WRITER_H
#define BP_SCHEMA_JSON_JSON_WRITER_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Zeroed, it is empty. */
typedef struct bp_json_writer {
    char *bytes;         /* not NUL-terminated; free() it */
    size_t length, room; /* in bytes; room > length where there are any */
    bool failed;         /* no memory; sticky */
} bp_json_writer;

void bp_json_put(bp_json_writer *out, const char *bytes, size_t count); /* as they are */
void bp_json_put_literal(bp_json_writer *out, const char *text); /* as it is, NUL-terminated */
void bp_json_put_string(bp_json_writer *out, const char *text, size_t length); /* quoted, escaped */
void bp_json_put_integer(bp_json_writer *out, int64_t value);
/* As bp_json_real: the shortest decimal with a point or an exponent, or the string of a non-finite one. */
void bp_json_put_real(bp_json_writer *out, double value);
void bp_json_put_value(bp_json_writer *out, const json_t *value); /* as bp_json_text */

#endif
