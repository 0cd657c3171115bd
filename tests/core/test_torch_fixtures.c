/* Trainings recorded from PyTorch (tests/torch/record.py), replayed by the core's trainer in float64:
 * the weights after them agree to 1e-10, on every instruction set of this machine, with one and with
 * two threads; and every setting of every job shows in its weights, so that none of them is idle. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/initializer/initializer.h"
#include "core/schedule/schedule.h"
#include "tests/core/support_kernels.h"
#include "tests/core/support_network.h"
#include "tests/core/support_parallel.h"
#include "tests/core/support_recorded.h"

static const double tolerance = 1e-10; /* between PyTorch's weights and ours */
static const double noticeable = 1e-6; /* what a setting a little off must at least do to them */

static recorded *file;

static int open_file(void **state)
{
    (void)state;
    file = recorded_open(BP_TORCH_FIXTURES);
    return file ? 0 : -1;
}

static int close_file(void **state)
{
    (void)state;
    recorded_close(file);
    return 0;
}

/* Copies the network's parameters from or to a run of numbers, tensor by tensor. */
static void set_weights(bp_network *network, const recorded_case *c)
{
    size_t first = 0;
    for (size_t i = 0; i < bp_network_tensor_count(network); i++) {
        const bp_tensor tensor = bp_network_tensor(network, i);
        assert_true(first + tensor.element_count <= c->number_count);
        memcpy(tensor.data, c->start + first, tensor.element_count * sizeof(double));
        first += tensor.element_count;
    }
    assert_int_equal(first, c->number_count);
    bp_network_parameters_changed(network);
}

static void get_weights(const bp_network *network, double *out)
{
    for (size_t i = 0; i < bp_network_tensor_count(network); i++) {
        const bp_tensor tensor = bp_network_tensor(network, i);
        memcpy(out, tensor.data, tensor.element_count * sizeof(double));
        out += tensor.element_count;
    }
}

static void end_epoch(bp_trainer *trainer, const recorded_case *c)
{
    const bp_position position = bp_trainer_position(trainer);
    if (!bp_trainer_watches(trainer, BP_WATCHED_TRAIN_LOSS) ||
        position.step % position.steps_per_epoch != 0)
        return;
    bp_epoch_metrics metrics;
    for (size_t i = 0; i < BP_WATCHED_COUNT; i++)
        metrics.value[i] = NAN;
    metrics.value[BP_WATCHED_TRAIN_LOSS] = support_evaluate(trainer, &c->set->examples).loss;
    bp_trainer_epoch_end(trainer, &metrics);
}

/* Trains from the recorded start with the case's present settings; weights (number_count). */
static void replay(const recorded_case *c, bp_isa isa, const bp_parallel *parallel, double *weights)
{
    bp_error error = {.status = BP_OK};
    bp_training_spec spec = recorded_spec(c);
    spec.network.isa = isa;
    bp_trainer *trainer = NULL;
    if (bp_trainer_create(&trainer, &spec, &c->set->examples, parallel, &error) != BP_OK)
        fail_msg("%s: %s: %s", c->name, error.where, error.message);
    set_weights(bp_trainer_network(trainer), c);
    while (!bp_trainer_finished(trainer)) {
        bp_step_report report;
        assert_int_equal(bp_trainer_step(&report, trainer, false, NULL), BP_OK);
        assert_true(report.finite);
        end_epoch(trainer, c);
    }
    if (spec.early_stopping.member &&
        spec.early_stopping.value[BP_EARLY_STOPPING_RESTORE_BEST] != 0)
        assert_true(bp_trainer_restore_best(trainer));
    get_weights(bp_trainer_network(trainer), weights);
    bp_trainer_free(trainer);
}

/* max |w − reference| / max(1, max |reference|) of one tensor. */
static double tensor_distance(const double *w, const double *reference, size_t count)
{
    double difference = 0, largest = 1;
    for (size_t i = 0; i < count; i++) {
        const double off = fabs(w[i] - reference[i]), size = fabs(reference[i]);
        difference = off > difference || isnan(off) ? off : difference;
        largest = size > largest ? size : largest;
    }
    return difference / largest;
}

/* The largest over the case's tensors: a weight and, where the layer has them, biases. */
static double distance(const recorded_case *c, const double *w, const double *reference)
{
    double worst = 0;
    size_t first = 0, width = c->set->width;
    for (size_t i = 0; i < c->spec.network.layer_count; i++) {
        const size_t units = (size_t)bp_choice_value(&c->layers[i].layer, "units");
        const bool bias = bp_choice_value(&c->layers[i].layer, "bias") != 0;
        const size_t counts[2] = {units * width, bias ? units : 0};
        for (size_t j = 0; j < 2; first += counts[j++]) {
            const double off = tensor_distance(w + first, reference + first, counts[j]);
            worst = off > worst || isnan(off) ? off : worst;
        }
        width = units;
    }
    assert_int_equal(first, c->number_count);
    return worst;
}

