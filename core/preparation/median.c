/* Selection by digits: 64-bit keys that sort like the numbers are narrowed byte by byte from the
 * top. At most eight passes over what is left, so no order of the input is slow (files come from
 * outside). */
#include "core/math/order_key.h"
#include "core/preparation/feature_statistics.h"

enum { DIGIT_VALUES = 256 };

double bp_median(double *value, size_t count)
{
    const bool even = count % 2 == 0;
    size_t left = count;
    size_t rank = (count - 1) / 2; /* of the lower middle, among the keys left */
    uint64_t next = UINT64_MAX;    /* smallest key known to be above it */
    uint64_t key = 0;              /* of the lower middle, as far as it is known */
    for (int shift = 56; shift >= 0; shift -= 8) {
        size_t digit_count[DIGIT_VALUES] = {0};
        for (size_t i = 0; i < left; i++)
            digit_count[bp_order_key(value[i]) >> shift & 0xff]++;
        size_t digit = 0;
        while (rank >= digit_count[digit])
            rank -= digit_count[digit++];
        size_t kept = 0;
        for (size_t i = 0; i < left; i++) {
            const uint64_t other = bp_order_key(value[i]);
            const size_t other_digit = other >> shift & 0xff;
            if (other_digit == digit)
                value[kept++] = value[i];
            else if (other_digit > digit && other < next)
                next = other;
        }
        left = kept;
        key |= (uint64_t)digit << shift;
    }
    /* All keys left are equal now. */
    const double lower = bp_order_value(key);
    if (!even)
        return lower;
    const double upper = rank + 1 < left ? lower : bp_order_value(next);
    return (lower + upper) / 2;
}
