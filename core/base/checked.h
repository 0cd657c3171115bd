/* Arithmetic on sizes that come from outside. Each returns false, leaving *out alone, on overflow. */
#ifndef BP_CORE_BASE_CHECKED_H
#define BP_CORE_BASE_CHECKED_H

#include <stdbool.h>
#include <stddef.h>

#include "core/base/error.h"

BP_CHECK_RESULT static inline bool bp_checked_add(size_t *out, size_t a, size_t b)
{
    size_t sum;
    if (__builtin_add_overflow(a, b, &sum))
        return false;
    *out = sum;
    return true;
}

BP_CHECK_RESULT static inline bool bp_checked_multiply(size_t *out, size_t a, size_t b)
{
    size_t product;
    if (__builtin_mul_overflow(a, b, &product))
        return false;
    *out = product;
    return true;
}

/* Rounds up to a multiple of `alignment`, a power of two. */
BP_CHECK_RESULT static inline bool bp_checked_align(size_t *out, size_t value, size_t alignment)
{
    size_t sum;
    if (__builtin_add_overflow(value, alignment - 1, &sum))
        return false;
    *out = sum & ~(alignment - 1);
    return true;
}

#endif
