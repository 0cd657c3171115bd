#include "server/upload/npy_parser.h"

#include <assert.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/upload/element_stream.h"

enum { PREFIX_LIMIT = 12 }; /* magic, version, length of the dictionary */

struct bp_npy_parser {
    bp_array_sink sink;
    unsigned char prefix[PREFIX_LIMIT];
    size_t prefix_length, prefix_size; /* so far; 8 until the version is known */
    char *dictionary;
    size_t dictionary_length, dictionary_size;
    bool in_elements, failed;
    bp_element_stream stream;
};

bp_status bp_npy_parser_create(bp_npy_parser **out, const bp_array_sink *sink, bp_error *error)
{
    bp_npy_parser *parser = aligned_alloc(64, (sizeof *parser + 63) / 64 * 64);
    if (!parser)
        return bp_error_set(error, BP_NO_MEMORY, NULL, "no memory for a parser");
    parser->sink = *sink;
    parser->prefix_length = parser->dictionary_length = parser->dictionary_size = 0;
    parser->prefix_size = 8;
    parser->dictionary = NULL;
    parser->in_elements = parser->failed = false;
    *out = parser;
    return BP_OK;
}

void bp_npy_parser_free(bp_npy_parser *parser)
{
    if (!parser)
        return;
    free(parser->dictionary);
    free(parser);
}

/* ---- the dictionary: {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), } ---- */

typedef struct dictionary_reader {
    const char *at, *end;
} dictionary_reader;

static void skip_blanks(dictionary_reader *reader)
{
    while (reader->at < reader->end && strchr(" \t\n\r", *reader->at) && *reader->at)
        reader->at++;
}

static bool take_char(dictionary_reader *reader, char wanted)
{
    skip_blanks(reader);
    if (reader->at == reader->end || *reader->at != wanted)
        return false;
    reader->at++;
    return true;
}

static bool take_word(dictionary_reader *reader, const char *word)
{
    skip_blanks(reader);
    size_t length = strlen(word);
    if ((size_t)(reader->end - reader->at) < length || memcmp(reader->at, word, length) != 0)
        return false;
    reader->at += length;
    return true;
}

/* A Python string literal without escapes. */
static bool take_string(dictionary_reader *reader, char *out, size_t size)
{
    skip_blanks(reader);
    if (reader->at == reader->end || (*reader->at != '\'' && *reader->at != '"'))
        return false;
    const char quote = *reader->at++;
    size_t length = 0;
    while (reader->at < reader->end && *reader->at != quote) {
        if (*reader->at == '\\' || *reader->at == '\0' || length + 1 >= size)
            return false;
        out[length++] = *reader->at++;
    }
    out[length] = '\0';
    return take_char(reader, quote);
}

static bool take_size(dictionary_reader *reader, size_t *out)
{
    skip_blanks(reader);
    const char *from = reader->at;
    size_t value = 0;
    for (; reader->at < reader->end && *reader->at >= '0' && *reader->at <= '9'; reader->at++)
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, (size_t)(*reader->at - '0'), &value))
            return false;
    if (reader->at == from)
        return false;
    if (reader->at < reader->end && *reader->at == 'L') /* written by Python 2 */
        reader->at++;
    *out = value;
    return true;
}

typedef struct npy_header {
    char type[16];
    bool has_type, has_order, has_shape, fortran;
    size_t dimension_count;
    size_t dimensions[BP_COLUMN_RANK_LIMIT + 1];
} npy_header;

static bool take_shape(dictionary_reader *reader, npy_header *header)
{
    if (!take_char(reader, '('))
        return false;
    while (!take_char(reader, ')')) {
        size_t size;
        if (!take_size(reader, &size))
            return false;
        if (header->dimension_count <= BP_COLUMN_RANK_LIMIT)
            header->dimensions[header->dimension_count] = size;
        header->dimension_count++;
        if (!take_char(reader, ',')) {
            if (!take_char(reader, ')'))
                return false;
            break;
        }
    }
    header->has_shape = true;
    return true;
}

static bool take_entry(dictionary_reader *reader, npy_header *header)
{
    char key[32];
    if (!take_string(reader, key, sizeof key) || !take_char(reader, ':'))
        return false;
    if (strcmp(key, "descr") == 0 && !header->has_type) {
        header->has_type = true;
        if (take_string(reader, header->type, sizeof header->type))
            return true;
        /* A list of fields, or a name too long to be a number's. */
        snprintf(header->type, sizeof header->type, "a structure");
        return false;
    }
    if (strcmp(key, "fortran_order") == 0 && !header->has_order) {
        header->has_order = true;
        header->fortran = take_word(reader, "True");
        return header->fortran || take_word(reader, "False");
    }
    if (strcmp(key, "shape") == 0 && !header->has_shape)
        return take_shape(reader, header);
    return false;
}

static bool read_dictionary(npy_header *header, const char *text, size_t length)
{
    dictionary_reader reader = {text, text + length};
    if (!take_char(&reader, '{'))
        return false;
    while (!take_char(&reader, '}')) {
        if (!take_entry(&reader, header))
            return false;
        if (!take_char(&reader, ',')) {
            if (!take_char(&reader, '}'))
                return false;
            break;
        }
    }
    skip_blanks(&reader);
    return reader.at == reader.end && header->has_type && header->has_order && header->has_shape;
}

