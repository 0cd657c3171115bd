/* Cᵀ = Bᵀ·Aᵀ: see bp_region_swapped. Sums are kept transposed on the stack, rows of one panel of A
 * across and columns of C down, until k is done. */
#include "core/kernel/gemm_region.h"
#include "core/kernel/gemm_tile.h"

/* Columns of C at a time: 32 KiB of sums. */
enum { COLUMN_BLOCK = 32768 / (BP_PANEL * (BP_VARIANT_BITS / 8)) };

/* A rectangle of C, at most COLUMN_BLOCK by BP_PANEL, and the same of its sums transposed. */
typedef struct c_part {
    bp_real *sums; /* (columns, BP_PANEL) */
    bp_real *c;
    size_t c_stride, rows, columns;
    const bp_real *bias; /* (columns) or NULL */
} c_part;

/* Squares of BP_LANES at the edges are cut to what there is. */
static void load_sums(const c_part *part)
{
    for (size_t column = 0; column < part->columns; column += BP_LANES) {
        const size_t columns = bp_smaller(BP_LANES, part->columns - column);
        for (size_t row = 0; row < part->rows; row += BP_LANES) {
            bp_vector x[BP_LANES];
            BP_VARIANT(bp_square_load)
            (x, part->c + row * part->c_stride + column, part->c_stride,
             bp_smaller(BP_LANES, part->rows - row), columns);
            for (size_t i = 0; i < columns; i++)
                bp_vector_store(part->sums + (column + i) * BP_PANEL + row, x[i]);
        }
    }
}

static void store_sums(const c_part *part)
{
    for (size_t column = 0; column < part->columns; column += BP_LANES) {
        const size_t columns = bp_smaller(BP_LANES, part->columns - column);
        const bp_vector bias =
            part->bias ? bp_vector_load_partial(part->bias + column, columns, 0) : bp_vector_set(0);
        for (size_t row = 0; row < part->rows; row += BP_LANES) {
            const size_t rows = bp_smaller(BP_LANES, part->rows - row);
            bp_real *c = part->c + row * part->c_stride + column;
            bp_vector x[BP_LANES];
#pragma GCC unroll 16
            for (size_t i = 0; i < BP_LANES; i++)
                x[i] = bp_vector_load(part->sums + (column + i) * BP_PANEL + row);
            bp_vector_transpose(x);
            if (part->bias) {
#pragma GCC unroll 16
                for (size_t i = 0; i < BP_LANES; i++)
                    x[i] += bias;
            }
            if (rows == BP_LANES && columns == BP_LANES) {
#pragma GCC unroll 16
                for (size_t i = 0; i < BP_LANES; i++)
                    bp_vector_store(c + i * part->c_stride, x[i]);
            } else {
                for (size_t i = 0; i < rows; i++)
                    bp_vector_store_partial(c + i * part->c_stride, x[i], columns);
            }
        }
    }
}

/* One panel of A's rows. `sums` may be read up to a square past its columns. */
static void run_panel(const bp_gemm_call *call, const c_part *part, const bp_real *a,
                      const bp_real *b, bp_real *buffer)
{
    const size_t width = bp_parts(part->rows, BP_LANES) * BP_LANES;
    const size_t k_step = bp_k_step(call->k);
    if (call->accumulate)
        load_sums(part);
    size_t k = 0;
    do {
        const size_t k_count = bp_smaller(k_step, call->k - k);
        BP_VARIANT(bp_panel_pack)
        (buffer, width, a + k, 1, call->a_row_stride, k_count, part->rows);
        bp_strip strip = {
            .rows = part->columns,
            .columns = width,
            .k = k_count,
            .a = b + k,
            .a_stride = call->b_column_stride,
            .b = buffer,
            .b_stride = width,
            .c = part->sums,
            .c_stride = BP_PANEL,
            .load = call->accumulate || k > 0,
        };
        BP_VARIANT(bp_tile_strip)(&strip);
        k += k_count;
    } while (k < call->k);
    store_sums(part);
}

void BP_VARIANT(bp_region_swapped)(const bp_region *region)
{
    const bp_gemm_call *call = region->call;
    _Alignas(64) bp_real buffer[BP_PANEL * BP_K_BLOCK];
    _Alignas(64) bp_real sums[(COLUMN_BLOCK + BP_LANES) * BP_PANEL];
    const size_t step = bp_parts(region->columns, bp_parts(region->columns, COLUMN_BLOCK));
    for (size_t across = 0; across < region->columns; across += step)
        for (size_t down = 0; down < region->rows; down += BP_PANEL) {
            const size_t row = region->row + down, column = region->column + across;
            const c_part part = {
                .sums = sums,
                .c = (bp_real *)call->c + row * call->c_row_stride + column,
                .c_stride = call->c_row_stride,
                .rows = bp_smaller(BP_PANEL, region->rows - down),
                .columns = bp_smaller(step, region->columns - across),
                .bias = call->bias ? (const bp_real *)call->bias + column : NULL,
            };
            run_panel(call, &part, (const bp_real *)call->a + row * call->a_row_stride,
                      (const bp_real *)call->b + column * call->b_column_stride, buffer);
        }
}
