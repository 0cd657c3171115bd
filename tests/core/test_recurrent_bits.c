/* Same bits of recurrent layers whatever computes them: threads and instruction sets, over steps of
 * training with each form of dropout. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/core/support_parallel.h"
#include "tests/core/support_recurrent.h"

typedef struct sizes {
    size_t streams, steps, in, units, updates;
} sizes;

/* Products, cells and masks beyond what is worth a second thread, in sizes that fill no tile; and what
 * a processor without fused multiply-add does in a moment. */
static const sizes large = {107, 3, 33, 161, 2}, small = {5, 6, 7, 19, 4};

typedef struct setting {
    bp_dtype dtype;
    bp_isa isa;
    const bp_parallel *parallel;
    size_t cell, form;
    const sizes *of;
} setting;

/* Weights, state and outputs after some plain steps down the gradient. */
static void *trained(size_t *bytes, const setting *s)
{
    const sizes *of = s->of;
    const size_t rows = of->streams * of->steps, real = bp_dtype_size(s->dtype);
    bp_layer_spec layers[RECURRENT_LAYERS];
    const size_t count = support_recurrent_network(layers, s->cell, 2, s->form);
    for (size_t i = 0; i + 1 < count; i++)
        if (!bp_layer_type_of(layers[i].layer.member)->is_mask)
            layers[i].layer.value[0] = (double)of->units;
    bp_network_spec spec =
        support_network_spec(layers, count, of->in, rows, "softmax_cross_entropy");
    spec.dtype = s->dtype;
    spec.isa = s->isa;
    spec.sequence.streams = of->streams;
    spec.sequence.steps = of->steps;
    bp_network *network = support_network_create(&spec);
    bp_network_initialize(network, 3);
    const bp_kernels *kernels = bp_network_kernels(network);
    void *x = malloc(rows * of->in * real);
    int32_t *label = malloc(rows * sizeof *label);
    assert_true(x && label);
    support_values(x, s->dtype, rows * of->in, 1);
    support_labels(label, rows, RECURRENT_OUT, 2);
    const bp_targets targets = {.label = label};
    for (size_t step = 0; step < of->updates; step++) {
        bp_network_set_noise(network, (bp_noise){BP_NOISE_TRAINING, 7, step});
        bp_network_forward(network, s->parallel, x, rows, true);
        bp_network_backward(network, s->parallel, &targets);
        kernels->axpy(bp_network_parameters(network), -0.5, bp_network_gradients(network),
                      bp_network_block_count(network));
        bp_network_parameters_changed(network);
    }
    bp_network_set_noise(network, (bp_noise){BP_NOISE_SAMPLE, 7, 1});
    const void *output = bp_network_forward(network, s->parallel, x, rows, false);
    const size_t block_bytes = bp_network_block_count(network) * real;
    const size_t state_bytes = bp_network_state_bytes(network);
    const size_t output_bytes = rows * RECURRENT_OUT * real;
    *bytes = block_bytes + state_bytes + output_bytes;
    unsigned char *result = malloc(*bytes);
    assert_non_null(result);
    memcpy(result, bp_network_parameters(network), block_bytes);
    memcpy(result + block_bytes, bp_network_state(network), state_bytes);
    memcpy(result + block_bytes + state_bytes, output, output_bytes);
    bp_network_free(network);
    free(x);
    free(label);
    return result;
}

static void test_threads(void **state)
{
    (void)state;
    for (size_t which = 0; which < 2 * RECURRENT_CELLS * RECURRENT_FORMS; which++) {
        setting s = {.dtype = which % 2 ? BP_FLOAT64 : BP_FLOAT32,
                     .isa = bp_isa_detect(),
                     .cell = which / 2 % RECURRENT_CELLS,
                     .form = which / 2 / RECURRENT_CELLS,
                     .of = &large};
        size_t bytes;
        void *alone = trained(&bytes, &s);
        for (size_t threads = 2; threads <= 4; threads *= 2) {
            support_pool *pool = support_pool_open(threads);
            const bp_parallel parallel = support_pool_parallel(pool);
            s.parallel = &parallel;
            void *together = trained(&bytes, &s);
            assert_true(support_pool_run_count(pool) >= 2 * large.steps * large.updates);
            assert_memory_equal(alone, together, bytes);
            free(together);
            support_pool_close(pool);
        }
        free(alone);
    }
}

static void test_instruction_sets(void **state)
{
    (void)state;
    for (size_t which = 0; which < 2 * RECURRENT_CELLS * RECURRENT_FORMS; which++) {
        setting s = {.dtype = which % 2 ? BP_FLOAT64 : BP_FLOAT32,
                     .isa = bp_isa_detect(),
                     .cell = which / 2 % RECURRENT_CELLS,
                     .form = which / 2 / RECURRENT_CELLS,
                     .of = &small};
        size_t bytes;
        void *best = trained(&bytes, &s);
        for (s.isa = BP_ISA_BASELINE; s.isa < bp_isa_detect(); s.isa++) {
            if (!bp_kernels_get(s.dtype, s.isa))
                continue;
            void *other = trained(&bytes, &s);
            assert_memory_equal(best, other, bytes);
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
