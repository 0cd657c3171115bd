#include "schema/json/json_writer.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/decimal.h"
#include "schema/json/json_text.h"

void bp_json_put(bp_json_writer *out, const char *bytes, size_t count)
{
    if (out->failed)
        return;
    if (count >= out->room - out->length) { /* room for the final NUL */
        size_t size = out->room;
        while (count >= size - out->length) {
            if (size > SIZE_MAX / 2) {
                out->failed = true;
                return;
            }
            size = size ? 2 * size : 256;
        }
        char *grown = realloc(out->bytes, size);
        if (!grown) {
            out->failed = true;
            return;
        }
        out->bytes = grown;
        out->room = size;
    }
    if (count > 0)
        memcpy(out->bytes + out->length, bytes, count);
    out->length += count;
}

void bp_json_put_string(bp_json_writer *out, const char *text, size_t length)
{
    bp_json_put(out, "\"", 1);
    size_t plain = 0; /* first byte not yet written */
    for (size_t index = 0; index < length; index++) {
        unsigned char byte = (unsigned char)text[index];
        if (byte >= 0x20 && byte != '"' && byte != '\\')
            continue;
        bp_json_put(out, text + plain, index - plain);
        plain = index + 1;
        char escape[7];
        if (byte >= 0x20)
            snprintf(escape, sizeof escape, "\\%c", byte);
        else if (byte == '\n')
            strcpy(escape, "\\n");
        else if (byte == '\t')
            strcpy(escape, "\\t");
        else if (byte == '\r')
            strcpy(escape, "\\r");
        else
            snprintf(escape, sizeof escape, "\\u%04x", byte);
        bp_json_put(out, escape, strlen(escape));
    }
    bp_json_put(out, text + plain, length - plain);
    bp_json_put(out, "\"", 1);
}

void bp_json_put_literal(bp_json_writer *out, const char *text)
{
    bp_json_put(out, text, strlen(text));
}

void bp_json_put_integer(bp_json_writer *out, int64_t value)
{
    char digits[24];
    size_t at = sizeof digits;
    uint64_t left = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    do
        digits[--at] = (char)('0' + left % 10);
    while ((left /= 10) > 0);
    if (value < 0)
        digits[--at] = '-';
    bp_json_put(out, digits + at, sizeof digits - at);
}

void bp_json_put_real(bp_json_writer *out, double value)
{
    if (!isfinite(value)) {
        bp_json_put_literal(out, isnan(value) ? "\"NaN\""
                                 : value > 0  ? "\"Infinity\""
                                              : "\"-Infinity\"");
        return;
    }
    char digits[BP_DECIMAL_SIZE];
    const size_t length = bp_decimal_format(digits, value);
    bp_json_put(out, digits, length);
    if (!memchr(digits, '.', length) && !memchr(digits, 'e', length))
        bp_json_put_literal(out, ".0");
}

void bp_json_put_value(bp_json_writer *out, const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT: {
        const char *key;
        json_t *member;
        const char *separator = "{";
        json_object_foreach(bp_json_mutable(value), key, member)
        {
            bp_json_put(out, separator, 1);
            bp_json_put_string(out, key, strlen(key));
            bp_json_put(out, ":", 1);
            bp_json_put_value(out, member);
            separator = ",";
        }
        bp_json_put(out, *separator == '{' ? "{}" : "}", *separator == '{' ? 2 : 1);
        break;
    }
    case JSON_ARRAY:
        bp_json_put(out, "[", 1);
        for (size_t index = 0; index < json_array_size(value); index++) {
            if (index)
                bp_json_put(out, ",", 1);
            bp_json_put_value(out, json_array_get(value, index));
        }
        bp_json_put(out, "]", 1);
        break;
    case JSON_STRING:
        bp_json_put_string(out, json_string_value(value), json_string_length(value));
        break;
    case JSON_INTEGER:
        bp_json_put_integer(out, json_integer_value(value));
        break;
    case JSON_REAL:
        bp_json_put_real(out, json_real_value(value));
        break;
    case JSON_TRUE:
        bp_json_put(out, "true", 4);
        break;
    case JSON_FALSE:
        bp_json_put(out, "false", 5);
        break;
    case JSON_NULL:
        bp_json_put(out, "null", 4);
        break;
    }
}
