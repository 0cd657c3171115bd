#include "core/kernel/gemm_tile.h"

/* Loops over accumulators must vanish, or the accumulators would live in memory. */
#define BP_UNROLL _Pragma("GCC unroll 16")

/* Rows of B that a tile which reads B in place asks for ahead of time. */
enum { AHEAD = 16 };

/* `count` tiles of `rows` rows and `vectors` vectors, one below the other. All but the strip and
 * the count are constants where this is inlined. Moves the strip's A and C past them. */
/* NOLINTNEXTLINE(readability-function-size): one loop whose accumulators never leave registers */
BP_INLINE void tiles(bp_strip *strip, size_t count, const size_t rows, const size_t vectors,
                     const bool by_column, const bool copies)
{
    const size_t k_count = strip->k, b_stride = strip->b_stride, c_stride = strip->c_stride;
    const size_t a_stride = strip->a_stride;
    const size_t last = strip->columns - (vectors - 1) * BP_LANES;
    const bp_real *a_tile = strip->a;
    bp_real *c = strip->c;
    for (size_t tile = 0; tile < count; tile++, c += rows * c_stride) {
        bp_vector sum[BP_ROWS][2];
        if (!strip->load) {
            BP_UNROLL for (size_t i = 0; i < rows; i++)
                BP_UNROLL for (size_t v = 0; v < vectors; v++) sum[i][v] = bp_vector_set(0);
        } else if (last == BP_LANES) {
            BP_UNROLL for (size_t i = 0; i < rows; i++)
                BP_UNROLL for (size_t v = 0; v < vectors; v++) sum[i][v] =
                    bp_vector_load(c + i * c_stride + v * BP_LANES);
        } else {
            BP_UNROLL for (size_t i = 0; i < rows; i++)
            {
                if (vectors == 2)
                    sum[i][0] = bp_vector_load(c + i * c_stride);
                sum[i][vectors - 1] =
                    bp_vector_load_partial(c + i * c_stride + (vectors - 1) * BP_LANES, last, 0);
            }
        }

        const bp_real *b = strip->b;
        bp_real *copy = strip->b_copy;
        const bp_real *ahead = strip->b_next;
        const size_t ahead_step = ahead ? BP_LINE : 0;
        /* Rows by threes from one pointer each: base, base + stride and base + 2·stride are all
         * addressing modes, and twelve pointers would not fit the integer registers. */
        const bp_real *a[4] = {a_tile, a_tile + 3 * a_stride, a_tile + 6 * a_stride,
                               a_tile + 9 * a_stride};
        for (size_t k = 0; k < k_count; k++) {
            bp_vector column[2];
            BP_UNROLL for (size_t v = 0; v < vectors; v++) column[v] =
                bp_vector_load(b + v * BP_LANES);
            if (copies) {
                BP_UNROLL for (size_t v = 0; v < vectors; v++)
                    bp_vector_store(copy + v * BP_LANES, column[v]);
                copy += BP_PANEL;
                __builtin_prefetch(b + AHEAD * b_stride);
                __builtin_prefetch(b + AHEAD * b_stride + BP_LANES);
            }
            BP_UNROLL for (size_t i = 0; i < rows; i++)
            {
                const bp_real *element = by_column ? a[0] + i : a[i / 3] + i % 3 * a_stride;
                const bp_vector left = bp_vector_set(*element);
                BP_UNROLL for (size_t v = 0; v < vectors; v++) sum[i][v] =
                    bp_vector_fma(left, column[v], sum[i][v]);
            }
            if (!copies && rows > BP_ROWS / 2) {
                __builtin_prefetch(ahead, 0, 2);
                ahead += ahead_step;
            }
            b += b_stride;
            if (by_column)
                a[0] += a_stride;
            else
                BP_UNROLL for (size_t i = 0; i < (rows + 2) / 3; i++) a[i]++;
        }

        if (strip->bias) {
            bp_vector bias[2];
            if (vectors == 2)
                bias[0] = bp_vector_load(strip->bias);
            bias[vectors - 1] =
                bp_vector_load_partial(strip->bias + (vectors - 1) * BP_LANES, last, 0);
            BP_UNROLL for (size_t i = 0; i < rows; i++)
                BP_UNROLL for (size_t v = 0; v < vectors; v++) sum[i][v] += bias[v];
        }
        if (last == BP_LANES) {
            BP_UNROLL for (size_t i = 0; i < rows; i++)
                BP_UNROLL for (size_t v = 0; v < vectors; v++)
                    bp_vector_store(c + i * c_stride + v * BP_LANES, sum[i][v]);
        } else {
            BP_UNROLL for (size_t i = 0; i < rows; i++)
            {
                if (vectors == 2)
                    bp_vector_store(c + i * c_stride, sum[i][0]);
                bp_vector_store_partial(c + i * c_stride + (vectors - 1) * BP_LANES,
                                        sum[i][vectors - 1], last);
            }
        }
        a_tile += by_column ? rows : rows * a_stride;
        /* A line for each row of each tile: after two tiles the next panel is there. */
        strip->b_next = tile == 0 && ahead_step ? ahead : NULL;
    }
    strip->a = a_tile;
    strip->c = c;
}

