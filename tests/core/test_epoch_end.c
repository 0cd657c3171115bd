/* What happens between epochs: early stopping with the best weights restored, rates reduced on a
 * plateau; and what a measured step says of its layers. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/initializer/initializer.h"
#include "core/schedule/schedule.h"
#include "tests/core/support_network.h"

enum { ROWS = 6, IN = 3, HIDDEN = 5, OUT = 2 };

typedef struct fixture {
    double x[ROWS * IN];
    int32_t label[ROWS];
    bp_examples examples;
    bp_layer_spec layers[2];
    bp_training_spec spec;
} fixture;

static fixture *fixture_of(const char *activation)
{
    static fixture f;
    support_values(f.x, BP_FLOAT64, ROWS * IN, 1);
    support_labels(f.label, ROWS, OUT, 2);
    f.examples = (bp_examples){.row_count = ROWS, .features = f.x, .label = f.label};
    f.layers[0] = support_dense(HIDDEN, activation);
    f.layers[1] = support_dense(OUT, "softmax");
    f.spec = (bp_training_spec){
        .network = support_network_spec(f.layers, 2, IN, 1, "softmax_cross_entropy"),
        .optimizer = support_choice_of(&bp_optimizer_family, "sgd", 0.1),
        .schedule = support_choice(&bp_schedule_family, "constant"),
        .early_stopping = support_choice(&bp_stopping_family, "early_stopping"),
        .epochs = 100,
        .batch_size = 3};
    f.spec.early_stopping.value[BP_EARLY_STOPPING_PATIENCE] = 2;
    return &f;
}

static bp_trainer *create(const fixture *f)
{
    bp_trainer *trainer = NULL;
    assert_int_equal(bp_trainer_create(&trainer, &f->spec, &f->examples, NULL, NULL), BP_OK);
    return trainer;
}

/* One epoch of two steps; every metric is `metric`. */
static bp_epoch_verdict epoch(bp_trainer *trainer, double metric, double *learning_rate)
{
    bp_step_report report;
    for (size_t step = 0; step < 2; step++)
        assert_int_equal(bp_trainer_step(&report, trainer, true, NULL), BP_OK);
    if (learning_rate)
        *learning_rate = report.learning_rate;
    bp_epoch_metrics metrics;
    for (size_t i = 0; i < BP_WATCHED_COUNT; i++)
        metrics.value[i] = metric;
    return bp_trainer_epoch_end(trainer, &metrics);
}

static void test_stops_and_restores(void **state)
{
    (void)state;
    const double loss[] = {1, 0.8, 0.9, 0.7, 0.7, NAN}; /* the best is the fourth, index 3 */
    fixture *f = fixture_of("tanh");
    for (int restore = 0; restore < 2; restore++) {
        f->spec.early_stopping.value[BP_EARLY_STOPPING_RESTORE_BEST] = restore;
        bp_trainer *trainer = create(f);
        bp_network *network = bp_trainer_network(trainer);
        const size_t bytes = bp_network_block_count(network) * sizeof(double);
        double best[256];
        assert_true(bytes <= sizeof best);
        assert_false(bp_trainer_restore_best(trainer)); /* there was no epoch yet */
        for (size_t e = 0; e < 6; e++) {
            assert_false(bp_trainer_finished(trainer));
            const bp_epoch_verdict verdict = epoch(trainer, loss[e], NULL);
            assert_int_equal(verdict.new_best, e == 0 || e == 1 || e == 3);
            assert_int_equal(verdict.stop, e == 5);
            assert_false(verdict.rate_reduced);
            if (e == 3)
                memcpy(best, bp_network_parameters(network), bytes);
        }
        assert_true(bp_trainer_finished(trainer));
        const bp_early_stopping_state after = bp_trainer_watch_state(trainer).early_stopping;
        assert_true(after.best == 0.7 && after.best_step == 8 && after.stopped == 1);
        assert_int_equal(bp_trainer_position(trainer).step, 12);
        assert_memory_not_equal(best, bp_network_parameters(network), bytes);
        const double last = support_evaluate(trainer, &f->examples).loss;
        assert_int_equal(bp_trainer_restore_best(trainer), restore);
        if (restore)
            assert_memory_equal(best, bp_network_parameters(network), bytes);
        /* The network computes with them, packed weights included. */
        assert_int_equal(support_evaluate(trainer, &f->examples).loss != last, restore);
        bp_trainer_free(trainer);
    }
}

