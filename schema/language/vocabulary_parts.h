/* What a vocabulary is made of: for its own files. */
#ifndef BP_SCHEMA_LANGUAGE_VOCABULARY_PARTS_H
#define BP_SCHEMA_LANGUAGE_VOCABULARY_PARTS_H

#include <stdatomic.h>

#include "schema/language/vocabulary.h"
#include "schema/language/word_table.h"

enum { BP_PLAIN_CHARACTERS = 128 };

typedef struct vocabulary_character {
    uint32_t code;
    size_t length;
    char text[BP_UTF8_BYTES];
} vocabulary_character;

/* Either words or characters. */
struct bp_vocabulary {
    atomic_size_t owner_count; /* beside the first */
    bp_word_table *words;      /* numbers are ids; NULL: characters */
    bool lowercase, padded;

    size_t character_count;
    vocabulary_character *characters;   /* ascending */
    int32_t plain[BP_PLAIN_CHARACTERS]; /* id by code point; −1: not there */
};

/* codes: (count), ascending. BP_NO_MEMORY. */
BP_CHECK_RESULT bp_status bp_vocabulary_of_characters(bp_vocabulary **out, const uint32_t *codes,
                                                      size_t count, bp_error *error);
/* Empty: the maker adds the entries in the order of their ids. BP_NO_MEMORY. */
BP_CHECK_RESULT bp_status bp_vocabulary_of_words(bp_vocabulary **out, bool lowercase, bool padded,
                                                 uint64_t seed, bp_error *error);

#endif
