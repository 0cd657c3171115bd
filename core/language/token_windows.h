/* Sentences as a window network reads them: for each token the ids of the tokens around it, with padding
 * where the sentence has none. */
#ifndef BP_CORE_LANGUAGE_TOKEN_WINDOWS_H
#define BP_CORE_LANGUAGE_TOKEN_WINDOWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/random/random.h"

/* Borrowed and immutable while it is used. A window is width ids on end, so that rows need not be kept:
 * sentences lie one after another with width/2 paddings before each and after the last. */
typedef struct bp_token_windows {
    size_t width; /* odd */
    size_t row_count;
    const int32_t *ids;    /* tokens and paddings */
    const uint32_t *place; /* (row_count) of each token in ids */
    const int32_t *label;  /* (row_count) class of each token's tag; may be NULL */
} bp_token_windows;

/* Ids that sentences of so many tokens need, width odd; false on overflow, or beyond 2^32 − 1. */
bool bp_token_windows_id_count(size_t *out, size_t token_count, size_t sentence_count,
                               size_t width);

/* Lays out sentences.
 *   token           (the sum of length) ids, sentence after sentence
 *   length          (sentence_count) tokens of each, at least 1
 *   ids, place      as in bp_token_windows; ids as many as counted above
 * Allocates nothing, and neither do the others. Any thread. */
void bp_token_windows_lay_out(int32_t *ids, uint32_t *place, const int32_t *token,
                              const size_t *length, size_t sentence_count, size_t width,
                              int32_t padding);

/* Fills out (count, width) with the windows of rows (count), or of rows first, first + 1, … where rows is
 * NULL; label_out (count) with their labels, unless it is NULL. */
void bp_token_windows_gather(int32_t *out, int32_t *label_out, const bp_token_windows *windows,
                             const size_t *rows, size_t first, size_t count);

/* Rows whose label is (equal), or is not, the one given, ascending; out has room for row_count of them,
 * or is NULL to count alone. Returns their number. */
size_t bp_token_windows_select(size_t *out, const bp_token_windows *windows, int32_t label,
                               bool equal);

/* Corrupted windows, out (count, width), for the max-margin loss; row i of them is drawn by number
 * first + i of the stream alone, for any batch.
 *
 * By another window: one of `others` (other_count, at least 1), drawn evenly: those around tokens that are
 * no entity. */
void bp_token_windows_corrupt_by_other(int32_t *out, const bp_token_windows *windows,
                                       const size_t *others, size_t other_count, size_t first,
                                       size_t count, const bp_random *random);
/* By another token in the middle of windows (count, width) that are there in out already: one of the ids
 * [low, high), at least two, drawn evenly among those that are not the one that is there. */
void bp_token_windows_corrupt_centre(int32_t *out, size_t width, int32_t low, int32_t high,
                                     size_t first, size_t count, const bp_random *random);

#endif
