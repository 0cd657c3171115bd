/* Evaluations: cases by hand, plain implementations of every definition beside ours, and what a trainer
 * hands over. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/evaluation/evaluator.h"
#include "tests/core/support_network.h"

static bool near(double got, double wanted)
{
    return isnan(wanted) ? isnan(got) : fabs(got - wanted) <= 1e-12 * fmax(1, fabs(wanted));
}

static bp_evaluator *create(bp_target_kind kind, bp_dtype dtype, size_t width, size_t row_count,
                            const double *scale)
{
    const bp_evaluator_spec spec = {
        .kind = kind, .dtype = dtype, .width = width, .row_count = row_count, .value_scale = scale};
    bp_evaluator *evaluator;
    assert_int_equal(bp_evaluator_create(&evaluator, &spec, NULL), BP_OK);
    return evaluator;
}

/* Five rows of three classes; the third is never decided, the second of two ties in its outputs. */
static void test_classes_by_hand(void **state)
{
    (void)state;
    const float shown[] = {0.7f, 0.2f, 0.1f, /**/ 0.3f, 0.5f,      0.2f, /**/ 0.6f, 0.3f,
                           0.1f, 0.2f, 0.5f, 0.3f,      /**/ 0.1f, 0.6f, 0.3f};
    const int32_t label[] = {0, 0, 1, 1, 2}, decided[] = {0, 1, 0, 1, 1};
    const double log_loss[] = {1, 2, 3, 4, 5};
    bp_evaluator *evaluator = create(BP_TARGET_CLASS, BP_FLOAT32, 3, 5, NULL);
    const bp_evaluation_batch batch = {.rows = 5,
                                       .shown = shown,
                                       .loss_sum = 10,
                                       .label = label,
                                       .decided = decided,
                                       .log_loss = log_loss};
    bp_evaluation_report report;
    for (size_t again = 0; again < 2; again++) { /* begin forgets */
        bp_evaluator_begin(evaluator);
        bp_evaluator_add(evaluator, &batch);
        bp_evaluator_finish(evaluator, &report);
    }
    assert_int_equal(report.rows, 5);
    assert_true(near(report.loss, 2) && near(report.log_loss, 3) && near(report.accuracy, 0.4));
    assert_true(isnan(report.top_accuracy)); /* three classes have no top five */
    const uint64_t confusion[] = {1, 1, 0, 1, 1, 0, 0, 1, 0};
    assert_memory_equal(report.confusion, confusion, sizeof confusion);
    const double precision[] = {1.0 / 2, 1.0 / 3, 0}, recall[] = {1.0 / 2, 1.0 / 2, 0};
    const double f1[] = {1.0 / 2, 2.0 / 5, 0};
    /* class 0: {.7, .3} over {.6, .2, .1}: 5 of 6; 1: {.3, .5} over {.2, .5, .6}: 1 + 1½ of 6;
     * 2: .3 over {.1, .2, .1, .3}: 3½ of 4 */
    const double auc[] = {5.0 / 6, 2.5 / 6, 3.5 / 4};
    for (size_t c = 0; c < 3; c++) {
        assert_true(near(report.classes[c].precision, precision[c]));
        assert_true(near(report.classes[c].recall, recall[c]));
        assert_true(near(report.classes[c].f1, f1[c]));
        assert_true(near(report.classes[c].roc_auc, auc[c]));
    }
    assert_int_equal(report.classes[0].support, 2);
    assert_int_equal(report.classes[2].support, 1);
    assert_int_equal(report.classes[1].decided, 3);
    assert_true(near(report.macro.precision, 5.0 / 18) && near(report.macro.recall, 1.0 / 3) &&
                near(report.macro.f1, 0.3));
    assert_true(near(report.weighted.precision, 1.0 / 3) && near(report.weighted.recall, 0.4) &&
                near(report.weighted.f1, 0.36));
    assert_true(near(report.micro.precision, 0.4) && near(report.micro.f1, 0.4));
    assert_true(near(report.roc_auc, (auc[0] + auc[1] + auc[2]) / 3));
    bp_evaluator_free(evaluator);
}

