/* NPY, NumPy's array files, versions 1 to 3: arrays of at least one dimension in C order, of bool,
 * int8, uint8, int16, int32, int64, float32 or float64, either byte order. The first dimension counts
 * the rows. Source: NumPy, "numpy.lib.format", the NPY format. */
#ifndef BP_SERVER_UPLOAD_NPY_PARSER_H
#define BP_SERVER_UPLOAD_NPY_PARSER_H

#include "server/dataset/parser_sink.h"

enum { BP_NPY_HEADER_LIMIT = 64 * 1024 }; /* bytes of the dictionary */

typedef struct bp_npy_parser bp_npy_parser;

BP_CHECK_RESULT bp_status bp_npy_parser_create(bp_npy_parser **out, const bp_array_sink *sink,
                                               bp_error *error);
/* BP_INVALID at "byte 10" and the like; BP_UNSUPPORTED: Fortran order, other types; BP_TOO_LARGE. */
BP_CHECK_RESULT bp_status bp_npy_parser_feed(bp_npy_parser *parser, const void *bytes, size_t count,
                                             bp_error *error);
BP_CHECK_RESULT bp_status bp_npy_parser_finish(bp_npy_parser *parser, bp_error *error);
void bp_npy_parser_free(bp_npy_parser *parser); /* accepts NULL */

#endif
