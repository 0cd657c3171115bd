/* Numbers and strings as text, back again; hints for misspelt names. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/random/random.h"
#include "schema/json/json_text.h"
#include "schema/json/name_hint.h"
#include "schema/json/reader.h"

static void assert_text(json_t *value, const char *wanted)
{
    size_t length;
    char *text = bp_json_text(value, &length);
    assert_non_null(text);
    assert_string_equal(text, wanted);
    assert_int_equal(length, strlen(wanted));
    free(text);
    json_decref(value);
}

static void test_reals(void **state)
{
    (void)state;
    assert_text(bp_json_real(0.1), "0.1");
    assert_text(bp_json_real(1), "1.0");
    assert_text(bp_json_real(-0.0), "-0.0");
    assert_text(bp_json_real(1e300), "1e+300");
    assert_text(bp_json_real(5e-324), "5e-324");
    assert_text(bp_json_real(0.1f), "0.10000000149011612");
    assert_text(bp_json_real(1.0 / 3), "0.3333333333333333");
    assert_text(bp_json_real(123456789012345680.0), "1.2345678901234568e+17");
    assert_text(bp_json_real(NAN), "\"NaN\"");
    assert_text(bp_json_real(INFINITY), "\"Infinity\"");
    assert_text(bp_json_real(-INFINITY), "\"-Infinity\"");
}

static void test_data_values(void **state)
{
    (void)state;
    assert_text(bp_json_number(7), "7");
    assert_text(bp_json_number(-7), "-7");
    assert_text(bp_json_number(9007199254740991.0), "9007199254740991");
    assert_text(bp_json_number(9007199254740994.0), "9007199254740994.0");
    assert_text(bp_json_number(0.5), "0.5");
    assert_text(bp_json_number(-0.0), "-0.0");
}

/* Every double comes back with its bits, and stays a real. */
static void test_reals_round_trip(void **state)
{
    (void)state;
    bp_random random = bp_random_stream(7, 0, BP_RANDOM_SHUFFLE, 0);
    for (uint64_t index = 0; index < 20000; index++) {
        uint64_t bits = bp_random_bits(&random, 0, index), back;
        double value;
        memcpy(&value, &bits, sizeof value);
        json_t *array = json_pack("[o]", bp_json_real(value));
        char *text = bp_json_text(array, NULL);
        json_t *read = json_loads(text, 0, NULL);
        assert_non_null(read);
        double number = 0;
        assert_true(bp_json_read_number(&number, json_array_get(read, 0)));
        if (isfinite(value))
            assert_true(json_is_real(json_array_get(read, 0)));
        memcpy(&back, &number, sizeof back);
        if (isnan(value))
            assert_true(isnan(number));
        else
            assert_int_equal(back, bits);
        free(text);
        json_decref(array);
        json_decref(read);
    }
}

static void test_structures(void **state)
{
    (void)state;
    json_t *value = json_pack("{s:[i, b, n, {}], s:[], s:s}", "b", 1, 1, "a\"\\/", "t",
                              "\x01\n\t\r\x1f \xc3\xa4\xf0\x9f\x98\x80\x7f");
    assert_text(json_incref(value),
                "{\"b\":[1,true,null,{}],\"a\\\"\\\\/\":[],"
                "\"t\":\"\\u0001\\n\\t\\r\\u001f \xc3\xa4\xf0\x9f\x98\x80\x7f\"}");
    char *text = bp_json_text(value, NULL);
    json_t *read = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    assert_true(json_equal(read, value));
    free(text);
    json_decref(read);
    json_decref(value);
}

static void test_reading_numbers(void **state)
{
    (void)state;
    double number = 3;
    uint64_t count = 3;
    json_t *values =
        json_loads("[1, 1.0, \"NaN\", \"nan\", true, null, -1, 9007199254740992]", 0, NULL);
    assert_true(bp_json_read_number(&number, json_array_get(values, 1)));
    assert_true(bp_json_read_number(&number, json_array_get(values, 2)));
    assert_true(isnan(number));
    for (size_t index = 3; index < 6; index++)
        assert_false(bp_json_read_number(&number, json_array_get(values, index)));
    assert_false(bp_json_read_number(&number, NULL));
    assert_true(bp_json_read_count(&count, json_array_get(values, 0)));
    assert_int_equal(count, 1);
    assert_true(bp_json_read_count(&count, json_array_get(values, 1))); /* 1.0 is 1 */
    for (size_t index = 2; index < 8; index++)
        assert_false(bp_json_read_count(&count, json_array_get(values, index)));
    json_decref(values);
}

static const char *word_at(const void *list, size_t index)
{
    return ((const char *const *)list)[index];
}

static void test_hints(void **state)
{
    (void)state;
    static const char *const words[] = {"units", "bias", "activation", "init", NULL};
    static const struct {
        const char *name, *nearest;
    } rows[] = {
        {"unit", "units"},
        {"unts", "units"},
        {"uints", "units"},
        {"bais", "bias"},
        {"activaton", "activation"},
        {"activation_", "activation"},
        {"in", NULL},
        {"dropout", NULL},
        {"", NULL},
        {"zzzz", NULL},
        {"x", NULL},
    };
    for (size_t index = 0; index < sizeof rows / sizeof *rows; index++) {
        const char *nearest = bp_name_nearest(rows[index].name, word_at, words);
        if (!rows[index].nearest)
            assert_null(nearest);
        else
            assert_string_equal(nearest, rows[index].nearest);
    }
    char *advice = bp_name_advice("unts", word_at, words, 2);
    assert_string_equal(advice, "; did you mean \"units\"? known: \"units\", \"bias\" and 2 more");
    free(advice);
    advice = bp_name_advice("zzzzz", word_at, words, 9);
    assert_string_equal(advice, "; known: \"units\", \"bias\", \"activation\", \"init\"");
    free(advice);
}

static void test_pointers(void **state)
{
    (void)state;
    const bp_place root = {0}, a = bp_place_member(&root, "a/b"), b = bp_place_element(&a, 12);
    const bp_place c = bp_place_member(&b, "~1"), d = bp_place_member(&c, "");
    char *pointer = bp_place_pointer(&d);
    assert_string_equal(pointer, "/a~1b/12/~01/");
    free(pointer);
    pointer = bp_place_pointer(&root);
    assert_string_equal(pointer, "");
    free(pointer);
}

static void test_names(void **state)
{
    (void)state;
    char longest[130];
    memset(longest, 'a', sizeof longest);
    longest[128] = '\0';
    assert_true(bp_reader_name_is_valid(longest));
    longest[128] = 'a';
    longest[129] = '\0';
    assert_false(bp_reader_name_is_valid(longest));
    assert_true(bp_reader_name_is_valid("0.-_Z"));
    static const char *const refused[] = {"", ".x", "-x", "_x", "a/b", "a b", "\xc3\xa4"};
    for (size_t index = 0; index < sizeof refused / sizeof *refused; index++)
        assert_false(bp_reader_name_is_valid(refused[index]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reals),
        cmocka_unit_test(test_data_values),
        cmocka_unit_test(test_reals_round_trip),
        cmocka_unit_test(test_structures),
        cmocka_unit_test(test_reading_numbers),
        cmocka_unit_test(test_hints),
        cmocka_unit_test(test_pointers),
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
