/* What the tests of networks over tokens share: window networks and language models over made-up ids, some
 * of which a batch has more than once and some of which it has not. */
#ifndef BP_TESTS_CORE_SUPPORT_TOKENS_H
#define BP_TESTS_CORE_SUPPORT_TOKENS_H

#include "core/check/gradient_check.h"
#include "core/layer/token_layers.h"
#include "tests/core/support_network.h"

enum {
    TOKENS_VOCABULARY = 9,
    TOKENS_WIDTH = 3,
    TOKENS_DIMENSION = 2,
    TOKENS_ROWS = 6,
    TOKENS_OUT = 3,
    TOKENS_LAYERS = 5,
};

/* How a network over tokens begins. */
enum { TOKENS_ALONE, TOKENS_WINDOW_FIRST, TOKENS_EMBEDDING_FIRST, TOKENS_BEGINS };

bp_layer_spec support_embedding(size_t dimension, bool trainable, bool sparse);
bp_layer_spec support_window(size_t width);

/* Such a begin, a dense layer of sigmoids, and a last one as wide as the loss wants for TOKENS_OUT classes or
 * values. Returns how many layers. */
size_t support_token_network(bp_layer_spec layers[TOKENS_LAYERS], size_t begin,
                             bp_layer_spec embedding, const char *loss);

/* A language model: vectors, `depth` recurrent layers of a kind of cell as wide (support_recurrent_name), and a
 * last layer over the vocabulary, which is tied or not. Steps and streams are those of recurrent tests. */
size_t support_language_model(bp_layer_spec layers[TOKENS_LAYERS], size_t depth, size_t cell,
                              bool tied);
bp_network_spec support_language_spec(const bp_layer_spec *layers, size_t count);

/* The sizes above; layers decide whether rows are windows. */
bp_network_spec support_token_spec(const bp_layer_spec *layers, size_t count, const char *loss);

/* Ids below `tokens`, the same in every run; about a third of the vocabulary is not among them. */
void support_ids(int32_t *out, size_t count, size_t tokens, uint64_t seed);

/* Sums over tensors of a fourth-order check, after a backward of another batch; prints the worst of a tensor
 * that fails. *embedding, unless NULL: what is said of the vectors alone. */
bp_check_report support_token_check(bp_check_report *embedding, const bp_network_spec *spec,
                                    const bp_choice *regularizer, bool print);

#endif
