#include "server/upload/element_stream.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/base/checked.h"
#include "server/dataset/element_size.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "column files are written in the machine's order, which must be little-endian"
#endif

bp_status bp_element_stream_begin(bp_element_stream *out, const bp_array_sink *sink,
                                  const bp_array_layout *layout, bool swap, bp_error *error)
{
    out->sink = *sink;
    out->layout = *layout;
    out->swap = swap;
    out->received = out->emitted = 0;
    out->held_bytes = 0;
    size_t width = 1, elements = 0, bytes = 0;
    bool fits = true;
    bool empty = layout->row_count == 0;
    for (size_t i = 0; i < layout->rank; i++) {
        empty |= layout->shape[i] == 0;
        fits = fits && bp_checked_multiply(&width, width, layout->shape[i]);
    }
    if (empty)
        return bp_error_set(error, BP_INVALID, NULL, "a dimension is 0: the file has no elements");
    /* Eight bytes an element whatever it is here, so that a float64 copy can be sized too. */
    fits = fits && bp_checked_multiply(&elements, width, layout->row_count) &&
           bp_checked_multiply(&bytes, elements, 8) && bytes <= INT64_MAX;
    if (!fits)
        return bp_error_set(error, BP_TOO_LARGE, NULL, "the dimensions of the file overflow");
    out->layout.width = width;
    out->expected = (uint64_t)elements * bp_element_size(layout->element);
    return sink->layout(sink->context, &out->layout, error);
}

static void swap_block(unsigned char *block, size_t count, size_t size)
{
    switch (size) {
    case 2:
        for (size_t i = 0; i < count; i++) {
            uint16_t bits;
            memcpy(&bits, block + 2 * i, 2);
            bits = __builtin_bswap16(bits);
            memcpy(block + 2 * i, &bits, 2);
        }
        break;
    case 4:
        for (size_t i = 0; i < count; i++) {
            uint32_t bits;
            memcpy(&bits, block + 4 * i, 4);
            bits = __builtin_bswap32(bits);
            memcpy(block + 4 * i, &bits, 4);
        }
        break;
    case 8:
        for (size_t i = 0; i < count; i++) {
            uint64_t bits;
            memcpy(&bits, block + 8 * i, 8);
            bits = __builtin_bswap64(bits);
            memcpy(block + 8 * i, &bits, 8);
        }
        break;
    default:
        break;
    }
}

/* Index of the first infinite number, or count. */
static size_t find_infinite(const unsigned char *block, size_t count, bp_element element)
{
    if (element == BP_ELEMENT_FLOAT32) {
        const float *values = (const float *)(const void *)block;
        for (size_t i = 0; i < count; i++)
            if (isinf(values[i]))
                return i;
    } else if (element == BP_ELEMENT_FLOAT64) {
        const double *values = (const double *)(const void *)block;
        for (size_t i = 0; i < count; i++)
            if (isinf(values[i]))
                return i;
    }
    return count;
}

static bp_status emit(bp_element_stream *stream, bp_error *error)
{
    const size_t size = bp_element_size(stream->layout.element);
    const size_t count = stream->held_bytes / size;
    if (count == 0)
        return BP_OK;
    if (stream->swap)
        swap_block(stream->block, count, size);
    if (stream->layout.boolean)
        for (size_t i = 0; i < count; i++)
            stream->block[i] = stream->block[i] != 0;
    const size_t infinite = find_infinite(stream->block, count, stream->layout.element);
    if (infinite < count) {
        char where[64];
        const uint64_t index = stream->emitted + infinite;
        snprintf(where, sizeof where, "row %llu",
                 (unsigned long long)(index / stream->layout.width + 1));
        return bp_error_set(error, BP_INVALID, where,
                            "an element is infinite; numbers must be finite, or NaN where missing");
    }
    bp_status status = stream->sink.values(stream->sink.context, stream->block, count, error);
    stream->emitted += count;
    stream->held_bytes = 0;
    return status;
}

bp_status bp_element_stream_feed(bp_element_stream *stream, const void *bytes, size_t count,
                                 uint64_t header_bytes, bp_error *error)
{
    const unsigned char *at = bytes;
    if (count > stream->expected - stream->received) {
        char where[64];
        snprintf(where, sizeof where, "byte %llu",
                 (unsigned long long)(header_bytes + stream->expected));
        return bp_error_set(
            error, BP_INVALID, where,
            "the header announces %llu bytes of elements (%llu in all), but more follow",
            (unsigned long long)stream->expected,
            (unsigned long long)(header_bytes + stream->expected));
    }
    stream->received += count;
    while (count > 0) {
        /* The block is a multiple of every element's size, so a full one ends with a whole element. */
        size_t take = sizeof stream->block - stream->held_bytes;
        if (take > count)
            take = count;
        memcpy(stream->block + stream->held_bytes, at, take);
        stream->held_bytes += take;
        at += take;
        count -= take;
        if (stream->held_bytes == sizeof stream->block) {
            bp_status status = emit(stream, error);
            if (status != BP_OK)
                return status;
        }
    }
    return BP_OK;
}

bp_status bp_element_stream_finish(bp_element_stream *stream, uint64_t header_bytes,
                                   bp_error *error)
{
    if (stream->received < stream->expected) {
        char where[64];
        snprintf(where, sizeof where, "byte %llu",
                 (unsigned long long)(header_bytes + stream->received));
        return bp_error_set(error, BP_INVALID, where,
                            "the file is truncated: its header announces %llu bytes in all, but "
                            "there are %llu",
                            (unsigned long long)(header_bytes + stream->expected),
                            (unsigned long long)(header_bytes + stream->received));
    }
    return emit(stream, error);
}
