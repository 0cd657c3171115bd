#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/schedule/schedule.h"
#include "tests/core/support_network.h"

static bp_training_spec spec_of(const bp_layer_spec *layers, size_t layer_count, size_t input_width,
                                const char *loss)
{
    return (bp_training_spec){.network =
                                  support_network_spec(layers, layer_count, input_width, 1, loss),
                              .optimizer = support_choice_of(&bp_optimizer_family, "momentum", 0.1),
                              .schedule = support_choice(&bp_schedule_family, "constant"),
                              .seed = 1,
                              .epochs = 10,
                              .batch_size = 4,
                              .shuffle = true};
}

static bp_trainer *create(const bp_training_spec *spec, const bp_examples *examples)
{
    bp_error error = {.status = BP_OK};
    bp_trainer *trainer = NULL;
    if (bp_trainer_create(&trainer, spec, examples, NULL, &error) != BP_OK)
        fail_msg("%s: %s", error.where, error.message);
    return trainer;
}

/* Exclusive or: no line separates it, so a hidden layer has to learn. */
static void test_learns_xor(void **state)
{
    (void)state;
    for (bp_dtype dtype = BP_FLOAT32; dtype <= BP_FLOAT64; dtype++) {
        double features[8];
        const double x[8] = {0, 0, 0, 1, 1, 0, 1, 1};
        for (size_t i = 0; i < 8; i++)
            support_set(features, dtype, i, x[i]);
        const int32_t label[4] = {0, 1, 1, 0};
        const bp_examples examples = {.row_count = 4, .features = features, .label = label};
        const bp_layer_spec layers[] = {support_dense(8, "tanh"), support_dense(2, "identity")};
        bp_training_spec spec = spec_of(layers, 2, 2, "softmax_cross_entropy");
        spec.network.dtype = dtype;
        spec.epochs = 500;
        bp_trainer *trainer = create(&spec, &examples);
        const bp_evaluation before = support_evaluate(trainer, &examples);
        assert_true(before.loss > 0.3);
        bp_step_report report;
        while (!bp_trainer_finished(trainer))
            assert_int_equal(bp_trainer_step(&report, trainer, true, NULL), BP_OK);
        const bp_evaluation after = support_evaluate(trainer, &examples);
        assert_true(after.accuracy == 1 && after.loss < 0.05);
        assert_true(report.accuracy == 1 && report.finite && report.learning_rate == 0.1);
        assert_int_equal(after.rows, 4);
        bp_trainer_free(trainer);
    }
}

enum { ROWS = 11, IN = 3, HIDDEN = 4, OUT = 2, BATCH = 4 };

/* The same mathematics written down plainly: 3-4-2, tanh, squared error, momentum. */
typedef struct plain {
    double w0[HIDDEN][IN], b0[HIDDEN], w1[OUT][HIDDEN], b1[OUT];
} plain;

static void load(plain *out, bp_network *network)
{
    memcpy(out->w0, bp_network_tensor(network, 0).data, sizeof out->w0);
    memcpy(out->b0, bp_network_tensor(network, 1).data, sizeof out->b0);
    memcpy(out->w1, bp_network_tensor(network, 2).data, sizeof out->w1);
    memcpy(out->b1, bp_network_tensor(network, 3).data, sizeof out->b1);
}

static double plain_gradient(plain *g, const plain *p, const double *x, const double *t,
                             size_t rows)
{
    double loss = 0;
    memset(g, 0, sizeof *g);
    for (size_t r = 0; r < rows; r++, x += IN, t += OUT) {
        double a[HIDDEN], below[HIDDEN] = {0};
        for (size_t i = 0; i < HIDDEN; i++) {
            a[i] = p->b0[i];
            for (size_t j = 0; j < IN; j++)
                a[i] += p->w0[i][j] * x[j];
            a[i] = tanh(a[i]);
        }
        for (size_t k = 0; k < OUT; k++) {
            double y = p->b1[k];
            for (size_t i = 0; i < HIDDEN; i++)
                y += p->w1[k][i] * a[i];
            loss += (y - t[k]) * (y - t[k]) / (double)(OUT * rows);
            const double delta = 2 * (y - t[k]) / (double)(OUT * rows);
            g->b1[k] += delta;
            for (size_t i = 0; i < HIDDEN; i++) {
                g->w1[k][i] += delta * a[i];
                below[i] += delta * p->w1[k][i];
            }
        }
        for (size_t i = 0; i < HIDDEN; i++) {
            const double delta = below[i] * (1 - a[i] * a[i]);
            g->b0[i] += delta;
            for (size_t j = 0; j < IN; j++)
                g->w0[i][j] += delta * x[j];
        }
    }
    return loss;
}