static void test_two_classes(void **state)
{
    (void)state;
    const double shown[] = {0.9, 0.1, 0.6, 0.4, 0.65, 0.35, 0.2, 0.8};
    const int32_t label[] = {0, 0, 1, 1}, decided[] = {0, 0, 0, 1};
    bp_evaluator *evaluator = create(BP_TARGET_CLASS, BP_FLOAT64, 2, 4, NULL);
    bp_evaluation_batch batch = {.rows = 4, .shown = shown, .label = label, .decided = decided};
    bp_evaluation_report report;
    bp_evaluator_add(evaluator, &batch);
    bp_evaluator_finish(evaluator, &report);
    assert_true(report.roc_auc == 0.75 && report.roc_auc == report.classes[1].roc_auc);
    assert_true(isnan(report.log_loss)); /* scores are no probabilities */

    const int32_t one_sided[] = {1, 1, 1, 1}; /* nothing to rank against */
    batch.label = one_sided;
    bp_evaluator_begin(evaluator);
    bp_evaluator_add(evaluator, &batch);
    bp_evaluator_finish(evaluator, &report);
    assert_true(isnan(report.roc_auc) && isnan(report.classes[0].roc_auc));
    assert_true(report.classes[0].recall == 0 && report.classes[0].precision == 0);

    const double broken[] = {NAN, 0, 1, -INFINITY, 2, 3, 4, INFINITY};
    batch.shown = broken;
    batch.label = label;
    bp_evaluator_begin(evaluator);
    bp_evaluator_add(evaluator, &batch);
    bp_evaluator_finish(evaluator, &report);
    assert_true(isnan(report.classes[0].roc_auc) && report.classes[1].roc_auc == 1);
    bp_evaluator_free(evaluator);
}

/* ---- plain implementations ---- */

enum { ROWS = 400, CLASSES = 7 };

typedef struct made_up {
    double shown[ROWS * CLASSES], log_loss[ROWS];
    int32_t label[ROWS], decided[ROWS];
} made_up;

/* Outputs of few different sizes, so that ties are many. */
static void make_up(made_up *made, uint64_t seed)
{
    support_values(made->shown, BP_FLOAT64, (size_t)ROWS * CLASSES, seed);
    support_labels(made->label, ROWS, CLASSES - 1, seed + 1); /* the last class has no row */
    for (size_t row = 0; row < ROWS; row++) {
        double *shown = made->shown + row * CLASSES;
        made->decided[row] = 0;
        for (size_t c = 0; c < CLASSES; c++) {
            shown[c] = floor(6 * shown[c] + 3 * (c == (size_t)made->label[row])) / 8;
            if (shown[c] > shown[made->decided[row]])
                made->decided[row] = (int32_t)c;
        }
        made->log_loss[row] = (double)row / 7;
    }
}

static double plain_auc(const made_up *made, size_t c)
{
    double won = 0, pairs = 0;
    for (size_t i = 0; i < ROWS; i++)
        for (size_t j = 0; j < ROWS; j++)
            if ((size_t)made->label[i] == c && (size_t)made->label[j] != c) {
                const double a = made->shown[i * CLASSES + c], b = made->shown[j * CLASSES + c];
                won += a > b ? 1 : a == b ? 0.5 : 0;
                pairs++;
            }
    return won / pairs;
}

/* Sorts the classes of a row by output, stably, as anyone would. */
static bool plain_top(const made_up *made, size_t row)
{
    size_t order[CLASSES];
    for (size_t c = 0; c < CLASSES; c++) {
        size_t at = c;
        for (;
             at > 0 && made->shown[row * CLASSES + c] > made->shown[row * CLASSES + order[at - 1]];
             at--)
            order[at] = order[at - 1];
        order[at] = c;
    }
    for (size_t k = 0; k < BP_TOP_COUNT; k++)
        if (order[k] == (size_t)made->label[row])
            return true;
    return false;
}

static void add_in_batches(bp_evaluator *evaluator, const made_up *made, bp_dtype dtype,
                           size_t batch_rows)
{
    static float narrow[ROWS * CLASSES];
    for (size_t i = 0; i < (size_t)ROWS * CLASSES; i++)
        narrow[i] = (float)made->shown[i]; /* exact: eighths */
    for (size_t first = 0; first < ROWS; first += batch_rows) {
        const size_t left = ROWS - first, at = first * CLASSES;
        const void *shown = dtype == BP_FLOAT32 ? (const void *)(narrow + at) : made->shown + at;
        const bp_evaluation_batch batch = {.rows = left < batch_rows ? left : batch_rows,
                                           .shown = shown,
                                           .label = made->label + first,
                                           .decided = made->decided + first,
                                           .log_loss = made->log_loss + first};
        bp_evaluator_add(evaluator, &batch);
    }
}

