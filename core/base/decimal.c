#include "core/base/decimal.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* Nearly every number that is shown goes the short way: its digits by integers of 128 bits. The rest
 * goes the long way, by natural numbers of any size. Both give the shortest digits that read back, and of
 * these the nearest. */

enum { MANTISSA_BITS = 52, DIGIT_LIMIT = 17, POWER_LIMIT = 27 };

/* value = 0.d1d2d3… × 10^point */
typedef struct decimal {
    size_t count;
    int point;
    char digits[DIGIT_LIMIT];
} decimal;

/* ---- the short way ---- */

__extension__ typedef unsigned __int128 wide;

/* value = m · 2^e, m of 53 bits. With k chosen so that value · 10^k has 17 digits before its point, that is
 * 2m · 5^k / 2^t, t = 1 − e − k: exact in 128 bits for 0 ≤ k ≤ 27, which is from 1e-11 to 1e17. What reads
 * back as the value lies from (2m − 1) · 5^k / 2^t to (2m + 1) · 5^k / 2^t; the ends count where m is even.
 * Powers of two, below which doubles are twice as dense, go the long way. */
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

static const uint64_t ten_to_17 = UINT64_C(100000000000000000);

/* (whole + fraction / 2^t) / unit, unit one of 1, 10, 100, to the nearest whole number; of two the even. */
static uint64_t round_to(uint64_t whole, wide fraction, int t, uint64_t unit)
{
    const uint64_t quotient = whole / unit, rest = whole % unit;
    int side; /* of the half between two whole numbers */
    if (unit == 1) {
        const wide half = t > 0 ? (wide)1 << (t - 1) : 1;
        side = (fraction > half) - (fraction < half);
    } else {
        side = rest != unit / 2 ? (rest > unit / 2 ? 1 : -1) : fraction > 0;
    }
    return quotient + (side > 0 || (side == 0 && quotient % 2 == 1));
}

/* digits > 0, trailing zeros dropped; exponent: of the first of 17 places. */
static void spell(decimal *out, uint64_t digits, int exponent)
{
    out->point = exponent + 1 + (digits == ten_to_17);
    while (digits % 10 == 0)
        digits /= 10;
    size_t count = 0;
    for (uint64_t rest = digits; rest > 0; rest /= 10)
        count++;
    out->count = count;
    for (; count-- > 0; digits /= 10)
        out->digits[count] = (char)('0' + digits % 10);
}

/* False: not a number for the short way. value = mantissa · 2^exponent, 2^52 < mantissa < 2^53. */
static bool shortest_by_wide(decimal *out, uint64_t mantissa, int exponent)
{
    const int binary = exponent + MANTISSA_BITS;
    if (binary < -38 || binary > 56)
        return false;
    /* log10(2) · binary, rounded down: the decimal exponent or one less. */
    int first = (binary * 78913 - (binary < 0 ? 262143 : 0)) / 262144;
    for (;; first++) {
        const int k = DIGIT_LIMIT - 1 - first, t = 1 - exponent - k;
        if (k < 0 || k > POWER_LIMIT || t < 0)
            return false;
        const wide scaled = (wide)(2 * mantissa) * five_to[k];
        const uint64_t whole = (uint64_t)(scaled >> t);
        if (whole >= ten_to_17)
            continue;
        const wide fraction = scaled - ((wide)whole << t);
        const wide low = scaled - five_to[k], high = scaled + five_to[k];
        const bool open = mantissa % 2 == 1;
        for (uint64_t unit = 100;; unit /= 10) {
            const uint64_t digits = round_to(whole, fraction, t, unit) * unit;
            const wide back = (wide)digits << t;
            if (unit > 1 && (back < low + open || back > high - open))
                continue;
            spell(out, digits, first);
            return true;
        }
    }
}

/* ---- the long way ---- */

/* Natural numbers of up to 1280 bits, least significant word first: the largest here is
 * 10 · 2^54 · 2^1074, below 2^1132. */
enum { WORD_COUNT = 40 };
typedef struct natural {
    uint32_t word[WORD_COUNT];
} natural;

static natural natural_of(uint64_t value)
{
    return (natural){.word = {(uint32_t)value, (uint32_t)(value >> 32)}};
}

static void multiply(natural *x, uint32_t factor)
{
    uint64_t carry = 0;
    for (size_t i = 0; i < WORD_COUNT; i++) {
        carry += (uint64_t)x->word[i] * factor;
        x->word[i] = (uint32_t)carry;
        carry >>= 32;
    }
}

static void shift_left(natural *x, int count)
{
    for (; count >= 31; count -= 31)
        multiply(x, UINT32_C(1) << 31);
    multiply(x, UINT32_C(1) << count);
}

static void add(natural *x, const natural *y)
{
    uint64_t carry = 0;
    for (size_t i = 0; i < WORD_COUNT; i++) {
        carry += (uint64_t)x->word[i] + y->word[i];
        x->word[i] = (uint32_t)carry;
        carry >>= 32;
    }
}

/* x ≥ y is required. */
static void subtract(natural *x, const natural *y)
{
    uint64_t borrow = 0;
    for (size_t i = 0; i < WORD_COUNT; i++) {
        uint64_t difference = (uint64_t)x->word[i] - y->word[i] - borrow;
        x->word[i] = (uint32_t)difference;
        borrow = difference >> 63;
    }
}

