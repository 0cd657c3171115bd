/* The shortest decimals of doubles against the plain way to find them: printf with more and more digits. */
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
#include "core/random/random.h"

/* How many digits stand between the first and the last that are not 0. */
static size_t significant(const char *text)
{
    size_t count = 0, kept = 0;
    for (const char *at = text; *at && *at != 'e'; at++)
        if (*at >= '0' && *at <= '9' && (count > 0 || *at != '0')) {
            count++;
            kept = *at == '0' ? kept : count;
        }
    return kept;
}

static void check(double value)
{
    char plain[40], text[BP_DECIMAL_SIZE];
    for (int precision = 1; precision <= 17; precision++) {
        snprintf(plain, sizeof plain, "%.*g", precision, value);
        if (strtod(plain, NULL) == value)
            break;
    }
    const size_t length = bp_decimal_format(text, value);
    assert_int_equal(length, strlen(text));
    const double back = strtod(text, NULL);
    assert_memory_equal(&back, &value, sizeof value);
    /* Below a power of two, digits that are not the nearest of their number may do with one less. */
    assert_true(significant(text) <= significant(plain));
}

static void check_around(double value)
{
    check(value);
    check(-value);
    check(nextafter(value, INFINITY));
    check(nextafter(value, 0));
}

static void test_powers(void **state)
{
    (void)state;
    check_around(0.0);
    for (int exponent = -1074; exponent <= 1023; exponent++)
        check_around(ldexp(1, exponent));
    for (int exponent = -320; exponent <= 308; exponent++)
        for (int digit = 1; digit < 10; digit++) {
            char text[32];
            snprintf(text, sizeof text, "%de%d", digit, exponent);
            check_around(strtod(text, NULL));
        }
}

/* Where rounding to fewer digits carries over, and where it ties. */
static void test_edges(void **state)
{
    (void)state;
    static const char *const texts[] = {"9.99999999999999999e5",
                                        "999999999999999.9",
                                        "99999999999999.95",
                                        "0.99999999999999989",
                                        "0.000099999999999999999",
                                        "0.0001",
                                        "0.00001",
                                        "1e15",
                                        "1e16",
                                        "1e17",
                                        "123456789012345.6",
                                        "1234567890123456.5",
                                        "12345678901234567",
                                        "4503599627370497.5",
                                        "9007199254740993",
                                        "0.1",
                                        "0.2",
                                        "0.3",
                                        "1.7976931348623157e308",
                                        "5e-324",
                                        "2.2250738585072014e-308",
                                        "1e-11",
                                        "9.999e-12",
                                        "33554432.5"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        check_around(strtod(texts[i], NULL));
    for (uint64_t whole = (uint64_t)1 << 49; whole < ((uint64_t)1 << 49) + 2000; whole++)
        for (int part = 0; part < 8; part++)
            check((double)whole + part * 0.125);
    for (int i = 0; i < 20000; i++) {
        check(i * 0.001);
        check(i * 0.05);
        check((double)(float)(i * 0.0003));
    }
}

static void test_random(void **state)
{
    (void)state;
    bp_random random = bp_random_stream(11, 0, BP_RANDOM_SHUFFLE, 0);
    for (uint64_t i = 0; i < 100000; i++) {
        const uint64_t bits = bp_random_bits(&random, 0, i);
        double value;
        memcpy(&value, &bits, sizeof value);
        if (isfinite(value))
            check(value);
        /* Of the fast range: exponents from 2^-40 to 2^59, mantissas of many and of few bits. */
        const uint64_t exponent = 1023 - 40 + bits % 100;
        const uint64_t mantissa = (bits >> 7) & (((uint64_t)1 << 52) - 1);
        const uint64_t kept = mantissa & (~(uint64_t)0 << (bits >> 59) * 2 % 52);
        const uint64_t fast = exponent << 52 | kept;
        memcpy(&value, &fast, sizeof value);
        check(value);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_powers),
        cmocka_unit_test(test_edges),
        cmocka_unit_test(test_random),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
