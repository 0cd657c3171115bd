/* The next token of a text that a language model writes: drawn by its probabilities, made sharper or flatter
 * by a temperature, of the most likely ones alone where that is asked for. */
#ifndef BP_CORE_LANGUAGE_TOKEN_SAMPLER_H
#define BP_CORE_LANGUAGE_TOKEN_SAMPLER_H

#include <stddef.h>
#include <stdint.h>

#include "core/base/dtype.h"
#include "core/random/random.h"

typedef struct bp_sampler_spec {
    double temperature; /* logits are divided by it; 0: always the most likely token */
    size_t top_count;   /* only so many of the most likely tokens, equal ones by id; 0: all */
} bp_sampler_spec;

/* Draws token number `step` of a text.
 *   logits   (count) of the model, finite, of dtype
 *   scratch  (2 · count) numbers of working space, aligned for double
 *   random   a stream of BP_RANDOM_GENERATE: the draw is a function of it, of step and of the logits
 * Computed in float64, sums in the order of ids, so the same on all processors. Linear in count but for
 * top_count, which takes count · log top_count. Allocates nothing. Any thread. */
int32_t bp_token_sample(const bp_sampler_spec *spec, const void *logits, bp_dtype dtype,
                        size_t count, double *scratch, const bp_random *random, uint64_t step);

#endif
