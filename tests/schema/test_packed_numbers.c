#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "schema/json/packed_numbers.h"

/* 1, and π with two more, by Python's struct and base64. */
static void test_known_texts(void **state)
{
    (void)state;
    static const double values[] = {3.141592653589793, -0.0, INFINITY};
    static const char *const texts[] = {
        "", "GC1EVPshCUA=", "GC1EVPshCUAAAAAAAAAAgA==", "GC1EVPshCUAAAAAAAAAAgAAAAAAAAPB/"};
    for (size_t count = 0; count <= 3; count++) {
        json_t *json = bp_packed_numbers_json(values, count);
        assert_string_equal(json_string_value(json), texts[count]);
        double read[3];
        assert_true(bp_packed_numbers_read(read, count, json));
        assert_memory_equal(read, values, count * sizeof *read);
        json_decref(json);
    }
}

static void test_every_bit(void **state)
{
    (void)state;
    double values[64], read[64];
    for (size_t i = 0; i < 64; i++) {
        const uint64_t bits = UINT64_C(1) << i;
        memcpy(&values[i], &bits, sizeof bits);
    }
    json_t *json = bp_packed_numbers_json(values, 64);
    assert_true(bp_packed_numbers_read(read, 64, json));
    assert_memory_equal(read, values, sizeof values);
    json_decref(json);
}

static void test_other_texts(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "GC1EVPshCUA",  /* no padding */
        "GC1EVPshCUB=", /* bits behind the last number */
        "GC1EVPshCU==",
        "GC1E PshCUA=",
        "GC1EVPshCUA=GC1E",
        "GC1EVPshC\xc3\xa4=",
    };
    double read[2];
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        json_t *json = json_string(texts[i]);
        assert_non_null(json);
        assert_false(bp_packed_numbers_read(read, 1, json));
        json_decref(json);
    }
    json_t *number = json_integer(1);
    assert_false(bp_packed_numbers_read(read, 1, number));
    assert_false(bp_packed_numbers_read(read, 1, NULL));
    assert_false(bp_packed_numbers_read(read, SIZE_MAX / 8, number));
    json_decref(number);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_texts),
        cmocka_unit_test(test_every_bit),
        cmocka_unit_test(test_other_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
