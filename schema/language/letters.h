/* What words are made of: white space and lower case, by the Unicode character database, version 14,
 * whatever the locale. */
#ifndef BP_SCHEMA_LANGUAGE_LETTERS_H
#define BP_SCHEMA_LANGUAGE_LETTERS_H

#include <stdbool.h>
#include <stdint.h>

/* Whether a code point stands between words: White_Space, and the separators U+001C to U+001F, which is
 * what splits a text in Python. */
static inline bool bp_is_white_space(uint32_t code)
{
    if (code < 0x80)
        return (code >= 0x09 && code <= 0x0d) || (code >= 0x1c && code <= 0x20);
    return code == 0x85 || code == 0xa0 || code == 0x1680 || (code >= 0x2000 && code <= 0x200a) ||
           code == 0x2028 || code == 0x2029 || code == 0x202f || code == 0x205f || code == 0x3000;
}

/* The simple lower-case mapping of a code point; itself where it has none. One code point gives one, so
 * U+0130 gives i, and a final capital sigma σ. */
uint32_t bp_lowercase(uint32_t code);

#endif
