/* Numbers in text files: what counts as one, and its value. */
#ifndef BP_SERVER_UPLOAD_NUMBER_TEXT_H
#define BP_SERVER_UPLOAD_NUMBER_TEXT_H

#include <stdbool.h>
#include <stddef.h>

/* True when all of text is a decimal number, [+-] digits [. digits] [e [+-] digits] with at least one
 * digit before the exponent; blanks around it are allowed. Neither hexadecimal nor "inf" nor "nan" is
 * a number here. *out is the correctly rounded double, tiny values going to zero. False as well when it
 * is too large for a double or longer than 1,000 characters. Needs the C locale. Any thread. */
bool bp_number_parse(double *out, const char *text, size_t length);

/* A missing value: nothing, "NA", "N/A", "NaN", "null" or "?", in any case. */
bool bp_text_is_missing(const char *text, size_t length);

/* "true" gives 1, "false" 0, in any case; otherwise −1. */
int bp_text_boolean(const char *text, size_t length);

#endif
