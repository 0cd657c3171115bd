/* Same bits whatever computes them, member by member: short trainings wide enough for their products
 * to be split, with 1, 2 and 4 threads and on every instruction set, in both widths. */
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
#include "core/schedule/schedule.h"
#include "tests/core/support_network.h"
#include "tests/core/support_parallel.h"

enum { ROWS = 100, IN = 300, HIDDEN = 131, OUT = 7, BATCH = 64, EPOCHS = 2, LAYERS = 3 };

/* What one member is tried in: a training that is the same but for it. */
typedef struct trial {
    bp_layer_spec layers[LAYERS + 1];
    bp_training_spec spec;
} trial;

static trial ordinary(void)
{
    trial t = {.layers = {support_dense(HIDDEN, "relu"), support_dense(HIDDEN, "tanh"),
                          support_dense(OUT, "identity")}};
    t.spec = (bp_training_spec){
        .network = support_network_spec(NULL, LAYERS, IN, BATCH, "softmax_cross_entropy"),
        .optimizer = support_choice_of(&bp_optimizer_family, "momentum", 0.02),
        .schedule = support_choice(&bp_schedule_family, "constant"),
        .seed = 11,
        .epochs = EPOCHS,
        .batch_size = BATCH,
        .shuffle = true};
    return t;
}

static trial with_activation(const bp_member *member)
{
    trial t = ordinary();
    const bp_choice activation = bp_choice_default(member);
    if (strcmp(member->name, "softmax") == 0) { /* last layers only, and not merged with the loss */
        t.layers[2].activation = activation;
        t.spec.network.loss = support_choice(&bp_loss_family, "mean_squared_error");
    } else
        t.layers[0].activation = t.layers[1].activation = activation;
    return t;
}

static trial with_loss(const bp_member *member)
{
    trial t = ordinary();
    t.spec.network.loss = bp_choice_default(member);
    t.layers[2] = support_dense(bp_loss_output_width(bp_loss_of(member), OUT), "identity");
    return t;
}

static trial with_optimizer(const bp_member *member)
{
    trial t = ordinary();
    t.spec.optimizer = bp_choice_default(member);
    return t;
}

static trial with_regularizer(const bp_member *member)
{
    trial t = ordinary();
    t.spec.regularizer_count = 1;
    t.spec.regularizers[0] = support_choice_of(&bp_regularizer_family, member->name, 0.01);
    return t;
}

static trial with_dropout(const bp_member *member)
{
    trial t = ordinary();
    t.layers[1].dropout = support_choice_of(&bp_dropout_family, member->name, 0.7);
    return t;
}

static trial with_layer(const bp_member *member)
{
    trial t = ordinary();
    if (strcmp(member->name, "dropout") == 0) {
        memmove(&t.layers[2], &t.layers[1], 2 * sizeof *t.layers);
        t.layers[1] = (bp_layer_spec){.layer = support_choice_of(&bp_layer_family, "dropout", 0.7)};
        t.spec.network.layer_count = LAYERS + 1;
    } else if (!bp_layer_type_of(member)->cell && !bp_layer_type_of(member)->is_token_layer)
        /* those have test_recurrent_bits and test_token_bits */
        assert_string_equal(member->name, "dense");
    return t;
}

static trial with_schedule(const bp_member *member)
{
    trial t = ordinary();
    t.spec.schedule = bp_choice_default(member);
    t.spec.schedule.value[BP_SCHEDULE_WARMUP_STEPS] = 2;
    if (strcmp(member->name, "plateau") == 0) { /* every epoch is one */
        t.spec.schedule.value[BP_PLATEAU_PATIENCE] = 0;
        t.spec.schedule.value[BP_PLATEAU_MIN_DELTA] = 100;
        t.spec.schedule.value[BP_PLATEAU_METRIC] = BP_WATCHED_TRAIN_LOSS;
    }
    return t;
}

static trial with_initializer(const bp_member *member)
{
    trial t = ordinary();
    for (size_t i = 0; i < LAYERS; i++)
        t.layers[i].initializer = bp_choice_default(member);
    return t;
}

