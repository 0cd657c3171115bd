/* Training of language models over a text: against plain loops, learning, what an evaluation says and leaves
 * alone, a source that fails, refusals. Bits and resumes are test_text_bits.c's. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/schedule/schedule.h"
#include "tests/core/support_snapshot.h"
#include "tests/core/support_text.h"

/* ---- the same mathematics in plain loops: an Elman network under SGD ---- */

enum { V = 5, D = 3, H = 4, S = 3, STEPS = 4, TOKENS = 3 * 11 + 3, RATE_TENTHS = 3 };

typedef struct plain {
    double e[V][D], w_ih[H][D], w_hh[H][H], b_ih[H], b_hh[H], w[V][H], b[V];
} plain;

static void load(plain *out, bp_network *network)
{
    double *const parts[] = {out->e[0], out->w_ih[0], out->w_hh[0], out->b_ih,
                             out->b_hh, out->w[0],    out->b};
    assert_int_equal(bp_network_tensor_count(network), 7);
    for (size_t i = 0; i < 7; i++) {
        const bp_tensor tensor = bp_network_tensor(network, i);
        memcpy(parts[i], tensor.data, tensor.element_count * sizeof(double));
    }
}

/* One stream of a chunk: adds the gradient of the sum of its losses and returns that sum. h: what is carried. */
static double plain_stream(plain *g, const plain *p, double h[H], const int32_t *text, size_t steps,
                           size_t *correct)
{
    double state[STEPS + 1][H], slope[STEPS][V], dh[H] = {0}, loss = 0;
    memcpy(state[0], h, sizeof state[0]);
    for (size_t t = 0; t < steps; t++) {
        const double *x = p->e[text[t]];
        double logit[V], sum = 0;
        for (size_t i = 0; i < H; i++) {
            double z = p->b_ih[i] + p->b_hh[i];
            for (size_t j = 0; j < D; j++)
                z += p->w_ih[i][j] * x[j];
            for (size_t j = 0; j < H; j++)
                z += p->w_hh[i][j] * state[t][j];
            state[t + 1][i] = tanh(z);
        }
        size_t best = 0;
        for (size_t i = 0; i < V; i++) {
            logit[i] = p->b[i];
            for (size_t j = 0; j < H; j++)
                logit[i] += p->w[i][j] * state[t + 1][j];
            sum += exp(logit[i]);
            best = logit[i] > logit[best] ? i : best;
        }
        const size_t target = (size_t)text[t + 1];
        loss += log(sum) - logit[target];
        *correct += best == target;
        for (size_t i = 0; i < V; i++)
            slope[t][i] = exp(logit[i]) / sum - (i == target);
    }
    memcpy(h, state[steps], sizeof state[0]);
    for (size_t t = steps; t-- > 0;) {
        double dz[H], before[H] = {0};
        const size_t id = (size_t)text[t];
        for (size_t i = 0; i < V; i++) {
            g->b[i] += slope[t][i];
            for (size_t j = 0; j < H; j++) {
                g->w[i][j] += slope[t][i] * state[t + 1][j];
                dh[j] += slope[t][i] * p->w[i][j];
            }
        }
        for (size_t i = 0; i < H; i++) {
            dz[i] = dh[i] * (1 - state[t + 1][i] * state[t + 1][i]);
            g->b_ih[i] += dz[i];
            g->b_hh[i] += dz[i];
            for (size_t j = 0; j < D; j++) {
                g->w_ih[i][j] += dz[i] * p->e[id][j];
                g->e[id][j] += dz[i] * p->w_ih[i][j];
            }
            for (size_t j = 0; j < H; j++) {
                g->w_hh[i][j] += dz[i] * state[t][j];
                before[j] += dz[i] * p->w_hh[i][j];
            }
        }
        memcpy(dh, before, sizeof dh);
    }
    return loss;
}

typedef struct plain_report {
    double loss, accuracy, norm;
} plain_report;

/* Chunk `chunk` of a text cut into `streams` of `length`; h (streams): carried on. update: SGD. */
static plain_report plain_step(plain *p, double (*h)[H], const int32_t *text, size_t streams,
                               size_t length, size_t chunk, bool update)
{
    plain g = {0};
    size_t correct = 0;
    const size_t left = length - chunk * STEPS, steps = left < STEPS ? left : STEPS;
    const double rows = (double)(streams * steps);
    plain_report report = {0};
    for (size_t s = 0; s < streams; s++)
        report.loss +=
            plain_stream(&g, p, h[s], text + s * length + chunk * STEPS, steps, &correct) / rows;
    double theta[sizeof g / sizeof(double)], gradient[sizeof g / sizeof(double)], squares = 0;
    memcpy(theta, p, sizeof theta);
    memcpy(gradient, &g, sizeof gradient);
    for (size_t i = 0; i < sizeof g / sizeof(double); i++) {
        squares += gradient[i] / rows * (gradient[i] / rows);
        if (update)
            theta[i] -= RATE_TENTHS * 0.1 * gradient[i] / rows;
    }
    memcpy(p, theta, sizeof theta);
    report.norm = sqrt(squares);
    report.accuracy = (double)correct / rows;
    return report;
}

