/* The vocabulary of a language model or a tagger: what the ids of its tokens stand for.
 *
 * Characters: exactly the code points of the text, ascending; none is unknown, nothing is normalised.
 * Words: the unknown token first, then, where sentences are padded, the padding token, then the words by
 * falling count, equal counts by code point. A word of the text that is written like one of the two
 * tokens is that token, and is not listed again. */
#ifndef BP_SCHEMA_LANGUAGE_VOCABULARY_H
#define BP_SCHEMA_LANGUAGE_VOCABULARY_H

#include <jansson.h>
#include <stdbool.h>

#include "schema/json/stored.h"
#include "schema/language/word_splitter.h"

#define BP_UNKNOWN_TOKEN "<unk>"
#define BP_PADDING_TOKEN "<pad>"

/* Different words that are counted at most, and bytes of them, before rare ones are left out; and the
 * same of the vocabulary that is left. */
enum {
    BP_COUNTED_WORD_LIMIT = 8 * 1000 * 1000,
    BP_COUNTED_BYTES_LIMIT = 256 * 1024 * 1024,
    BP_VOCABULARY_LIMIT = 1000 * 1000,
    BP_VOCABULARY_BYTES_LIMIT = 32 * 1024 * 1024
};

typedef enum bp_token_unit { BP_UNIT_CHARACTER, BP_UNIT_WORD } bp_token_unit;
extern const char *const bp_token_unit_names[]; /* "character", "word", NULL */

/* How a vocabulary is made. Of characters only the unit counts (asserted: the rest is as in
 * {.min_count = 1}). */
typedef struct bp_vocabulary_rule {
    bp_token_unit unit;
    bool lowercase;     /* words are folded before they are counted or looked up */
    bool padded;        /* there is a padding token */
    uint64_t min_count; /* rarer words are unknown; at least 1 */
    uint64_t max_count; /* most entries, the one or two tokens included; 0: no such limit */
} bp_vocabulary_rule;

/* Immutable; any thread. */
typedef struct bp_vocabulary bp_vocabulary;

size_t bp_vocabulary_count(const bp_vocabulary *vocabulary); /* of entries; at least 1 */
bp_token_unit bp_vocabulary_unit(const bp_vocabulary *vocabulary);
size_t bp_vocabulary_bytes(const bp_vocabulary *vocabulary); /* of memory that it takes */
/* Text of an entry, borrowed; no NUL follows. id: below the count (asserted). */
const char *bp_vocabulary_text(const bp_vocabulary *vocabulary, int32_t id, size_t *out_length);
int32_t bp_vocabulary_unknown(const bp_vocabulary *vocabulary); /* −1: characters have none */
int32_t bp_vocabulary_padding(const bp_vocabulary *vocabulary); /* −1: none */

/* Id of a character, −1 where it is not in the vocabulary. Characters only (asserted). */
int32_t bp_vocabulary_character(const bp_vocabulary *vocabulary, uint32_t code);
/* Id of a word, folded as the rule says; the unknown token where it is not in the vocabulary. Words only
 * (asserted). Allocates nothing. */
int32_t bp_vocabulary_word(const bp_vocabulary *vocabulary, const char *word, size_t length);

/* The text that ids stand for, NUL-terminated: characters one after another, words with a space between
 * them. *out_text is allocated, the caller's. BP_NO_MEMORY. */
BP_CHECK_RESULT bp_status bp_vocabulary_decode(char **out_text, size_t *out_length,
                                               const bp_vocabulary *vocabulary, const int32_t *ids,
                                               size_t count, bp_error *error);

/* {"unit", "lowercase", "unknown", "padding", "tokens": […]} and back; ids are places in tokens, null
 * where there is no such token. NULL: no memory. */
json_t *bp_vocabulary_json(const bp_vocabulary *vocabulary);
/* NULL with stored at fault. */
bp_vocabulary *bp_vocabulary_parse(bp_stored *stored, const json_t *json);

/* Another owner of the same vocabulary; NULL of NULL. It goes with its last owner's bp_vocabulary_free. */
bp_vocabulary *bp_vocabulary_share(bp_vocabulary *vocabulary);
void bp_vocabulary_free(bp_vocabulary *vocabulary); /* accepts NULL */

/* ---- making one ---- */

typedef struct bp_vocabulary_builder bp_vocabulary_builder;

/* unit_limit: only so many characters or words are taken, the training part's. seed: as for
 * bp_word_table_create. BP_NO_MEMORY. */
BP_CHECK_RESULT bp_status bp_vocabulary_builder_create(bp_vocabulary_builder **out,
                                                       const bp_vocabulary_rule *rule,
                                                       uint64_t unit_limit, uint64_t seed,
                                                       bp_error *error);
/* The next bytes of a text, well-formed UTF-8, cut anywhere. *out_full: the rest need not be fed.
 * BP_TOO_LARGE: more different words than are counted, or a word beyond BP_WORD_LIMIT. BP_NO_MEMORY. */
BP_CHECK_RESULT bp_status bp_vocabulary_builder_feed(bp_vocabulary_builder *builder,
                                                     const char *bytes, size_t count,
                                                     bool *out_full, bp_error *error);
/* One token of a tagged corpus, in place of feeding; words only (asserted). Errors as above. */
BP_CHECK_RESULT bp_status bp_vocabulary_builder_word(bp_vocabulary_builder *builder,
                                                     const char *word, size_t length,
                                                     bp_error *error);
/* No more text. BP_INVALID: there was none. BP_TOO_LARGE: the vocabulary is too large. BP_NO_MEMORY. */
BP_CHECK_RESULT bp_status bp_vocabulary_builder_finish(bp_vocabulary_builder *builder,
                                                       bp_vocabulary **out, bp_error *error);
void bp_vocabulary_builder_free(bp_vocabulary_builder *builder); /* accepts NULL */

#endif
