/* Nest of the product, outermost first: tasks (rows × panels of columns), blocks of rows, blocks of
 * k, panels, tiles. Only k's order matters to the result, and it ascends everywhere; a block of k
 * that is not the first takes its sums up from C, exactly where they were left. */
#include "core/kernel/gemm.h"

#include <stdint.h>

#include "core/activation/activation.h"
#include "core/kernel/gemm_tile.h"
#include "core/kernel/gemm_variant.h"

enum {
    /* Rows of a panel that fill 32 KiB: with a tile of A they stay in a first-level cache. */
    K_BLOCK = 32768 / (BP_PANEL * (BP_VARIANT_BITS / 8)),
    /* Rows of A that are packed together: with the panel's buffer at most 128 KiB of stack. */
    ROW_BLOCK = 94208 / (K_BLOCK * (BP_VARIANT_BITS / 8)) / BP_ROWS * BP_ROWS,
    /* Panels from which a copy of A, read once for each, is worth its time. */
    PACK_A_PANELS = 4,
    /* Arithmetic operations below which a product stays in its caller's thread. */
    SPLIT_LIMIT = 1000000,
    /* Regions that a product is cut into, at least where it has so many panels and rows. */
    SPLIT_PARTS = 8,
    SPLIT_PANELS = 8,
    SPLIT_ROWS = 4 * BP_ROWS,
};

/* One task's share of C. */
typedef struct region {
    const bp_gemm_call *call;
    size_t row, rows, column, columns; /* column is a multiple of BP_PANEL */
} region;

/* Where tiles read a block of k of some panels of B. */
typedef struct panel_view {
    const bp_real *b;
    size_t stride, panel_step;
} panel_view;

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

static size_t parts_of(size_t total, size_t part)
{
    return (total + part - 1) / part;
}

/* Rows k to k + k_count of the panels at `column`, `columns` wide, all of them full where there are
 * several. Packs into `buffer` (BP_PANEL·K_BLOCK elements) what tiles cannot read in place. */
static panel_view panels_at(const bp_gemm_call *call, bp_real *buffer, size_t column,
                            size_t columns, size_t k, size_t k_count, bool in_place)
{
    if (call->packed_b) {
        const size_t width = bp_panel_width(call->n, column);
        const bp_real *packed = call->packed_b;
        return (panel_view){packed + column * call->k + k * width, width, BP_PANEL * call->k};
    }
    const bp_real *b = call->b;
    b += column * call->b_column_stride + k * call->b_row_stride;
    if (in_place && call->b_column_stride == 1 && columns % BP_PANEL == 0)
        return (panel_view){b, call->b_row_stride, BP_PANEL};
    const size_t width = parts_of(smaller(columns, BP_PANEL), BP_LANES) * BP_LANES;
    for (size_t done = 0; done < columns; done += BP_PANEL)
        BP_VARIANT(bp_panel_pack)
    (buffer + done * k_count, width, b + done * call->b_column_stride, call->b_row_stride,
     call->b_column_stride, k_count, smaller(columns - done, BP_PANEL));
    return (panel_view){buffer, width, BP_PANEL * k_count};
}

/* The strip at a block of k, with all but A and B filled in. */
static bp_strip strip_at(const bp_gemm_call *call, size_t row, size_t rows, size_t column,
                         size_t columns, size_t k, size_t k_count)
{
    const bool last = k + k_count == call->k;
    return (bp_strip){
        .rows = rows,
        .columns = columns,
        .k = k_count,
        .c = (bp_real *)call->c + row * call->c_row_stride + column,
        .c_stride = call->c_row_stride,
        .load = call->accumulate || k > 0,
        .bias = last && call->bias ? (const bp_real *)call->bias + column : NULL,
    };
}

/* Points the strip at A where it is. */
static void read_in_place(bp_strip *strip, const bp_gemm_call *call, size_t row, size_t k)
{
    strip->a = (const bp_real *)call->a + row * call->a_row_stride + k * call->a_column_stride;
    strip->by_column = call->a_column_stride != 1;
    strip->a_stride = strip->by_column ? call->a_column_stride : call->a_row_stride;
}