/* Trains; all parameters, to be freed. *moved: whether training changed any. */
static unsigned char *trained(size_t *bytes, bool *moved, const trial *t, bp_dtype dtype,
                              bp_isa isa, const bp_parallel *parallel)
{
    bp_training_spec spec = t->spec;
    spec.network.layers = t->layers;
    spec.network.dtype = dtype;
    spec.network.isa = isa;
    static double features[ROWS * IN], value[ROWS * OUT];
    int32_t label[ROWS];
    support_values(features, dtype, (size_t)ROWS * IN, 1);
    support_values(value, dtype, (size_t)ROWS * OUT, 2);
    const bp_loss *loss = bp_loss_of(spec.network.loss.member);
    support_labels(label, ROWS, loss->binary ? 2 : OUT, 3);
    const bp_examples examples = {
        .row_count = ROWS, .features = features, .label = label, .value = value};
    bp_error error = {.status = BP_OK};
    bp_trainer *trainer = NULL;
    if (bp_trainer_create(&trainer, &spec, &examples, parallel, &error) != BP_OK)
        fail_msg("%s: %s", error.where, error.message);
    bp_network *network = bp_trainer_network(trainer);
    *bytes = bp_network_block_count(network) * bp_dtype_size(dtype);
    unsigned char *weights = malloc(*bytes), *start = malloc(*bytes);
    assert_true(weights && start);
    memcpy(start, bp_network_parameters(network), *bytes);
    while (!bp_trainer_finished(trainer)) {
        bp_step_report report;
        assert_int_equal(bp_trainer_step(&report, trainer, true, NULL), BP_OK);
        assert_true(report.finite);
        const bp_position position = bp_trainer_position(trainer);
        if (position.step % position.steps_per_epoch == 0 &&
            bp_trainer_watches(trainer, BP_WATCHED_TRAIN_LOSS)) {
            bp_epoch_metrics metrics;
            for (size_t i = 0; i < BP_WATCHED_COUNT; i++)
                metrics.value[i] = NAN;
            metrics.value[BP_WATCHED_TRAIN_LOSS] = support_evaluate(trainer, &examples).loss;
            bp_trainer_epoch_end(trainer, &metrics);
        }
    }
    memcpy(weights, bp_network_parameters(network), *bytes);
    *moved = memcmp(start, weights, *bytes) != 0;
    free(start);
    bp_trainer_free(trainer);
    return weights;
}

static void compare(const bp_member *member, const trial *t, bp_dtype dtype)
{
    size_t bytes;
    bool moved;
    unsigned char *alone = trained(&bytes, &moved, t, dtype, bp_isa_detect(), NULL);
    assert_true(moved);
    for (size_t threads = 2; threads <= 4; threads *= 2) {
        support_pool *pool = support_pool_open(threads);
        const bp_parallel parallel = support_pool_parallel(pool);
        unsigned char *together = trained(&bytes, &moved, t, dtype, bp_isa_detect(), &parallel);
        assert_true(support_pool_run_count(pool) > 0);
        if (memcmp(alone, together, bytes) != 0)
            fail_msg("%s: other bits with %zu threads", member->name, threads);
        free(together);
        support_pool_close(pool);
    }
    for (bp_isa isa = BP_ISA_BASELINE; isa < bp_isa_detect(); isa++) {
        if (!bp_kernels_get(dtype, isa))
            continue;
        unsigned char *other = trained(&bytes, &moved, t, dtype, isa, NULL);
        if (memcmp(alone, other, bytes) != 0)
            fail_msg("%s: other bits on %s", member->name, bp_isa_name(isa));
        free(other);
    }
    free(alone);
}

static void compare_family(const bp_family *family, trial (*with)(const bp_member *))
{
    for (size_t i = 0; i < family->member_count; i++)
        for (bp_dtype dtype = BP_FLOAT32; dtype <= BP_FLOAT64; dtype++) {
            const trial t = with(family->members[i]);
            if (bp_loss_of(t.spec.network.loss.member)->paired) /* wants windows: test_token_bits */
                continue;
            compare(family->members[i], &t, dtype);
        }
}

static void test_activations(void **state)
{
    (void)state;
    compare_family(&bp_activation_family, with_activation);
}

static void test_losses(void **state)
{
    (void)state;
    compare_family(&bp_loss_family, with_loss);
}

static void test_optimizers(void **state)
{
    (void)state;
    compare_family(&bp_optimizer_family, with_optimizer);
}

static void test_regularizers(void **state)
{
    (void)state;
    compare_family(&bp_regularizer_family, with_regularizer);
}

static void test_dropout(void **state)
{
    (void)state;
    compare_family(&bp_dropout_family, with_dropout);
    compare_family(&bp_layer_family, with_layer);
}

static void test_schedules(void **state)
{
    (void)state;
    compare_family(&bp_schedule_family, with_schedule);
}

static void test_initializers(void **state)
{
    (void)state;
    compare_family(&bp_initializer_family, with_initializer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_activations),  cmocka_unit_test(test_losses),
        cmocka_unit_test(test_optimizers),   cmocka_unit_test(test_regularizers),
        cmocka_unit_test(test_dropout),      cmocka_unit_test(test_schedules),
        cmocka_unit_test(test_initializers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
