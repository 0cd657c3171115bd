#include "core/base/decimal.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

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

/* value = 0.d1d2d3… × 10^point, of the shortest digits inside the rounding interval of mantissa ·
 * 2^exponent. numerator / denominator is what is left of the value, below and above (over the same
 * denominator) are the distances to the ends of the interval. Returns the number of digits. */
static size_t shortest_digits(char digits[17], int *point, uint64_t mantissa, int exponent,
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

    *point = 0;
    for (;;) { /* value + above reaches denominator: too large for a leading 0. */
        int order = compare_sum(&numerator, &above, &denominator);
        if (order < 0 || (order == 0 && !even))
            break;
        multiply(&denominator, 10);
        ++*point;
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
        --*point;
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
        digits[count++] = digit;
        if (low || high || count == 17)
            return count;
    }
}

/* Lays the digits of 0.ddd × 10^point out as %g does. */
static size_t lay_out(char *out, const char *digits, size_t count, int point)
{
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
    bool lower_is_nearer = !mantissa && field > 1;
    if (field)
        mantissa |= UINT64_C(1) << 52;
    char digits[17];
    int point;
    size_t count =
        shortest_digits(digits, &point, mantissa, (field ? field : 1) - 1075, lower_is_nearer);
    return length + lay_out(out + length, digits, count, point);
}