static void assert_near(double a, double b)
{
    if (!(fabs(a - b) <= 1e-12 * fmax(1, fabs(b))))
        fail_msg("%.17g is not %.17g", a, b);
}

static support_text *plain_text(void)
{
    support_text *f = support_text_of(
        (support_text_sizes){.tokens = TOKENS, .vocabulary = V, .dimension = D, .units = H});
    f->spec.optimizer = support_choice_of(&bp_optimizer_family, "sgd", RATE_TENTHS * 0.1);
    f->spec.batch_size = S;
    f->spec.sequence_length = STEPS;
    f->spec.epochs = 3;
    return f;
}

/* Three epochs of chunks of 4, 4 and 3 steps: what is carried, and that it is zero again in each epoch. */
static void test_plain_loops(void **state)
{
    (void)state;
    for (int measure = 0; measure < 2; measure++) {
        support_text *f = plain_text();
        bp_trainer *trainer = support_text_trainer(f, NULL);
        plain p;
        double h[S][H], forgotten_most = 0;
        load(&p, bp_trainer_network(trainer));
        const bp_position position = bp_trainer_position(trainer);
        assert_int_equal(position.steps_per_epoch, 3);
        assert_int_equal(position.step_limit, 9);
        for (size_t step = 0; step < 9; step++) {
            bp_step_report report;
            if (step % 3 == 0)
                memset(h, 0, sizeof h);
            double nothing[S][H] = {{0}};
            const plain_report forgotten = plain_step(&p, nothing, f->ids, S, 11, step % 3, false);
            const plain_report wanted = plain_step(&p, h, f->ids, S, 11, step % 3, true);
            assert_int_equal(bp_trainer_step(&report, trainer, measure, NULL), BP_OK);
            assert_true(report.finite);
            assert_int_equal(report.rows, step % 3 == 2 ? 9 : 12);
            assert_near(report.loss, wanted.loss);
            if (measure) {
                assert_near(report.accuracy, wanted.accuracy);
                assert_near(report.gradient_norm, wanted.norm);
            } else {
                assert_true(isnan(report.accuracy) && isnan(report.gradient_norm));
            }
            assert_true(step % 3 != 0 || forgotten.loss == wanted.loss);
            forgotten_most = fmax(forgotten_most, fabs(forgotten.loss - wanted.loss));
        }
        assert_true(forgotten_most > 1e-4); /* the state matters */
        assert_true(bp_trainer_finished(trainer));
        plain ours;
        load(&ours, bp_trainer_network(trainer));
        double found[sizeof p / sizeof(double)], wanted[sizeof p / sizeof(double)];
        memcpy(found, &ours, sizeof found);
        memcpy(wanted, &p, sizeof wanted);
        for (size_t i = 0; i < sizeof p / sizeof(double); i++)
            assert_near(found[i], wanted[i]);
        bp_trainer_free(trainer);
        support_text_free(f);
    }
}

/* ---- learning ---- */

/* What follows "aa" is only known from what came before it: b and c take turns. */
static void test_learns_a_text(void **state)
{
    (void)state;
    static const int32_t pattern[] = {0, 0, 1, 0, 0, 2};
    for (size_t cell = 0; cell < RECURRENT_CELLS; cell++) {
        support_text *f = support_text_of((support_text_sizes){
            .tokens = 601, .vocabulary = 3, .dimension = 4, .units = 12, .cell = cell});
        for (size_t i = 0; i < 601; i++)
            f->ids[i] = pattern[i % 6];
        f->spec.optimizer = support_choice_of(&bp_optimizer_family, "adam", 0.02);
        f->spec.clip_norm = 1;
        f->spec.batch_size = 5;
        f->spec.sequence_length = 8;
        f->spec.epochs = 25;
        bp_trainer *trainer = support_text_trainer(f, NULL);
        const bp_evaluation before = support_evaluate(trainer, &f->examples);
        assert_int_equal(before.rows, 600);
        assert_true(before.loss > 0.8 && before.accuracy < 0.7);
        bp_step_report report;
        while (!bp_trainer_finished(trainer))
            assert_int_equal(bp_trainer_step(&report, trainer, true, NULL), BP_OK);
        const bp_evaluation after = support_evaluate(trainer, &f->examples);
        print_message("%-10s loss %.3f before, %.4f after\n", support_recurrent_name(cell),
                      before.loss, after.loss);
        assert_true(after.accuracy == 1 && after.loss < 0.05);
        assert_true(report.accuracy == 1);
        const bp_diagnosis *diagnosis = bp_trainer_diagnosis(trainer);
        assert_true(diagnosis[0].update_ratio > 0 && diagnosis[1].update_ratio > 0);
        assert_true(isnan(diagnosis[0].dead_share));
        assert_int_equal(cell == 0, !isnan(diagnosis[1].saturated_share)); /* tanh */
        assert_int_equal(cell == 1, !isnan(diagnosis[1].dead_share));      /* ReLU */
        bp_trainer_free(trainer);
        support_text_free(f);
    }
}

