#include "server/http/url_text.h"

#include <string.h>

static int hex_value(char digit)
{
    if (digit >= '0' && digit <= '9')
        return digit - '0';
    if (digit >= 'a' && digit <= 'f')
        return digit - 'a' + 10;
    if (digit >= 'A' && digit <= 'F')
        return digit - 'A' + 10;
    return -1;
}

/* Bytes of the UTF-8 character at text, 0 where there is none. Overlong forms and surrogates are none. */
static size_t character_length(const unsigned char *text, size_t room)
{
    if (text[0] < 0x80)
        return 1;
    size_t length = text[0] >= 0xf0 ? 4 : text[0] >= 0xe0 ? 3 : 2;
    if (text[0] < 0xc2 || text[0] > 0xf4 || room < length)
        return 0;
    for (size_t i = 1; i < length; i++)
        if ((text[i] & 0xc0) != 0x80)
            return 0;
    if ((text[0] == 0xe0 && text[1] < 0xa0) || (text[0] == 0xed && text[1] > 0x9f) ||
        (text[0] == 0xf0 && text[1] < 0x90) || (text[0] == 0xf4 && text[1] > 0x8f))
        return 0;
    return length;
}

bool bp_percent_decode(char *text, size_t *length)
{
    size_t out = 0;
    for (size_t in = 0; in < *length; in++) {
        char character = text[in];
        if (character == '%') {
            if (*length - in < 3)
                return false;
            int high = hex_value(text[in + 1]), low = hex_value(text[in + 2]);
            if (high < 0 || low < 0)
                return false;
            character = (char)(high * 16 + low);
            in += 2;
        }
        if (character == '\0')
            return false;
        text[out++] = character;
    }
    text[out] = '\0';
    *length = out;
    for (size_t at = 0; at < out;) {
        size_t step = character_length((const unsigned char *)text + at, out - at);
        if (step == 0)
            return false;
        at += step;
    }
    return true;
}

void bp_text_repair(char *text)
{
    size_t left = strlen(text);
    while (left > 0) {
        size_t step = character_length((const unsigned char *)text, left);
        if (step == 0 || (unsigned char)*text < 0x20) {
            *text = '?';
            step = 1;
        }
        text += step;
        left -= step;
    }
}

static bool is_alphanumeric(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

bool bp_name_is_valid(const char *name)
{
    if (!is_alphanumeric(name[0]))
        return false;
    size_t length = 1;
    for (; name[length]; length++)
        if (!is_alphanumeric(name[length]) && !strchr("._-", name[length]))
            return false;
    return length <= 128;
}

bool bp_count_parse(uint64_t *out, const char *text)
{
    const uint64_t most = (UINT64_C(1) << 53) - 1;
    uint64_t value = 0;
    if (!*text)
        return false;
    for (; *text; text++) {
        if (*text < '0' || *text > '9')
            return false;
        value = value * 10 + (uint64_t)(*text - '0');
        if (value > most)
            return false;
    }
    *out = value;
    return true;
}

bool bp_seconds_parse(uint64_t *out_ms, const char *text)
{
    uint64_t value = 0;
    int decimals = -1; /* digits after the point; −1: no point yet */
    bool digit = false;
    for (; *text; text++) {
        if (*text == '.' && decimals < 0) {
            decimals = 0;
            continue;
        }
        if (*text < '0' || *text > '9' || decimals == 3 || value > 1000000000)
            return false;
        value = value * 10 + (uint64_t)(*text - '0');
        digit = true;
        if (decimals >= 0)
            decimals++;
    }
    if (!digit)
        return false;
    for (int i = decimals < 0 ? 0 : decimals; i < 3; i++)
        value *= 10;
    *out_ms = value;
    return true;
}
