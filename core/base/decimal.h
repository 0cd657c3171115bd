/* Doubles as text, without the printf family. */
#ifndef BP_CORE_BASE_DECIMAL_H
#define BP_CORE_BASE_DECIMAL_H

#include <stddef.h>

enum { BP_DECIMAL_SIZE = 32 };

/* The shortest decimal that reads back as `value`: at most 17 significant digits, in the style of
 * %g: "0.01", "1e+300", "-0", "inf", "nan". Exponents below -5 and above 16 are written out. Ends
 * with a NUL; returns the length without it. Correctly rounded over the whole range. Any thread.
 * Source: Steele & White 1990, "How to print floating-point numbers accurately". */
size_t bp_decimal_format(char out[BP_DECIMAL_SIZE], double value);

#endif
