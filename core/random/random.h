/* Counter-based random numbers: Philox 4×32 with 10 rounds. A number is a pure function of what it is
 * for, so there is no state to save, and no order in which numbers must be drawn.
 *
 * A stream is one (seed, layer, purpose, step); inside it, (row, unit) names a number.
 * Source: Salmon, Moraes, Dror & Shaw 2011, "Parallel random numbers: as easy as 1, 2, 3". */
#ifndef BP_CORE_RANDOM_RANDOM_H
#define BP_CORE_RANDOM_RANDOM_H

#include <stddef.h>
#include <stdint.h>

/* What a stream is for: streams of different purposes never share a number. Append only: the values
 * are part of what a seed means. */
typedef enum bp_random_purpose {
    BP_RANDOM_INITIALIZE = 1,   /* layer: index in network.layers */
    BP_RANDOM_SHUFFLE = 2,      /* step: epoch */
    BP_RANDOM_SPLIT = 3,        /* validation and test parts */
    BP_RANDOM_CHECK_SAMPLE = 4, /* elements that a gradient check looks at; layer: tensor */
    BP_RANDOM_DROPOUT = 5,      /* masks of a training step; layer: index in network.layers */
    BP_RANDOM_SAMPLE = 6,       /* masks of a sampled prediction; step: number of the sample */
    BP_RANDOM_CORRUPTION = 7,   /* corrupted windows; step: epoch, row: place in its order;
                                 2^64 − 1 for evaluations, row: the row */
    BP_RANDOM_GENERATE = 8      /* tokens of a generated text; row: its number in it */
} bp_random_purpose;

typedef struct bp_random {
    uint32_t key[2]; /* derived from (seed, layer, purpose, step) by one Philox block */
} bp_random;

bp_random bp_random_stream(uint64_t seed, uint32_t layer, bp_random_purpose purpose, uint64_t step);

/* 128 random bits for counter (row, block). */
void bp_random_block(uint32_t out[4], const bp_random *random, uint64_t row, uint64_t block);

/* 64 random bits for (row, unit): half (unit mod 2) of block unit/2. */
uint64_t bp_random_bits(const bp_random *random, uint64_t row, uint64_t unit);

/* Uniform in [0, 1), 53 bits. */
double bp_random_uniform(const bp_random *random, uint64_t row, uint64_t unit);

/* Standard normal deviate: inverse of the normal distribution (Wichura 1988, AS 241) at a uniform
 * number in (0, 1); uses the core's own log. */
double bp_random_normal(const bp_random *random, uint64_t row, uint64_t unit);

/* Fisher–Yates permutation of 0 … count−1, unbiased (rejection, further units of the same row). */
void bp_random_permutation(size_t *out, size_t count, const bp_random *random);

#endif