/* ---- evaluation ---- */

/* Texts of their own streams, of which there may be fewer than planned, by the plain loops. */
static void test_evaluation(void **state)
{
    (void)state;
    static const struct {
        size_t tokens, streams, length;
    } texts[] = {{2, 1, 1}, {3, 2, 1}, {4, 3, 1}, {9, 3, 2}, {17, 3, 5}, {36, 3, 11}, {40, 3, 13}};
    support_text *f = plain_text();
    bp_trainer *trainer = support_text_trainer(f, NULL);
    plain p;
    load(&p, bp_trainer_network(trainer));
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        int32_t ids[40];
        double h[S][H] = {{0}}, loss = 0, correct = 0;
        support_labels(ids, texts[i].tokens, V, 30 + i);
        const bp_examples part = support_text_examples(ids, texts[i].tokens);
        const bp_evaluation found = support_evaluate(trainer, &part);
        for (size_t first = 0; first < texts[i].length; first += STEPS) {
            const size_t left = texts[i].length - first, steps = left < STEPS ? left : STEPS;
            const plain_report wanted =
                plain_step(&p, h, ids, texts[i].streams, texts[i].length, first / STEPS, false);
            loss += wanted.loss * (double)(steps * texts[i].streams);
            correct += wanted.accuracy * (double)(steps * texts[i].streams);
        }
        const size_t rows = texts[i].streams * texts[i].length;
        assert_int_equal(found.rows, rows);
        assert_near(found.loss, loss / (double)rows);
        assert_near(found.accuracy, correct / (double)rows);
    }
    bp_trainer_free(trainer);
    support_text_free(f);
}

static bool stops_at_once(void *context)
{
    (void)context;
    return true;
}

/* A run that evaluates all the time ends as one that never does. */
static void test_evaluation_leaves_the_run_alone(void **state)
{
    (void)state;
    for (size_t cell = 0; cell < RECURRENT_CELLS; cell++) {
        support_text *f = support_text_of((support_text_sizes){
            .tokens = 90, .vocabulary = V, .dimension = D, .units = H, .cell = cell});
        f->spec.batch_size = 4;
        f->spec.sequence_length = 6;
        f->spec.epochs = 3;
        const bp_examples other = support_text_examples(f->ids + 7, 20);
        support_snapshot ends[2];
        for (int evaluates = 0; evaluates < 2; evaluates++) {
            bp_trainer *trainer = support_text_trainer(f, NULL);
            for (size_t i = 0; !bp_trainer_finished(trainer); i++) {
                bp_step_report report;
                assert_int_equal(bp_trainer_step(&report, trainer, i % 2, NULL), BP_OK);
                if (!evaluates)
                    continue;
                (void)support_evaluate(trainer, &other);
                (void)support_evaluate(trainer, &f->examples);
                bp_trainer_set_stop(trainer, stops_at_once, NULL);
                (void)support_evaluate(trainer, &f->examples);
                assert_true(bp_trainer_interrupted(trainer));
            }
            ends[evaluates] = support_snapshot_take(trainer);
            bp_trainer_free(trainer);
        }
        assert_true(support_snapshot_same(&ends[0], &ends[1]));
        free(ends[0].memory);
        free(ends[1].memory);
        support_text_free(f);
    }
}