/* Copies `rows` rows by k_count columns of A, tile by tile. */
static void pack_rows(bp_real *to, const bp_gemm_call *call, size_t row, size_t rows, size_t k,
                      size_t k_count)
{
    const bp_real *a =
        (const bp_real *)call->a + row * call->a_row_stride + k * call->a_column_stride;
    while (rows > 0) {
        const size_t tile = bp_tile_rows(rows);
        if (call->a_column_stride == 1)
            BP_VARIANT(bp_rows_pack)(to, a, call->a_row_stride, k_count, tile);
        else
            BP_VARIANT(bp_columns_pack)(to, a, call->a_column_stride, k_count, tile);
        a += tile * call->a_row_stride;
        to += tile * k_count;
        rows -= tile;
    }
}

static void activate(const region *part, size_t row, size_t rows)
{
    const bp_gemm_call *call = part->call;
    if (!call->activation)
        return;
    const size_t stride = call->c_row_stride;
    const size_t at = row * stride + part->column;
    const bp_real *z = (const bp_real *)call->c + at;
    bp_real *a = (bp_real *)call->activated + at;
    if (part->columns == stride) {
        call->activation->forward(z, a, rows, stride, call->activation_value);
        return;
    }
    for (size_t i = 0; i < rows; i++, z += stride, a += stride)
        call->activation->forward(z, a, 1, part->columns, call->activation_value);
}

/* One to BP_FEW_ROWS rows of A by row: several panels at a time. */
static void run_few(const region *part)
{
    const bp_gemm_call *call = part->call;
    const size_t k_limit = K_BLOCK / 4;
    _Alignas(64) bp_real buffer[BP_PANEL * K_BLOCK];
    for (size_t done = 0; done < part->columns;) {
        const size_t panels = (part->columns - done) / BP_PANEL;
        const size_t group = panels >= 4 && part->rows < 3 ? 4 : panels >= 2 ? 2 : 1;
        const size_t columns = smaller(group * BP_PANEL, part->columns - done);
        const size_t column = part->column + done;
        const bool packs = !call->packed_b && (call->b_column_stride != 1 || columns < BP_PANEL);
        size_t k = 0;
        do {
            const size_t k_count = packs ? smaller(k_limit, call->k - k) : call->k;
            const panel_view view = panels_at(call, buffer, column, columns, k, k_count, true);
            bp_strip strip = strip_at(call, part->row, part->rows, column, columns, k, k_count);
            read_in_place(&strip, call, part->row, k);
            strip.b = view.b;
            strip.b_stride = view.stride;
            strip.b_panel_step = view.panel_step;
            BP_VARIANT(bp_tile_few)(&strip, group);
            k += k_count;
        } while (k < call->k);
        done += columns;
    }
}

/* All panels of the region over rows whose A is read in place. */
static __attribute__((noinline)) void run_in_place(const region *part, size_t k_step)
{
    const bp_gemm_call *call = part->call;
    _Alignas(64) bp_real buffer[BP_PANEL * K_BLOCK];
    const bool b_in_place = part->rows <= BP_ROWS;
    size_t k = 0;
    do {
        const size_t k_count = smaller(k_step, call->k - k);
        for (size_t done = 0; done < part->columns; done += BP_PANEL) {
            const size_t columns = smaller(BP_PANEL, part->columns - done);
            const size_t column = part->column + done;
            const panel_view view =
                panels_at(call, buffer, column, columns, k, k_count, b_in_place);
            bp_strip strip = strip_at(call, part->row, part->rows, column, columns, k, k_count);
            read_in_place(&strip, call, part->row, k);
            strip.b = view.b;
            strip.b_stride = view.stride;
            BP_VARIANT(bp_tile_strip)(&strip);
        }
        k += k_count;
    } while (k < call->k);
}

