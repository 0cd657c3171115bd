/* What is known of a corpus, a text or tagged sentences, beside its files. */
#ifndef BP_SCHEMA_DATASET_CORPUS_INFO_H
#define BP_SCHEMA_DATASET_CORPUS_INFO_H

#include "schema/json/stored.h"

enum { BP_TAG_LIMIT = 10000, BP_TAG_BYTES = 256, BP_WORD_COUNT_LIMIT = 1000000 };

typedef struct bp_tag_count {
    char *tag;
    uint64_t count;
} bp_tag_count;

typedef struct bp_corpus_info {
    uint64_t byte_count; /* of a text, or of all tokens or words */

    uint64_t character_count; /* of a text: code points, line ends included */
    uint64_t distinct_character_count;
    uint64_t line_count; /* of a text; a last line need not end */

    uint64_t sentence_count;   /* of a tagged corpus */
    uint64_t longest_sentence; /* tokens */
    size_t tag_count;          /* different tags */
    bp_tag_count *tags;        /* sorted by code point */

    uint64_t
        word_count; /* of a text, between white space; or tokens of sentences; or with a vector */
    uint64_t distinct_word_count; /* as they are written */
    bool
        distinct_word_is_lower_bound; /* counting stopped: BP_WORD_COUNT_LIMIT, or a very long word */
} bp_corpus_info;

/* Adds the members of the document of a text, a tagged corpus or vectors to an object; full: all tags, else the
 * first 100. False: no memory. */
bool bp_corpus_info_add_text(json_t *object, const bp_corpus_info *info);
bool bp_corpus_info_add_tagged(json_t *object, const bp_corpus_info *info, bool full);
bool bp_corpus_info_add_vectors(json_t *object, const bp_corpus_info *info);
/* Reads what they added. */
void bp_corpus_info_read_text(bp_stored *stored, bp_corpus_info *out, const json_t *object);
void bp_corpus_info_read_tagged(bp_stored *stored, bp_corpus_info *out, const json_t *object);
void bp_corpus_info_read_vectors(bp_stored *stored, bp_corpus_info *out, const json_t *object);

void bp_corpus_info_done(bp_corpus_info *info); /* releases contents; accepts zeroed */

#endif
