/* What the tests of language models share: a small one over a made-up text. */
#ifndef BP_TESTS_CORE_SUPPORT_TEXT_H
#define BP_TESTS_CORE_SUPPORT_TEXT_H

#include "tests/core/support_recurrent.h"
#include "tests/core/support_tokens.h"

typedef struct support_text_sizes {
    size_t tokens, vocabulary, dimension, units;
    size_t cell; /* of support_recurrent; 0: rnn with tanh */
} support_text_sizes;

typedef struct support_text {
    int32_t *ids; /* (tokens) */
    bp_examples examples;
    bp_layer_spec layers[3]; /* embedding, recurrent, dense */
    bp_training_spec spec;   /* float64, SGD, streams of 1, chunks of 1: to be changed */
} support_text;

support_text *support_text_of(support_text_sizes sizes);
void support_text_free(support_text *text);

bp_examples support_text_examples(const int32_t *ids, size_t count);

/* Creates or fails the test. */
bp_trainer *support_text_trainer(const support_text *text, const bp_parallel *parallel);

#endif
