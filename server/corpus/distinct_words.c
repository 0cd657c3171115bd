#include "server/corpus/distinct_words.h"

#include <sys/random.h>

/* Bytes of the words that are kept while they are counted. */
enum { BYTES_LIMIT = 32 * 1024 * 1024 };

uint64_t bp_word_seed(void)
{
    uint64_t seed = 0;
    /* The address of a local is as good as a hash needs. */
    if (getrandom(&seed, sizeof seed, GRND_NONBLOCK) != sizeof seed)
        seed = (uint64_t)(uintptr_t)&seed * UINT64_C(0x9e3779b97f4a7c15);
    return seed;
}

bp_status bp_distinct_words_begin(bp_distinct_words *out, bp_error *error)
{
    out->stopped = false;
    return bp_word_table_create(&out->table, bp_word_seed(), error);
}

bp_status bp_distinct_words_add(bp_distinct_words *words, const char *word, size_t length, bool cut,
                                bp_error *error)
{
    if (cut)
        words->stopped = true;
    if (words->stopped)
        return BP_OK;
    if (bp_word_table_count(words->table) >= BP_WORD_COUNT_LIMIT ||
        bp_word_table_bytes(words->table) >= BYTES_LIMIT) {
        words->stopped = bp_word_table_find(words->table, word, length) == BP_WORD_NONE;
        return BP_OK;
    }
    return bp_word_table_add(words->table, NULL, word, length, error);
}

void bp_distinct_words_end(bp_distinct_words *words, bp_corpus_info *out)
{
    out->distinct_word_count = bp_word_table_count(words->table);
    out->distinct_word_is_lower_bound = words->stopped;
    bp_distinct_words_done(words);
}

void bp_distinct_words_done(bp_distinct_words *words)
{
    bp_word_table_free(words->table);
    words->table = NULL;
}