static void test_against_plain(void **state)
{
    (void)state;
    static made_up made;
    for (uint64_t seed = 0; seed < 4; seed++) {
        make_up(&made, seed);
        const bp_dtype dtype = seed % 2 ? BP_FLOAT32 : BP_FLOAT64;
        bp_evaluator *evaluator = create(BP_TARGET_CLASS, dtype, CLASSES, ROWS + 3, NULL);
        bp_evaluation_report report, whole;
        add_in_batches(evaluator, &made, dtype, 17);
        bp_evaluator_finish(evaluator, &report);
        double correct = 0, top = 0, loss = 0, aucs = 0;
        for (size_t row = 0; row < ROWS; row++) {
            correct += made.label[row] == made.decided[row];
            top += plain_top(&made, row);
            loss += made.log_loss[row];
        }
        assert_true(near(report.accuracy, correct / ROWS));
        assert_true(near(report.top_accuracy, top / ROWS) && top < ROWS && top > correct);
        assert_true(near(report.log_loss, loss / ROWS));
        for (size_t c = 0; c < CLASSES; c++) {
            assert_true(near(report.classes[c].roc_auc, plain_auc(&made, c)));
            if (c + 1 < CLASSES)
                aucs += report.classes[c].roc_auc;
            double hits = 0, support = 0, decided = 0;
            for (size_t row = 0; row < ROWS; row++) {
                hits += (size_t)made.label[row] == c && (size_t)made.decided[row] == c;
                support += (size_t)made.label[row] == c;
                decided += (size_t)made.decided[row] == c;
            }
            const double precision = decided > 0 ? hits / decided : 0;
            const double recall = support > 0 ? hits / support : 0;
            const double sum = precision + recall;
            assert_true(near(report.classes[c].precision, precision));
            assert_true(near(report.classes[c].recall, recall));
            assert_true(near(report.classes[c].f1, sum > 0 ? 2 * precision * recall / sum : 0));
        }
        assert_true(near(report.roc_auc, aucs / (CLASSES - 1)));

        /* Other batches, same bits. */
        bp_evaluator_begin(evaluator);
        add_in_batches(evaluator, &made, dtype, ROWS);
        bp_evaluator_finish(evaluator, &whole);
        assert_memory_equal(&report.log_loss, &whole.log_loss, sizeof whole.log_loss);
        assert_memory_equal(&report.roc_auc, &whole.roc_auc, sizeof whole.roc_auc);
        assert_memory_equal(&report.weighted, &whole.weighted, sizeof whole.weighted);
        bp_evaluator_free(evaluator);
    }
}

static void test_left_out(void **state)
{
    (void)state;
    enum { MANY = BP_CONFUSION_CLASS_LIMIT + 1 };
    static double shown[MANY];
    const int32_t label[] = {MANY - 1}, decided[] = {3};
    shown[3] = 1;
    bp_evaluator *evaluator =
        create(BP_TARGET_CLASS, BP_FLOAT64, MANY, BP_RANKED_LIMIT / MANY + 1, NULL);
    const bp_evaluation_batch batch = {
        .rows = 1, .shown = shown, .label = label, .decided = decided};
    bp_evaluation_report report;
    bp_evaluator_add(evaluator, &batch);
    bp_evaluator_finish(evaluator, &report);
    assert_true(report.too_many_classes && report.too_many_outputs);
    assert_null(report.confusion);
    assert_true(isnan(report.roc_auc) && isnan(report.classes[3].roc_auc));
    assert_true(report.top_accuracy == 0 && report.classes[MANY - 1].support == 1);
    bp_evaluator_free(evaluator);

    bp_evaluator_spec spec = {.kind = BP_TARGET_CLASS, .width = 0, .row_count = 1};
    size_t bytes;
    assert_int_equal(bp_evaluator_measure(&bytes, &spec, NULL), BP_SHAPE);
    spec.kind = BP_TARGET_VALUE;
    spec.width = SIZE_MAX / 8;
    assert_int_equal(bp_evaluator_measure(&bytes, &spec, NULL), BP_TOO_LARGE);
}

/* Errors 1, −1, 2, 0 against 1, 2, 3, 4: R² 1 − 6/5. The second target is constant, in tenths; the third
 * as well, and met. */
static void test_values(void **state)
{
    (void)state;
    const double value[] = {1, 0.1, 5, 2, 0.1, 5, 3, 0.1, 5, 4, 0.1, 5};
    const double shown[] = {2, 0.1, 5, 1, 0.3, 5, 5, 0.1, 5, 4, 0.1, 5};
    const double scale[] = {10, 1, 1};
    bp_evaluator *evaluator = create(BP_TARGET_VALUE, BP_FLOAT64, 3, 4, scale);
    bp_evaluation_report report;
    for (size_t first = 0; first < 4; first += 2) {
        const bp_evaluation_batch batch = {
            .rows = 2, .shown = shown + 3 * first, .value = value + 3 * first, .loss_sum = 3};
        bp_evaluator_add(evaluator, &batch);
    }
    bp_evaluator_finish(evaluator, &report);
    assert_true(near(report.loss, 1.5));
    const bp_value_report wanted[] = {{10 * sqrt(1.5), 10, 1 - 6.0 / 5}, {0.1, 0.05, 0}, {0, 0, 1}};
    bp_value_report sum = {0, 0, 0};
    for (size_t t = 0; t < 3; t++) {
        assert_true(near(report.targets[t].rmse, wanted[t].rmse));
        assert_true(near(report.targets[t].mae, wanted[t].mae));
        assert_true(near(report.targets[t].r2, wanted[t].r2));
        sum.rmse += wanted[t].rmse / 3;
        sum.mae += wanted[t].mae / 3;
        sum.r2 += wanted[t].r2 / 3;
    }
    assert_true(near(report.values.rmse, sum.rmse) && near(report.values.mae, sum.mae) &&
                near(report.values.r2, sum.r2));
    assert_true(isnan(report.accuracy) && report.classes == NULL);
    bp_evaluator_free(evaluator);
}

