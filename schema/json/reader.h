/* Reading a document from outside by tables of fields: types, ranges and unknown names are checked in
 * one place, and every fault is kept with its JSON Pointer, so that one pass finds all of them. */
#ifndef BP_SCHEMA_JSON_READER_H
#define BP_SCHEMA_JSON_READER_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/error.h"
#include "schema/json/faults.h"
#include "schema/json/name_hint.h"

/* Where in the document: a chain that lives on the stack and is written out only for a fault. */
typedef struct bp_place {
    /* NULL: the document itself, whose name and index do not count. */
    const struct bp_place *parent;
    const char *name; /* member of an object, or NULL: */
    size_t index;     /* element of an array */
} bp_place;

bp_place bp_place_member(const bp_place *parent, const char *name);
bp_place bp_place_element(const bp_place *parent, size_t index);
/* RFC 6901, with its escapes. free() it. NULL: no memory. */
char *bp_place_pointer(const bp_place *place);

/* What a reading pass carries. */
typedef struct bp_reader {
    bp_faults *faults;
} bp_reader;

void bp_reader_fault(bp_reader *reader, const bp_place *place, bp_status status, const char *format,
                     ...) __attribute__((format(printf, 4, 5)));
/* "must be <wanted>, got <kind>". */
void bp_reader_fault_kind(bp_reader *reader, const bp_place *place, const char *wanted,
                          const json_t *value);

/* bp_name_advice for the first faults of a document, and NULL for the many of a hostile one. */
char *bp_reader_advice(const bp_reader *reader, const char *name, bp_name_at *at, const void *list);

/* One field of an object. read gets the field's own place and value, and `base + offset` to write to;
 * detail is the reader's own (a range, a family, …). A field that is absent is not read. */
typedef struct bp_field {
    const char *name;
    void (*read)(bp_reader *reader, const bp_place *place, const json_t *value, void *out,
                 const void *detail);
    size_t offset;
    const void *detail;
    bool required;
} bp_field;

/* Reads every known member of value in document order; faults: not an object, unknown and missing
 * fields. */
void bp_reader_object(bp_reader *reader, const bp_place *place, const json_t *value,
                      const bp_field *fields, size_t field_count, void *base);

/* For fields that are objects with a table of their own: out is what the table's offsets are from. */
typedef struct bp_object_fields {
    const bp_field *fields;
    size_t count;
} bp_object_fields;
void bp_read_object(bp_reader *reader, const bp_place *place, const json_t *value, void *out,
                    const void *detail); /* bp_object_fields */

/* ---- values that remember whether they were given ---- */

typedef struct bp_given_text {
    const char *value; /* borrowed from the document; NULL: absent */
} bp_given_text;
typedef struct bp_given_count {
    bool given;
    int64_t value;
} bp_given_count;
typedef struct bp_given_real {
    bool given;
    double value;
} bp_given_real;
typedef struct bp_given_bool {
    bool given, value;
} bp_given_bool;
typedef struct bp_given_json {
    const json_t *value; /* borrowed; NULL: absent */
} bp_given_json;

typedef struct bp_count_range {
    int64_t minimum, maximum; /* within ±(2^53 − 1), where doubles are exact */
} bp_count_range;
typedef struct bp_real_range {
    double minimum, maximum;
    bool exclusive_minimum, exclusive_maximum;
} bp_real_range;
typedef struct bp_word_list {
    const char *const *words; /* NULL-terminated */
} bp_word_list;

/* Readers for bp_field.read. On a fault nothing is written. */
void bp_read_name(bp_reader *reader, const bp_place *place, const json_t *value, void *out,
                  const void *detail); /* bp_given_text; [A-Za-z0-9][A-Za-z0-9._-]{0,127} */
void bp_read_count(bp_reader *reader, const bp_place *place, const json_t *value, void *out,
                   const void *detail); /* bp_given_count; bp_count_range */
void bp_read_real(bp_reader *reader, const bp_place *place, const json_t *value, void *out,
                  const void *detail); /* bp_given_real; bp_real_range */
void bp_read_bool(bp_reader *reader, const bp_place *place, const json_t *value, void *out,
                  const void *detail); /* bp_given_bool; detail NULL */
void bp_read_word(bp_reader *reader, const bp_place *place, const json_t *value, void *out,
                  const void *detail); /* bp_given_count: index in a bp_word_list */
void bp_read_json(bp_reader *reader, const bp_place *place, const json_t *value, void *out,
                  const void *detail); /* bp_given_json: read later */

/* "must be at least 1 and at most 9, got 12", in the words that fit the range. */
void bp_reader_fault_range(bp_reader *reader, const bp_place *place, const bp_real_range *range,
                           bool whole, double got);

bool bp_reader_name_is_valid(const char *name);

/* Names from outside may be long: for "%.*s", enough bytes of one to be recognised, whole characters
 * only. */
int bp_quoted_length(const char *name);

#endif
