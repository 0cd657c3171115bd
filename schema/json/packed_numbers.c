#include "schema/json/packed_numbers.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static unsigned byte_at(const double *values, size_t position)
{
    uint64_t bits;
    memcpy(&bits, &values[position / 8], sizeof bits);
    return (unsigned)(bits >> 8 * (position % 8) & 0xff);
}

/* Characters of count numbers; false on overflow. */
static bool text_length(size_t *out, size_t count)
{
    if (count > SIZE_MAX / 16)
        return false;
    *out = (count * 8 + 2) / 3 * 4;
    return true;
}

json_t *bp_packed_numbers_json(const double *values, size_t count)
{
    size_t length;
    char *text = text_length(&length, count) ? malloc(length + 1) : NULL;
    if (!text)
        return NULL;
    const size_t bytes = count * 8;
    char *to = text;
    for (size_t at = 0; at < bytes; at += 3) {
        const size_t left = bytes - at;
        const unsigned group = byte_at(values, at) << 16 |
                               (left > 1 ? byte_at(values, at + 1) << 8 : 0) |
                               (left > 2 ? byte_at(values, at + 2) : 0);
        *to++ = digits[group >> 18];
        *to++ = digits[group >> 12 & 63];
        *to++ = digits[group >> 6 & 63];
        *to++ = digits[group & 63];
    }
    if (bytes % 3 == 1)
        to[-2] = '=';
    if (bytes % 3 != 0)
        to[-1] = '=';
    json_t *json = json_stringn_nocheck(text, length);
    free(text);
    return json;
}

static int digit_value(char digit)
{
    const char *found = digit ? strchr(digits, digit) : NULL;
    return found ? (int)(found - digits) : -1;
}

bool bp_packed_numbers_read(double *out, size_t count, const json_t *json)
{
    size_t length;
    const char *text = json_string_value(json);
    if (!text || !text_length(&length, count) || json_string_length(json) != length)
        return false;
    int value_of[256];
    for (int byte = 0; byte < 256; byte++)
        value_of[byte] = digit_value((char)byte);
    const size_t bytes = count * 8, digit_count = (bytes * 8 + 5) / 6;
    uint64_t number = 0; /* its bytes so far, the last one topmost */
    unsigned held = 0, held_bits = 0;
    size_t at = 0;
    for (size_t i = 0; i < digit_count; i++) {
        const int value = value_of[(unsigned char)text[i]];
        if (value < 0)
            return false;
        held = (held << 6 | (unsigned)value) & 0x3fff;
        held_bits += 6;
        if (held_bits < 8)
            continue;
        held_bits -= 8;
        number = number >> 8 | (uint64_t)(held >> held_bits & 0xff) << 56;
        if (++at % 8 == 0)
            memcpy(&out[at / 8 - 1], &number, sizeof number);
    }
    for (size_t i = digit_count; i < length; i++)
        if (text[i] != '=')
            return false;
    return (held & ((1u << held_bits) - 1)) == 0;
}
