/* Networks over tokens: shapes, what a pass computes against plain loops, the same mathematics in either order,
 * gradients of tokens that come more than once, frozen vectors, and refusals. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/dropout/dropout.h"
#include "core/initializer/initializer.h"
#include "core/layer/dense.h"
#include "tests/core/support_recurrent.h"
#include "tests/core/support_tokens.h"

enum { ROWS = TOKENS_ROWS, WIDTH = TOKENS_WIDTH, TOKENS = TOKENS_VOCABULARY, D = TOKENS_DIMENSION };

static bp_network *network_of(size_t begin, bp_layer_spec embedding, bp_dtype dtype)
{
    bp_layer_spec layers[TOKENS_LAYERS];
    const size_t count = support_token_network(layers, begin, embedding, "softmax_cross_entropy");
    bp_network_spec spec = support_token_spec(layers, count, "softmax_cross_entropy");
    spec.dtype = dtype;
    bp_network *network = support_network_create(&spec);
    bp_network_initialize(network, 3);
    return network;
}

static size_t index_of_embedding(size_t begin)
{
    return begin == TOKENS_WINDOW_FIRST;
}

static void test_shapes(void **state)
{
    (void)state;
    for (size_t begin = 0; begin < TOKENS_BEGINS; begin++) {
        bp_network *network = network_of(begin, support_embedding(D, true, false), BP_FLOAT64);
        const size_t width = begin == TOKENS_ALONE ? 1 : WIDTH;
        const bp_tensor vectors = bp_network_tensor(network, 0);
        assert_string_equal(vectors.name,
                            index_of_embedding(begin) ? "layers.1.weight" : "layers.0.weight");
        assert_int_equal(vectors.rank, 2);
        assert_int_equal(vectors.shape[0], TOKENS);
        assert_int_equal(vectors.shape[1], D);
        assert_true(bp_network_tensor_is_weight(network, 0));
        assert_false(bp_network_tensor_is_frozen(network, 0));
        const bp_tensor hidden = bp_network_tensor(network, 1);
        assert_int_equal(hidden.shape[1], width * D);
        assert_int_equal(bp_network_tensor_count(network), 5);
        bp_network_free(network);
    }
}

static void test_forward(void **state)
{
    (void)state;
    int32_t ids[ROWS * WIDTH];
    support_ids(ids, ROWS * WIDTH, TOKENS, 4);
    for (bp_dtype dtype = BP_FLOAT32; dtype <= BP_FLOAT64; dtype++) {
        double outputs[2][ROWS * TOKENS_OUT];
        for (size_t begin = TOKENS_WINDOW_FIRST; begin < TOKENS_BEGINS; begin++) {
            bp_network *network = network_of(begin, support_embedding(D, true, false), dtype);
            support_parameters(network, 5, 1);
            const void *output = bp_network_forward(network, NULL, ids, ROWS, false);
            const bp_layer *hidden = bp_network_layer(network, 2);
            const void *table = bp_network_tensor(network, 0).data;
            for (size_t i = 0; i < (size_t)ROWS * WIDTH * D; i++)
                assert_true(support_at(hidden->x, dtype, i) ==
                            support_at(table, dtype, (size_t)ids[i / D] * D + i % D));
            for (size_t i = 0; i < (size_t)ROWS * TOKENS_OUT; i++)
                outputs[begin - TOKENS_WINDOW_FIRST][i] = support_at(output, dtype, i);
            bp_network_free(network);
        }
        assert_memory_equal(outputs[0], outputs[1], sizeof outputs[0]);
    }
}

/* Initial vectors are those of a weight matrix (tokens, dimension). */
static void test_initialisation(void **state)
{
    (void)state;
    const char *const initializers[] = {"xavier_uniform", "he_normal", "orthogonal", "normal"};
    for (size_t i = 0; i < 4; i++) {
        bp_layer_spec embedding = support_embedding(D, true, false);
        embedding.initializer = support_choice(&bp_initializer_family, initializers[i]);
        bp_network *network = network_of(TOKENS_ALONE, embedding, BP_FLOAT64);
        bp_layer_spec matrix = support_dense(TOKENS, "identity");
        matrix.initializer = embedding.initializer;
        const bp_network_spec spec =
            support_network_spec(&matrix, 1, D, 1, "softmax_cross_entropy");
        bp_network *dense = support_network_create(&spec);
        bp_network_initialize(dense, 3);
        assert_memory_equal(bp_network_tensor(network, 0).data, bp_network_tensor(dense, 0).data,
                            sizeof(double) * TOKENS * D);
        const double *gradient = bp_network_gradient_tensor(network, 0).data;
        for (size_t k = 0; k < (size_t)TOKENS * D; k++)
            assert_true(gradient[k] == 0);
        bp_network_free(dense);
        bp_network_free(network);
    }
}