static void test_full_evaluation(void **state)
{
    (void)state;
    enum { WORDS = 300 }; /* more classes than have a confusion matrix */
    support_text *f = support_text_of((support_text_sizes){
        .tokens = 500, .vocabulary = WORDS, .dimension = D, .units = H, .cell = 3});
    f->spec.batch_size = 7;
    f->spec.sequence_length = 9;
    bp_trainer *trainer = support_text_trainer(f, NULL);
    bp_network_size size;
    size_t bytes, more;
    assert_int_equal(bp_trainer_measure(&bytes, &size, &f->spec, 500, NULL), BP_OK);
    bp_evaluator_spec spec = bp_training_evaluator(&f->spec, &size, 500);
    bp_evaluator *evaluator = NULL;
    assert_int_equal(bp_evaluator_measure(&bytes, &spec, NULL), BP_OK);
    spec.width = 1000000;
    spec.row_count = SIZE_MAX;
    assert_int_equal(bp_evaluator_measure(&more, &spec, NULL), BP_OK);
    assert_int_equal(bytes, more); /* neither classes nor steps take memory */
    spec = bp_training_evaluator(&f->spec, &size, 500);
    assert_int_equal(bp_evaluator_create(&evaluator, &spec, NULL), BP_OK);
    for (int repeated = 0; repeated < 2; repeated++) {
        bp_evaluation_report report;
        assert_int_equal(
            bp_trainer_evaluate_full(&report, trainer, &f->examples, evaluator, NULL, NULL), BP_OK);
        const bp_evaluation wanted = support_evaluate(trainer, &f->examples);
        assert_int_equal(report.rows, wanted.rows);
        assert_true(report.loss == wanted.loss && report.accuracy == wanted.accuracy);
        assert_true(report.has_log_loss);
        assert_near(report.log_loss, wanted.loss);
        assert_null(report.classes);
        assert_null(report.confusion);
        assert_true(isnan(report.roc_auc) && isnan(report.macro.f1));
    }
    bp_evaluator_free(evaluator);
    bp_trainer_free(trainer);
    support_text_free(f);
}

/* A rate that lets the text be learned and forgotten: the run stops, and the best epoch's weights come back with
 * the very loss that they had. */
static void test_the_best_epoch_comes_back(void **state)
{
    (void)state;
    enum { PATIENCE = 4 };
    support_text *f = support_text_of((support_text_sizes){
        .tokens = 200, .vocabulary = V, .dimension = D, .units = 24, .cell = 3});
    const bp_examples other = support_text_examples(f->ids + 150, 50);
    f->examples = support_text_examples(f->ids, 150);
    f->spec.optimizer = support_choice_of(&bp_optimizer_family, "adam", 0.02);
    f->spec.schedule = support_choice(&bp_schedule_family, "plateau");
    f->spec.schedule.value[BP_PLATEAU_PATIENCE] = 2;
    f->spec.early_stopping = support_choice(&bp_stopping_family, "early_stopping");
    f->spec.early_stopping.value[BP_EARLY_STOPPING_PATIENCE] = PATIENCE;
    f->spec.batch_size = 3;
    f->spec.sequence_length = 10;
    f->spec.epochs = 200;
    bp_trainer *trainer = support_text_trainer(f, NULL);
    double best = INFINITY, last = INFINITY, rate = 0;
    size_t best_epoch = 0, reductions = 0;
    while (!bp_trainer_finished(trainer)) {
        bp_step_report report;
        bp_epoch_metrics metrics = {.value = {0}};
        assert_int_equal(bp_trainer_step(&report, trainer, false, NULL), BP_OK);
        const bp_position position = bp_trainer_position(trainer);
        if (position.step % position.steps_per_epoch != 0)
            continue;
        last = support_evaluate(trainer, &other).loss;
        metrics.value[BP_WATCHED_VALIDATION_LOSS] = last;
        best_epoch = last < best ? position.epoch : best_epoch;
        best = fmin(best, last);
        const bp_epoch_verdict verdict = bp_trainer_epoch_end(trainer, &metrics);
        assert_int_equal(verdict.new_best, best_epoch == position.epoch);
        assert_int_equal(verdict.stop, position.epoch == best_epoch + PATIENCE);
        reductions += verdict.rate_reduced;
        rate = report.learning_rate;
    }
    assert_true(bp_trainer_position(trainer).epoch < 200 && last > best);
    assert_true(reductions > 0 && rate < 0.02);
    assert_true(bp_trainer_restore_best(trainer));
    assert_true(support_evaluate(trainer, &other).loss == best);
    bp_trainer_free(trainer);
    support_text_free(f);
}

/* ---- a text that is read from elsewhere ---- */

typedef struct faulty_source {
    const int32_t *ids;
    size_t calls, fail_at; /* from 1; 0: never */
} faulty_source;

static bp_status read_or_fail(void *context, int32_t *out, size_t first, size_t number,
                              bp_error *error)
{
    faulty_source *self = context;
    if (++self->calls == self->fail_at)
        return bp_error_set(error, BP_INPUT_OUTPUT, "a file", "the disk is gone");
    memcpy(out, self->ids + first, number * sizeof *out);
    return BP_OK;
}

