/* States: START until two bytes tell what the content is; PLAIN; INFLATING a member; BETWEEN members,
 * where another may begin or zero padding may follow; PADDING, where only zeros may. */
#include "server/upload/gzip_decoder.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <zlib.h>

enum { OUTPUT_BYTES = 64 * 1024 };

typedef enum decoder_state { START, PLAIN, INFLATING, BETWEEN, PADDING } decoder_state;

struct bp_gzip_decoder {
    decoder_state state;
    bool first_is_magic; /* START: the first byte was 1f */
    z_stream stream;
    bool has_stream;
    uint64_t limit, decoded, encoded; /* bytes */
    bp_byte_consumer *consume;
    void *context;
    unsigned char output[OUTPUT_BYTES];
};

bp_status bp_gzip_decoder_create(bp_gzip_decoder **out, uint64_t limit_bytes,
                                 bp_byte_consumer *consume, void *context, bp_error *error)
{
    bp_gzip_decoder *decoder = calloc(1, sizeof *decoder);
    if (!decoder)
        return bp_error_set(error, BP_NO_MEMORY, NULL, "no memory for decoding");
    decoder->limit = limit_bytes;
    decoder->consume = consume;
    decoder->context = context;
    *out = decoder;
    return BP_OK;
}

void bp_gzip_decoder_free(bp_gzip_decoder *decoder)
{
    if (!decoder)
        return;
    if (decoder->has_stream)
        inflateEnd(&decoder->stream);
    free(decoder);
}

static bp_status emit(bp_gzip_decoder *decoder, const unsigned char *bytes, size_t count,
                      bp_error *error)
{
    if (count > decoder->limit - decoder->decoded)
        return bp_error_set(error, BP_TOO_LARGE, NULL,
                            "the upload is larger than the limit of %llu decoded bytes",
                            (unsigned long long)decoder->limit);
    decoder->decoded += count;
    return decoder->consume(decoder->context, bytes, count, error);
}

static bp_status emit_plain(bp_gzip_decoder *decoder, const unsigned char *bytes, size_t count,
                            bp_error *error)
{
    bp_status status = BP_OK;
    while (count > 0 && status == BP_OK) {
        const size_t take = count < OUTPUT_BYTES ? count : OUTPUT_BYTES;
        status = emit(decoder, bytes, take, error);
        bytes += take;
        count -= take;
    }
    return status;
}

static bp_status fail(bp_gzip_decoder *decoder, size_t left, bp_error *error, const char *message)
{
    char where[64];
    snprintf(where, sizeof where, "byte %llu", (unsigned long long)(decoder->encoded - left));
    return bp_error_set(error, BP_INVALID, where, "%s", message);
}

static bp_status begin_member(bp_gzip_decoder *decoder, bp_error *error)
{
    enum { GZIP_ONLY = 16 };
    const int outcome = decoder->has_stream ? inflateReset(&decoder->stream)
                                            : inflateInit2(&decoder->stream, MAX_WBITS + GZIP_ONLY);
    if (outcome != Z_OK)
        return bp_error_set(error, BP_NO_MEMORY, NULL, "no memory for decoding");
    decoder->has_stream = true;
    decoder->state = INFLATING;
    return BP_OK;
}

static bp_status inflate_some(bp_gzip_decoder *decoder, unsigned char **at, size_t *left,
                              bp_error *error)
{
    z_stream *stream = &decoder->stream;
    while (decoder->state == INFLATING) {
        stream->next_in = *at;
        stream->avail_in = (uInt)(*left > OUTPUT_BYTES ? OUTPUT_BYTES : *left);
        const size_t given = stream->avail_in;
        stream->next_out = decoder->output;
        stream->avail_out = OUTPUT_BYTES;
        const int outcome = inflate(stream, Z_NO_FLUSH);
        *at += given - stream->avail_in;
        *left -= given - stream->avail_in;
        if (outcome == Z_MEM_ERROR)
            return bp_error_set(error, BP_NO_MEMORY, NULL, "no memory for decoding");
        if (outcome != Z_OK && outcome != Z_STREAM_END && outcome != Z_BUF_ERROR)
            return fail(decoder, *left, error, "the gzip data is damaged");
        const size_t produced = OUTPUT_BYTES - stream->avail_out;
        if (produced > 0) {
            bp_status status = emit(decoder, decoder->output, produced, error);
            if (status != BP_OK)
                return status;
        }
        if (outcome == Z_STREAM_END)
            decoder->state = BETWEEN;
        else if (*left == 0 && stream->avail_out > 0)
            break; /* all input is used, and so is what zlib held back */
    }
    return BP_OK;
}

static bp_status begin(bp_gzip_decoder *decoder, unsigned char **at, size_t *left, bp_error *error)
{
    static unsigned char magic[] = {0x1f, 0x8b};
    if (!decoder->first_is_magic) {
        if (**at != magic[0]) {
            decoder->state = PLAIN;
            return BP_OK;
        }
        decoder->first_is_magic = true;
        ++*at;
        --*left;
        return BP_OK;
    }
    if (**at != magic[1]) {
        decoder->state = PLAIN;
        return emit_plain(decoder, magic, 1, error);
    }
    bp_status status = begin_member(decoder, error);
    unsigned char *first = magic;
    size_t one = 1;
    if (status == BP_OK)
        status = inflate_some(decoder, &first, &one, error);
    return status;
}

bp_status bp_gzip_decoder_feed(bp_gzip_decoder *decoder, const void *bytes, size_t count,
                               bp_error *error)
{
    /* zlib's next_in is not const, but inflate does not write there. */
    unsigned char *at = (unsigned char *)(uintptr_t)bytes;
    bp_status status = BP_OK;
    decoder->encoded += count;
    while (count > 0 && status == BP_OK) {
        switch (decoder->state) {
        case START:
            status = begin(decoder, &at, &count, error);
            break;
        case PLAIN:
            status = emit_plain(decoder, at, count, error);
            count = 0;
            break;
        case INFLATING:
            status = inflate_some(decoder, &at, &count, error);
            break;
        case BETWEEN:
            if (*at == 0)
                decoder->state = PADDING;
            else
                status = begin_member(decoder, error);
            break;
        case PADDING:
            if (*at != 0)
                return fail(decoder, count, error, "bytes follow the gzip data");
            at++;
            count--;
            break;
        }
    }
    return status;
}

bp_status bp_gzip_decoder_finish(bp_gzip_decoder *decoder, bp_error *error)
{
    static const unsigned char magic = 0x1f;
    switch (decoder->state) {
    case START:
        return decoder->first_is_magic ? emit_plain(decoder, &magic, 1, error) : BP_OK;
    case INFLATING:
        return fail(decoder, 0, error, "the gzip data is truncated");
    case PLAIN:
    case BETWEEN:
    case PADDING:
        break;
    }
    return BP_OK;
}