static bool element_of(bp_array_layout *layout, bool *swap, const char *type)
{
    static const struct {
        const char *code;
        bp_element element;
        bool boolean;
    } known[] = {
        {"b1", BP_ELEMENT_UINT8, true},    {"i1", BP_ELEMENT_INT8, false},
        {"u1", BP_ELEMENT_UINT8, false},   {"i2", BP_ELEMENT_INT16, false},
        {"i4", BP_ELEMENT_INT32, false},   {"i8", BP_ELEMENT_INT64, false},
        {"f4", BP_ELEMENT_FLOAT32, false}, {"f8", BP_ELEMENT_FLOAT64, false},
    };
    if (*type == '\0' || !strchr("<>=|", *type))
        return false;
    *swap = *type == '>';
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(type + 1, known[i].code) == 0) {
            layout->element = known[i].element;
            layout->boolean = known[i].boolean;
            return *type != '|' || known[i].code[1] == '1';
        }
    return false;
}

static bp_status begin_elements(bp_npy_parser *parser, bp_error *error)
{
    npy_header header = {0};
    bp_array_layout layout = {0};
    bool swap = false;
    char where[32];
    snprintf(where, sizeof where, "byte %zu", parser->prefix_size);
    const bool readable = read_dictionary(&header, parser->dictionary, parser->dictionary_length);
    if (header.has_type && !element_of(&layout, &swap, header.type))
        return bp_error_set(error, BP_UNSUPPORTED, where,
                            "arrays of %s are not supported; save as bool, int8, uint8, int16, "
                            "int32, int64, float32 or float64",
                            header.type);
    if (!readable)
        return bp_error_set(error, BP_INVALID, where,
                            "the NPY header is not a dictionary of descr, fortran_order and shape");
    if (header.dimension_count == 0 || header.dimension_count > BP_COLUMN_RANK_LIMIT + 1)
        return bp_error_set(error, BP_INVALID, where,
                            "the array has %zu dimensions; 1 to %zu are supported",
                            header.dimension_count, (size_t)BP_COLUMN_RANK_LIMIT + 1);
    if (header.fortran && header.dimension_count > 1)
        return bp_error_set(error, BP_UNSUPPORTED, where,
                            "the array is in Fortran order; save numpy.ascontiguousarray(array)");
    layout.row_count = header.dimensions[0];
    layout.rank = header.dimension_count - 1;
    memcpy(layout.shape, header.dimensions + 1, layout.rank * sizeof *layout.shape);
    parser->in_elements = true;
    return bp_element_stream_begin(&parser->stream, &parser->sink, &layout, swap, error);
}

/* ---- bytes ---- */

static bp_status read_prefix(bp_npy_parser *parser, bp_error *error)
{
    const unsigned char *prefix = parser->prefix;
    if (parser->prefix_length == 8) {
        if (memcmp(prefix, "\x93NUMPY", 6) != 0)
            return bp_error_set(error, BP_INVALID, "byte 0",
                                "not an NPY file: it must begin with \\x93NUMPY");
        if (prefix[6] < 1 || prefix[6] > 3)
            return bp_error_set(error, BP_UNSUPPORTED, "byte 6",
                                "NPY version %u is not supported; 1 to 3 are", prefix[6]);
        parser->prefix_size = prefix[6] == 1 ? 10 : 12;
        return BP_OK;
    }
    if (parser->prefix_length < parser->prefix_size)
        return BP_OK;
    size_t size = (size_t)prefix[8] | (size_t)prefix[9] << 8;
    if (parser->prefix_size == 12)
        size |= (size_t)prefix[10] << 16 | (size_t)prefix[11] << 24;
    if (size == 0 || size > BP_NPY_HEADER_LIMIT)
        return bp_error_set(error, BP_INVALID, "byte 8",
                            "the NPY header takes %zu bytes; 1 to %zu are supported", size,
                            (size_t)BP_NPY_HEADER_LIMIT);
    parser->dictionary = malloc(size);
    if (!parser->dictionary)
        return bp_error_set(error, BP_NO_MEMORY, NULL, "no memory for the NPY header");
    parser->dictionary_size = size;
    return BP_OK;
}

bp_status bp_npy_parser_feed(bp_npy_parser *parser, const void *bytes, size_t count,
                             bp_error *error)
{
    assert(!parser->failed);
    const unsigned char *at = bytes;
    bp_status status = BP_OK;
    while (count > 0 && !parser->in_elements && status == BP_OK) {
        if (!parser->dictionary) {
            parser->prefix[parser->prefix_length++] = *at++;
            count--;
            if (parser->prefix_length >= 8)
                status = read_prefix(parser, error);
            continue;
        }
        size_t take = parser->dictionary_size - parser->dictionary_length;
        if (take > count)
            take = count;
        memcpy(parser->dictionary + parser->dictionary_length, at, take);
        parser->dictionary_length += take;
        at += take;
        count -= take;
        if (parser->dictionary_length == parser->dictionary_size)
            status = begin_elements(parser, error);
    }
    if (status == BP_OK && count > 0)
        status = bp_element_stream_feed(&parser->stream, at, count,
                                        parser->prefix_size + parser->dictionary_size, error);
    parser->failed = status != BP_OK;
    return status;
}

bp_status bp_npy_parser_finish(bp_npy_parser *parser, bp_error *error)
{
    assert(!parser->failed);
    if (parser->in_elements)
        return bp_element_stream_finish(&parser->stream,
                                        parser->prefix_size + parser->dictionary_size, error);
    char where[32];
    snprintf(where, sizeof where, "byte %zu", parser->prefix_length + parser->dictionary_length);
    return bp_error_set(error, BP_INVALID, where,
                        "the file is truncated: it ends inside the NPY header");
}
