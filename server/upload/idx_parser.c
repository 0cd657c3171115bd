#include "server/upload/idx_parser.h"

#include <assert.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "server/upload/element_stream.h"

enum { HEADER_LIMIT = 4 + 4 * (BP_COLUMN_RANK_LIMIT + 1) };

struct bp_idx_parser {
    bp_array_sink sink;
    unsigned char header[HEADER_LIMIT];
    size_t header_length, header_size; /* so far; as known so far, at first 4 */
    bool in_elements, failed;
    bp_element_stream stream;
};

bp_status bp_idx_parser_create(bp_idx_parser **out, const bp_array_sink *sink, bp_error *error)
{
    bp_idx_parser *parser = aligned_alloc(64, (sizeof *parser + 63) / 64 * 64);
    if (!parser)
        return bp_error_set(error, BP_NO_MEMORY, NULL, "no memory for a parser");
    parser->sink = *sink;
    parser->header_length = 0;
    parser->header_size = 4;
    parser->in_elements = parser->failed = false;
    *out = parser;
    return BP_OK;
}

void bp_idx_parser_free(bp_idx_parser *parser)
{
    free(parser);
}

static bool element_of(bp_element *out, unsigned char type)
{
    switch (type) {
    case 0x08:
        *out = BP_ELEMENT_UINT8;
        return true;
    case 0x09:
        *out = BP_ELEMENT_INT8;
        return true;
    case 0x0b:
        *out = BP_ELEMENT_INT16;
        return true;
    case 0x0c:
        *out = BP_ELEMENT_INT32;
        return true;
    case 0x0d:
        *out = BP_ELEMENT_FLOAT32;
        return true;
    case 0x0e:
        *out = BP_ELEMENT_FLOAT64;
        return true;
    default:
        return false;
    }
}

static bp_status read_magic(bp_idx_parser *parser, bp_error *error)
{
    const unsigned char *header = parser->header;
    bp_element element;
    if (header[0] != 0 || header[1] != 0)
        return bp_error_set(error, BP_INVALID, "byte 0",
                            "not an IDX file: it must begin with two zero bytes");
    if (!element_of(&element, header[2])) {
        char type[8];
        snprintf(type, sizeof type, "%02x", header[2]);
        return bp_error_set(error, BP_INVALID, "byte 2",
                            "unknown IDX element type %s; known are 08 (uint8), 09 (int8), 0b "
                            "(int16), 0c (int32), 0d (float32) and 0e (float64)",
                            type);
    }
    const size_t dimensions = header[3];
    if (dimensions == 0 || dimensions > BP_COLUMN_RANK_LIMIT + 1)
        return bp_error_set(error, BP_INVALID, "byte 3",
                            "the file has %zu dimensions; 1 to %zu are supported", dimensions,
                            (size_t)BP_COLUMN_RANK_LIMIT + 1);
    parser->header_size = 4 + 4 * dimensions;
    return BP_OK;
}

static bp_status begin_elements(bp_idx_parser *parser, bp_error *error)
{
    const unsigned char *header = parser->header;
    bp_array_layout layout = {.rank = (size_t)header[3] - 1};
    if (!element_of(&layout.element, header[2]))
        return BP_INTERNAL; /* read_magic has checked it */
    for (size_t i = 0; i < header[3]; i++) {
        const unsigned char *at = header + 4 + 4 * i;
        const uint32_t size =
            (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | (uint32_t)at[3];
        if (i == 0)
            layout.row_count = size;
        else
            layout.shape[i - 1] = size;
    }
    parser->in_elements = true;
    return bp_element_stream_begin(&parser->stream, &parser->sink, &layout, true, error);
}

bp_status bp_idx_parser_feed(bp_idx_parser *parser, const void *bytes, size_t count,
                             bp_error *error)
{
    assert(!parser->failed);
    const unsigned char *at = bytes;
    bp_status status = BP_OK;
    while (count > 0 && !parser->in_elements && status == BP_OK) {
        parser->header[parser->header_length++] = *at++;
        count--;
        if (parser->header_length == 4)
            status = read_magic(parser, error);
        else if (parser->header_length == parser->header_size)
            status = begin_elements(parser, error);
    }
    if (status == BP_OK && count > 0)
        status = bp_element_stream_feed(&parser->stream, at, count, parser->header_size, error);
    parser->failed = status != BP_OK;
    return status;
}

bp_status bp_idx_parser_finish(bp_idx_parser *parser, bp_error *error)
{
    assert(!parser->failed);
    if (parser->in_elements)
        return bp_element_stream_finish(&parser->stream, parser->header_size, error);
    char where[32];
    snprintf(where, sizeof where, "byte %zu", parser->header_length);
    return bp_error_set(error, BP_INVALID, where,
                        "the file is truncated: it ends inside the IDX header");
}
