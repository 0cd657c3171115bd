/* Panels: B cut into strips of two vectors of columns, each strip stored k-major, so that a tile
 * reads it straight through. The last strip is padded with zeros to a whole number of 64-byte
 * lines, and may be one line wide where a panel is two. Layout of packed B, in elements: panel p
 * starts at p·BP_PANEL·k, and its row k' is its width long. */
#ifndef BP_CORE_KERNEL_GEMM_PANEL_H
#define BP_CORE_KERNEL_GEMM_PANEL_H

#include <stddef.h>

#include "core/kernel/gemm_vector.h"

enum { BP_PANEL = 2 * BP_LANES, BP_LINE = 64 / (BP_VARIANT_BITS / 8) };

/* Elements from one row to the next in the packed panel that begins at `column` of n. */
static inline size_t bp_panel_width(size_t n, size_t column)
{
    const size_t left = (n - column + BP_LINE - 1) / BP_LINE * BP_LINE;
    return left < BP_PANEL ? left : BP_PANEL;
}

/* Packs k rows and `columns` (1 to BP_PANEL) columns of B, rows `width` apart; columns up to
 * `width`, a whole number of vectors, become zero. One of B's strides is 1. */
void BP_VARIANT(bp_panel_pack)(bp_real *to, size_t width, const bp_real *b, size_t b_row_stride,
                               size_t b_column_stride, size_t k, size_t columns);

/* Reads `rows` rows of `count` elements, both 0 to BP_LANES, as the columns of x; the rest is 0. */
void BP_VARIANT(bp_square_load)(bp_vector x[BP_LANES], const bp_real *from, size_t stride,
                                size_t rows, size_t count);

#endif
