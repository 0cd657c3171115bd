/* NPY parser: whatever the bytes and however they are cut, the same outcome. */
#include <string.h>

#include "server/upload/npy_parser.h"
#include "tests/fuzz/array_checker.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

static bp_status parse(array_checker *out, const unsigned char *data, size_t size, size_t chunk,
                       bp_error *error)
{
    bp_npy_parser *parser;
    const bp_array_sink sink = {out, check_layout, check_values};
    if (bp_npy_parser_create(&parser, &sink, error) != BP_OK)
        return BP_NO_MEMORY;
    bp_status status = BP_OK;
    for (size_t at = 0; at < size && status == BP_OK; at += chunk)
        status =
            bp_npy_parser_feed(parser, data + at, size - at < chunk ? size - at : chunk, error);
    if (status == BP_OK)
        status = bp_npy_parser_finish(parser, error);
    bp_npy_parser_free(parser);
    if (status == BP_OK)
        require(out->element_count == out->layout.row_count * out->layout.width);
    return status;
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    array_checker whole = {0}, pieces = {0};
    bp_error whole_error = {0}, pieces_error = {0};
    bp_status status = parse(&whole, data, size, size ? size : 1, &whole_error);
    /* A fault in the elements may be met before one at the end or after it, by the cut. */
    bp_status again = parse(&pieces, data, size, 1 + size % 5, &pieces_error);
    require((status == BP_OK) == (again == BP_OK));
    require(status == whole_error.status && (status == BP_OK) == !whole_error.message[0]);
    if (status == BP_OK)
        require(whole.sum == pieces.sum && whole.element_count == pieces.element_count);
    return 0;
}
