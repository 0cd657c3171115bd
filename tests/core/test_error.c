#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/decimal.h"
#include "core/base/error.h"

static void formats_every_conversion(void **state)
{
    (void)state;
    bp_error error = {0};
    assert_int_equal(bp_error_set(&error, BP_SHAPE, "/rows", "%s %d %u %zu %lld %llu %g 100 %%",
                                  "text", -5, 7U, (size_t)SIZE_MAX, (long long)INT64_MIN,
                                  (unsigned long long)UINT64_MAX, 0.1),
                     BP_SHAPE);
    assert_int_equal(error.status, BP_SHAPE);
    assert_string_equal(error.where, "/rows");
    assert_string_equal(error.message, "text -5 7 18446744073709551615 -9223372036854775808 "
                                       "18446744073709551615 0.1 100 %");
}

static void keeps_the_first_error(void **state)
{
    (void)state;
    bp_error error = {0};
    (void)bp_error_set(&error, BP_INVALID, NULL, "cause");
    assert_int_equal(bp_error_set(&error, BP_INTERNAL, "/x", "echo"), BP_INTERNAL);
    assert_int_equal(error.status, BP_INVALID);
    assert_string_equal(error.where, "");
    assert_string_equal(error.message, "cause");
    assert_int_equal(bp_error_set(NULL, BP_CORRUPT, "/x", "%s", "nobody listens"), BP_CORRUPT);
}

static void cuts_long_texts_at_characters(void **state)
{
    (void)state;
    char text[3 * BP_ERROR_MESSAGE_SIZE];
    for (size_t shift = 0; shift < 3; shift++) {
        memset(text, 'x', shift);
        for (size_t i = shift; i + 3 < sizeof text; i += 3)
            memcpy(text + i, "\xe2\x88\x9e", 4); /* ∞ */
        bp_error error = {0};
        (void)bp_error_set(&error, BP_INVALID, text, "%s", text);
        size_t length = strlen(error.message);
        assert_true(length < BP_ERROR_MESSAGE_SIZE && length > BP_ERROR_MESSAGE_SIZE - 4);
        assert_int_equal((length - shift) % 3, 0);
        assert_memory_equal(error.message, text, length);
        assert_int_equal((strlen(error.where) - shift) % 3, 0);
    }
    text[BP_ERROR_MESSAGE_SIZE - 1] = '\0';
    memset(text, 'y', BP_ERROR_MESSAGE_SIZE - 1);
    bp_error error = {0};
    (void)bp_error_set(&error, BP_INVALID, "", "%s", text);
    assert_string_equal(error.message, text); /* fits exactly: nothing is cut */
}

static void names_every_status(void **state)
{
    (void)state;
    for (int status = BP_OK; status <= BP_INTERNAL; status++)
        assert_true(strlen(bp_status_text((bp_status)status)) > 1);
    assert_string_equal(bp_status_text(BP_SHAPE), "shapes do not match");
}

static void expect_decimal(double value, const char *expected)
{
    char text[BP_DECIMAL_SIZE];
    assert_int_equal(bp_decimal_format(text, value), strlen(expected));
    assert_string_equal(text, expected);
}

static void writes_decimals_as_people_do(void **state)
{
    (void)state;
    expect_decimal(0, "0");
    expect_decimal(-0.0, "-0");
    expect_decimal(1, "1");
    expect_decimal(-2.5, "-2.5");
    expect_decimal(0.01, "0.01");
    expect_decimal(1e-5, "0.00001");
    expect_decimal(1e-6, "1e-06");
    expect_decimal(123456789, "123456789");
    expect_decimal(9007199254740991.0, "9007199254740991");
    expect_decimal(1e16, "10000000000000000");
    expect_decimal(1e17, "1e+17");
    expect_decimal(1e23, "1e+23");
    expect_decimal(5e-324, "5e-324");
    expect_decimal(2.2250738585072014e-308, "2.2250738585072014e-308");
    expect_decimal(1.7976931348623157e308, "1.7976931348623157e+308");
    expect_decimal(0.1 + 0.2, "0.30000000000000004");
    expect_decimal((double)INFINITY, "inf");
    expect_decimal(-(double)INFINITY, "-inf");
    expect_decimal((double)NAN, "nan");
}

/* As few digits as read back as the same number, by trying every precision of the C library. */
static void writes_shortest_decimals(void **state)
{
    (void)state;
    uint64_t bits = 1;
    for (int round = 0; round < 20000; round++) {
        bits = bits * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        uint64_t pattern = bits ^ bits >> 29;
        double value;
        memcpy(&value, &pattern, sizeof value);
        if (!isfinite(value))
            continue;
        char text[BP_DECIMAL_SIZE];
        (void)bp_decimal_format(text, value);
        double back = strtod(text, NULL);
        assert_memory_equal(&back, &value, sizeof value);

        size_t digits = 0, significant = 0;
        for (const char *at = text; *at && *at != 'e'; at++) {
            if (*at < '0' || *at > '9' || (*at == '0' && !digits))
                continue;
            digits++;
            significant = *at == '0' ? significant : digits;
        }
        char reference[40];
        int precision = 1;
        for (; precision < 17; precision++) {
            (void)snprintf(reference, sizeof reference, "%.*e", precision - 1, value);
            if (strtod(reference, NULL) == value)
                break;
        }
        assert_true(significant <= (size_t)precision);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(formats_every_conversion),      cmocka_unit_test(keeps_the_first_error),
        cmocka_unit_test(cuts_long_texts_at_characters), cmocka_unit_test(names_every_status),
        cmocka_unit_test(writes_decimals_as_people_do),  cmocka_unit_test(writes_shortest_decimals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