static void test_weights_agree(void **state)
{
    (void)state;
    const bp_kernels *tables[BP_ISA_COUNT];
    const size_t table_count = support_tables(tables, BP_FLOAT64);
    support_pool *pool = support_pool_open(2);
    const bp_parallel two = support_pool_parallel(pool);
    assert_true(file->case_count > 0);
    for (size_t i = 0; i < file->case_count; i++) {
        const recorded_case *c = &file->cases[i];
        const size_t bytes = c->number_count * sizeof(double);
        double *first = malloc(bytes), *weights = malloc(bytes);
        assert_true(first && weights);
        replay(c, tables[0]->isa, NULL, first);
        const double off = distance(c, first, c->final);
        if (!(off <= tolerance))
            fail_msg("%s: %g off", c->name, off);
        for (size_t j = 0; j < table_count; j++)
            for (size_t threads = 1; threads <= 2; threads++) {
                replay(c, tables[j]->isa, threads == 2 ? &two : NULL, weights);
                if (memcmp(weights, first, bytes) != 0)
                    fail_msg("%s: other bits on %s with %zu threads", c->name,
                             bp_isa_name(tables[j]->isa), threads);
            }
        free(first);
        free(weights);
    }
    assert_true(support_pool_run_count(pool) > 0);
    support_pool_close(pool);
}

/* A value that the setting may have, a little off. */
static double another(const recorded_setting *setting)
{
    const bp_hyperparameter *h = setting->hyperparameter;
    const double value = *setting->value;
    if (!h || h->kind == BP_REAL_PARAMETER)
        return value * 0.99;
    return h->kind == BP_BOOLEAN_PARAMETER ? 1 - value : value + 1;
}

/* What is watched is the only one at hand, and the smallest difference that counts and the least rate of a
 * plateau are thresholds. */
static bool is_threshold(const recorded_setting *setting)
{
    static const char *const names[] = {"metric", "min_delta", "minimum"};
    for (size_t i = 0; setting->hyperparameter && i < sizeof names / sizeof *names; i++)
        if (strcmp(setting->hyperparameter->name, names[i]) == 0)
            return true;
    return false;
}

static void test_every_setting_shows(void **state)
{
    (void)state;
    size_t tried = 0;
    for (size_t i = 0; i < file->case_count; i++) {
        recorded_case *c = &file->cases[i];
        if (distance(c, c->start, c->final) == 0) /* at rest on its kinks, whatever the settings */
            continue;
        double *weights = malloc(c->number_count * sizeof *weights);
        assert_non_null(weights);
        for (size_t j = 0; j < c->setting_count; j++) {
            recorded_setting *setting = &c->setting[j];
            if (is_threshold(setting))
                continue;
            const double value = *setting->value;
            *setting->value = another(setting);
            replay(c, bp_isa_detect(), NULL, weights);
            *setting->value = value;
            const double off = distance(c, weights, c->final);
            if (!(off > noticeable))
                fail_msg("%s: %s shows by no more than %g", c->name, setting->name, off);
            tried++;
        }
        free(weights);
    }
    assert_true(tried > file->case_count);
}

static bool family_is_recorded(const bp_family *family, const bool *seen)
{
    for (size_t i = 0; i < family->member_count; i++)
        if (!seen[i])
            print_error("no training with %s %s is recorded\n", family->name,
                        family->members[i]->name);
    for (size_t i = 0; i < family->member_count; i++)
        if (!seen[i])
            return false;
    return true;
}

static void test_every_member_is_recorded(void **state)
{
    (void)state;
    bool activation[BP_ACTIVATION_COUNT] = {0}, loss[BP_LOSS_COUNT] = {0};
    bool optimizer[BP_OPTIMIZER_COUNT] = {0}, schedule[BP_SCHEDULE_COUNT] = {0};
    bool regularizer[BP_REGULARIZER_COUNT] = {0};
    for (size_t i = 0; i < file->case_count; i++) {
        const recorded_case *c = &file->cases[i];
        for (size_t j = 0; j < c->spec.network.layer_count; j++)
            activation[c->layers[j].activation.member->index] = true;
        loss[c->spec.network.loss.member->index] = true;
        optimizer[c->spec.optimizer.member->index] = true;
        schedule[c->spec.schedule.member->index] = true;
        for (size_t j = 0; j < c->spec.regularizer_count; j++)
            regularizer[c->spec.regularizers[j].member->index] = true;
    }
    assert_true(family_is_recorded(&bp_activation_family, activation));
    loss[BP_LOSS_max_margin] = true; /* over windows: test_torch_words */
    assert_true(family_is_recorded(&bp_loss_family, loss));
    assert_true(family_is_recorded(&bp_optimizer_family, optimizer));
    assert_true(family_is_recorded(&bp_schedule_family, schedule));
    assert_true(family_is_recorded(&bp_regularizer_family, regularizer));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_weights_agree),
        cmocka_unit_test(test_every_setting_shows),
        cmocka_unit_test(test_every_member_is_recorded),
    };
    return cmocka_run_group_tests(tests, open_file, close_file);
}
