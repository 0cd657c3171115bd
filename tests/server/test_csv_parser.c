/* CSV: what is read, what is refused and where, and that chunk sizes do not matter. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/upload/csv_parser.h"
#include "server/upload/number_text.h"

/* Everything that the sink has seen, as "a|b\n1|2\n". */
typedef struct recording {
    char text[4096];
    size_t length;
} recording;

static bp_status record(void *context, const bp_text *fields, size_t count, bp_error *error)
{
    recording *out = context;
    (void)error;
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(strlen(fields[i].at), fields[i].length);
        out->length += (size_t)snprintf(out->text + out->length, sizeof out->text - out->length,
                                        "%s%s", i ? "|" : "", fields[i].at);
    }
    out->length += (size_t)snprintf(out->text + out->length, sizeof out->text - out->length, "\n");
    assert_true(out->length < sizeof out->text);
    return BP_OK;
}

static bp_status parse(recording *out, const char *input, size_t length, size_t chunk,
                       bp_error *error)
{
    bp_csv_parser *parser;
    const bp_row_sink sink = {out, record, record};
    memset(out, 0, sizeof *out);
    *error = (bp_error){0};
    assert_int_equal(bp_csv_parser_create(&parser, &sink, 100, error), BP_OK);
    bp_status status = BP_OK;
    for (size_t at = 0; at < length && status == BP_OK; at += chunk) {
        /* An own allocation for each chunk, so that reading past one is seen by ASan. */
        const size_t take = length - at < chunk ? length - at : chunk;
        char *piece = malloc(take);
        memcpy(piece, input + at, take);
        status = bp_csv_parser_feed(parser, piece, take, error);
        free(piece);
    }
    if (status == BP_OK)
        status = bp_csv_parser_finish(parser, error);
    bp_csv_parser_free(parser);
    return status;
}

#define T(text) (text), sizeof(text) - 1

