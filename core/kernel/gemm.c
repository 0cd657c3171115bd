#include "core/kernel/gemm.h"

#include "core/activation/activation.h"
#include "core/kernel/gemm_region.h"
#include "core/kernel/gemm_tile.h"
#include "core/kernel/gemm_variant.h"

enum {
    /* Arithmetic operations below which a product stays in its caller's thread. */
    SPLIT_LIMIT = 1000000,
    /* Regions that a product is cut into, where it is wide or tall enough. */
    SPLIT_PARTS = 8,
    SPLIT_PANELS = 4,         /* of a swapped product's region, at least */
    SPLIT_ROWS = 4 * BP_ROWS, /* of any other's */
    /* Fewest rows for which A is packed instead of Wᵀ: they fill the lanes. */
    SWAP_ROWS = BP_LANES + BP_LANES / 2,
    SWAP_DEPTH = 64, /* and the shortest sums */
};

static void activate(const bp_region *region)
{
    const bp_gemm_call *call = region->call;
    const size_t stride = call->c_row_stride;
    const size_t at = region->row * stride + region->column;
    const bp_real *z = (const bp_real *)call->c + at;
    bp_real *a = (bp_real *)call->activated + at;
    if (region->columns == stride) {
        call->activation->forward(z, a, region->rows, stride, call->activation_value);
        return;
    }
    for (size_t i = 0; i < region->rows; i++, z += stride, a += stride)
        call->activation->forward(z, a, 1, region->columns, call->activation_value);
}

/* Packing A and transposing C costs less than packing B, and leaves no lane idle at narrow C. */
static bool is_swapped(const bp_gemm_call *call)
{
    return !call->packed_b && call->b_column_stride != 1 && call->a_column_stride == 1 &&
           call->m >= SWAP_ROWS && call->k >= SWAP_DEPTH &&
           (call->m <= 2 * call->n || call->n < BP_PANEL);
}

static void run_region(const bp_region *region)
{
    const bp_gemm_call *call = region->call;
    if (is_swapped(call))
        BP_VARIANT(bp_region_swapped)(region);
    else if (region->rows <= BP_FEW_ROWS && call->a_column_stride == 1)
        BP_VARIANT(bp_region_few)(region);
    else
        BP_VARIANT(bp_region_rows)(region);
    if (call->activation)
        activate(region);
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
    const bp_region part = {call, row, bp_smaller(grid->row_step, call->m - row), column,
                            bp_smaller(grid->column_step, call->n - column)};
    run_region(&part);
}

/* Cuts by sizes alone. What is packed is packed again by every region that reads it, so regions are
 * cut along B's panels first, or A's where the product is swapped, and then across. */
static void run_parallel(const bp_gemm_call *call)
{
    const size_t panels = bp_parts(call->n, BP_PANEL);
    size_t across, down;
    if (is_swapped(call)) {
        down = bp_smaller(SPLIT_PARTS, bp_parts(call->m, BP_PANEL));
        across = bp_smaller(bp_parts(SPLIT_PARTS, down), bp_parts(panels, SPLIT_PANELS));
    } else {
        across = bp_smaller(SPLIT_PARTS, panels);
        down = bp_smaller(bp_parts(SPLIT_PARTS, across), bp_parts(call->m, SPLIT_ROWS));
    }
    const size_t row_step = bp_parts(bp_parts(call->m, down), BP_PANEL) * BP_PANEL;
    const size_t column_step = bp_parts(panels, across) * BP_PANEL;
    split grid = {.call = call,
                  .row_step = is_swapped(call) ? row_step : bp_parts(call->m, down),
                  .column_step = column_step,
                  .across = bp_parts(call->n, column_step)};
    bp_parallel_for(call->parallel, region_task, &grid,
                    grid.across * bp_parts(call->m, grid.row_step));
}

void BP_VARIANT(bp_gemm)(const bp_gemm_call *call)
{
    if (call->m == 0 || call->n == 0)
        return;
    const bool alone = !call->parallel || call->parallel->thread_count <= 1 ||
                       2.0 * (double)call->m * (double)call->n * (double)call->k < SPLIT_LIMIT;
    if (alone) {
        const bp_region all = {call, 0, call->m, 0, call->n};
        run_region(&all);
    } else {
        run_parallel(call);
    }
}
