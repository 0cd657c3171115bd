/* NPY: versions, types, byte orders, shapes as NumPy writes them, and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/upload/npy_parser.h"
#include "tests/server/support_array_recorder.h"

typedef struct npy_file {
    char bytes[1024];
    size_t length;
} npy_file;

static npy_file make(int version, const char *dictionary, const void *elements, size_t size_bytes)
{
    npy_file file = {.length = 0};
    const size_t text = strlen(dictionary);
    memcpy(file.bytes, "\x93NUMPY", 6);
    file.bytes[6] = (char)version;
    file.bytes[8] = (char)(text & 0xff);
    file.bytes[9] = (char)(text >> 8);
    file.length = version == 1 ? 10 : 12;
    memcpy(file.bytes + file.length, dictionary, text);
    file.length += text;
    memcpy(file.bytes + file.length, elements, size_bytes);
    file.length += size_bytes;
    return file;
}

static bp_status parse(array_recorder *out, const npy_file *file, size_t length, size_t chunk,
                       bp_error *error)
{
    bp_npy_parser *parser;
    const bp_array_sink sink = array_recorder_sink(out);
    *error = (bp_error){0};
    assert_int_equal(bp_npy_parser_create(&parser, &sink, error), BP_OK);
    bp_status status = BP_OK;
    for (size_t at = 0; at < length && status == BP_OK; at += chunk) {
        const size_t take = length - at < chunk ? length - at : chunk;
        char *piece = malloc(take);
        memcpy(piece, file->bytes + at, take);
        status = bp_npy_parser_feed(parser, piece, take, error);
        free(piece);
    }
    if (status == BP_OK)
        status = bp_npy_parser_finish(parser, error);
    bp_npy_parser_free(parser);
    return status;
}

static void reads_versions_and_types(void **state)
{
    (void)state;
    static const float singles[] = {1, -2, 3};
    static const unsigned char big[] = {0x3f, 0x80, 0, 0, 0xc0, 0, 0, 0, 0x40, 0x40, 0, 0};
    static const int64_t longs[] = {1, -2, 3};
    static const unsigned char flags[] = {0, 1, 2}, truths[] = {0, 1, 1};
    static const struct {
        const char *dictionary;
        bp_element element;
        const void *elements, *expected;
        size_t size_bytes;
    } table[] = {
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }   \n", BP_ELEMENT_FLOAT32,
         singles, singles, sizeof singles},
        {"{'descr': '>f4', 'fortran_order': False, 'shape': (3,), }\n", BP_ELEMENT_FLOAT32, big,
         singles, sizeof singles},
        {"{\"shape\":(3L,),\"descr\":\"<i8\",\"fortran_order\":True}", BP_ELEMENT_INT64, longs,
         longs, sizeof longs},
        {"{'descr': '|b1', 'fortran_order': False, 'shape': (3,), }\n", BP_ELEMENT_UINT8, flags,
         truths, sizeof flags},
        {"{'descr': '|u1', 'fortran_order': False, 'shape': (3,), }\n", BP_ELEMENT_UINT8, flags,
         flags, sizeof flags},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        for (int version = 1; version <= 3; version++) {
            npy_file file =
                make(version, table[i].dictionary, table[i].elements, table[i].size_bytes);
            for (size_t chunk = 1; chunk <= file.length; chunk++) {
                array_recorder out;
                bp_error error;
                assert_int_equal(parse(&out, &file, file.length, chunk, &error), BP_OK);
                assert_int_equal(out.layout.element, table[i].element);
                assert_int_equal(out.layout.boolean, i == 3);
                assert_int_equal(out.layout.row_count, 3);
                assert_int_equal(out.layout.rank, 0);
                assert_memory_equal(out.bytes, table[i].expected, table[i].size_bytes);
            }
            for (size_t length = 0; length < file.length; length++) {
                array_recorder out;
                bp_error error;
                assert_int_equal(parse(&out, &file, length, 64, &error), BP_INVALID);
                assert_non_null(strstr(error.message, "truncated"));
            }
        }
}

static void reads_shapes(void **state)
{
    (void)state;
    npy_file file =
        make(1, "{'descr': '|u1', 'fortran_order': False, 'shape': (2, 3, 1), }\n", "abcdef", 6);
    array_recorder out;
    bp_error error;
    assert_int_equal(parse(&out, &file, file.length, 7, &error), BP_OK);
    assert_int_equal(out.layout.row_count, 2);
    assert_int_equal(out.layout.rank, 2);
    assert_int_equal(out.layout.shape[0], 3);
    assert_int_equal(out.layout.shape[1], 1);
    assert_memory_equal(out.bytes, "abcdef", 6);
}

static void refuses(void **state)
{
    (void)state;
    static const struct {
        const char *dictionary;
        bp_status status;
        const char *message;
    } table[] = {
        {"{'descr': '|u1', 'fortran_order': True, 'shape': (2, 3), }", BP_UNSUPPORTED, "Fortran"},
        {"{'descr': '<f2', 'fortran_order': False, 'shape': (6,), }", BP_UNSUPPORTED, "<f2"},
        {"{'descr': '|O', 'fortran_order': False, 'shape': (6,), }", BP_UNSUPPORTED, "|O"},
        {"{'descr': '<U5', 'fortran_order': False, 'shape': (6,), }", BP_UNSUPPORTED, "<U5"},
        {"{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (6,), }", BP_UNSUPPORTED,
         "a structure"},
        {"{'descr': '|u1', 'fortran_order': False, 'shape': (), }", BP_INVALID, "0 dimensions"},
        {"{'descr': '|u1', 'fortran_order': False, 'shape': (0,), }", BP_INVALID,
         "a dimension is 0"},
        {"{'descr': '|u1', 'fortran_order': False, 'shape': (1,1,1,1,1,1,1,1,1,6), }", BP_INVALID,
         "10 dimensions"},
        {"{'descr': '|u1', 'fortran_order': False, 'shape': (4294967296, 4294967296, 2), }",
         BP_TOO_LARGE, "overflow"},
        {"{'descr': '|u1', 'fortran_order': False, 'shape': (99999999999999999999999,), }",
         BP_INVALID, "dictionary"},
        {"{'descr': '|u1', 'fortran_order': False, 'shape': (-6,), }", BP_INVALID, "dictionary"},
        {"{'descr': '|u1', 'fortran_order': False, 'shape': (6) }x", BP_INVALID, "dictionary"},
        {"{'descr': '|u1', 'shape': (6,), }", BP_INVALID, "dictionary"},
        {"{'descr': '|u1', 'fortran_order': False, 'shape': (5,), }", BP_INVALID, "more follow"},
        {"{'descr': '|u1', 'fortran_order': False, 'shape': (7,), }", BP_INVALID, "truncated"},
        {"os.system('x')", BP_INVALID, "dictionary"},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        npy_file file = make(1, table[i].dictionary, "abcdef", 6);
        array_recorder out;
        bp_error error;
        bp_status status = parse(&out, &file, file.length, 11, &error);
        if (status != table[i].status || !strstr(error.message, table[i].message))
            fail_msg("row %zu: %d %s", i, (int)status, error.message);
    }
    npy_file file = make(4, "{}", "", 0);
    array_recorder out;
    bp_error error;
    assert_int_equal(parse(&out, &file, file.length, 100, &error), BP_UNSUPPORTED);
    file = make(2, "{}", "", 0);
    file.bytes[11] = 0x7f; /* a header of 2 GiB */
    assert_int_equal(parse(&out, &file, file.length, 100, &error), BP_INVALID);
    assert_non_null(strstr(error.message, "the NPY header takes"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_versions_and_types),
        cmocka_unit_test(reads_shapes),
        cmocka_unit_test(refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