static void reads_files(void **state)
{
    (void)state;
    static const struct {
        const char *input;
        size_t length;
        const char *expected;
    } table[] = {
        {T("a,b\n1,2\n"), "a|b\n1|2\n"},
        {T("a,b\n1,2"), "a|b\n1|2\n"},
        {T("a,b\r\n1,2\r\n3,4\r\n"), "a|b\n1|2\n3|4\n"},
        {T("a,b\r1,2\r3,4\r"), "a|b\n1|2\n3|4\n"},
        {T("\xef\xbb\xbf"
           "a,b\n1,2\n"),
         "a|b\n1|2\n"},
        {T("\xef\xbb\xbf\"a\",b\n1,2\n"), "a|b\n1|2\n"},
        {T("\n\r\n\n a , b\t\n\n1,2\n\n\n"), "a|b\n1|2\n"},
        {T("a;b;c\n1,5;2;3\n"), "a|b|c\n1,5|2|3\n"},
        {T("a\tb\n1\t2\n"), "a|b\n1|2\n"},
        {T("a\tb\n\t2\n"), "a|b\n|2\n"},
        {T("a|b,c|d\n1|2|3\n"), "a|b,c|d\n1|2|3\n"},
        {T("\"a;b\",c\n1,2\n"), "a;b|c\n1|2\n"},
        {T("one\n1\n\n2\n  \n3\n"), "one\n1\n2\n3\n"},
        {T("one\n1\n\"\"\n2\n"), "one\n1\n\n2\n"},
        {T("a,b\n\"x,y\",\"say \"\"hi\"\"\"\n"), "a|b\nx,y|say \"hi\"\n"},
        {T("a,b\n\"two\nlines\",\" kept \"\n"), "a|b\ntwo\nlines| kept \n"},
        {T("a,b\n\"two\r\nlines\", trimmed \n"), "a|b\ntwo\r\nlines|trimmed\n"},
        {T("a,b\n \"x\" , \"y\" \n"), "a|b\nx|y\n"},
        {T("a,b\n5\" pipe,6\"\"\n"), "a|b\n5\" pipe|6\"\"\n"},
        {T("a,b\n,\n"), "a|b\n|\n"},
        {T("a,b\n1,"), "a|b\n1|\n"},
        {T("a,b\n\"\",\"\""), "a|b\n|\n"},
        {T("naïve,日本\nü,€\n𝄞,x\n"), "naïve|日本\nü|€\n𝄞|x\n"},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        for (size_t chunk = 1; chunk <= table[i].length; chunk++) {
            recording out;
            bp_error error;
            bp_status status = parse(&out, table[i].input, table[i].length, chunk, &error);
            if (status != BP_OK)
                fail_msg("%s: %s: %s", table[i].input, error.where, error.message);
            assert_string_equal(out.text, table[i].expected);
        }
}

static void refuses_with_the_place(void **state)
{
    (void)state;
    static const struct {
        const char *input;
        size_t length;
        const char *where, *message;
    } table[] = {
        {T(""), "line 1", "the file is empty"},
        {T("\n\n"), "line 1", "the file is empty"},
        {T("\xef\xbb\xbf"), "line 1", "the file is empty"},
        {T("a,b\n"), "line 2", "no rows"},
        {T("a,b"), "line 1", "no rows"},
        {T("a,\n1,2\n"), "line 1, column 2", "name every column"},
        {T("\n\na,b,a\n"), "line 3, column 3", "\"a\" comes twice"},
        {T("\"two\nlines\",b\n1,2\n"), "line 1, column 1", "control character"},
        {T("a,b\n1,2\n3\n"), "line 3", "1 field, where the header line names 2 columns"},
        {T("a,b\n1,2,3\n"), "line 2", "3 or more fields"},
        {T("a,b\n\n\"x\ny\",2\n3\n"), "line 5", "1 field"},
        {T("a,b\r\n1,2\r\n3\r\n"), "line 3", "1 field"},
        {T("a,b\n1,\"2\n3,4\n"), "line 2, column 2", "never closed"},
        {T("a,b\n1,\"2\"x\n"), "line 2, column 2", "after the closing quote"},
        {T("a,b\n1,\0\n"), "line 2, column 2", "NUL"},
        {T("a\0,b\n1,2\n"), "line 1", "NUL"},
        {T("a,b\n1,\xff\n"), "line 2, column 2", "UTF-8"},
        {T("a,b\n1,\xc3(\n"), "line 2, column 2", "UTF-8"},
        {T("a,b\n1,\xed\xa0\x80\n"), "line 2, column 2", "UTF-8"},
        {T("a,b\n1,\xc0\x80\n"), "line 2, column 2", "UTF-8"},
        {T("a,b\n1,\xf5\x80\x80\x80\n"), "line 2, column 2", "UTF-8"},
        {T("a,b\n1,\xe2\x82"), "line 2, column 2", "UTF-8"},
        {T("\xef\xbb"), "line 1", "UTF-8"},
        {T("\xff\xfe"
           "a,b\n1,2\n"),
         "line 1, column 1", "UTF-8"},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        for (size_t chunk = 1; chunk <= table[i].length + 1; chunk++) {
            recording out;
            bp_error error;
            bp_status status = parse(&out, table[i].input, table[i].length, chunk, &error);
            if (status != BP_INVALID)
                fail_msg("row %zu is not refused: %s", i, table[i].input);
            if (!strstr(error.message, table[i].message))
                fail_msg("row %zu: %s", i, error.message);
            assert_string_equal(error.where, table[i].where);
        }
}

static void limits_fields_and_columns(void **state)
{
    (void)state;
    recording out;
    bp_error error;
    size_t length = BP_CSV_FIELD_LIMIT + 3;
    char *text = malloc(length);
    memset(text, 'x', length);
    text[0] = 'a';
    text[1] = '\n';
    assert_int_equal(parse(&out, text, length, 1000, &error), BP_TOO_LARGE);
    assert_string_equal(error.where, "line 2, column 1");
    assert_int_equal(parse(&out, text, length, length, &error), BP_TOO_LARGE);
    free(text);

    char header[202];
    for (size_t i = 0; i < 101; i++) {
        header[2 * i] = 'a';
        header[2 * i + 1] = ',';
    }
    header[201] = '\n';
    assert_int_equal(parse(&out, header, sizeof header, 7, &error), BP_TOO_LARGE);
    assert_string_equal(error.where, "line 1, column 101");
}

static void numbers_are_correctly_rounded(void **state)
{
    (void)state;
    static const char *const numbers[] = {
        "0",
        "-0",
        "1",
        "+2",
        ".5",
        "5.",
        "0.1",
        "1e5",
        "1E+5",
        "1e-5",
        " 3.25\t",
        "9007199254740993",
        "1e22",
        "1e23",
        "2.2250738585072011e-308",
        "4.9406564584124654e-324",
        "1e-400",
        "1.7976931348623157e308",
        "123456789012345678901234567890",
        "0.000000000000000000000000000000000000000000000001",
        "8.41e-23",
    };
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        double got = NAN, expected = strtod(numbers[i], NULL);
        assert_true(bp_number_parse(&got, numbers[i], strlen(numbers[i])));
        assert_memory_equal(&got, &expected, sizeof got);
    }
    static const char *const others[] = {"",      " ",    "+",     ".",   "e5",  "1e",
                                         "1e+",   "0x10", "inf",   "nan", "1,5", "1 000",
                                         "1.2.3", "--1",  "1e999", "١"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        double got;
        if (bp_number_parse(&got, others[i], strlen(others[i])))
            fail_msg("%s is no number", others[i]);
    }
}

static void missing_values_and_booleans(void **state)
{
    (void)state;
    static const char *const missing[] = {"", "NA", "na", "N/A", "NaN", "nan", "null", "NULL", "?"};
    for (size_t i = 0; i < sizeof missing / sizeof *missing; i++)
        assert_true(bp_text_is_missing(missing[i], strlen(missing[i])));
    assert_false(bp_text_is_missing("none", 4));
    assert_false(bp_text_is_missing("0", 1));
    assert_int_equal(bp_text_boolean("TRUE", 4), 1);
    assert_int_equal(bp_text_boolean("False", 5), 0);
    assert_int_equal(bp_text_boolean("yes", 3), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_files),
        cmocka_unit_test(refuses_with_the_place),
        cmocka_unit_test(limits_fields_and_columns),
        cmocka_unit_test(numbers_are_correctly_rounded),
        cmocka_unit_test(missing_values_and_booleans),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
