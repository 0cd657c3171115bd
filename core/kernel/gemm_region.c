/* Nest inside a region, outermost first: blocks of rows, blocks of k, panels, tiles. Only k's order
 * matters to the result, and it ascends everywhere; a block of k that is not the first takes its
 * sums up from C, exactly where they were left. */
#include "core/kernel/gemm_region.h"

#include "core/kernel/gemm_tile.h"

enum {
    /* Rows whose part of A, in one block of k, takes half a second-level cache: it is read in place,
     * once for each panel. */
    ROW_BLOCK = 480,
};

/* Where tiles read a block of k of some panels of B. */
typedef struct panel_view {
    const bp_real *b;
    size_t stride, panel_step;
} panel_view;

static panel_view packed_panels(const bp_gemm_call *call, size_t column, size_t k)
{
    const size_t width = bp_panel_width(call->n, column);
    const bp_real *packed = call->packed_b;
    return (panel_view){packed + column * call->k + k * width, width, BP_PANEL * call->k};
}

static const bp_real *b_at(const bp_gemm_call *call, size_t column, size_t k)
{
    return (const bp_real *)call->b + column * call->b_column_stride + k * call->b_row_stride;
}

/* Packs a block of k of the panels at `column`, `columns` wide, into `buffer` (BP_PANEL·BP_K_BLOCK
 * elements). All are full where there are several. */
static panel_view pack_panels(const bp_gemm_call *call, bp_real *buffer, size_t column,
                              size_t columns, size_t k, size_t k_count)
{
    const size_t width = bp_parts(bp_smaller(columns, BP_PANEL), BP_LANES) * BP_LANES;
    for (size_t done = 0; done < columns; done += BP_PANEL)
        BP_VARIANT(bp_panel_pack)
    (buffer + done * k_count, width, b_at(call, column + done, k), call->b_row_stride,
     call->b_column_stride, k_count, bp_smaller(columns - done, BP_PANEL));
    return (panel_view){buffer, width, BP_PANEL * k_count};
}

/* The strip at a block of k, with all but B filled in; A is read in place. */
static bp_strip strip_at(const bp_gemm_call *call, size_t row, size_t rows, size_t column,
                         size_t columns, size_t k, size_t k_count)
{
    const bool last = k + k_count == call->k, by_column = call->a_column_stride != 1;
    return (bp_strip){
        .rows = rows,
        .columns = columns,
        .k = k_count,
        .a = (const bp_real *)call->a + row * call->a_row_stride + k * call->a_column_stride,
        .by_column = by_column,
        .a_stride = by_column ? call->a_column_stride : call->a_row_stride,
        .c = (bp_real *)call->c + row * call->c_row_stride + column,
        .c_stride = call->c_row_stride,
        .load = call->accumulate || k > 0,
        .bias = last && call->bias ? (const bp_real *)call->bias + column : NULL,
    };
}

void BP_VARIANT(bp_region_few)(const bp_region *region)
{
    const bp_gemm_call *call = region->call;
    _Alignas(64) bp_real buffer[BP_PANEL * BP_K_BLOCK];
    for (size_t done = 0; done < region->columns;) {
        const size_t panels = (region->columns - done) / BP_PANEL;
        const size_t group = panels >= 4 && region->rows < 3 ? 4 : panels >= 2 ? 2 : 1;
        const size_t columns = bp_smaller(group * BP_PANEL, region->columns - done);
        const size_t column = region->column + done;
        const bool in_place = !call->packed_b && call->b_column_stride == 1 && columns >= BP_PANEL;
        const size_t k_step =
            call->packed_b || in_place ? call->k : bp_smaller(call->k, BP_K_BLOCK / 4);
        size_t k = 0;
        do {
            const size_t k_count = bp_smaller(k_step, call->k - k);
            const panel_view view =
                call->packed_b ? packed_panels(call, column, k)
                : in_place     ? (panel_view){b_at(call, column, k), call->b_row_stride, BP_PANEL}
                               : pack_panels(call, buffer, column, columns, k, k_count);
            bp_strip strip = strip_at(call, region->row, region->rows, column, columns, k, k_count);
            strip.b = view.b;
            strip.b_stride = view.stride;
            strip.b_panel_step = view.panel_step;
            BP_VARIANT(bp_tile_few)(&strip, group);
            k += k_count;
        } while (k < call->k);
        done += columns;
    }
}

/* One panel over one block of k: points the strip at B and runs it. */
static void run_panel(const bp_region *region, bp_strip *strip, bp_real *buffer, size_t column,
                      size_t k)
{
    const bp_gemm_call *call = region->call;
    panel_view view;
    if (call->packed_b) {
        view = packed_panels(call, column, k);
        if (column + BP_PANEL < region->column + region->columns)
            strip->b_next = view.b + view.panel_step;
    } else if (call->b_column_stride == 1 && strip->columns == BP_PANEL) {
        view = (panel_view){b_at(call, column, k), call->b_row_stride, 0};
        strip->b_copy = strip->rows > BP_ROWS ? buffer : NULL;
    } else {
        view = pack_panels(call, buffer, column, strip->columns, k, strip->k);
    }
    strip->b = view.b;
    strip->b_stride = view.stride;
    BP_VARIANT(bp_tile_strip)(strip);
}

static void run_block(const bp_region *region, size_t row, size_t rows)
{
    const bp_gemm_call *call = region->call;
    _Alignas(64) bp_real buffer[BP_PANEL * BP_K_BLOCK];
    const size_t k_step = bp_k_step(call->k);
    size_t k = 0;
    do {
        const size_t k_count = bp_smaller(k_step, call->k - k);
        for (size_t done = 0; done < region->columns; done += BP_PANEL) {
            const size_t column = region->column + done;
            bp_strip strip = strip_at(call, row, rows, column,
                                      bp_smaller(BP_PANEL, region->columns - done), k, k_count);
            run_panel(region, &strip, buffer, column, k);
        }
        k += k_count;
    } while (k < call->k);
}

void BP_VARIANT(bp_region_rows)(const bp_region *region)
{
    const size_t step = bp_parts(region->rows, bp_parts(region->rows, ROW_BLOCK));
    for (size_t done = 0; done < region->rows; done += step)
        run_block(region, region->row + done, bp_smaller(step, region->rows - done));
}
