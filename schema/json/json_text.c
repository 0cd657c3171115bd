#include "schema/json/json_text.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "schema/json/json_writer.h"

char *bp_json_text(const json_t *value, size_t *out_length)
{
    bp_json_writer out = {0};
    bp_json_put_value(&out, value);
    if (out.failed) {
        free(out.bytes);
        return NULL;
    }
    out.bytes[out.length] = '\0';
    if (out_length)
        *out_length = out.length;
    return out.bytes;
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
