#include "server/upload/number_text.h"

#include <float.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { NUMBER_LENGTH_LIMIT = 1000 };

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* The parts of a number that matter to its value: mantissa · 10^exponent. */
typedef struct number_parts {
    uint64_t mantissa; /* of the first 19 significant digits */
    bool exact;        /* there are no further significant digits */
    long exponent;
    bool negative;
} number_parts;

static bool scan(number_parts *out, const char *at, const char *end)
{
    number_parts parts = {.exact = true};
    if (at < end && (*at == '+' || *at == '-'))
        parts.negative = *at++ == '-';
    size_t digit_count = 0;
    bool after_point = false;
    for (; at < end; at++) {
        if (*at == '.' && !after_point) {
            after_point = true;
            continue;
        }
        if (!is_digit(*at))
            break;
        digit_count++;
        if (parts.mantissa > (UINT64_MAX - 9) / 10) {
            parts.exact = false;
            continue;
        }
        parts.mantissa = parts.mantissa * 10 + (uint64_t)(*at - '0');
        parts.exponent -= after_point;
    }
    if (digit_count == 0)
        return false;
    if (at < end && (*at == 'e' || *at == 'E')) {
        at++;
        bool negative = false;
        if (at < end && (*at == '+' || *at == '-'))
            negative = *at++ == '-';
        if (at == end)
            return false;
        long exponent = 0;
        for (; at < end && is_digit(*at); at++)
            if (exponent < 100000)
                exponent = exponent * 10 + (*at - '0');
        parts.exponent += negative ? -exponent : exponent;
    }
    if (at != end)
        return false;
    *out = parts;
    return true;
}

/* Both operands exact, so that one IEEE operation rounds correctly (Clinger 1990, "How to read
 * floating point numbers accurately"). */
static bool fast_value(double *out, const number_parts *parts)
{
    static const double powers[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                    1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                    1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    if (!parts->exact || parts->mantissa > (UINT64_C(1) << 53) || parts->exponent < -22 ||
        parts->exponent > 22 || FLT_EVAL_METHOD != 0)
        return false;
    double value = (double)parts->mantissa;
    if (parts->exponent < 0)
        value /= powers[-parts->exponent];
    else
        value *= powers[parts->exponent];
    *out = parts->negative ? -value : value;
    return true;
}

bool bp_number_parse(double *out, const char *text, size_t length)
{
    while (length > 0 && (*text == ' ' || *text == '\t')) {
        text++;
        length--;
    }
    while (length > 0 && (text[length - 1] == ' ' || text[length - 1] == '\t'))
        length--;
    number_parts parts;
    if (length > NUMBER_LENGTH_LIMIT || !scan(&parts, text, text + length))
        return false;
    if (fast_value(out, &parts))
        return true;
    char copy[NUMBER_LENGTH_LIMIT + 1];
    memcpy(copy, text, length);
    copy[length] = '\0';
    double value = strtod(copy, NULL);
    if (!isfinite(value))
        return false;
    *out = value;
    return true;
}

static bool is_text(const char *text, size_t length, const char *wanted)
{
    return strlen(wanted) == length && strncasecmp(text, wanted, length) == 0;
}

bool bp_text_is_missing(const char *text, size_t length)
{
    switch (length) {
    case 0:
        return true;
    case 1:
        return *text == '?';
    case 2:
        return is_text(text, length, "na");
    case 3:
        return is_text(text, length, "nan") || is_text(text, length, "n/a");
    case 4:
        return is_text(text, length, "null");
    default:
        return false;
    }
}

int bp_text_boolean(const char *text, size_t length)
{
    if (is_text(text, length, "true"))
        return 1;
    return is_text(text, length, "false") ? 0 : -1;
}