/* Picks the code for one tile, of more than half of BP_ROWS, that copies its panel. */
BP_INLINE void tile_with_copy(bp_strip *strip, size_t rows, const bool by_column)
{
    switch (rows) {
#if BP_ROWS == 4
    case 3:
        tiles(strip, 1, 3, 2, by_column, true);
        break;
    case 4:
        tiles(strip, 1, 4, 2, by_column, true);
        break;
#elif BP_ROWS == 6
    case 4:
        tiles(strip, 1, 4, 2, by_column, true);
        break;
    case 5:
        tiles(strip, 1, 5, 2, by_column, true);
        break;
    case 6:
        tiles(strip, 1, 6, 2, by_column, true);
        break;
#else
    case 7:
        tiles(strip, 1, 7, 2, by_column, true);
        break;
    case 8:
        tiles(strip, 1, 8, 2, by_column, true);
        break;
    case 9:
        tiles(strip, 1, 9, 2, by_column, true);
        break;
    case 10:
        tiles(strip, 1, 10, 2, by_column, true);
        break;
    case 11:
        tiles(strip, 1, 11, 2, by_column, true);
        break;
    case 12:
        tiles(strip, 1, 12, 2, by_column, true);
        break;
#endif
    default:
        break;
    }
}

/* Picks the code for a tile of `rows` rows. */
BP_INLINE void tiles_of(bp_strip *strip, size_t count, size_t rows, const size_t vectors,
                        const bool by_column)
{
    switch (rows) {
    case 1:
        tiles(strip, count, 1, vectors, by_column, false);
        break;
    case 2:
        tiles(strip, count, 2, vectors, by_column, false);
        break;
    case 3:
        tiles(strip, count, 3, vectors, by_column, false);
        break;
    case 4:
        tiles(strip, count, 4, vectors, by_column, false);
        break;
#if defined(__AVX2__) || defined(__aarch64__)
    case 5:
        tiles(strip, count, 5, vectors, by_column, false);
        break;
    case 6:
        tiles(strip, count, 6, vectors, by_column, false);
        break;
#endif
#if defined(__AVX512F__) || defined(__aarch64__)
    case 7:
        tiles(strip, count, 7, vectors, by_column, false);
        break;
    case 8:
        tiles(strip, count, 8, vectors, by_column, false);
        break;
    case 9:
        tiles(strip, count, 9, vectors, by_column, false);
        break;
    case 10:
        tiles(strip, count, 10, vectors, by_column, false);
        break;
    case 11:
        tiles(strip, count, 11, vectors, by_column, false);
        break;
    case 12:
        tiles(strip, count, 12, vectors, by_column, false);
        break;
#endif
    default:
        break;
    }
}

static __attribute__((noinline)) void narrow_by_row(bp_strip *strip, size_t count, size_t rows)
{
    tiles_of(strip, count, rows, 1, false);
}

static __attribute__((noinline)) void narrow_by_column(bp_strip *strip, size_t count, size_t rows)
{
    tiles_of(strip, count, rows, 1, true);
}