static void test_against_plain_code(void **state)
{
    (void)state;
    const double alpha = 0.05, mu = 0.9;
    double x[ROWS * IN], t[ROWS * OUT];
    support_values(x, BP_FLOAT64, ROWS * IN, 1);
    support_values(t, BP_FLOAT64, ROWS * OUT, 2);
    const bp_examples examples = {.row_count = ROWS, .features = x, .value = t};
    const bp_layer_spec layers[] = {support_dense(HIDDEN, "tanh"), support_dense(OUT, "identity")};
    bp_training_spec spec = spec_of(layers, 2, IN, "mean_squared_error");
    spec.optimizer.value[0] = alpha;
    spec.optimizer.value[1] = mu;
    spec.shuffle = false;
    spec.epochs = 20;
    bp_trainer *trainer = create(&spec, &examples);
    plain p, v, g;
    memset(&v, 0, sizeof v);
    load(&p, bp_trainer_network(trainer));

    double *theta = (double *)&p, *velocity = (double *)&v, *gradient = (double *)&g;
    while (!bp_trainer_finished(trainer)) {
        const bp_position position = bp_trainer_position(trainer);
        assert_int_equal(position.steps_per_epoch, 3);
        assert_int_equal(position.step_limit, 60);
        assert_int_equal(position.epoch, position.step / 3);
        const size_t first = position.step % 3 * BATCH; /* file order, short last batch */
        const size_t rows = first + BATCH <= ROWS ? BATCH : ROWS - first;
        const double loss = plain_gradient(&g, &p, x + first * IN, t + first * OUT, rows);
        bp_step_report report;
        assert_int_equal(bp_trainer_step(&report, trainer, true, NULL), BP_OK);
        assert_int_equal(report.rows, rows);
        assert_true(fabs(report.loss - loss) < 1e-12);
        assert_true(isnan(report.accuracy));
        double squares = 0;
        for (size_t i = 0; i < sizeof p / sizeof *theta; i++) {
            squares += gradient[i] * gradient[i];
            velocity[i] = mu * velocity[i] - alpha * gradient[i];
            theta[i] += velocity[i];
        }
        assert_true(fabs(report.gradient_norm - sqrt(squares)) < 1e-12);
        plain q;
        load(&q, bp_trainer_network(trainer));
        for (size_t i = 0; i < sizeof p / sizeof *theta; i++)
            assert_true(fabs(((double *)&q)[i] - theta[i]) < 1e-12);
    }
    /* An evaluation is the mean over rows, whatever batches it is made in. */
    const bp_evaluation evaluation = support_evaluate(trainer, &examples);
    assert_true(fabs(evaluation.loss - plain_gradient(&g, &p, x, t, ROWS)) < 1e-12);
    assert_true(isnan(evaluation.accuracy));
    bp_trainer_free(trainer);
}

/* Which rows a step took shows in the loss of a network that outputs 0: the mean of the squares. */
static void test_row_order(void **state)
{
    (void)state;
    enum { COUNT = 10 };
    double x[COUNT], t[COUNT], sums[2][2][4];
    for (size_t i = 0; i < COUNT; i++) {
        x[i] = 0;
        t[i] = sqrt((double)(1u << i)); /* any set of rows has a sum of its own */
    }
    const bp_examples examples = {.row_count = COUNT, .features = x, .value = t};
    bp_layer_spec layers[] = {support_dense(1, "identity")};
    layers[0].layer.value[1] = 0; /* no bias: nothing can be learned */
    bp_training_spec spec = spec_of(layers, 1, 1, "mean_squared_error");
    spec.batch_size = 3;
    spec.epochs = 2;
    for (size_t run = 0; run < 2; run++) {
        bp_trainer *trainer = create(&spec, &examples);
        for (size_t epoch = 0; epoch < 2; epoch++) {
            double all = 0;
            for (size_t batch = 0; batch < 4; batch++) {
                bp_step_report report;
                assert_int_equal(bp_trainer_step(&report, trainer, false, NULL), BP_OK);
                assert_int_equal(report.rows, batch < 3 ? 3 : 1);
                sums[run][epoch][batch] = round(report.loss * (double)report.rows);
                all += sums[run][epoch][batch];
            }
            assert_true(all == (1 << COUNT) - 1); /* each row once */
        }
        assert_true(bp_trainer_finished(trainer));
        bp_trainer_free(trainer);
    }
    assert_memory_equal(sums[0], sums[1], sizeof sums[0]);              /* the seed decides, */
    assert_memory_not_equal(sums[0][0], sums[0][1], sizeof sums[0][0]); /* and the epoch */
    spec.seed = 2;
    bp_trainer *trainer = create(&spec, &examples);
    bp_step_report report;
    double other[4];
    for (size_t batch = 0; batch < 4; batch++) {
        assert_int_equal(bp_trainer_step(&report, trainer, false, NULL), BP_OK);
        other[batch] = round(report.loss * (double)report.rows);
    }
    assert_memory_not_equal(other, sums[0][0], sizeof other);
    bp_trainer_free(trainer);
}

