/* Doubles as whole numbers that sort alike, for sorting and selecting by digits. Any thread. */
#ifndef BP_CORE_MATH_ORDER_KEY_H
#define BP_CORE_MATH_ORDER_KEY_H

#include <stdint.h>
#include <string.h>

#define BP_ORDER_SIGN (UINT64_C(1) << 63)

/* A key that sorts like the number, −0 just below 0. Not for NaN. */
static inline uint64_t bp_order_key(double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits & BP_ORDER_SIGN ? ~bits : bits | BP_ORDER_SIGN;
}

/* The number of a key. */
static inline double bp_order_value(uint64_t key)
{
    const uint64_t bits = key & BP_ORDER_SIGN ? key & ~BP_ORDER_SIGN : ~key;
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

#endif
