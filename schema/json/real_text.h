/* A finite double as the shortest decimal that reads back as it. */
#ifndef BP_SCHEMA_JSON_REAL_TEXT_H
#define BP_SCHEMA_JSON_REAL_TEXT_H

#include <stddef.h>

enum { BP_REAL_TEXT_SIZE = 32 };

/* The text of printf's %.15g, %.16g or %.17g, whichever is the first that reads back as value, with ".0"
 * behind where it would look like a whole number. Returns its length; NUL-terminated. Any thread, in
 * the "C" locale. */
size_t bp_real_text(char out[BP_REAL_TEXT_SIZE], double value);

#endif