/* ∇E by its formula from the δ that the layer above hands down, over several batches with other ids. */
static void test_gradient_by_hand(void **state)
{
    (void)state;
    for (size_t begin = 0; begin < TOKENS_BEGINS; begin++) {
        const size_t width = begin == TOKENS_ALONE ? 1 : WIDTH;
        bp_network *network = network_of(begin, support_embedding(D, true, false), BP_FLOAT64);
        support_parameters(network, 5, 1);
        for (uint64_t batch = 0; batch < 4; batch++) {
            const size_t rows = batch % 2 ? ROWS : ROWS - 2;
            int32_t ids[ROWS * WIDTH], label[ROWS];
            support_ids(ids, rows * width, batch == 2 ? 3 : TOKENS, batch);
            support_labels(label, rows, TOKENS_OUT, batch);
            const bp_targets targets = {.label = label};
            double expected[TOKENS * D] = {0};
            bp_network_forward(network, NULL, ids, rows, true);
            bp_network_backward(network, NULL, &targets);
            const bp_layer *layer = bp_network_layer(network, index_of_embedding(begin));
            const double *delta = layer->delta;
            for (size_t p = 0; p < rows * width; p++)
                for (size_t j = 0; j < D; j++)
                    expected[(size_t)ids[p] * D + j] += delta[p * D + j];
            assert_memory_equal(bp_network_gradient_tensor(network, 0).data, expected,
                                sizeof expected);
            /* Which rows: each once, in the order of reading. */
            size_t seen = 0;
            for (size_t p = 0; p < rows * width; p++) {
                size_t before = 0;
                while (before < p && ids[before] != ids[p])
                    before++;
                if (before == p) {
                    assert_true(seen < layer->touched.count);
                    assert_int_equal(layer->touched.row[seen], ids[p]);
                    seen++;
                }
            }
            assert_int_equal(seen, layer->touched.count);
            if (batch == 1) { /* somebody else writes to all rows */
                double *gradient = bp_network_gradient_tensor(network, 0).data;
                for (size_t i = 0; i < (size_t)TOKENS * D; i++)
                    gradient[i] += 1;
                bp_network_gradients_changed(network);
            }
        }
        bp_network_free(network);
    }
}

/* A frozen embedding: its gradient stays 0, its δ is not asked for, and the rest has the same gradients. */
static void test_frozen(void **state)
{
    (void)state;
    int32_t ids[ROWS * WIDTH], label[ROWS];
    support_ids(ids, ROWS * WIDTH, TOKENS, 4);
    support_labels(label, ROWS, TOKENS_OUT, 5);
    const bp_targets targets = {.label = label};
    for (size_t begin = 0; begin < TOKENS_BEGINS; begin++) {
        bp_network *trained = network_of(begin, support_embedding(D, true, false), BP_FLOAT64);
        bp_network *frozen = network_of(begin, support_embedding(D, false, false), BP_FLOAT64);
        bp_network_train(trained, NULL, ids, ROWS, &targets);
        bp_network_train(frozen, NULL, ids, ROWS, &targets);
        assert_true(bp_network_tensor_is_frozen(frozen, 0));
        const double *gradient = bp_network_gradient_tensor(frozen, 0).data;
        for (size_t i = 0; i < (size_t)TOKENS * D; i++)
            assert_true(gradient[i] == 0);
        for (size_t i = 1; i < 5; i++) {
            const bp_tensor a = bp_network_gradient_tensor(trained, i);
            assert_memory_equal(a.data, bp_network_gradient_tensor(frozen, i).data,
                                a.element_count * sizeof(double));
        }
        bp_network_free(trained);
        bp_network_free(frozen);
    }
}

