/* What the tests of training over windows share: a few tagged sentences, a tagger and a ranking of pairs over
 * them. */
#ifndef BP_TESTS_CORE_SUPPORT_SENTENCES_H
#define BP_TESTS_CORE_SUPPORT_SENTENCES_H

#include "tests/core/support_tokens.h"

enum { WIDTH = 5, PADDING = 0, WORD_LIMIT = 64, TOKEN_LIMIT = 256, SENTENCE_LIMIT = 40 };

/* Tagged sentences: words are numbered as they come, from 1; a capital letter makes an entity, tag 1. */
typedef struct support_corpus {
    size_t word_count, token_count, sentence_count, inside_count, outside_count;
    char words[WORD_LIMIT][16];
    int32_t token[TOKEN_LIMIT], label[TOKEN_LIMIT], ids[2 * TOKEN_LIMIT];
    uint32_t place[TOKEN_LIMIT];
    size_t length[SENTENCE_LIMIT], first[SENTENCE_LIMIT + 1];
    size_t inside[TOKEN_LIMIT], outside[TOKEN_LIMIT]; /* rows that are, or are no, entities */
    bp_token_windows windows;
} support_corpus;

/* Sentences about places, which are their entities. To be freed. */
support_corpus *support_places(void);

/* The id of a word, a new one where it has none yet. */
int32_t support_word(support_corpus *corpus, const char *word, size_t length);

typedef struct support_windows {
    bp_layer_spec layers[4];
    bp_training_spec spec;
    bp_examples examples;
} support_windows;

/* Words of 4 numbers, windows of 5, 8 sigmoids, and 2 classes or one score under max-margin, where true windows
 * are those of entities, or all, by kind. To be freed. */
support_windows *support_tagging(const support_corpus *corpus);
support_windows *support_ranking(const support_corpus *corpus, bp_corruption_kind kind);

/* Creates or fails the test. */
bp_trainer *support_windows_trainer(const support_windows *windows, const bp_parallel *parallel);

#endif
