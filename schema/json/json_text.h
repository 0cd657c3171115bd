/* JSON as text, and numbers as the contract has them: every finite double as the shortest decimal that
 * reads back as it, the others as the strings "NaN", "Infinity" and "-Infinity". */
#ifndef BP_SCHEMA_JSON_JSON_TEXT_H
#define BP_SCHEMA_JSON_JSON_TEXT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BP_JSON_INTEGER_MAXIMUM ((int64_t)9007199254740991) /* 2^53 − 1 */

/* value as valid UTF-8 JSON text, NUL-terminated, without spaces; keys in insertion order. A real
 * always has a point or an exponent, so that it stays one. free() it. NULL: no memory. Any thread. */
char *bp_json_text(const json_t *value, size_t *out_length); /* out_length may be NULL */

/* A real, or the string of a non-finite one. NULL: no memory. */
json_t *bp_json_real(double value);

/* Integral values below 2^53 in size as integers, others as bp_json_real: how data values (labels,
 * minima) look. */
json_t *bp_json_number(double value);

/* Reads what bp_json_real and bp_json_number write; false when value is something else. */
bool bp_json_read_number(double *out, const json_t *value);

/* Whether value is a number without a fraction, however it is written: 64, 64.0 and 6.4e1 are one number,
 * as in JSON Schema. */
bool bp_json_is_whole(const json_t *value);

/* Reads a whole number in [0, 2^53 − 1]; false otherwise. */
bool bp_json_read_count(uint64_t *out, const json_t *value);

/* "an object", "a string", "a whole number", … for messages. */
const char *bp_json_kind(const json_t *value);

/* Sets a member and takes value in every case: NULL, for what could not be made, fails the whole. */
static inline bool bp_json_add(json_t *object, const char *key, json_t *value)
{
    return json_object_set_new(object, key, value) == 0;
}

/* json where ok; else NULL, and json is gone. */
static inline json_t *bp_json_whole(json_t *json, bool ok)
{
    if (ok)
        return json;
    json_decref(json);
    return NULL;
}

/* Jansson's iterators and packers want non-const pointers even where they only read. */
static inline json_t *bp_json_mutable(const json_t *value)
{
    return (json_t *)(uintptr_t)value;
}

#endif