/* A tied language model computes what one does whose last layer has a copy of the table; its gradient is the
 * sum of both; the table is there once. Also where the last layer goes by blocks of rows. */
static void test_tied(void **state)
{
    (void)state;
    for (size_t cell = 0; cell < RECURRENT_CELLS; cell++) {
        bp_layer_spec tied_layers[TOKENS_LAYERS], free_layers[TOKENS_LAYERS];
        const size_t count = support_language_model(tied_layers, 1, cell, true);
        support_language_model(free_layers, 1, cell, false);
        const bp_network_spec tied_spec = support_language_spec(tied_layers, count);
        const bp_network_spec free_spec = support_language_spec(free_layers, count);
        bp_network *tied = support_network_create(&tied_spec);
        bp_network *loose = support_network_create(&free_spec);
        const size_t tensors = bp_network_tensor_count(tied);
        assert_int_equal(tensors + 1, bp_network_tensor_count(loose));
        assert_string_equal(bp_network_tensor(tied, tensors - 1).name, "layers.2.bias");
        assert_false(bp_network_tensor_is_weight(tied, tensors - 1));
        support_parameters(tied, 5, 0.8);
        for (size_t i = 0; i < tensors; i++) {
            const bp_tensor from = bp_network_tensor(tied, i);
            memcpy(bp_network_tensor(loose, i + (i + 1 == tensors)).data, from.data,
                   from.element_count * sizeof(double));
        }
        const bp_tensor table = bp_network_tensor(tied, 0);
        const size_t elements = table.element_count;
        memcpy(bp_network_tensor(loose, tensors - 1).data, table.data, elements * sizeof(double));
        int32_t ids[RECURRENT_ROWS], label[RECURRENT_ROWS];
        for (uint64_t batch = 0; batch < 3; batch++) {
            support_ids(ids, RECURRENT_ROWS, TOKENS, batch);
            support_ids(label, RECURRENT_ROWS, TOKENS, batch + 10);
            const bp_targets targets = {.label = label};
            const double a = bp_network_train(tied, NULL, ids, RECURRENT_ROWS, &targets);
            assert_true(a == bp_network_train(loose, NULL, ids, RECURRENT_ROWS, &targets));
            const double *gradient = bp_network_gradient_tensor(tied, 0).data;
            const double *vectors = bp_network_gradient_tensor(loose, 0).data;
            const double *weights = bp_network_gradient_tensor(loose, tensors - 1).data;
            for (size_t i = 0; i < elements; i++)
                assert_true(fabs(gradient[i] - (vectors[i] + weights[i])) <= 1e-15);
            for (size_t i = 1; i < tensors; i++) {
                const bp_tensor mine = bp_network_gradient_tensor(tied, i);
                assert_memory_equal(mine.data,
                                    bp_network_gradient_tensor(loose, i + (i + 1 == tensors)).data,
                                    mine.element_count * sizeof(double));
            }
        }
        bp_network_free(tied);
        bp_network_free(loose);
    }
}

/* A vocabulary so wide that the last layer goes by blocks of rows: the same bits as in one piece. */
static void test_tied_by_blocks(void **state)
{
    (void)state;
    enum { WORDS = 300000, STREAMS = 4, STEPS = 3, BATCH = STREAMS * STEPS };
    bp_layer_spec layers[TOKENS_LAYERS];
    const size_t count = support_language_model(layers, 1, 1, true);
    layers[count - 1].layer.value[BP_DENSE_UNITS] = WORDS;
    bp_network_spec spec = support_language_spec(layers, count);
    spec.token_count = WORDS;
    spec.batch_rows = BATCH;
    spec.sequence.streams = STREAMS;
    spec.sequence.steps = STEPS;
    bp_network *network = support_network_create(&spec);
    bp_network_initialize(network, 3);
    int32_t ids[BATCH], label[BATCH];
    support_ids(ids, BATCH, WORDS, 1);
    ids[5] = ids[2];
    support_ids(label, BATCH, WORDS, 2);
    const bp_targets targets = {.label = label};
    const size_t bytes = bp_network_block_count(network) * sizeof(double);
    double *gradients = malloc(bytes);
    assert_non_null(gradients);
    bp_network_hold_state(network, true);
    bp_network_forward(network, NULL, ids, BATCH, true);
    const double loss = bp_network_backward(network, NULL, &targets);
    memcpy(gradients, bp_network_gradients(network), bytes);
    assert_true(loss == bp_network_train(network, NULL, ids, BATCH, &targets));
    assert_memory_equal(gradients, bp_network_gradients(network), bytes);
    free(gradients);
    bp_network_free(network);
}

