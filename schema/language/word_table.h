/* Distinct texts, numbered in the order of their first appearance and counted. */
#ifndef BP_SCHEMA_LANGUAGE_WORD_TABLE_H
#define BP_SCHEMA_LANGUAGE_WORD_TABLE_H

#include <stddef.h>
#include <stdint.h>

#include "core/base/error.h"

/* No text of a table has this number. */
#define BP_WORD_NONE UINT32_MAX

typedef struct bp_word_table bp_word_table;

/* seed: a random number, so that nobody can prepare texts that collide; it shows in no result.
 * BP_NO_MEMORY. */
BP_CHECK_RESULT bp_status bp_word_table_create(bp_word_table **out, uint64_t seed, bp_error *error);
/* Counts one more occurrence of text (any bytes); *out_index, which may be NULL: its number. At most
 * 2^31 texts. BP_NO_MEMORY, BP_TOO_LARGE. */
BP_CHECK_RESULT bp_status bp_word_table_add(bp_word_table *table, uint32_t *out_index,
                                            const char *text, size_t length, bp_error *error);
/* The text's number or BP_WORD_NONE. */
uint32_t bp_word_table_find(const bp_word_table *table, const char *text, size_t length);

size_t bp_word_table_count(const bp_word_table *table);  /* of distinct texts */
size_t bp_word_table_bytes(const bp_word_table *table);  /* of all distinct texts */
size_t bp_word_table_memory(const bp_word_table *table); /* bytes that the table takes */
/* Borrowed, until a text is added; no NUL follows. */
const char *bp_word_table_text(const bp_word_table *table, uint32_t index, size_t *out_length);
uint64_t bp_word_table_occurrences(const bp_word_table *table, uint32_t index);

/* Order of two numbers' texts by code point: negative, 0, positive. */
int bp_word_table_compare(const bp_word_table *table, uint32_t a, uint32_t b);

void bp_word_table_free(bp_word_table *table); /* accepts NULL */

#endif
