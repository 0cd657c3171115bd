/* Where a text's token ids are: in memory, or wherever a caller reads them from. */
#ifndef BP_CORE_LANGUAGE_TOKEN_SOURCE_H
#define BP_CORE_LANGUAGE_TOKEN_SOURCE_H

#include <stdint.h>
#include <string.h>

#include "core/base/error.h"

/* Immutable while it is used. */
typedef struct bp_token_source {
    size_t count;
    const int32_t *ids; /* (count), borrowed; NULL: not in memory */
    /* Otherwise: ids [first, first + number) into out. Its thread is the reader's. */
    bp_status (*read)(void *context, int32_t *out, size_t first, size_t number, bp_error *error);
    void *context;
    size_t offset; /* what `read` takes for id 0 */
} bp_token_source;

/* Ids [first, first + number), which exist. Errors of `read`. */
BP_CHECK_RESULT static inline bp_status bp_token_source_read(const bp_token_source *source,
                                                             int32_t *out, size_t first,
                                                             size_t number, bp_error *error)
{
    if (!source->ids)
        return source->read(source->context, out, source->offset + first, number, error);
    memcpy(out, source->ids + first, number * sizeof *out);
    return BP_OK;
}

/* Ids [first, first + count) of another source, which exist, as one. */
static inline bp_token_source bp_token_source_part(const bp_token_source *source, size_t first,
                                                   size_t count)
{
    bp_token_source part = *source;
    part.count = count;
    part.offset += first;
    if (part.ids)
        part.ids += first;
    return part;
}

#endif