/* A step or an evaluation that cannot read says so and changes nothing: tried again, the run ends with the same
 * bits as one in memory. */
static void test_a_source_that_fails(void **state)
{
    (void)state;
    support_text *f = plain_text();
    bp_trainer *trainer = support_text_trainer(f, NULL);
    bp_step_report report;
    while (!bp_trainer_finished(trainer))
        assert_int_equal(bp_trainer_step(&report, trainer, false, NULL), BP_OK);
    support_snapshot wanted = support_snapshot_take(trainer);
    bp_trainer_free(trainer);
    faulty_source source = {.ids = f->ids};
    f->examples.text =
        (bp_token_source){.count = TOKENS, .read = read_or_fail, .context = &source, .offset = 0};
    for (size_t fail_at = 1; fail_at <= 9 * S; fail_at++) {
        size_t failures = 0;
        trainer = support_text_trainer(f, NULL);
        source.calls = 0;
        source.fail_at = fail_at;
        while (!bp_trainer_finished(trainer)) {
            bp_error error = {.status = BP_OK};
            bp_evaluation evaluation;
            if (bp_trainer_step(&report, trainer, false, &error) != BP_OK) {
                assert_int_equal(error.status, BP_INPUT_OUTPUT);
                assert_string_equal(error.message, "the disk is gone");
                failures++;
            }
            const size_t calls = source.calls;
            source.fail_at = calls + 1 + fail_at % (3 * S); /* anywhere in the evaluation */
            assert_int_equal(bp_trainer_evaluate(&evaluation, trainer, &f->examples, NULL, NULL),
                             BP_INPUT_OUTPUT);
            source.calls = calls;
            source.fail_at = fail_at;
        }
        assert_int_equal(failures, 1);
        support_snapshot found = support_snapshot_take(trainer);
        assert_true(support_snapshot_same(&wanted, &found));
        free(found.memory);
        bp_trainer_free(trainer);
    }
    free(wanted.memory);
    support_text_free(f);
}

/* ---- refusals ---- */

static void assert_refused(const support_text *f, bp_status status, const char *where)
{
    bp_error error = {.status = BP_OK};
    bp_trainer *trainer = NULL;
    assert_int_equal(bp_trainer_create(&trainer, &f->spec, &f->examples, NULL, &error), status);
    assert_string_equal(error.where, where);
}

static void test_refusals(void **state)
{
    (void)state;
    support_text *f = plain_text();
    f->spec.shuffle = true;
    assert_refused(f, BP_INVALID, "/training/shuffle");
    f->spec.shuffle = false;
    f->spec.sequence_length = 0;
    assert_refused(f, BP_INVALID, "/training/sequence_length");
    f->spec.sequence_length = STEPS;
    f->spec.kind = BP_EXAMPLES_ROWS;
    assert_refused(f, BP_INVALID, "/network");
    f->spec.kind = BP_EXAMPLES_STREAMS;
    f->examples.kind = BP_EXAMPLES_ROWS;
    assert_refused(f, BP_SHAPE, "/data");
    f->examples.kind = BP_EXAMPLES_STREAMS;
    f->spec.network.input_width = 3;
    assert_refused(f, BP_SHAPE, "/network");
    f->spec.network.input_width = 1;
    f->examples.text.count--;
    assert_refused(f, BP_SHAPE, "/data");
    f->examples = support_text_examples(f->ids, 1);
    assert_refused(f, BP_INVALID, "");
    f->examples = support_text_examples(f->ids, TOKENS);
    f->spec.network.loss = support_choice(&bp_loss_family, "mean_squared_error");
    assert_refused(f, BP_INVALID, "/loss");
    f->spec.network.loss = support_choice(&bp_loss_family, "softmax_cross_entropy");
    bp_trainer *trainer = support_text_trainer(f, NULL);
    const bp_examples short_text = support_text_examples(f->ids, 1);
    bp_evaluation evaluation;
    assert_int_equal(bp_trainer_evaluate(&evaluation, trainer, &short_text, NULL, NULL),
                     BP_INVALID);
    bp_trainer_free(trainer);
    support_text_free(f);
}

int main(void)
{
    bp_kernels_thread_start();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain_loops),
        cmocka_unit_test(test_learns_a_text),
        cmocka_unit_test(test_evaluation),
        cmocka_unit_test(test_evaluation_leaves_the_run_alone),
        cmocka_unit_test(test_full_evaluation),
        cmocka_unit_test(test_the_best_epoch_comes_back),
        cmocka_unit_test(test_a_source_that_fails),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
