/* Bytes as they were before gzip, known by its magic bytes; other content passes as it is. Files of
 * several members (RFC 1952, section 2.2) are one content; zero bytes after the last are ignored. */
#ifndef BP_SERVER_UPLOAD_GZIP_DECODER_H
#define BP_SERVER_UPLOAD_GZIP_DECODER_H

#include <stddef.h>
#include <stdint.h>

#include "core/base/error.h"

typedef struct bp_gzip_decoder bp_gzip_decoder;

/* Gets decoded bytes, at most 64 KiB at a time. */
typedef bp_status bp_byte_consumer(void *context, const unsigned char *bytes, size_t count,
                                   bp_error *error);

/* limit_bytes: most decoded bytes in all. */
BP_CHECK_RESULT bp_status bp_gzip_decoder_create(bp_gzip_decoder **out, uint64_t limit_bytes,
                                                 bp_byte_consumer *consume, void *context,
                                                 bp_error *error);
/* BP_TOO_LARGE beyond the limit, without decoding further; BP_INVALID: not a sound gzip stream. The
 * consumer's errors are passed on. After an error the decoder can only be freed. */
BP_CHECK_RESULT bp_status bp_gzip_decoder_feed(bp_gzip_decoder *decoder, const void *bytes,
                                               size_t count, bp_error *error);
/* BP_INVALID when the stream is truncated. */
BP_CHECK_RESULT bp_status bp_gzip_decoder_finish(bp_gzip_decoder *decoder, bp_error *error);
void bp_gzip_decoder_free(bp_gzip_decoder *decoder); /* accepts NULL */

#endif