/* ---- from a trainer ---- */

enum { EXAMPLES = 50, INPUTS = 4 };

static void evaluate(const char *loss, size_t classes, const double *class_weight)
{
    static double features[EXAMPLES * INPUTS], values[EXAMPLES * 3];
    static int32_t label[EXAMPLES];
    support_values(features, BP_FLOAT64, (size_t)EXAMPLES * INPUTS, 1);
    support_values(values, BP_FLOAT64, (size_t)EXAMPLES * 3, 2);
    support_labels(label, EXAMPLES, classes, 3);
    const bool by_value = !strcmp(loss, "mean_squared_error");
    const bool binary = !strcmp(loss, "binary_cross_entropy");
    const bp_layer_spec layers[] = {support_dense(6, "tanh"),
                                    support_dense(binary ? 1 : classes, "identity")};
    bp_training_spec spec = {.network = support_network_spec(layers, 2, INPUTS, 16, loss),
                             .optimizer = support_choice_of(&bp_optimizer_family, "sgd", 0.1),
                             .schedule = support_choice(&bp_schedule_family, "constant"),
                             .seed = 1,
                             .epochs = 1,
                             .batch_size = 16};
    spec.network.class_weight = class_weight;
    const bp_examples examples = {.row_count = EXAMPLES,
                                  .features = features,
                                  .label = by_value ? NULL : label,
                                  .value = by_value ? values : NULL};
    bp_trainer *trainer;
    bp_network_size size;
    size_t bytes;
    assert_int_equal(bp_trainer_create(&trainer, &spec, &examples, NULL, NULL), BP_OK);
    assert_int_equal(bp_trainer_measure(&bytes, &size, &spec, EXAMPLES, NULL), BP_OK);
    const bp_evaluator_spec evaluator_spec = bp_training_evaluator(&spec, &size, EXAMPLES);
    assert_int_equal(evaluator_spec.width, classes);
    bp_evaluator *evaluator;
    assert_int_equal(bp_evaluator_create(&evaluator, &evaluator_spec, NULL), BP_OK);
    bp_evaluation_report report;
    assert_int_equal(bp_trainer_evaluate_full(&report, trainer, &examples, evaluator, NULL, NULL),
                     BP_OK);
    const bp_evaluation wanted = support_evaluate(trainer, &examples);
    assert_true(report.loss == wanted.loss && report.rows == wanted.rows);
    assert_true(by_value || report.accuracy == wanted.accuracy);
    if (by_value) {
        double mean = 0;
        for (size_t t = 0; t < classes; t++)
            mean += report.targets[t].rmse * report.targets[t].rmse / (double)classes;
        assert_true(near(mean, report.loss) && isnan(report.log_loss));
    } else if (!strcmp(loss, "hinge")) {
        assert_true(isnan(report.log_loss));
    } else if (class_weight) {
        assert_true(report.log_loss != report.loss);
        double share = 0; /* weights scale each row's loss: of equal weights, the mean */
        for (size_t c = 1; c < classes; c++)
            share += class_weight[c] == class_weight[0];
        if (share == (double)classes - 1)
            assert_true(near(report.log_loss * class_weight[0], report.loss));
    } else {
        assert_true(near(report.log_loss, report.loss));
    }
    assert_true(by_value || (report.roc_auc > 0 && report.roc_auc < 1));
    bp_evaluator_free(evaluator);
    bp_trainer_free(trainer);
}

static void test_trainers(void **state)
{
    (void)state;
    const double equal[] = {3, 3, 3}, unequal[] = {1, 0, 2};
    evaluate("softmax_cross_entropy", 3, NULL);
    evaluate("softmax_cross_entropy", 3, equal);
    evaluate("softmax_cross_entropy", 3, unequal);
    evaluate("binary_cross_entropy", 2, NULL);
    evaluate("binary_cross_entropy", 2, equal);
    evaluate("hinge", 3, NULL);
    evaluate("mean_squared_error", 3, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_classes_by_hand), cmocka_unit_test(test_two_classes),
        cmocka_unit_test(test_against_plain),   cmocka_unit_test(test_left_out),
        cmocka_unit_test(test_values),          cmocka_unit_test(test_trainers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
