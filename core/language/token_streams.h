/* A text as a recurrent network reads it: cut into contiguous streams of equal length, which are read side
 * by side, a chunk of steps at a time; each target is the token one further.
 *
 * Of T tokens in S streams, stream s has the inputs s·L … s·L + L − 1 with L = ⌊(T − 1)/S⌋; what is left
 * over at the end is dropped. */
#ifndef BP_CORE_LANGUAGE_TOKEN_STREAMS_H
#define BP_CORE_LANGUAGE_TOKEN_STREAMS_H

#include "core/language/token_source.h"

typedef struct bp_token_streams {
    bp_token_source source;
    size_t stream_count;  /* S, at least 1 */
    size_t stream_length; /* L, at least 1: inputs of a stream in an epoch */
} bp_token_streams;

/* At most stream_count streams, at least 1: fewer where the text has fewer pairs of input and target.
 * BP_INVALID: it has none, being shorter than two tokens. Allocates nothing, and neither do the others. */
BP_CHECK_RESULT bp_status bp_token_streams_cut(bp_token_streams *out, const bp_token_source *source,
                                               size_t stream_count, bp_error *error);

/* Chunks of an epoch: all of sequence_length steps, at least 1, but the last, which may be shorter. */
size_t bp_token_streams_chunk_count(const bp_token_streams *streams, size_t sequence_length);
/* Steps of a chunk, counted from 0. */
size_t bp_token_streams_chunk_steps(const bp_token_streams *streams, size_t sequence_length,
                                    size_t chunk);

/* Reads a chunk, rows by time: row t·S + s is step t of stream s.
 *   input    (sequence_length · S) of which the chunk's steps are filled
 *   target   (sequence_length · S) the same
 *   scratch  (sequence_length + 1)
 * Errors of the source. The thread of the source. */
BP_CHECK_RESULT bp_status bp_token_streams_read(const bp_token_streams *streams, int32_t *input,
                                                int32_t *target, int32_t *scratch,
                                                size_t sequence_length, size_t chunk,
                                                bp_error *error);

#endif
