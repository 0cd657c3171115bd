/* The innermost loops: tiles of C held in registers while k runs. */
#ifndef BP_CORE_KERNEL_GEMM_TILE_H
#define BP_CORE_KERNEL_GEMM_TILE_H

#include <stdbool.h>
#include <stddef.h>

#include "core/kernel/gemm_panel.h"

/* A strip of C one panel wide, over one block of k. Strides and steps in elements. */
typedef struct bp_strip {
    size_t rows, columns; /* columns: 1 to BP_PANEL, or of several panels for bp_tile_few */
    size_t k;
    const bp_real *a; /* at (0, first k of the block) */
    /* by_column: row i is at a[i + k·a_stride]; else at a[i·a_stride + k]. */
    bool by_column;
    size_t a_stride;
    const bp_real *b; /* rows b_stride apart, readable to whole vectors past `columns` */
    size_t b_stride;
    /* Where the first tile leaves the panel packed for the others, or NULL. Then columns is BP_PANEL
     * and rows more than BP_ROWS. */
    bp_real *b_copy;
    const bp_real *b_next; /* the packed panel to be read next, fetched meanwhile, or NULL */
    size_t b_panel_step;   /* bp_tile_few: from one panel to the next */
    bp_real *c;
    size_t c_stride;
    bool load;           /* continue from C; else from 0 */
    const bp_real *bias; /* (columns) added at the end, or NULL */
} bp_strip;

/* Runs the strip; leaves its pointers moved. */
void BP_VARIANT(bp_tile_strip)(bp_strip *strip);

/* One to BP_FEW_ROWS rows (A by row), `panels` full panels side by side: 1, 2 or 4; for three rows
 * 1 or 2. So few rows need several panels for enough independent sums. */
enum { BP_FEW_ROWS = 3 };
void BP_VARIANT(bp_tile_few)(bp_strip *strip, size_t panels);

#endif
