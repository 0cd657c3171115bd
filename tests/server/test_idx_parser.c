/* IDX: every element type, truncation at every byte, and dimensions that do not fit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "server/upload/idx_parser.h"
#include "tests/server/support_array_recorder.h"

static bp_status parse(array_recorder *out, const void *input, size_t length, size_t chunk,
                       bp_error *error)
{
    bp_idx_parser *parser;
    const bp_array_sink sink = array_recorder_sink(out);
    *error = (bp_error){0};
    assert_int_equal(bp_idx_parser_create(&parser, &sink, error), BP_OK);
    bp_status status = BP_OK;
    for (size_t at = 0; at < length && status == BP_OK; at += chunk) {
        const size_t take = length - at < chunk ? length - at : chunk;
        char *piece = malloc(take);
        memcpy(piece, (const char *)input + at, take);
        status = bp_idx_parser_feed(parser, piece, take, error);
        free(piece);
    }
    if (status == BP_OK)
        status = bp_idx_parser_finish(parser, error);
    bp_idx_parser_free(parser);
    return status;
}

#define T(text) (text), sizeof(text) - 1

static void reads_every_type(void **state)
{
    (void)state;
    static const float singles[] = {1.5f, -2.0f};
    static const double doubles[] = {1.5, -2.0};
    static const int16_t shorts[] = {1, -2};
    static const int32_t ints[] = {1, -2};
    static const unsigned char bytes[] = {1, 254};
    static const struct {
        const char *input;
        size_t length;
        bp_element element;
        const void *values;
        size_t size_bytes;
    } table[] = {
        {T("\0\0\x08\x01\0\0\0\x02\x01\xfe"), BP_ELEMENT_UINT8, bytes, sizeof bytes},
        {T("\0\0\x09\x01\0\0\0\x02\x01\xfe"), BP_ELEMENT_INT8, bytes, sizeof bytes},
        {T("\0\0\x0b\x01\0\0\0\x02\0\x01\xff\xfe"), BP_ELEMENT_INT16, shorts, sizeof shorts},
        {T("\0\0\x0c\x01\0\0\0\x02\0\0\0\x01\xff\xff\xff\xfe"), BP_ELEMENT_INT32, ints,
         sizeof ints},
        {T("\0\0\x0d\x01\0\0\0\x02\x3f\xc0\0\0\xc0\0\0\0"), BP_ELEMENT_FLOAT32, singles,
         sizeof singles},
        {T("\0\0\x0e\x01\0\0\0\x02\x3f\xf8\0\0\0\0\0\0\xc0\0\0\0\0\0\0\0"), BP_ELEMENT_FLOAT64,
         doubles, sizeof doubles},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        for (size_t chunk = 1; chunk <= table[i].length; chunk++) {
            array_recorder out;
            bp_error error;
            assert_int_equal(parse(&out, table[i].input, table[i].length, chunk, &error), BP_OK);
            assert_int_equal(out.layout.element, table[i].element);
            assert_int_equal(out.layout.row_count, 2);
            assert_int_equal(out.layout.rank, 0);
            assert_int_equal(out.element_count, 2);
            assert_memory_equal(out.bytes, table[i].values, table[i].size_bytes);
        }
}

static const char images[] = "\0\0\x08\x03\0\0\0\x02\0\0\0\x02\0\0\0\x03"
                             "abcdefghijkl";

static void the_first_dimension_counts_rows(void **state)
{
    (void)state;
    array_recorder out;
    bp_error error;
    assert_int_equal(parse(&out, T(images), 5, &error), BP_OK);
    assert_int_equal(out.layout.row_count, 2);
    assert_int_equal(out.layout.rank, 2);
    assert_int_equal(out.layout.shape[0], 2);
    assert_int_equal(out.layout.shape[1], 3);
    assert_int_equal(out.layout.width, 6);
    assert_memory_equal(out.bytes, "abcdefghijkl", 12);
}

static void refuses_truncation_at_every_byte(void **state)
{
    (void)state;
    array_recorder out;
    bp_error error;
    for (size_t length = 0; length < sizeof images - 1; length++) {
        assert_int_equal(parse(&out, images, length, 3, &error), BP_INVALID);
        assert_non_null(strstr(error.message, "truncated"));
    }
    assert_non_null(strstr(error.message, "28 bytes in all, but there are 27"));
    assert_string_equal(error.where, "byte 27");
}

static void refuses_hostile_headers(void **state)
{
    (void)state;
    static const struct {
        const char *input;
        size_t length;
        bp_status status;
        const char *message;
    } table[] = {
        {T("\0\0\x08\x01\0\0\0\x01xy"), BP_INVALID, "more follow"},
        {T("PK\x03\x04"), BP_INVALID, "two zero bytes"},
        {T("\0\0\x0a\x01\0\0\0\x01x"), BP_INVALID, "element type 0a"},
        {T("\0\0\x08\0x"), BP_INVALID, "0 dimensions"},
        {T("\0\0\x08\x0ax"), BP_INVALID, "10 dimensions"},
        {T("\0\0\x08\x01\0\0\0\0"), BP_INVALID, "a dimension is 0"},
        {T("\0\0\x08\x03\0\0\0\x01\0\0\0\0\xff\xff\xff\xff"), BP_INVALID, "a dimension is 0"},
        {T("\0\0\x0e\x03\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"), BP_TOO_LARGE,
         "overflow"},
        {T("\0\0\x08\x02\x7f\xff\xff\xff\x7f\xff\xff\xff"), BP_TOO_LARGE, "overflow"},
        {T("\0\0\x0d\x01\0\0\0\x01\x7f\x80\0\0"), BP_INVALID, "infinite"},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        for (size_t chunk = 1; chunk <= table[i].length; chunk++) {
            array_recorder out;
            bp_error error;
            assert_int_equal(parse(&out, table[i].input, table[i].length, chunk, &error),
                             table[i].status);
            if (!strstr(error.message, table[i].message))
                fail_msg("row %zu: %s", i, error.message);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_every_type),
        cmocka_unit_test(the_first_dimension_counts_rows),
        cmocka_unit_test(refuses_truncation_at_every_byte),
        cmocka_unit_test(refuses_hostile_headers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
