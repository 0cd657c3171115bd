/* Distinct texts of a column, numbered in order of first appearance and then sorted by code point. */
#ifndef BP_SERVER_UPLOAD_TEXT_DICTIONARY_H
#define BP_SERVER_UPLOAD_TEXT_DICTIONARY_H

#include <stddef.h>
#include <stdint.h>

#include "core/base/error.h"

typedef struct bp_text_dictionary bp_text_dictionary;

BP_CHECK_RESULT bp_status bp_text_dictionary_create(bp_text_dictionary **out, bp_error *error);
/* Adds the text where it is new. BP_NO_MEMORY. */
BP_CHECK_RESULT bp_status bp_text_dictionary_add(bp_text_dictionary *dictionary, const char *text,
                                                 size_t length, bp_error *error);
size_t bp_text_dictionary_count(const bp_text_dictionary *dictionary);
size_t bp_text_dictionary_bytes(const bp_text_dictionary *dictionary); /* of all texts */
/* Sorts; afterwards nothing can be added. *out_texts holds as many texts as there are, each
 * allocated; the caller's. BP_NO_MEMORY. */
BP_CHECK_RESULT bp_status bp_text_dictionary_sort(bp_text_dictionary *dictionary, char ***out_texts,
                                                  bp_error *error);
/* After sorting: place of a text that is there (asserted). */
uint32_t bp_text_dictionary_rank(const bp_text_dictionary *dictionary, const char *text,
                                 size_t length);
void bp_text_dictionary_free(bp_text_dictionary *dictionary); /* accepts NULL */

#endif
