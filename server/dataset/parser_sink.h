/* What the parsers emit to. A parser is fed byte chunks of any size, keeps only what one record or one
 * block needs, and stops at the first error, its own or its sink's: feeding it further is an error of
 * the caller (asserted). */
#ifndef BP_SERVER_DATASET_PARSER_SINK_H
#define BP_SERVER_DATASET_PARSER_SINK_H

#include <stddef.h>
#include <stdint.h>

#include "core/base/error.h"
#include "schema/dataset/dataset_info.h"

enum { BP_COLUMN_NAME_LIMIT = 256 }; /* bytes of UTF-8 */

/* Borrowed text; a NUL follows, but is not counted. */
typedef struct bp_text {
    const char *at;
    size_t length;
} bp_text;

/* Receives a table by rows. header comes once, before the rows, with names that are unique, not empty
 * and at most BP_COLUMN_NAME_LIMIT bytes; every row has as many fields. All texts are UTF-8, without
 * NUL bytes, valid during the call. */
typedef struct bp_row_sink {
    void *context;
    bp_status (*header)(void *context, const bp_text *names, size_t count, bp_error *error);
    bp_status (*row)(void *context, const bp_text *fields, size_t count, bp_error *error);
} bp_row_sink;

/* Receives tagged sentences: each token with its tag, and after a sentence's last token its end. Texts
 * are UTF-8 without NUL bytes and line ends, not empty, valid during the call. */
typedef struct bp_tagged_sink {
    void *context;
    bp_status (*token)(void *context, const bp_text *token, const bp_text *tag, bp_error *error);
    bp_status (*sentence)(void *context, bp_error *error);
} bp_tagged_sink;

/* One column of numbers, as its file's header says. */
typedef struct bp_array_layout {
    bp_element element;
    bool boolean;                       /* elements are false and true: every non-zero byte is 1 */
    size_t rank;                        /* of one row's item; 0: scalars */
    size_t shape[BP_COLUMN_RANK_LIMIT]; /* of one row's item */
    size_t width;                       /* product of shape, 1 for scalars; at least 1 */
    uint64_t row_count;                 /* at least 1; row_count · width · 8 fits 63 bits */
} bp_array_layout;

/* Receives one column. layout comes once, then all row_count · width elements in order, in blocks of
 * whole elements, little-endian, aligned to 64 bytes. */
typedef struct bp_array_sink {
    void *context;
    bp_status (*layout)(void *context, const bp_array_layout *layout, bp_error *error);
    bp_status (*values)(void *context, const void *elements, size_t element_count, bp_error *error);
} bp_array_sink;

#endif