static void test_edges(void **state)
{
    (void)state;
    double x[ROWS * IN];
    int32_t label[ROWS];
    support_values(x, BP_FLOAT64, ROWS * IN, 1);
    support_labels(label, ROWS, OUT, 2);
    const bp_examples examples = {.row_count = ROWS, .features = x, .label = label};
    const bp_layer_spec layers[] = {support_dense(OUT, "softmax")};
    bp_training_spec spec = spec_of(layers, 1, IN, "softmax_cross_entropy");

    spec.epochs = 0; /* the initial weights as a model */
    bp_trainer *trainer = create(&spec, &examples);
    assert_true(bp_trainer_finished(trainer));
    assert_true(support_evaluate(trainer, &examples).loss > 0);
    bp_trainer_free(trainer);

    spec.epochs = 3;
    spec.batch_size = SIZE_MAX; /* larger than the rows: one batch */
    trainer = create(&spec, &examples);
    assert_int_equal(bp_trainer_position(trainer).steps_per_epoch, 1);
    bp_step_report report;
    assert_int_equal(bp_trainer_step(&report, trainer, false, NULL), BP_OK);
    assert_int_equal(report.rows, ROWS);
    assert_int_equal(bp_trainer_position(trainer).epoch, 1);
    bp_trainer_free(trainer);

    bp_error error = {.status = BP_OK};
    trainer = NULL;
    spec.epochs = UINT64_MAX;
    spec.batch_size = 1;
    assert_int_equal(bp_trainer_create(&trainer, &spec, &examples, NULL, &error), BP_TOO_LARGE);
    assert_string_equal(error.where, "/training/epochs");
    spec.epochs = 1;
    spec.batch_size = 0;
    assert_int_equal(bp_trainer_create(&trainer, &spec, &examples, NULL, NULL), BP_INVALID);
    spec.batch_size = 1;
    assert_int_equal(bp_trainer_create(&trainer, &spec, &(bp_examples){0}, NULL, NULL), BP_SHAPE);
    assert_null(trainer);
    bp_trainer_free(NULL);
}

/* A run that has left the numbers says so and keeps the last good weights. */
static void test_divergence(void **state)
{
    (void)state;
    for (bp_dtype dtype = BP_FLOAT32; dtype <= BP_FLOAT64; dtype++) {
        double x[ROWS * IN], t[ROWS * OUT];
        support_values(x, dtype, ROWS * IN, 1);
        support_values(t, dtype, ROWS * OUT, 2);
        const bp_examples examples = {.row_count = ROWS, .features = x, .value = t};
        const bp_layer_spec layers[] = {support_dense(HIDDEN, "identity"),
                                        support_dense(OUT, "identity")};
        bp_training_spec spec = spec_of(layers, 2, IN, "mean_squared_error");
        spec.network.dtype = dtype;
        spec.optimizer.value[0] = 100;
        spec.epochs = 1000;
        bp_trainer *trainer = create(&spec, &examples);
        bp_network *network = bp_trainer_network(trainer);
        const size_t bytes = bp_network_block_count(network) * bp_dtype_size(dtype);
        unsigned char before[4096];
        assert_true(bytes <= sizeof before);
        bp_step_report report = {.finite = true};
        bp_position position = {0};
        while (!bp_trainer_finished(trainer) && report.finite) {
            memcpy(before, bp_network_parameters(network), bytes);
            position = bp_trainer_position(trainer);
            assert_int_equal(bp_trainer_step(&report, trainer, false, NULL), BP_OK);
        }
        assert_false(report.finite);
        assert_memory_equal(before, bp_network_parameters(network), bytes);
        assert_int_equal(bp_trainer_position(trainer).step, position.step);
        for (size_t i = 0; i < bp_network_block_count(network); i++)
            assert_true(isfinite(support_at(before, dtype, i)));
        bp_trainer_free(trainer);
    }
}

static bool stop_at_second_question(void *context)
{
    return ++*(int *)context == 2;
}

static void test_an_evaluation_can_be_stopped(void **state)
{
    (void)state;
    double features[24] = {0};
    const int32_t label[12] = {0, 1};
    const bp_examples examples = {.row_count = 12, .features = features, .label = label};
    const bp_layer_spec layers[] = {support_dense(2, "identity")};
    const bp_training_spec spec = spec_of(layers, 1, 2, "softmax_cross_entropy");
    bp_trainer *trainer = create(&spec, &examples);
    int questions = 0;
    bp_trainer_set_stop(trainer, stop_at_second_question, &questions);
    (void)support_evaluate(trainer, &examples);
    assert_int_equal(questions, 2); /* of three batches, none before the first */
    assert_true(bp_trainer_interrupted(trainer));
    bp_trainer_free(trainer);

    trainer = create(&spec, &examples);
    questions = 2;
    bp_trainer_set_stop(trainer, stop_at_second_question, &questions);
    (void)support_evaluate(trainer, &examples);
    assert_int_equal(questions, 4);
    assert_false(bp_trainer_interrupted(trainer));
    bp_trainer_free(trainer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_evaluation_can_be_stopped),
        cmocka_unit_test(test_learns_xor),
        cmocka_unit_test(test_against_plain_code),
        cmocka_unit_test(test_row_order),
        cmocka_unit_test(test_edges),
        cmocka_unit_test(test_divergence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
