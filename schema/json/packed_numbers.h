/* Many numbers in a document: base64 (RFC 4648, section 4) of float64 in little-endian byte order. Exact,
 * and a tenth of the time and half of the room that decimals take; for matrices, where nobody reads the
 * digits. In Python: numpy.frombuffer(base64.b64decode(text), "<f8"). */
#ifndef BP_SCHEMA_JSON_PACKED_NUMBERS_H
#define BP_SCHEMA_JSON_PACKED_NUMBERS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

/* A string. NULL: no memory, or more than can be counted. */
json_t *bp_packed_numbers_json(const double *values, size_t count);

/* Reads what bp_packed_numbers_json wrote of exactly `count` numbers; false when it is something else,
 * and then out holds anything. */
bool bp_packed_numbers_read(double *out, size_t count, const json_t *json);

#endif
