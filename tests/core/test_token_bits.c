/* Networks over tokens are the same bits for any number of threads and on every instruction set, in both widths:
 * window networks under each loss, and a tied language model, with vectors that are updated whole, by rows and
 * sparse, large enough for everything to be split. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/layer/dense.h"
#include "core/training/update.h"
#include "tests/core/support_parallel.h"
#include "tests/core/support_recurrent.h"
#include "tests/core/support_tokens.h"

enum {
    TOKENS = 3000,
    DIMENSION = 51,
    WIDTH = 5,
    ROWS = 400, /* of two steps, the others have fewer */
    STEPS = 4,
    LAYERS = 4,
    STREAMS = 8,
};

typedef struct trial {
    const char *name, *loss, *optimizer;
    bool sparse, tied, penalty;
    double clip_norm;
} trial;

static const trial trials[] = {
    {"margin, by rows", "max_margin", "sgd", false, false, false, 0.1},
    {"tagger, by rows", "softmax_cross_entropy", "adagrad", false, false, false, 0},
    {"tagger, whole", "softmax_cross_entropy", "momentum", false, false, true, 0.1},
    {"margin, sparse", "max_margin", "adam", true, false, false, 0.1},
    {"language model, tied", "softmax_cross_entropy", "adagrad", false, true, false, 0.1},
};

static size_t make_layers(bp_layer_spec layers[LAYERS], const trial *t)
{
    size_t count = 0;
    if (!t->tied)
        layers[count++] = support_window(WIDTH);
    layers[count++] = support_embedding(DIMENSION, true, t->sparse);
    layers[count++] = t->tied ? support_recurrent(3, DIMENSION) : support_dense(131, "tanh");
    layers[count++] = support_dense(t->tied                              ? TOKENS
                                    : strcmp(t->loss, "max_margin") == 0 ? 1
                                                                         : 7,
                                    "identity");
    layers[count - 1].layer.value[BP_DENSE_TIED] = t->tied;
    return count;
}

/* Everything that a training has left: parameters, slots, the gradient's norm and how far the update went; to be
 * freed. */
static unsigned char *trained(size_t *bytes, const trial *t, bp_dtype dtype, bp_isa isa,
                              const bp_parallel *parallel)
{
    bp_layer_spec layers[LAYERS];
    const size_t count = make_layers(layers, t), width = t->tied ? 1 : WIDTH;
    bp_network_spec spec = support_network_spec(layers, count, width, ROWS, t->loss);
    spec.dtype = dtype;
    spec.isa = isa;
    spec.input_kind = BP_INPUT_TOKENS;
    spec.token_count = TOKENS;
    spec.sequence.streams = t->tied ? STREAMS : 0;
    spec.sequence.steps = t->tied ? ROWS / STREAMS : 0;
    bp_network *network = support_network_create(&spec);
    bp_network_initialize(network, 3);
    const bp_kernels *kernels = bp_network_kernels(network);
    const bp_choice choice = support_choice(&bp_optimizer_family, t->optimizer);
    bp_update update = {.kernels = kernels,
                        .optimizer = kernels->optimizers[choice.member->index],
                        .choice = choice,
                        .regularizer_count = t->penalty,
                        .regularizers = {support_choice_of(&bp_regularizer_family, "l2", 0.01)},
                        .clip_norm = t->clip_norm,
                        .count = bp_network_block_count(network)};
    bp_network_size size;
    assert_int_equal(bp_network_measure(&size, &spec, NULL), BP_OK);
    bp_arena arena = bp_arena_measure();
    bp_update_plan(&update, &arena, &size);
    const size_t update_bytes = arena.used_bytes;
    assert_int_equal(bp_arena_open(&arena, update_bytes, NULL), BP_OK);
    bp_update_plan(&update, &arena, &size);
    bp_update_bind(&update, network);
    static int32_t ids[ROWS * WIDTH], label[ROWS];
    double facts_of[STEPS][2];
    for (size_t step = 0; step < STEPS; step++) {
        const size_t rows = step % 2 ? ROWS / 2 : ROWS;
        support_ids(ids, rows * width, step == 2 ? 40 : TOKENS, step);
        support_labels(label, rows, bp_network_output_width(network), step + 50);
        const bp_targets targets = {.label = label};
        bp_network_train(network, parallel, ids, rows, &targets);
        const bp_gradient_facts facts = bp_update_gradient(&update, parallel, true);
        assert_true(facts.finite);
        bp_update_apply(&update, parallel, 0.05, step, &facts, true);
        bp_network_parameters_changed(network);
        facts_of[step][0] = facts.norm;
        facts_of[step][1] = bp_update_ratio(&update, t->tied ? 0 : 1);
        assert_true(facts.norm > 0 && facts_of[step][1] > 0);
    }
    const size_t block = update.count * kernels->real_size, slots = update.optimizer->slot_count;
    *bytes = (1 + slots) * block + sizeof facts_of;
    unsigned char *all = malloc(*bytes), *at = all;
    assert_non_null(all);
    memcpy(at, update.theta, block);
    for (size_t slot = 0; slot < slots; slot++)
        memcpy(at += block, update.slot[slot], block);
    memcpy(at + block, facts_of, sizeof facts_of);
    bp_network_free(network);
    bp_arena_done(&arena);
    return all;
}

static void test_threads(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof trials / sizeof *trials; i++)
        for (bp_dtype dtype = BP_FLOAT32; dtype <= BP_FLOAT64; dtype++) {
            size_t bytes;
            unsigned char *alone = trained(&bytes, &trials[i], dtype, bp_isa_detect(), NULL);
            for (size_t threads = 2; threads <= 4; threads *= 2) {
                support_pool *pool = support_pool_open(threads);
                const bp_parallel parallel = support_pool_parallel(pool);
                unsigned char *together =
                    trained(&bytes, &trials[i], dtype, bp_isa_detect(), &parallel);
                assert_true(support_pool_run_count(pool) > STEPS);
                if (memcmp(alone, together, bytes) != 0)
                    fail_msg("%s: other bits with %zu threads", trials[i].name, threads);
                free(together);
                support_pool_close(pool);
            }
            free(alone);
        }
}

static void test_instruction_sets(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof trials / sizeof *trials; i++)
        for (bp_dtype dtype = BP_FLOAT32; dtype <= BP_FLOAT64; dtype++) {
            size_t bytes;
            unsigned char *best = trained(&bytes, &trials[i], dtype, bp_isa_detect(), NULL);
            for (bp_isa isa = BP_ISA_BASELINE; isa < bp_isa_detect(); isa++) {
                if (!bp_kernels_get(dtype, isa))
                    continue;
                unsigned char *other = trained(&bytes, &trials[i], dtype, isa, NULL);
                if (memcmp(best, other, bytes) != 0)
                    fail_msg("%s: other bits on %s", trials[i].name, bp_isa_name(isa));
                free(other);
            }
            free(best);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_instruction_sets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