static __attribute__((noinline)) void wide_by_row(bp_strip *strip, size_t count, size_t rows)
{
    tiles_of(strip, count, rows, 2, false);
}

static __attribute__((noinline)) void wide_by_column(bp_strip *strip, size_t count, size_t rows)
{
    tiles_of(strip, count, rows, 2, true);
}

static __attribute__((noinline)) void copy_by_row(bp_strip *strip, size_t rows)
{
    tile_with_copy(strip, rows, false);
}

static __attribute__((noinline)) void copy_by_column(bp_strip *strip, size_t rows)
{
    tile_with_copy(strip, rows, true);
}

void BP_VARIANT(bp_tile_strip)(bp_strip *strip)
{
    void (*run)(bp_strip *, size_t, size_t);
    if (strip->columns <= BP_LANES)
        run = strip->by_column ? narrow_by_column : narrow_by_row;
    else
        run = strip->by_column ? wide_by_column : wide_by_row;
    /* As even as possible, some tiles of `most` rows, then some of one row less: short tiles have
     * too few sums to hide the latency of an addition. */
    size_t count = (strip->rows + BP_ROWS - 1) / BP_ROWS;
    const size_t most = (strip->rows + count - 1) / count;
    const size_t fewer = most * count - strip->rows;
    if (strip->b_copy) {
        (strip->by_column ? copy_by_column : copy_by_row)(strip, most);
        strip->b = strip->b_copy;
        strip->b_stride = BP_PANEL;
        count--;
    }
    run(strip, count - fewer, most);
    if (fewer)
        run(strip, fewer, most - 1);
}

BP_INLINE void few(const bp_strip *strip, const size_t rows, const size_t panels)
{
    const size_t k_count = strip->k, a_stride = strip->a_stride, b_stride = strip->b_stride;
    const size_t panel_step = strip->b_panel_step, c_stride = strip->c_stride;
    /* A loop of one round: the compiler unrolls only inside a loop before it looks at arrays. */
    for (bool more = true; more; more = false) {
        bp_vector sum[BP_FEW_ROWS][8];
        BP_UNROLL for (size_t i = 0; i < rows; i++) BP_UNROLL for (size_t v = 0; v < 2 * panels;
                                                                   v++) sum[i][v] =
            strip->load ? bp_vector_load(strip->c + i * c_stride + v * BP_LANES) : bp_vector_set(0);
        const bp_real *a = strip->a, *b = strip->b;
        for (size_t k = 0; k < k_count; k++, a++, b += b_stride) {
            bp_vector left[BP_FEW_ROWS];
            BP_UNROLL for (size_t i = 0; i < rows; i++) left[i] = bp_vector_set(a[i * a_stride]);
            BP_UNROLL for (size_t v = 0; v < 2 * panels; v++)
            {
                const bp_vector column = bp_vector_load(b + v / 2 * panel_step + v % 2 * BP_LANES);
                BP_UNROLL for (size_t i = 0; i < rows; i++) sum[i][v] =
                    bp_vector_fma(left[i], column, sum[i][v]);
            }
        }
        BP_UNROLL for (size_t v = 0; v < 2 * panels; v++)
        {
            if (strip->bias) {
                const bp_vector bias = bp_vector_load(strip->bias + v * BP_LANES);
                BP_UNROLL for (size_t i = 0; i < rows; i++) sum[i][v] += bias;
            }
            BP_UNROLL for (size_t i = 0; i < rows; i++)
                bp_vector_store(strip->c + i * c_stride + v * BP_LANES, sum[i][v]);
        }
    }
}

void BP_VARIANT(bp_tile_few)(bp_strip *strip, size_t panels)
{
    if (strip->rows == 1 && panels == 4)
        few(strip, 1, 4);
    else if (strip->rows == 1 && panels == 2)
        few(strip, 1, 2);
    else if (strip->rows == 2 && panels == 4)
        few(strip, 2, 4);
    else if (strip->rows == 2 && panels == 2)
        few(strip, 2, 2);
    else if (strip->rows == 3 && panels == 2)
        few(strip, 3, 2);
    else
        BP_VARIANT(bp_tile_strip)(strip);
}