static void test_what_is_better(void **state)
{
    (void)state;
    bp_choice choice = support_choice(&bp_stopping_family, "early_stopping");
    double *value = choice.value;
    value[BP_EARLY_STOPPING_METRIC] = BP_WATCHED_VALIDATION_ACCURACY;
    value[BP_EARLY_STOPPING_PATIENCE] = 1;
    value[BP_EARLY_STOPPING_MIN_DELTA] = 0.125;
    bp_early_stopping_state s = {0};
    s = bp_early_stopping_observe(s, value, 0.5, 1);
    assert_true(s.waited == 0 && s.best == 0.5);
    s = bp_early_stopping_observe(s, value, 0.75, 2); /* accuracies rise */
    assert_true(s.waited == 0 && s.best_step == 2 && !s.stopped);
    s = bp_early_stopping_observe(s, value, 0.875, 3); /* not by more than min_delta */
    assert_true(s.stopped && s.best == 0.75);
    s = bp_early_stopping_observe((bp_early_stopping_state){0}, value, NAN, 1);
    assert_true(s.stopped && !s.started);
}

static void test_plateau(void **state)
{
    (void)state;
    fixture *f = fixture_of("tanh");
    f->spec.early_stopping.member = NULL;
    f->spec.schedule = support_choice(&bp_schedule_family, "plateau");
    f->spec.schedule.value[BP_PLATEAU_FACTOR] = 0.5;
    f->spec.schedule.value[BP_PLATEAU_PATIENCE] = 1;
    bp_trainer *trainer = create(f);
    assert_true(bp_trainer_watches(trainer, BP_WATCHED_VALIDATION_LOSS));
    assert_false(bp_trainer_watches(trainer, BP_WATCHED_TRAIN_LOSS));
    const double expected[] = {0.1, 0.1, 0.1, 0.05, 0.05, 0.025};
    for (size_t e = 0; e < 6; e++) {
        double rate;
        const bp_epoch_verdict verdict = epoch(trainer, 1, &rate);
        assert_true(rate == expected[e]);
        assert_int_equal(verdict.rate_reduced, e == 2 || e == 4);
        assert_false(verdict.stop || verdict.new_best);
    }
    assert_int_equal(bp_trainer_watch_state(trainer).plateau.reductions, 2);
    bp_trainer_free(trainer);

    f->spec.schedule = support_choice(&bp_schedule_family, "constant");
    trainer = create(f);
    for (bp_watched watched = 0; watched < BP_WATCHED_COUNT; watched++)
        assert_false(bp_trainer_watches(trainer, watched));
    const bp_epoch_verdict verdict = epoch(trainer, 1, NULL); /* may be called all the same */
    assert_false(verdict.stop || verdict.new_best || verdict.rate_reduced);
    bp_trainer_free(trainer);
}

