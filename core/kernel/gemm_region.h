/* A rectangle of C, computed from start to end by one thread, in one of several ways. */
#ifndef BP_CORE_KERNEL_GEMM_REGION_H
#define BP_CORE_KERNEL_GEMM_REGION_H

#include <stdbool.h>
#include <stddef.h>

#include "core/kernel/gemm.h"
#include "core/kernel/gemm_panel.h"

/* Rows of a panel that fill 32 KiB: with a tile's rows of A they stay in a first-level cache. */
enum { BP_K_BLOCK = 32768 / (BP_PANEL * (BP_VARIANT_BITS / 8)) };

typedef struct bp_region {
    const bp_gemm_call *call;
    size_t row, rows, column, columns; /* column is a multiple of BP_PANEL */
} bp_region;

static inline size_t bp_smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

static inline size_t bp_parts(size_t total, size_t part)
{
    return (total + part - 1) / part;
}

/* Blocks of k as even as possible. */
static inline size_t bp_k_step(size_t k)
{
    return k ? bp_parts(k, bp_parts(k, BP_K_BLOCK)) : 0;
}

/* One to BP_FEW_ROWS rows, A by row: several panels at a time. */
void BP_VARIANT(bp_region_few)(const bp_region *region);

/* Any number of rows. */
void BP_VARIANT(bp_region_rows)(const bp_region *region);

/* Where B's rows are adjacent (weights as a layer stores them) and A's columns: Cᵀ = Bᵀ·Aᵀ. A is
 * packed instead of B, and C transposed on its way out. Wants unpacked B. */
void BP_VARIANT(bp_region_swapped)(const bp_region *region);

#endif
