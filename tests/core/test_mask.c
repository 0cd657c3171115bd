/* The mask kernel against a plain one, on every instruction set and width. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/random/random.h"
#include "tests/core/support_kernels.h"

enum { ROWS = 3, WIDTH_LIMIT = 200 };

static uint32_t word(const bp_random *random, uint64_t row, size_t unit)
{
    uint32_t block[4];
    bp_random_block(block, random, row, unit / 64 * 16 + unit % 16);
    return block[unit % 64 / 16];
}

static void reference(const bp_kernels *kernels, const bp_mask_call *call)
{
    for (size_t row = 0; row < call->rows; row++)
        for (size_t unit = 0; unit < call->width; unit++) {
            const size_t i = row * call->width + unit;
            const uint64_t place = call->passed + row;
            const uint64_t mask_row =
                call->first_row + (call->period ? place % call->period : place);
            const bool kept = word(&call->random, mask_row, unit) < call->threshold;
            double product = 0;
            if (kernels->dtype == BP_FLOAT32)
                product = (double)(((const float *)call->in)[i] * (float)call->scale);
            else
                product = ((const double *)call->in)[i] * call->scale;
            support_put(kernels, call->out, i, kept ? product : 0);
        }
}

static void compare(const bp_kernels *kernels, size_t width, uint64_t period, uint64_t first_row)
{
    static double in[ROWS * WIDTH_LIMIT], expected[ROWS * WIDTH_LIMIT], got[ROWS * WIDTH_LIMIT + 1];
    const size_t count = ROWS * width;
    support_fill(kernels, in, count, width, -3, 3);
    bp_mask_call call = {.out = expected,
                         .in = in,
                         .rows = ROWS,
                         .width = width,
                         .random = bp_random_stream(width, 3, BP_RANDOM_DROPOUT, UINT64_C(1) << 33),
                         .first_row = first_row,
                         .passed = first_row / 2,
                         .period = period,
                         .threshold = UINT32_C(0x70000000),
                         .scale = 1 / 0.4375};
    reference(kernels, &call);
    support_put(kernels, got, count, 77);
    call.out = got;
    kernels->mask(&call);
    assert_true(support_same(kernels, expected, got, count));
    assert_true(support_get(kernels, got, count) == 77); /* nothing beyond */
    memcpy(got, in, count * kernels->real_size);
    call.in = got;
    kernels->mask(&call);
    assert_true(support_same(kernels, expected, got, count));
}

static void test_reference(void **state)
{
    (void)state;
    for (bp_dtype dtype = BP_FLOAT32; dtype <= BP_FLOAT64; dtype++) {
        const bp_kernels *tables[BP_ISA_COUNT];
        const size_t table_count = support_tables(tables, dtype);
        for (size_t table = 0; table < table_count; table++)
            for (size_t width = 1; width <= WIDTH_LIMIT; width++) {
                compare(tables[table], width, 0, 0);
                compare(tables[table], width, 1, UINT64_MAX - 1);
                compare(tables[table], width, ROWS - 2, UINT64_C(1) << 40);
            }
    }
}

/* Whatever was dropped is 0: an infinity must not turn into NaN. */
static void test_dropped_is_zero(void **state)
{
    (void)state;
    for (bp_dtype dtype = BP_FLOAT32; dtype <= BP_FLOAT64; dtype++) {
        const bp_kernels *tables[BP_ISA_COUNT];
        const size_t table_count = support_tables(tables, dtype);
        for (size_t table = 0; table < table_count; table++) {
            double x[WIDTH_LIMIT];
            for (size_t i = 0; i < WIDTH_LIMIT; i++)
                support_put(tables[table], x, i, i % 2 ? (double)INFINITY : -(double)NAN);
            const bp_mask_call call = {.out = x, .in = x, .rows = 1, .width = WIDTH_LIMIT};
            tables[table]->mask(&call);
            for (size_t i = 0; i < WIDTH_LIMIT; i++)
                assert_true(support_get(tables[table], x, i) == 0);
        }
    }
}

/* Shares of kept units: of all, of each unit over rows, and of each row. */
static void test_frequencies(void **state)
{
    (void)state;
    enum { WIDTH = 64, MANY = 20000 };
    static float x[WIDTH * MANY];
    for (size_t i = 0; i < (size_t)WIDTH * MANY; i++)
        x[i] = 1;
    const bp_kernels *kernels = bp_kernels_get(BP_FLOAT32, bp_isa_detect());
    const bp_mask_call call = {.out = x,
                               .in = x,
                               .rows = MANY,
                               .width = WIDTH,
                               .random = bp_random_stream(1, 0, BP_RANDOM_DROPOUT, 0),
                               .threshold = (uint32_t)(0.8 * 0x1p32 + 0.5),
                               .scale = 1};
    kernels->mask(&call);
    double all = 0;
    for (size_t unit = 0; unit < WIDTH; unit++) {
        double share = 0, pairs = 0;
        for (size_t row = 0; row < MANY; row++) {
            share += (double)x[row * WIDTH + unit] / MANY;
            pairs += (double)(x[row * WIDTH + unit] * x[row * WIDTH + (unit + 1) % WIDTH]) / MANY;
        }
        all += share / WIDTH;
        assert_true(share > 0.785 && share < 0.815); /* 5 σ = 0.0141 */
        assert_true(pairs > 0.622 && pairs < 0.658); /* 0.64 where units are independent */
    }
    assert_true(all > 0.798 && all < 0.802);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reference),
        cmocka_unit_test(test_dropped_is_zero),
        cmocka_unit_test(test_frequencies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
