/* IDX, the format of the MNIST files: two zero bytes, a type, the number of dimensions, the dimensions
 * as big-endian uint32, then the elements, big-endian, last dimension fastest. The first dimension
 * counts the rows. Types: 08 uint8, 09 int8, 0B int16, 0C int32, 0D float32, 0E float64.
 * Source: LeCun, Cortes & Burges, "The MNIST database of handwritten digits", file formats. */
#ifndef BP_SERVER_UPLOAD_IDX_PARSER_H
#define BP_SERVER_UPLOAD_IDX_PARSER_H

#include "server/dataset/parser_sink.h"

typedef struct bp_idx_parser bp_idx_parser;

BP_CHECK_RESULT bp_status bp_idx_parser_create(bp_idx_parser **out, const bp_array_sink *sink,
                                               bp_error *error);
/* BP_INVALID at "byte 3" and the like; BP_TOO_LARGE. */
BP_CHECK_RESULT bp_status bp_idx_parser_feed(bp_idx_parser *parser, const void *bytes, size_t count,
                                             bp_error *error);
BP_CHECK_RESULT bp_status bp_idx_parser_finish(bp_idx_parser *parser, bp_error *error);
void bp_idx_parser_free(bp_idx_parser *parser); /* accepts NULL */

#endif