/* Biases say which units are idle: inputs are small. */
static void test_idle_units(void **state)
{
    (void)state;
    const struct {
        const char *activation;
        double bias[HIDDEN];
        double dead, saturated;
    } cases[] = {{"relu", {-100, 100, -100, 50, 50}, 0.4, NAN},
                 {"sigmoid", {-100, 100, -100, 0, 0}, NAN, 0.6},
                 {"tanh", {-100, 100, 0, 0, 0}, NAN, 0.4},
                 {"hard_tanh", {-100, 100, 0, 100, 0}, NAN, 0.6},
                 {"softsign", {-1e4, 0, 0, 10, 0}, NAN, 0.2},
                 {"leaky_relu", {-100, -100, 0, 0, 0}, NAN, NAN},
                 {"identity", {-100, 0, 0, 0, 0}, NAN, NAN}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        fixture *f = fixture_of(cases[i].activation);
        bp_trainer *trainer = create(f);
        bp_network *network = bp_trainer_network(trainer);
        support_parameters(network, 1, 0.01);
        memcpy(bp_network_tensor(network, 1).data, cases[i].bias, sizeof cases[i].bias);
        bp_network_parameters_changed(network);
        bp_step_report report;
        assert_int_equal(bp_trainer_step(&report, trainer, true, NULL), BP_OK);
        const bp_diagnosis *diagnosis = bp_trainer_diagnosis(trainer);
        assert_int_equal(isnan(diagnosis[0].dead_share), isnan(cases[i].dead));
        assert_int_equal(isnan(diagnosis[0].saturated_share), isnan(cases[i].saturated));
        if (!isnan(cases[i].dead))
            assert_true(diagnosis[0].dead_share == cases[i].dead);
        if (!isnan(cases[i].saturated))
            assert_true(diagnosis[0].saturated_share == cases[i].saturated);
        assert_true(diagnosis[0].update_ratio >= 0 && diagnosis[1].update_ratio > 0);
        assert_true(isnan(diagnosis[1].dead_share) && isnan(diagnosis[1].saturated_share));
        bp_trainer_free(trainer);
    }
}

/* One row in the middle is enough for a unit not to be idle, wherever its column lies; a length of 0
 * has no ratio. */
static void test_columns(void **state)
{
    (void)state;
    enum { M = 3, N = 21 };
    for (bp_dtype dtype = BP_FLOAT32; dtype <= BP_FLOAT64; dtype++)
        for (bp_isa isa = BP_ISA_BASELINE; isa <= BP_ISA_AVX512; isa++) {
            const bp_kernels *kernels = bp_kernels_get(dtype, isa);
            double x[M * N];
            for (size_t i = 0; kernels && i < M * N; i++) {
                for (size_t j = 0; j < M * N; j++)
                    support_set(x, dtype, j, j % 2 ? 0.99 + 1e-7 : -1);
                assert_int_equal(kernels->outside_columns(x, M, N, -0.99, 0.99), N);
                support_set(x, dtype, i, i % 2 ? 0.5 : NAN);
                assert_int_equal(kernels->outside_columns(x, M, N, -0.99, 0.99), N - 1);
            }
        }
    fixture *f = fixture_of("tanh");
    f->layers[0].initializer = support_choice(&bp_initializer_family, "zeros");
    bp_trainer *trainer = create(f);
    bp_step_report report;
    assert_int_equal(bp_trainer_step(&report, trainer, true, NULL), BP_OK);
    assert_true(isnan(bp_trainer_diagnosis(trainer)[0].update_ratio));
    bp_trainer_free(trainer);
}

static void test_faults(void **state)
{
    (void)state;
    fixture *f = fixture_of("tanh");
    bp_trainer *trainer = NULL;
    bp_error error = {.status = BP_OK};
    f->spec.clip_norm = NAN;
    assert_int_equal(bp_trainer_create(&trainer, &f->spec, &f->examples, NULL, &error), BP_INVALID);
    assert_string_equal(error.where, "/training/clip_norm");
    f->spec.clip_norm = 0;
    f->spec.regularizer_count = 2;
    f->spec.regularizers[0] = f->spec.regularizers[1] =
        support_choice_of(&bp_regularizer_family, "l2", 0.1);
    error.status = BP_OK;
    assert_int_equal(bp_trainer_create(&trainer, &f->spec, &f->examples, NULL, &error), BP_INVALID);
    assert_string_equal(error.where, "/regularization");
    f->spec.regularizers[1].member = NULL;
    assert_int_equal(bp_trainer_create(&trainer, &f->spec, &f->examples, NULL, NULL), BP_INVALID);
    f->spec.regularizer_count = BP_REGULARIZER_LIMIT + 1;
    assert_int_equal(bp_trainer_create(&trainer, &f->spec, &f->examples, NULL, NULL), BP_INVALID);
    assert_null(trainer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stops_and_restores),
        cmocka_unit_test(test_what_is_better),
        cmocka_unit_test(test_plateau),
        cmocka_unit_test(test_idle_units),
        cmocka_unit_test(test_columns),
        cmocka_unit_test(test_faults),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
