#include "schema/json/json_text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct text {
    char *at;
    size_t length, size;
    bool failed; /* no memory; sticky */
} text;

static void put(text *out, const char *bytes, size_t count)
{
    if (out->failed)
        return;
    if (count >= out->size - out->length) { /* room for the final NUL */
        size_t size = out->size;
        while (count >= size - out->length) {
            if (size > SIZE_MAX / 2) {
                out->failed = true;
                return;
            }
            size = size ? 2 * size : 256;
        }
        char *grown = realloc(out->at, size);
        if (!grown) {
            out->failed = true;
            return;
        }
        out->at = grown;
        out->size = size;
    }
    memcpy(out->at + out->length, bytes, count);
    out->length += count;
}

static void put_string(text *out, const char *string, size_t length)
{
    put(out, "\"", 1);
    size_t plain = 0; /* first byte not yet written */
    for (size_t index = 0; index < length; index++) {
        unsigned char byte = (unsigned char)string[index];
        if (byte >= 0x20 && byte != '"' && byte != '\\')
            continue;
        put(out, string + plain, index - plain);
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
        put(out, escape, strlen(escape));
    }
    put(out, string + plain, length - plain);
    put(out, "\"", 1);
}

/* Eight times as fast as core's bp_decimal_format, at the price of libc's printf. */
static void put_real(text *out, double value)
{
    char digits[40];
    size_t length = 0;
    for (int precision = 15; precision <= 17; precision++) {
        length = (size_t)snprintf(digits, sizeof digits, "%.*g", precision, value);
        if (strtod(digits, NULL) == value)
            break;
    }
    if (!memchr(digits, '.', length) && !memchr(digits, 'e', length)) {
        memcpy(digits + length, ".0", 2);
        length += 2;
    }
    put(out, digits, length);
}

static void put_value(text *out, json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT: {
        const char *key;
        json_t *member;
        const char *separator = "{";
        json_object_foreach(value, key, member)
        {
            put(out, separator, 1);
            put_string(out, key, strlen(key));
            put(out, ":", 1);
            put_value(out, member);
            separator = ",";
        }
        put(out, *separator == '{' ? "{}" : "}", *separator == '{' ? 2 : 1);
        break;
    }
    case JSON_ARRAY:
        put(out, "[", 1);
        for (size_t index = 0; index < json_array_size(value); index++) {
            if (index)
                put(out, ",", 1);
            put_value(out, json_array_get(value, index));
        }
        put(out, "]", 1);
        break;
    case JSON_STRING:
        put_string(out, json_string_value(value), json_string_length(value));
        break;
    case JSON_INTEGER: {
        char digits[24];
        int length = snprintf(digits, sizeof digits, "%lld", (long long)json_integer_value(value));
        put(out, digits, (size_t)length);
        break;
    }
    case JSON_REAL:
        put_real(out, json_real_value(value));
        break;
    case JSON_TRUE:
        put(out, "true", 4);
        break;
    case JSON_FALSE:
        put(out, "false", 5);
        break;
    case JSON_NULL:
        put(out, "null", 4);
        break;
    }
}

char *bp_json_text(const json_t *value, size_t *out_length)
{
    text out = {0};
    put_value(&out, bp_json_mutable(value));
    if (out.failed) {
        free(out.at);
        return NULL;
    }
    out.at[out.length] = '\0';
    if (out_length)
        *out_length = out.length;
    return out.at;
}

json_t *bp_json_real(double value)
{
    if (isnan(value))
        return json_string("NaN");
    if (isinf(value))
        return json_string(value > 0 ? "Infinity" : "-Infinity");
    return json_real(value);
}

json_t *bp_json_number(double value)
{
    if (fabs(value) <= (double)BP_JSON_INTEGER_MAXIMUM && value == floor(value) &&
        !(value == 0 && signbit(value)))
        return json_integer((json_int_t)value);
    return bp_json_real(value);
}

bool bp_json_read_number(double *out, const json_t *value)
{
    if (json_is_number(value)) {
        *out = json_number_value(value);
        return true;
    }
    const char *string = json_string_value(value);
    if (!string)
        return false;
    if (!strcmp(string, "NaN"))
        *out = NAN;
    else if (!strcmp(string, "Infinity"))
        *out = INFINITY;
    else if (!strcmp(string, "-Infinity"))
        *out = -INFINITY;
    else
        return false;
    return true;
}

bool bp_json_is_whole(const json_t *value)
{
    return json_is_integer(value) ||
           (json_is_real(value) && json_real_value(value) == floor(json_real_value(value)));
}

bool bp_json_read_count(uint64_t *out, const json_t *value)
{
    /* Between 2^53 and 2^63 an integer may round as a double, but not to something in range. */
    const double count = json_number_value(value);
    if (!bp_json_is_whole(value) || count < 0 || count > (double)BP_JSON_INTEGER_MAXIMUM)
        return false;
    *out = (uint64_t)count;
    return true;
}

const char *bp_json_kind(const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return "an object";
    case JSON_ARRAY:
        return "an array";
    case JSON_STRING:
        return "a string";
    case JSON_INTEGER:
        return "a whole number";
    case JSON_REAL:
        return bp_json_is_whole(value) ? "a whole number" : "a number with a fraction";
    case JSON_TRUE:
    case JSON_FALSE:
        return "a boolean";
    case JSON_NULL:
        return "null";
    }
    return "nothing";
}
