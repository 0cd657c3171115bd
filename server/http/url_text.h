/* What a URL is made of: percent-encoding, names, numbers. Pure functions; any thread. */
#ifndef BP_SERVER_HTTP_URL_TEXT_H
#define BP_SERVER_HTTP_URL_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BP_NAME_RULE                                                                               \
    "a letter or digit, then at most 127 letters, digits, dots, underscores or hyphens"

/* Decodes %XX in place; *length is that of text before and after, and text[*length] becomes a NUL.
 * False: a broken escape, or one of a NUL byte, or a result that is not UTF-8. */
bool bp_percent_decode(char *text, size_t *length);

/* Puts a question mark in place of every byte that is not part of UTF-8, and of control characters. */
void bp_text_repair(char *text);

/* BP_NAME_RULE. */
bool bp_name_is_valid(const char *name);

/* Decimal digits only, no sign, at most 2^53 − 1. */
bool bp_count_parse(uint64_t *out, const char *text);

/* Seconds with at most three decimals ("20", "0.25") to milliseconds. */
bool bp_seconds_parse(uint64_t *out_ms, const char *text);

#endif
