/* Dropout masks, made and applied in one go: out = m ∘ in · scale. Nothing of a mask is ever stored.
 *
 * m(row, unit) is 1 where its 32-bit word is below the threshold. With the units of a row in groups
 * of 64, unit u of row r owns word (u mod 64)/16 of Philox block 16·(u/64) + u mod 16 of row r: so 16
 * blocks side by side give the words of 64 units in their order. A word depends on the stream, the
 * row and the unit alone. */
#ifndef BP_CORE_KERNEL_MASK_H
#define BP_CORE_KERNEL_MASK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/random/random.h"

/* Numbers are of the kernel table's width. */
typedef struct bp_mask_call {
    void *out;      /* (rows, width) row-major; may be in, otherwise does not overlap it */
    const void *in; /* (rows, width) */
    size_t rows, width;
    bp_random random;   /* the mask's stream */
    uint64_t first_row; /* of the mask */
    /* Row r of in is under row first_row + passed + r of the mask; with a period, under
     * first_row + (passed + r) mod period. */
    uint64_t passed, period;
    uint32_t threshold; /* a word below it keeps */
    double scale;       /* of what is kept; the rest is +0, whatever it was */
} bp_mask_call;

#endif
