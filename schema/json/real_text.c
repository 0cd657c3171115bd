#include "schema/json/real_text.h"

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

__extension__ typedef unsigned __int128 wide;

/* v = m · 2^e, m of 53 bits. With k chosen so that v · 10^k has 17 digits before its point, that is
 * 4m · 5^k / 2^t, t = 2 − e − k: exact in 128 bits for 0 ≤ k ≤ 27, which is from 1e-11 to 1e17 and so nearly
 * every metric. What reads back as v lies from (4m − 2) · 5^k / 2^t to (4m + 2) · 5^k / 2^t; below a power of
 * two doubles are twice as dense, and it begins at 4m − 1. The ends count where m is even. */
enum { MANTISSA_BITS = 52, POWER_LIMIT = 27, DIGITS = 17 };

static const uint64_t five_to[POWER_LIMIT + 1] = {
    1u,
    5u,
    25u,
    125u,
    625u,
    3125u,
    15625u,
    78125u,
    390625u,
    1953125u,
    9765625u,
    48828125u,
    244140625u,
    1220703125u,
    6103515625u,
    30517578125u,
    152587890625u,
    762939453125u,
    3814697265625u,
    19073486328125u,
    95367431640625u,
    476837158203125u,
    2384185791015625u,
    11920928955078125u,
    59604644775390625u,
    298023223876953125u,
    1490116119384765625u,
    7450580596923828125u,
};

#define TEN_TO_17 100000000000000000u

typedef struct decimal {
    uint64_t digits; /* d · 10^16 or so: the value's digits with zeros behind */
    int exponent;    /* value = d.ddd… · 10^exponent */
    int precision;   /* 15, 16 or 17 */
} decimal;

/* digits · unit is the multiple of unit (1, 10, 100) nearest to whole + fraction / 2^t; of two the even. */
static uint64_t round_to(uint64_t whole, wide fraction, int t, uint64_t unit)
{
    const uint64_t quotient = whole / unit, rest = whole % unit;
    int side; /* of the half between two multiples */
    if (unit == 1) {
        const wide half = t > 0 ? (wide)1 << (t - 1) : 1;
        side = (fraction > half) - (fraction < half);
    } else {
        side = rest != unit / 2 ? (rest > unit / 2 ? 1 : -1) : fraction > 0;
    }
    return quotient + (side > 0 || (side == 0 && quotient % 2 == 1));
}

/* False: out of the range above. value > 0, finite. */
static bool shorten(decimal *out, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    const int binary = (int)(bits >> MANTISSA_BITS) - 1023;
    if (binary < -38 || binary > 56)
        return false;
    const uint64_t one = (uint64_t)1 << MANTISSA_BITS;
    const uint64_t mantissa = (bits & (one - 1)) | one;
    /* log10(2) · binary, rounded down: the decimal exponent or one less. */
    int exponent = (binary * 78913 - (binary < 0 ? 262143 : 0)) / 262144;
    for (;; exponent++) {
        const int k = DIGITS - 1 - exponent, t = 2 - (binary - MANTISSA_BITS) - k;
        if (k < 0 || k > POWER_LIMIT || t < 0)
            return false;
        const wide scaled = (wide)(4 * mantissa) * five_to[k];
        const uint64_t whole = (uint64_t)(scaled >> t);
        if (whole >= TEN_TO_17)
            continue;
        const wide fraction = scaled - ((wide)whole << t);
        const wide low = scaled - (wide)(mantissa == one ? 1 : 2) * five_to[k];
        const wide high = scaled + (wide)2 * five_to[k];
        const bool open = mantissa % 2 == 1;
        uint64_t unit = 100;
        for (int precision = DIGITS - 2;; precision++, unit /= 10) {
            const uint64_t digits = round_to(whole, fraction, t, unit) * unit;
            const wide back = (wide)digits << t;
            if (unit > 1 && (back < low + open || back > high - open))
                continue;
            *out = (decimal){.digits = digits,
                             .exponent = exponent + (digits == TEN_TO_17),
                             .precision = precision};
            return true;
        }
    }
}

/* As %.*g lays it out, and with a point. */
static size_t lay_out(char *out, const decimal *number)
{
    char digits[24] = "";
    size_t count = 0, length = 0;
    uint64_t left = number->digits;
    while (left % 10 == 0)
        left /= 10;
    for (uint64_t rest = left; rest > 0; rest /= 10)
        count++;
    for (size_t at = count; at-- > 0; left /= 10)
        digits[at] = (char)('0' + left % 10);
    const int exponent = number->exponent;
    if (exponent < -4 || exponent >= number->precision) {
        out[length++] = digits[0];
        if (count > 1) {
            out[length++] = '.';
            memcpy(out + length, digits + 1, count - 1);
            length += count - 1;
        }
        const int size = exponent < 0 ? -exponent : exponent;
        out[length++] = 'e';
        out[length++] = exponent < 0 ? '-' : '+';
        out[length++] = (char)('0' + size / 10);
        out[length++] = (char)('0' + size % 10);
        return length;
    }
    size_t at = 0;
    for (int place = exponent < 0 ? 0 : exponent; place >= 0 || at < count; place--) {
        if (place == -1)
            out[length++] = '.';
        out[length++] = place <= exponent && at < count ? digits[at++] : '0';
    }
    if (exponent + 1 >= (int)count) {
        memcpy(out + length, ".0", 2);
        length += 2;
    }
    return length;
}

/* Any double, at the price of libc's printf. */
static size_t try_precisions(char *out, double value)
{
    size_t length = 0;
    for (int precision = 15; precision <= 17; precision++) {
        length = (size_t)snprintf(out, BP_REAL_TEXT_SIZE, "%.*g", precision, value);
        if (strtod(out, NULL) == value)
            break;
    }
    if (!memchr(out, '.', length) && !memchr(out, 'e', length)) {
        memcpy(out + length, ".0", 2);
        length += 2;
    }
    return length;
}

size_t bp_real_text(char out[BP_REAL_TEXT_SIZE], double value)
{
    const double size = fabs(value);
    const size_t sign = signbit(value) ? 1 : 0;
    decimal number;
    size_t length;
    if (sign)
        out[0] = '-';
    if (size == 0) {
        memcpy(out + sign, "0.0", 3);
        length = sign + 3;
    } else if (shorten(&number, size)) {
        length = sign + lay_out(out + sign, &number);
    } else {
        length = try_precisions(out, value);
    }
    out[length] = '\0';
    return length;
}