/* The same for at most ROW_BLOCK rows, with A packed first. */
static __attribute__((noinline)) void run_packed(const region *part, size_t row, size_t rows,
                                                 size_t k_step)
{
    const bp_gemm_call *call = part->call;
    _Alignas(64) bp_real buffer[BP_PANEL * K_BLOCK];
    _Alignas(64) bp_real a_buffer[ROW_BLOCK * K_BLOCK + BP_LANES];
    size_t k = 0;
    do {
        const size_t k_count = smaller(k_step, call->k - k);
        pack_rows(a_buffer, call, row, rows, k, k_count);
        for (size_t done = 0; done < part->columns; done += BP_PANEL) {
            const size_t columns = smaller(BP_PANEL, part->columns - done);
            const size_t column = part->column + done;
            const panel_view view = panels_at(call, buffer, column, columns, k, k_count, false);
            bp_strip strip = strip_at(call, row, rows, column, columns, k, k_count);
            strip.a = a_buffer;
            strip.by_column = true;
            strip.b = view.b;
            strip.b_stride = view.stride;
            BP_VARIANT(bp_tile_strip)(&strip);
        }
        k += k_count;
    } while (k < call->k);
}

static void run_region(const region *part)
{
    const bp_gemm_call *call = part->call;
    if (part->rows <= BP_FEW_ROWS && call->a_column_stride == 1) {
        run_few(part);
        activate(part, part->row, part->rows);
        return;
    }
    const size_t k_step = call->k ? parts_of(call->k, parts_of(call->k, K_BLOCK)) : 0;
    /* A copy of A pays once enough panels read it. */
    if (part->columns < PACK_A_PANELS * BP_PANEL || part->rows <= BP_ROWS) {
        run_in_place(part, k_step);
        activate(part, part->row, part->rows);
        return;
    }
    const size_t step = parts_of(part->rows, parts_of(part->rows, ROW_BLOCK));
    for (size_t done = 0; done < part->rows; done += step) {
        const size_t rows = smaller(step, part->rows - done);
        run_packed(part, part->row + done, rows, k_step);
        activate(part, part->row + done, rows);
    }
}

/* The product as a grid of regions. */
typedef struct split {
    const bp_gemm_call *call;
    size_t row_step, column_step, across; /* regions in a row of the grid */
} split;

static void region_task(void *argument, size_t index)
{
    const split *grid = argument;
    const bp_gemm_call *call = grid->call;
    const size_t row = index / grid->across * grid->row_step;
    const size_t column = index % grid->across * grid->column_step;
    const region part = {call, row, smaller(grid->row_step, call->m - row), column,
                         smaller(grid->column_step, call->n - column)};
    run_region(&part);
}

/* Cuts by sizes alone: columns first, since regions side by side share no packing of B; then rows.
 */
static void run_parallel(const bp_gemm_call *call)
{
    const size_t panels = parts_of(call->n, BP_PANEL);
    const size_t across = smaller(panels, parts_of(panels, SPLIT_PANELS) < SPLIT_PARTS
                                              ? SPLIT_PARTS
                                              : parts_of(panels, SPLIT_PANELS));
    const size_t panel_step = parts_of(panels, across);
    split grid = {.call = call, .column_step = panel_step * BP_PANEL};
    grid.across = parts_of(panels, panel_step);
    const size_t wanted = parts_of(SPLIT_PARTS, grid.across);
    const size_t down = smaller(wanted, parts_of(call->m, SPLIT_ROWS));
    grid.row_step = parts_of(call->m, down);
    bp_parallel_for(call->parallel, region_task, &grid,
                    grid.across * parts_of(call->m, grid.row_step));
}

void BP_VARIANT(bp_gemm)(const bp_gemm_call *call)
{
    if (call->m == 0 || call->n == 0)
        return;
    const bool alone = !call->parallel || call->parallel->thread_count <= 1 ||
                       2.0 * (double)call->m * (double)call->n * (double)call->k < SPLIT_LIMIT;
    if (alone) {
        const region all = {call, 0, call->m, 0, call->n};
        run_region(&all);
    } else {
        run_parallel(call);
    }
}
