#include "schema/json/reader.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/decimal.h"
#include "schema/json/json_text.h"

enum { NAME_LENGTH_LIMIT = 128, SHOWN_NAMES = 30, ADVISED_FAULTS = 20, QUOTED_LIMIT = 100 };

bp_place bp_place_member(const bp_place *parent, const char *name)
{
    return (bp_place){.parent = parent, .name = name};
}

bp_place bp_place_element(const bp_place *parent, size_t index)
{
    return (bp_place){.parent = parent, .index = index};
}

static void put_pointer(FILE *out, const bp_place *place)
{
    if (!place->parent)
        return;
    put_pointer(out, place->parent);
    if (!place->name) {
        fprintf(out, "/%zu", place->index);
        return;
    }
    fputc('/', out);
    for (const char *at = place->name; *at; at++) {
        if (*at == '~')
            fputs("~0", out);
        else if (*at == '/')
            fputs("~1", out);
        else
            fputc(*at, out);
    }
}

char *bp_place_pointer(const bp_place *place)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    if (!out)
        return NULL;
    put_pointer(out, place);
    if (fclose(out) != 0) {
        free(text);
        return NULL;
    }
    return text;
}

void bp_reader_fault(bp_reader *reader, const bp_place *place, bp_status status, const char *format,
                     ...)
{
    char *pointer = bp_place_pointer(place);
    va_list arguments;
    va_start(arguments, format);
    bp_faults_add_list(reader->faults, status, pointer, format, arguments);
    va_end(arguments);
    free(pointer);
}

void bp_reader_fault_kind(bp_reader *reader, const bp_place *place, const char *wanted,
                          const json_t *value)
{
    bp_reader_fault(reader, place, BP_INVALID, "must be %s, got %s", wanted, bp_json_kind(value));
}

char *bp_reader_advice(const bp_reader *reader, const char *name, bp_name_at *at, const void *list)
{
    return reader->faults->count < ADVISED_FAULTS ? bp_name_advice(name, at, list, SHOWN_NAMES)
                                                  : NULL;
}

typedef struct field_list {
    const bp_field *fields;
    size_t count;
} field_list;

static const char *field_name_at(const void *list, size_t index)
{
    const field_list *known = list;
    return index < known->count ? known->fields[index].name : NULL;
}

int bp_quoted_length(const char *name)
{
    size_t length = strlen(name);
    if (length <= QUOTED_LIMIT)
        return (int)length;
    length = QUOTED_LIMIT;
    while (length > 0 && ((unsigned char)name[length] & 0xc0) == 0x80)
        length--;
    return (int)length;
}

void bp_reader_object(bp_reader *reader, const bp_place *place, const json_t *value,
                      const bp_field *fields, size_t field_count, void *base)
{
    if (!json_is_object(value)) {
        bp_reader_fault_kind(reader, place, "an object", value);
        return;
    }
    const char *key;
    json_t *member;
    json_object_foreach(bp_json_mutable(value), key, member)
    {
        bp_place at = bp_place_member(place, key);
        const bp_field *field = NULL;
        for (size_t index = 0; index < field_count && !field; index++)
            if (!strcmp(fields[index].name, key))
                field = &fields[index];
        if (field) {
            field->read(reader, &at, member, (char *)base + field->offset, field->detail);
            continue;
        }
        const field_list known = {fields, field_count};
        char *advice = bp_reader_advice(reader, key, field_name_at, &known);
        bp_reader_fault(reader, &at, BP_UNKNOWN_NAME, "unknown field \"%.*s\"%s",
                        bp_quoted_length(key), key, advice ? advice : "");
        free(advice);
    }
    for (size_t index = 0; index < field_count; index++)
        if (fields[index].required && !json_object_get(value, fields[index].name)) {
            bp_place at = bp_place_member(place, fields[index].name);
            bp_reader_fault(reader, &at, BP_INVALID, "is required");
        }
}

void bp_read_object(bp_reader *reader, const bp_place *place, const json_t *value, void *out,
                    const void *detail)
{
    const bp_object_fields *table = detail;
    bp_reader_object(reader, place, value, table->fields, table->count, out);
}

