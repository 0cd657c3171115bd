/* From the bytes of an array file to blocks of whole, little-endian, aligned elements. */
#ifndef BP_SERVER_UPLOAD_ELEMENT_STREAM_H
#define BP_SERVER_UPLOAD_ELEMENT_STREAM_H

#include <stdbool.h>

#include "server/dataset/parser_sink.h"

enum { BP_ELEMENT_BLOCK_BYTES = 64 * 1024 };

typedef struct bp_element_stream {
    bp_array_sink sink;
    bp_array_layout layout;
    bool swap;         /* the file is big-endian */
    uint64_t expected; /* bytes of all elements */
    uint64_t received; /* bytes so far */
    uint64_t emitted;  /* elements given to the sink */
    size_t held_bytes; /* in block */
    _Alignas(64) unsigned char block[BP_ELEMENT_BLOCK_BYTES];
} bp_element_stream;

/* Checks the sizes and passes the layout to the sink. layout->width is computed here. BP_INVALID for
 * a zero dimension, BP_TOO_LARGE when the sizes overflow. */
BP_CHECK_RESULT bp_status bp_element_stream_begin(bp_element_stream *out, const bp_array_sink *sink,
                                                  const bp_array_layout *layout, bool swap,
                                                  bp_error *error);
/* header_bytes: where the elements begin in the file, for messages. BP_INVALID: too many bytes, or an
 * infinite number. */
BP_CHECK_RESULT bp_status bp_element_stream_feed(bp_element_stream *stream, const void *bytes,
                                                 size_t count, uint64_t header_bytes,
                                                 bp_error *error);
/* BP_INVALID when bytes are missing. */
BP_CHECK_RESULT bp_status bp_element_stream_finish(bp_element_stream *stream, uint64_t header_bytes,
                                                   bp_error *error);

#endif