/* ---- refusals ---- */

static void refused(const bp_network_spec *spec, bp_status status, const char *where)
{
    bp_error error = {.status = BP_OK};
    bp_network_size size;
    assert_int_equal(bp_network_measure(&size, spec, &error), status);
    assert_string_equal(error.where, where);
    assert_true(*error.message != '\0');
}

static void test_refusals(void **state)
{
    (void)state;
    const bp_layer_spec embedding = support_embedding(D, true, false), window = support_window(3);
    const bp_layer_spec last = support_dense(TOKENS_OUT, "identity");
    const bp_layer_spec mask = {.layer = support_choice_of(&bp_layer_family, "dropout", 0.5)};
    const struct {
        bp_layer_spec layers[4];
        size_t count;
        bp_status status;
        const char *where;
    } cases[] = {
        {{last, last}, 2, BP_INVALID, "/network/layers/0/type"},
        {{window, last}, 2, BP_INVALID, "/network/layers/0/type"},
        {{last, embedding, last}, 3, BP_INVALID, "/network/layers/1/type"},
        {{mask, embedding, last}, 3, BP_INVALID, "/network/layers/1/type"},
        {{embedding, last, window, last}, 4, BP_INVALID, "/network/layers/2/type"},
        {{embedding, embedding, last}, 3, BP_INVALID, "/network/layers/1/type"},
        {{window, window, last}, 3, BP_INVALID, "/network/layers/1/type"},
        {{window, embedding, window, last}, 4, BP_INVALID, "/network/layers/2/type"},
        {{embedding, support_window(5), last}, 3, BP_SHAPE, "/network/layers/1/width"},
        {{support_window(4), embedding, last}, 3, BP_INVALID, "/network/layers/0/width"},
        {{embedding, last}, 2, BP_SHAPE, "/network/layers"},
        {{embedding, window}, 2, BP_INVALID, "/network/layers/1/type"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        bp_network_spec spec =
            support_token_spec(cases[i].layers, cases[i].count, "softmax_cross_entropy");
        spec.input_width = 3;
        refused(&spec, cases[i].status, cases[i].where);
    }

    /* The vocabulary, sequences, the embedding's own fields, and data without tokens. */
    bp_layer_spec layers[] = {embedding, window, last};
    bp_network_spec spec = support_token_spec(layers, 3, "softmax_cross_entropy");
    spec.token_count = 0;
    refused(&spec, BP_SHAPE, "/data");
    spec.token_count = (size_t)INT32_MAX + 1;
    refused(&spec, BP_TOO_LARGE, "/data");
    spec.token_count = TOKENS;
    spec.sequence.streams = spec.batch_rows;
    spec.sequence.steps = 1;
    refused(&spec, BP_INVALID, "/network/layers/1/type");
    spec.sequence.streams = 0;
    layers[0].layer.value[BP_EMBEDDING_DIMENSION] = 0;
    refused(&spec, BP_INVALID, "/network/layers/0/dimension");
    layers[0] = support_embedding(D, false, true);
    refused(&spec, BP_INVALID, "/network/layers/0/sparse");
    static const char *const forms[] = {"connections", "layer"};
    for (size_t i = 0; i < 2; i++) {
        layers[0] = embedding;
        layers[0].dropout = support_choice_of(&bp_dropout_family, forms[i], 0.5);
        refused(&spec, BP_INVALID, "/network/layers/0/dropout/of");
    }
    layers[0] = embedding;
    layers[0].activation = support_choice(&bp_activation_family, "tanh");
    refused(&spec, BP_INVALID, "/network/layers/0/activation");
    layers[0].activation.member = NULL;
    layers[1].dropout = support_choice_of(&bp_dropout_family, "units", 0.5);
    refused(&spec, BP_INVALID, "/network/layers/1/dropout");
    layers[1] = window;
    bp_network_size size;
    assert_int_equal(bp_network_measure(&size, &spec, NULL), BP_OK);
    spec.input_kind = BP_INPUT_VALUES;
    refused(&spec, BP_INVALID, "/network/layers/0/type");
    spec.layers++;
    spec.layer_count--;
    refused(&spec, BP_INVALID, "/network/layers/0/type");
}

static void test_tied_refusals(void **state)
{
    (void)state;
    bp_layer_spec layers[TOKENS_LAYERS];
    size_t count = support_language_model(layers, 1, 0, true);
    bp_network_spec spec = support_language_spec(layers, count);
    bp_network_size size;
    assert_int_equal(bp_network_measure(&size, &spec, NULL), BP_OK);
    assert_int_equal(size.tensor_count, 1 + 4 + 1);
    layers[2].layer.value[BP_DENSE_UNITS] = TOKENS - 1;
    refused(&spec, BP_SHAPE, "/network/layers/2/tied");
    layers[2].layer.value[BP_DENSE_UNITS] = TOKENS;
    layers[1].layer.value[0] = 5; /* units */
    refused(&spec, BP_SHAPE, "/network/layers/2/tied");
    layers[1].layer.value[0] = 4;
    layers[2].dropout = support_choice_of(&bp_dropout_family, "connections", 0.5);
    refused(&spec, BP_INVALID, "/network/layers/2/dropout/of");
    layers[2].dropout.member = NULL;
    layers[0].layer.value[BP_EMBEDDING_SPARSE] = 1;
    refused(&spec, BP_INVALID, "/network/layers/0/sparse");
    layers[0].layer.value[BP_EMBEDDING_SPARSE] = 0;
    layers[0].layer.value[BP_EMBEDDING_TRAINABLE] = 0;
    refused(&spec, BP_INVALID, "/network/layers/2/tied");
    layers[0].layer.value[BP_EMBEDDING_TRAINABLE] = 1;
    layers[1] = layers[2]; /* tied, and not the last */
    refused(&spec, BP_INVALID, "/network/layers/1/tied");
    bp_layer_spec alone = support_dense(3, "identity");
    alone.layer.value[BP_DENSE_TIED] = 1;
    const bp_network_spec values = support_network_spec(&alone, 1, 4, 2, "softmax_cross_entropy");
    refused(&values, BP_INVALID, "/network/layers/0/tied");
}

/* A table that cannot be addressed. */
static void test_sizes(void **state)
{
    (void)state;
    bp_layer_spec layers[] = {support_embedding(1048576, true, false),
                              support_dense(2, "identity")};
    bp_network_spec spec = support_token_spec(layers, 2, "softmax_cross_entropy");
    spec.token_count = INT32_MAX;
    spec.batch_rows = SIZE_MAX / 1024;
    bp_error error = {.status = BP_OK};
    bp_network_size size;
    assert_int_equal(bp_network_measure(&size, &spec, &error), BP_TOO_LARGE);
    spec.batch_rows = UINT32_MAX; /* positions are counted in 32 bits */
    layers[0] = support_embedding(1, true, false);
    assert_int_equal(bp_network_measure(&size, &spec, &error), BP_TOO_LARGE);
    assert_string_equal(error.where, "/network/layers/0");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shapes),         cmocka_unit_test(test_forward),
        cmocka_unit_test(test_initialisation), cmocka_unit_test(test_gradient_by_hand),
        cmocka_unit_test(test_frozen),         cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_tied),           cmocka_unit_test(test_tied_by_blocks),
        cmocka_unit_test(test_tied_refusals),  cmocka_unit_test(test_sizes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
