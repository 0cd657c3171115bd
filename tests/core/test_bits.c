/* Same bits whatever computes them: threads and instruction sets, over whole trainings. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/dropout/dropout.h"
#include "core/schedule/schedule.h"
#include "tests/core/support_network.h"
#include "tests/core/support_parallel.h"

/* Wide enough that the products of a step are split over threads (beyond about 1 MFLOP), with sizes
 * that fill no tile. */
enum { ROWS = 200, IN = 784, HIDDEN = 257, OUT = 10, BATCH = 64, STEPS = 30, THREADS = 4 };

/* Whatever a step can do besides: regularisers, clipping, rates by fan-in, decay. */
static void ask_for_everything(bp_training_spec *spec)
{
    static const char *const names[] = {"l2", "l1", "frobenius", "max_norm"};
    static const double values[] = {1e-3, 1e-4, 1e-2, 0.9};
    spec->regularizer_count = BP_REGULARIZER_LIMIT;
    for (size_t i = 0; i < BP_REGULARIZER_LIMIT; i++)
        spec->regularizers[i] = support_choice_of(&bp_regularizer_family, names[i], values[i]);
    spec->clip_norm = 0.1;
    spec->optimizer = support_choice(&bp_optimizer_family, "adam");
    spec->optimizer.value[5] = 0.01; /* weight_decay */
    spec->schedule.value[BP_SCHEDULE_FAN_IN_SCALED] = 1;
}

enum { MEASURES = 7 }; /* doubles that a measured step gives */

static void measures(double *out, const bp_step_report *report, const bp_trainer *trainer)
{
    const bp_diagnosis *layer = bp_trainer_diagnosis(trainer);
    const double all[MEASURES] = {report->loss,
                                  report->gradient_norm,
                                  report->penalty,
                                  layer[0].update_ratio,
                                  layer[1].update_ratio,
                                  layer[0].dead_share,
                                  layer[0].saturated_share};
    memcpy(out, all, sizeof all);
}

enum extras { PLAIN, EVERYTHING, DROPOUT, EXTRAS };

/* The weights of a run and, behind them, what each step measured. */
static void *trained(size_t *bytes, bp_dtype dtype, bp_isa isa, const bp_parallel *parallel,
                     const char *activation, enum extras extras)
{
    bp_layer_spec layers[5] = {support_dense(HIDDEN, activation), support_dense(OUT, "softmax")};
    size_t layer_count = 2;
    if (extras == DROPOUT) {
        const bp_layer_spec hidden = layers[0], last = layers[1];
        layers[0] = (bp_layer_spec){.layer = support_choice_of(&bp_layer_family, "dropout", 0.8)};
        layers[1] = layers[2] = layers[3] = hidden;
        layers[1].dropout = support_choice_of(&bp_dropout_family, "units", 0.5);
        layers[2].dropout = support_choice_of(&bp_dropout_family, "layer", 0.8);
        layers[3].dropout = support_choice_of(&bp_dropout_family, "connections", 0.9);
        layers[4] = last;
        layer_count = 5;
    }
    bp_training_spec spec = {
        .network = support_network_spec(layers, layer_count, IN, BATCH, "softmax_cross_entropy"),
        .optimizer = support_choice_of(&bp_optimizer_family, "momentum", 0.02),
        .schedule = support_choice(&bp_schedule_family, "constant"),
        .seed = 7,
        .epochs = 100,
        .batch_size = BATCH,
        .shuffle = true};
    spec.network.dtype = dtype;
    spec.network.isa = isa;
    if (extras == EVERYTHING)
        ask_for_everything(&spec);
    double measured[STEPS][MEASURES];
    void *features = malloc((size_t)ROWS * IN * bp_dtype_size(dtype));
    assert_non_null(features);
    int32_t label[ROWS];
    support_values(features, dtype, (size_t)ROWS * IN, 1);
    support_labels(label, ROWS, OUT, 2);
    const bp_examples examples = {.row_count = ROWS, .features = features, .label = label};
    bp_trainer *trainer = NULL;
    assert_int_equal(bp_trainer_create(&trainer, &spec, &examples, parallel, NULL), BP_OK);
    for (size_t step = 0; step < STEPS; step++) {
        bp_step_report report;
        assert_int_equal(bp_trainer_step(&report, trainer, true, NULL), BP_OK);
        assert_true(report.finite);
        measures(measured[step], &report, trainer);
    }
    bp_network *network = bp_trainer_network(trainer);
    const size_t block_bytes = bp_network_block_count(network) * bp_dtype_size(dtype);
    *bytes = block_bytes + sizeof measured;
    unsigned char *weights = malloc(*bytes);
    assert_non_null(weights);
    memcpy(weights, bp_network_parameters(network), block_bytes);
    memcpy(weights + block_bytes, measured, sizeof measured);
    bp_trainer_free(trainer);
    free(features);
    return weights;
}

static void test_threads(void **state)
{
    (void)state;
    for (size_t which = 0; which < 2 * EXTRAS; which++) {
        const bp_dtype dtype = which % 2 ? BP_FLOAT64 : BP_FLOAT32;
        const enum extras extras = (enum extras)(which / 2);
        size_t bytes;
        void *alone = trained(&bytes, dtype, bp_isa_detect(), NULL, "relu", extras);
        for (size_t threads = 2; threads <= THREADS; threads *= 2) {
            support_pool *pool = support_pool_open(threads);
            const bp_parallel parallel = support_pool_parallel(pool);
            void *together = trained(&bytes, dtype, bp_isa_detect(), &parallel, "relu", extras);
            assert_true(support_pool_run_count(pool) >= STEPS);
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
    size_t compared = 0;
    for (bp_dtype dtype = BP_FLOAT32; dtype <= BP_FLOAT64; dtype++)
        for (size_t which = 0; which < EXTRAS + 1; which++) {
            const char *activation = which == EXTRAS ? "tanh" : "relu";
            const enum extras extras = which == EXTRAS ? PLAIN : (enum extras)which;
            size_t bytes;
            void *best = trained(&bytes, dtype, bp_isa_detect(), NULL, activation, extras);
            for (bp_isa isa = BP_ISA_BASELINE; isa < bp_isa_detect(); isa++) {
                if (!bp_kernels_get(dtype, isa))
                    continue;
                void *other = trained(&bytes, dtype, isa, NULL, activation, extras);
                assert_memory_equal(best, other, bytes);
                free(other);
                compared++;
            }
            free(best);
        }
    print_message("%s against %zu others\n", bp_isa_name(bp_isa_detect()), compared / 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_instruction_sets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
