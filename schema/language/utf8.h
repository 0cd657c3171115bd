/* UTF-8, a byte at a time: what is well-formed is table 3-7 of the Unicode standard, so overlong forms,
 * surrogates and values above U+10FFFF are not. NUL is a character like others here. */
#ifndef BP_SCHEMA_LANGUAGE_UTF8_H
#define BP_SCHEMA_LANGUAGE_UTF8_H

#include <stddef.h>
#include <stdint.h>

enum { BP_UTF8_BYTES = 4, BP_CODE_POINT_COUNT = 0x110000 };

/* Zeroed: between two characters. */
typedef struct bp_utf8 {
    unsigned pending;        /* continuation bytes still to come */
    unsigned char low, high; /* what the next one may be */
    uint32_t code;           /* bits so far; the code point after BP_UTF8_CHARACTER */
} bp_utf8;

typedef enum bp_utf8_step { BP_UTF8_INSIDE, BP_UTF8_CHARACTER, BP_UTF8_BAD } bp_utf8_step;

/* One byte more. After BP_UTF8_BAD the state must be zeroed before it is used again. */
static inline bp_utf8_step bp_utf8_take(bp_utf8 *utf8, unsigned char byte)
{
    if (utf8->pending > 0) {
        if (byte < utf8->low || byte > utf8->high)
            return BP_UTF8_BAD;
        utf8->low = 0x80;
        utf8->high = 0xbf;
        utf8->code = utf8->code << 6 | (byte & 0x3fu);
        return --utf8->pending > 0 ? BP_UTF8_INSIDE : BP_UTF8_CHARACTER;
    }
    if (byte < 0x80) {
        utf8->code = byte;
        return BP_UTF8_CHARACTER;
    }
    utf8->low = byte == 0xe0 ? 0xa0 : byte == 0xf0 ? 0x90 : 0x80;
    utf8->high = byte == 0xed ? 0x9f : byte == 0xf4 ? 0x8f : 0xbf;
    if (byte >= 0xc2 && byte <= 0xdf) {
        utf8->pending = 1;
        utf8->code = byte & 0x1fu;
    } else if (byte >= 0xe0 && byte <= 0xef) {
        utf8->pending = 2;
        utf8->code = byte & 0x0fu;
    } else if (byte >= 0xf0 && byte <= 0xf4) {
        utf8->pending = 3;
        utf8->code = byte & 0x07u;
    } else {
        return BP_UTF8_BAD;
    }
    return BP_UTF8_INSIDE;
}

/* Writes a code point and returns its bytes, 1 to 4. */
static inline size_t bp_utf8_put(char out[static BP_UTF8_BYTES], uint32_t code)
{
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    if (code < 0x800) {
        out[0] = (char)(0xc0 | code >> 6);
        out[1] = (char)(0x80 | (code & 0x3f));
        return 2;
    }
    if (code < 0x10000) {
        out[0] = (char)(0xe0 | code >> 12);
        out[1] = (char)(0x80 | (code >> 6 & 0x3f));
        out[2] = (char)(0x80 | (code & 0x3f));
        return 3;
    }
    out[0] = (char)(0xf0 | code >> 18);
    out[1] = (char)(0x80 | (code >> 12 & 0x3f));
    out[2] = (char)(0x80 | (code >> 6 & 0x3f));
    out[3] = (char)(0x80 | (code & 0x3f));
    return 4;
}

#endif
