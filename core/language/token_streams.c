#include "core/language/token_streams.h"

#include <assert.h>

bp_status bp_token_streams_cut(bp_token_streams *out, const bp_token_source *source,
                               size_t stream_count, bp_error *error)
{
    assert(stream_count >= 1);
    if (source->count < 2)
        return bp_error_set(error, BP_INVALID, NULL,
                            "%zu tokens are too few: a step needs a token and the next one",
                            source->count);
    const size_t pairs = source->count - 1;
    const size_t count = stream_count < pairs ? stream_count : pairs;
    *out = (bp_token_streams){
        .source = *source, .stream_count = count, .stream_length = pairs / count};
    return BP_OK;
}

size_t bp_token_streams_chunk_count(const bp_token_streams *streams, size_t sequence_length)
{
    const size_t length = streams->stream_length;
    return length / sequence_length + (length % sequence_length > 0);
}

size_t bp_token_streams_chunk_steps(const bp_token_streams *streams, size_t sequence_length,
                                    size_t chunk)
{
    assert(chunk < bp_token_streams_chunk_count(streams, sequence_length));
    const size_t left = streams->stream_length - chunk * sequence_length;
    return left < sequence_length ? left : sequence_length;
}

bp_status bp_token_streams_read(const bp_token_streams *streams, int32_t *input, int32_t *target,
                                int32_t *scratch, size_t sequence_length, size_t chunk,
                                bp_error *error)
{
    const size_t steps = bp_token_streams_chunk_steps(streams, sequence_length, chunk);
    const size_t stream_count = streams->stream_count;
    bp_status status = BP_OK;
    for (size_t s = 0; s < stream_count && status == BP_OK; s++) {
        const size_t first = s * streams->stream_length + chunk * sequence_length;
        status = bp_token_source_read(&streams->source, scratch, first, steps + 1, error);
        for (size_t t = 0; t < steps && status == BP_OK; t++) {
            input[t * stream_count + s] = scratch[t];
            target[t * stream_count + s] = scratch[t + 1];
        }
    }
    return status;
}