/* Negative, 0 or positive, like strcmp. */
static int compare(const natural *x, const natural *y)
{
    for (size_t i = WORD_COUNT; i-- > 0;)
        if (x->word[i] != y->word[i])
            return x->word[i] < y->word[i] ? -1 : 1;
    return 0;
}

static int compare_sum(const natural *x, const natural *y, const natural *limit)
{
    natural sum = *x;
    add(&sum, y);
    return compare(&sum, limit);
}

/* Of mantissa · 2^exponent. numerator / denominator is what is left of the value, below and above (over
 * the same denominator) are the distances to the ends of what reads back as it. */
static void shortest_by_naturals(decimal *out, uint64_t mantissa, int exponent,
                                 bool lower_is_nearer)
{
    natural numerator = natural_of(mantissa), denominator = natural_of(1);
    natural below = natural_of(1), above = natural_of(1);
    /* Everything doubled, so that half a unit in the last place is a whole number. */
    int up = exponent > 0 ? exponent : 0, down = exponent < 0 ? -exponent : 0;
    int extra = lower_is_nearer ? 1 : 0; /* a power of two: the neighbour below is half as far */
    shift_left(&numerator, up + 1 + extra);
    shift_left(&denominator, down + 1 + extra);
    shift_left(&below, up);
    shift_left(&above, up + extra);
    bool even = mantissa % 2 == 0; /* then the ends of the interval round to the value too */

    out->point = 0;
    for (;;) { /* value + above reaches denominator: too large for a leading 0. */
        int order = compare_sum(&numerator, &above, &denominator);
        if (order < 0 || (order == 0 && !even))
            break;
        multiply(&denominator, 10);
        ++out->point;
    }
    for (;;) { /* (value + above) · 10 stays below denominator: the first digit would be 0 */
        natural larger = numerator, margin = above;
        multiply(&larger, 10);
        multiply(&margin, 10);
        int order = compare_sum(&larger, &margin, &denominator);
        if (order > 0 || (order == 0 && even))
            break;
        numerator = larger;
        above = margin;
        multiply(&below, 10);
        --out->point;
    }
    for (size_t count = 0;;) {
        multiply(&numerator, 10);
        multiply(&below, 10);
        multiply(&above, 10);
        char digit = '0';
        for (; compare(&numerator, &denominator) >= 0; digit++)
            subtract(&numerator, &denominator);
        int low_order = compare(&numerator, &below);
        int high_order = compare_sum(&numerator, &above, &denominator);
        bool low = low_order < 0 || (low_order == 0 && even);
        bool high = high_order > 0 || (high_order == 0 && even);
        if (low && high)
            high = compare_sum(&numerator, &numerator, &denominator) >= 0;
        if (high)
            digit++;
        out->digits[count++] = digit;
        out->count = count;
        if (low || high || count == DIGIT_LIMIT)
            return;
    }
}

/* ---- layout ---- */

/* As %g does. */
static size_t lay_out(char *out, const decimal *number)
{
    const char *digits = number->digits;
    const size_t count = number->count;
    const int point = number->point;
    char *at = out;
    int exponent = point - 1;
    bool scientific = exponent < -5 || exponent > 16;
    int before = scientific ? 1 : point; /* digits in front of the decimal point */
    if (before <= 0) {
        memcpy(at, "0.", 2);
        at += 2;
        for (; before < 0; before++)
            *at++ = '0';
        memcpy(at, digits, count);
        at += count;
    } else {
        for (size_t i = 0; i < count || i < (size_t)before; i++) {
            if (i == (size_t)before)
                *at++ = '.';
            *at++ = i < count ? digits[i] : '0';
        }
    }
    if (scientific) {
        *at++ = 'e';
        *at++ = exponent < 0 ? '-' : '+';
        int magnitude = exponent < 0 ? -exponent : exponent;
        if (magnitude >= 100)
            *at++ = (char)('0' + magnitude / 100);
        *at++ = (char)('0' + magnitude / 10 % 10);
        *at++ = (char)('0' + magnitude % 10);
    }
    *at = '\0';
    return (size_t)(at - out);
}

size_t bp_decimal_format(char out[BP_DECIMAL_SIZE], double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    uint64_t mantissa = bits & ((UINT64_C(1) << 52) - 1);
    int field = (int)(bits >> 52 & 0x7ff);
    size_t length = 0;
    if (bits >> 63 && !(field == 0x7ff && mantissa))
        out[length++] = '-';
    if (field == 0x7ff || (!field && !mantissa)) {
        const char *text = mantissa ? "nan" : field ? "inf" : "0";
        memcpy(out + length, text, strlen(text) + 1);
        return length + strlen(text);
    }
    const bool is_power = !mantissa;
    if (field)
        mantissa |= UINT64_C(1) << MANTISSA_BITS;
    const int exponent = (field ? field : 1) - 1075;
    decimal number;
    if (!field || is_power || !shortest_by_wide(&number, mantissa, exponent))
        shortest_by_naturals(&number, mantissa, exponent, is_power && field > 1);
    return length + lay_out(out + length, &number);
}
