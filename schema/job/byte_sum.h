/* Sums of products of sizes, in bytes. */
#ifndef BP_SCHEMA_JOB_BYTE_SUM_H
#define BP_SCHEMA_JOB_BYTE_SUM_H

#include <stdbool.h>
#include <stdint.h>

typedef struct bp_byte_sum {
    uint64_t bytes;
    bool overflow; /* sticky */
} bp_byte_sum;

static inline void bp_byte_sum_add(bp_byte_sum *sum, uint64_t rows, uint64_t width, uint64_t size)
{
    uint64_t bytes;
    if (__builtin_mul_overflow(rows, width, &bytes) ||
        __builtin_mul_overflow(bytes, size, &bytes) ||
        __builtin_add_overflow(sum->bytes, bytes, &sum->bytes))
        sum->overflow = true;
}

#endif