static bool is_plain(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool bp_reader_name_is_valid(const char *name)
{
    size_t length = 0;
    for (; name[length]; length++)
        if (length == NAME_LENGTH_LIMIT ||
            (!is_plain(name[length]) && (length == 0 || !strchr("._-", name[length]))))
            return false;
    return length > 0;
}

void bp_read_name(bp_reader *reader, const bp_place *place, const json_t *value, void *out,
                  const void *detail)
{
    (void)detail;
    const char *name = json_string_value(value);
    if (!name)
        bp_reader_fault_kind(reader, place, "a string", value);
    else if (!bp_reader_name_is_valid(name))
        bp_reader_fault(reader, place, BP_INVALID,
                        "must be a name: 1 to 128 of A-Z a-z 0-9 . _ -, the first a letter or a "
                        "digit");
    else
        ((bp_given_text *)out)->value = name;
}

void bp_reader_fault_range(bp_reader *reader, const bp_place *place, const bp_real_range *range,
                           bool whole, double got)
{
    char low[BP_DECIMAL_SIZE], high[BP_DECIMAL_SIZE], given[BP_DECIMAL_SIZE];
    bp_decimal_format(low, range->minimum);
    bp_decimal_format(high, range->maximum);
    bp_decimal_format(given, got);
    char above[64] = "", below[64] = "";
    if (range->minimum > -INFINITY)
        snprintf(above, sizeof above, " %s %s", range->exclusive_minimum ? "above" : "at least",
                 low);
    if (range->maximum < INFINITY)
        snprintf(below, sizeof below, " %s %s", range->exclusive_maximum ? "below" : "at most",
                 high);
    bp_reader_fault(reader, place, BP_INVALID, "must be%s%s%s%s, got %s",
                    whole                ? " a whole number"
                    : !*above && !*below ? " a finite number"
                                         : "",
                    above, *above && *below ? " and" : "", below, given);
}

void bp_read_count(bp_reader *reader, const bp_place *place, const json_t *value, void *out,
                   const void *detail)
{
    const bp_count_range *range = detail;
    if (!bp_json_is_whole(value)) {
        bp_reader_fault_kind(reader, place, "a whole number", value);
        return;
    }
    const double given = json_number_value(value);
    if (given < (double)range->minimum || given > (double)range->maximum) {
        char shown[BP_DECIMAL_SIZE];
        bp_decimal_format(shown, given);
        bp_reader_fault(reader, place, BP_INVALID,
                        "must be a whole number at least %lld and at most %lld, got %s",
                        (long long)range->minimum, (long long)range->maximum, shown);
    } else {
        *(bp_given_count *)out = (bp_given_count){true, (int64_t)given};
    }
}

void bp_read_real(bp_reader *reader, const bp_place *place, const json_t *value, void *out,
                  const void *detail)
{
    const bp_real_range *range = detail;
    if (!json_is_number(value)) {
        bp_reader_fault_kind(reader, place, "a number", value);
        return;
    }
    double real = json_number_value(value);
    if (real < range->minimum || real > range->maximum ||
        (range->exclusive_minimum && real == range->minimum) ||
        (range->exclusive_maximum && real == range->maximum))
        bp_reader_fault_range(reader, place, range, false, real);
    else
        *(bp_given_real *)out = (bp_given_real){true, real};
}

void bp_read_bool(bp_reader *reader, const bp_place *place, const json_t *value, void *out,
                  const void *detail)
{
    (void)detail;
    if (json_is_boolean(value))
        *(bp_given_bool *)out = (bp_given_bool){true, json_is_true(value)};
    else
        bp_reader_fault_kind(reader, place, "true or false", value);
}

static const char *word_at(const void *list, size_t index)
{
    return ((const bp_word_list *)list)->words[index];
}

void bp_read_word(bp_reader *reader, const bp_place *place, const json_t *value, void *out,
                  const void *detail)
{
    const bp_word_list *list = detail;
    const char *word = json_string_value(value);
    if (!word) {
        bp_reader_fault_kind(reader, place, "a string", value);
        return;
    }
    for (size_t index = 0; list->words[index]; index++)
        if (!strcmp(list->words[index], word)) {
            *(bp_given_count *)out = (bp_given_count){true, (int64_t)index};
            return;
        }
    char *advice = bp_reader_advice(reader, word, word_at, list);
    bp_reader_fault(reader, place, BP_UNKNOWN_NAME, "unknown value \"%.*s\"%s",
                    bp_quoted_length(word), word, advice ? advice : "");
    free(advice);
}

void bp_read_json(bp_reader *reader, const bp_place *place, const json_t *value, void *out,
                  const void *detail)
{
    (void)reader, (void)place, (void)detail;
    ((bp_given_json *)out)->value = value;
}
