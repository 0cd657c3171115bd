/* How many different words go by, up to a limit: what a data set's document says of a corpus. */
#ifndef BP_SERVER_CORPUS_DISTINCT_WORDS_H
#define BP_SERVER_CORPUS_DISTINCT_WORDS_H

#include "schema/dataset/corpus_info.h"
#include "schema/language/word_table.h"

typedef struct bp_distinct_words {
    bp_word_table *table;
    bool stopped; /* what is in the table is only a part */
} bp_distinct_words;

BP_CHECK_RESULT bp_status bp_distinct_words_begin(bp_distinct_words *out, bp_error *error);
/* cut: the word is longer than it is given, and so cannot be told from others. BP_NO_MEMORY. */
BP_CHECK_RESULT bp_status bp_distinct_words_add(bp_distinct_words *words, const char *word,
                                                size_t length, bool cut, bp_error *error);
/* Says what was found and releases the table. */
void bp_distinct_words_end(bp_distinct_words *words, bp_corpus_info *out);
void bp_distinct_words_done(bp_distinct_words *words); /* releases contents; accepts zeroed */

/* A number that nobody outside can know, for tables of words. */
uint64_t bp_word_seed(void);

#endif
