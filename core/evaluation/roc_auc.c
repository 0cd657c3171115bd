#include "core/evaluation/roc_auc.h"

#include <math.h>
#include <string.h>

#include "core/math/order_key.h"

enum { DIGIT_VALUES = 256 };

uint64_t bp_rank_key(double value)
{
    return bp_order_key(value + 0.0); /* −0 + 0 is 0 */
}

/* By digits from the lowest; those that all keys share are passed over (of float32 numbers, half). */
static void sort_keys(uint64_t *key, uint64_t *spare, size_t count)
{
    uint64_t *from = key, *to = spare;
    for (int shift = 0; shift < 64; shift += 8) {
        size_t start[DIGIT_VALUES] = {0};
        for (size_t i = 0; i < count; i++)
            start[from[i] >> shift & 0xff]++;
        if (count == 0 || start[from[0] >> shift & 0xff] == count)
            continue;
        size_t sum = 0;
        for (size_t digit = 0; digit < DIGIT_VALUES; digit++) {
            const size_t here = start[digit];
            start[digit] = sum;
            sum += here;
        }
        for (size_t i = 0; i < count; i++)
            to[start[from[i] >> shift & 0xff]++] = from[i];
        uint64_t *const kept = from;
        from = to;
        to = kept;
    }
    if (from != key)
        memcpy(key, from, count * sizeof *key);
}

double bp_roc_auc(uint64_t *key, uint64_t *spare, size_t positive, size_t count)
{
    const size_t negative = count - positive;
    const uint64_t *other = key + positive;
    if (positive == 0 || negative == 0)
        return NAN;
    sort_keys(key, spare, positive);
    sort_keys(key + positive, spare, negative);
    uint64_t halves = 0;             /* twice the pairs won */
    size_t below = 0, not_above = 0; /* others less than, and not greater than, the present key */
    for (size_t i = 0; i < positive; i++) {
        while (below < negative && other[below] < key[i])
            below++;
        while (not_above < negative && other[not_above] <= key[i])
            not_above++;
        halves += below + not_above;
    }
    return (double)halves / (2 * (double)positive * (double)negative);
}
