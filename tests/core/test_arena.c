#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/arena.h"

typedef struct plan {
    float *weights;
    double *sums;
    char *names;
} plan;

static plan make_plan(bp_arena *arena)
{
    plan made;
    made.weights = bp_arena_take(arena, 13, sizeof *made.weights);
    made.sums = bp_arena_take(arena, 3, sizeof *made.sums);
    made.names = bp_arena_take(arena, 65, 1);
    return made;
}

static void measures_what_is_then_taken(void **state)
{
    (void)state;
    bp_arena measured = bp_arena_measure();
    plan empty = make_plan(&measured);
    assert_null(empty.weights);
    assert_false(measured.overflow);
    assert_int_equal(measured.used_bytes, 64 + 64 + 128);

    bp_arena arena;
    assert_int_equal(bp_arena_open(&arena, measured.used_bytes, NULL), BP_OK);
    plan real = make_plan(&arena);
    assert_false(arena.overflow);
    assert_int_equal(arena.used_bytes, arena.size_bytes);
    assert_int_equal((uintptr_t)real.weights % BP_ALIGNMENT, 0);
    assert_int_equal((uintptr_t)real.sums % BP_ALIGNMENT, 0);
    assert_int_equal((uintptr_t)real.names % BP_ALIGNMENT, 0);
    for (size_t i = 0; i < arena.size_bytes; i++)
        assert_int_equal(arena.base[i], 0);
    memset(real.names, 1, 65); /* the sanitizer sees a plan that is too small */
    bp_arena_done(&arena);
    assert_null(arena.base);
    bp_arena_done(&arena);
    bp_arena_done(&measured);
}

static void gives_pointers_to_nothing(void **state)
{
    (void)state;
    bp_arena arena;
    assert_int_equal(bp_arena_open(&arena, 0, NULL), BP_OK);
    assert_non_null(bp_arena_take(&arena, 0, 8));
    assert_int_equal(arena.used_bytes, 0);
    bp_arena_done(&arena);
}

static void refuses_what_does_not_fit(void **state)
{
    (void)state;
    bp_arena arena;
    assert_int_equal(bp_arena_open(&arena, 128, NULL), BP_OK);
    assert_non_null(bp_arena_take(&arena, 65, 1));
    assert_null(bp_arena_take(&arena, 1, 1));
    assert_true(arena.overflow);
    assert_null(bp_arena_take(&arena, 0, 1)); /* sticky */
    bp_arena_done(&arena);
}

static void notices_sizes_beyond_size_t(void **state)
{
    (void)state;
    const size_t requests[][2] = {{SIZE_MAX / 2, 3}, {SIZE_MAX, 1}, {SIZE_MAX - 62, 1}};
    for (size_t i = 0; i < sizeof requests / sizeof *requests; i++) {
        bp_arena arena = bp_arena_measure();
        assert_null(bp_arena_take(&arena, requests[i][0], requests[i][1]));
        assert_true(arena.overflow);
    }
    bp_arena arena = bp_arena_measure();
    for (int i = 0; i < 3; i++)
        (void)bp_arena_take(&arena, SIZE_MAX / 2, 1);
    assert_true(arena.overflow);
}

static void reports_that_memory_is_short(void **state)
{
    (void)state;
    bp_error error = {0};
    bp_arena arena = {.used_bytes = 7};
    assert_int_equal(bp_arena_open(&arena, SIZE_MAX - 100, &error), BP_NO_MEMORY);
    assert_int_equal(bp_arena_open(&arena, SIZE_MAX, NULL), BP_NO_MEMORY);
    assert_int_equal(error.status, BP_NO_MEMORY);
    assert_string_equal(error.message, "18446744073709551515 bytes could not be allocated");
    assert_int_equal(arena.used_bytes, 7); /* out is not written on failure */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(measures_what_is_then_taken),
        cmocka_unit_test(gives_pointers_to_nothing),
        cmocka_unit_test(refuses_what_does_not_fit),
        cmocka_unit_test(notices_sizes_beyond_size_t),
        cmocka_unit_test(reports_that_memory_is_short),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
