/* A run that is stopped anywhere and put back into another trainer ends with the same bits. Each part of
 * the state is forgotten in turn, to see that the comparison would notice. */
#include <math.h>
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
#include "tests/core/support_snapshot.h"

enum { ROWS = 11, BATCH = 4, IN = 3, HIDDEN = 7, OUT = 2, EPOCHS = 9, STEPS = 3 * EPOCHS };

typedef struct fixture {
    double wide[ROWS * IN];
    float narrow[ROWS * IN];
    int32_t label[ROWS];
    bp_examples examples;
    bp_layer_spec layers[2];
    bp_training_spec spec;
} fixture;

static fixture *fixture_of(bp_dtype dtype, const char *optimizer)
{
    static fixture f;
    support_values(f.wide, BP_FLOAT64, ROWS * IN, 1);
    support_values(f.narrow, BP_FLOAT32, ROWS * IN, 1);
    support_labels(f.label, ROWS, OUT, 2);
    f.examples = (bp_examples){.row_count = ROWS,
                               .features = dtype == BP_FLOAT32 ? (void *)f.narrow : (void *)f.wide,
                               .label = f.label};
    f.layers[0] = support_dense(HIDDEN, "tanh");
    f.layers[0].dropout = support_choice_of(&bp_dropout_family, "units", 0.7);
    f.layers[1] = support_dense(OUT, "softmax");
    f.spec = (bp_training_spec){
        .network = support_network_spec(f.layers, 2, IN, 1, "softmax_cross_entropy"),
        .optimizer = support_choice_of(&bp_optimizer_family, optimizer, 0.05),
        .schedule = support_choice(&bp_schedule_family, "plateau"),
        .early_stopping = support_choice(&bp_stopping_family, "early_stopping"),
        .seed = 5,
        .epochs = EPOCHS,
        .batch_size = BATCH,
        .shuffle = true};
    f.spec.network.dtype = dtype;
    f.spec.schedule.value[BP_PLATEAU_PATIENCE] = 1;
    f.spec.schedule.value[BP_PLATEAU_FACTOR] = 0.5;
    f.spec.early_stopping.value[BP_EARLY_STOPPING_PATIENCE] = EPOCHS - 1;
    return &f;
}

static bp_trainer *create(const fixture *f)
{
    bp_trainer *trainer = NULL;
    assert_int_equal(bp_trainer_create(&trainer, &f->spec, &f->examples, NULL, NULL), BP_OK);
    return trainer;
}

/* Best after the second epoch, then ever worse: plateaus, and a best state to go back to. */
static void step(bp_trainer *trainer)
{
    bp_step_report report;
    assert_int_equal(bp_trainer_step(&report, trainer, false, NULL), BP_OK);
    assert_true(report.finite);
    const bp_position position = bp_trainer_position(trainer);
    if (position.step % position.steps_per_epoch != 0)
        return;
    bp_epoch_metrics metrics;
    for (size_t i = 0; i < BP_WATCHED_COUNT; i++)
        metrics.value[i] = position.epoch == 1 ? 1 : 0.5 + 0.1 * (double)position.epoch;
    (void)bp_trainer_epoch_end(trainer, &metrics);
}

/* Runs to the end, then takes the best weights. */
static support_snapshot finish(bp_trainer *trainer)
{
    while (!bp_trainer_finished(trainer))
        step(trainer);
    support_snapshot last = support_snapshot_take(trainer);
    assert_true(bp_trainer_restore_best(trainer));
    free(last.memory);
    support_snapshot best = support_snapshot_take(trainer);
    bp_trainer_free(trainer);
    return best;
}

static void test_goes_on_from_every_step(void **state)
{
    (void)state;
    static const char *const optimizers[] = {"sgd", "momentum", "adagrad", "rmsprop", "adam"};
    for (size_t o = 0; o < sizeof optimizers / sizeof *optimizers; o++)
        for (int dtype = 0; dtype < BP_DTYPE_COUNT; dtype++) {
            const fixture *f = fixture_of((bp_dtype)dtype, optimizers[o]);
            support_snapshot through = finish(create(f));
            for (size_t at = 0; at <= STEPS; at++) {
                bp_trainer *first = create(f), *second = create(f);
                for (size_t i = 0; i < at; i++)
                    step(first);
                support_snapshot taken = support_snapshot_take(first);
                bp_trainer_free(first);
                assert_int_equal(bp_trainer_restore(second, &taken.state, taken.memory, NULL),
                                 BP_OK);
                assert_int_equal(bp_trainer_position(second).step, at);
                support_snapshot resumed = finish(second);
                assert_true(support_snapshot_same(&through, &resumed));
                free(taken.memory);
                free(resumed.memory);
            }
            free(through.memory);
        }
}

static void test_a_restored_trainer_forgets_its_own_state(void **state)
{
    (void)state;
    const fixture *f = fixture_of(BP_FLOAT64, "adam");
    bp_trainer *trainer = create(f);
    for (size_t i = 0; i < 4; i++)
        step(trainer);
    support_snapshot taken = support_snapshot_take(trainer);
    for (size_t i = 4; i < 20; i++)
        step(trainer);
    assert_int_equal(bp_trainer_restore(trainer, &taken.state, taken.memory, NULL), BP_OK);
    support_snapshot resumed = finish(trainer), through = finish(create(f));
    assert_true(support_snapshot_same(&through, &resumed));
    free(taken.memory);
    free(resumed.memory);
    free(through.memory);
}

/* ---- what a resume that forgets something would give ---- */

static void forget_weights(const bp_trainer *trainer, support_snapshot *taken)
{
    support_snapshot_zero(trainer, taken, BP_STATE_WEIGHTS);
}

static void forget_slots(const bp_trainer *trainer, support_snapshot *taken)
{
    support_snapshot_zero(trainer, taken, BP_STATE_SLOT);
}

static void forget_best(const bp_trainer *trainer, support_snapshot *taken)
{
    support_snapshot_zero(trainer, taken, BP_STATE_BEST);
}

static void forget_plateau(const bp_trainer *trainer, support_snapshot *taken)
{
    (void)trainer;
    taken->state.watch.plateau = (bp_plateau_state){0};
}

static void forget_early_stopping(const bp_trainer *trainer, support_snapshot *taken)
{
    (void)trainer;
    taken->state.watch.early_stopping = (bp_early_stopping_state){0};
}

static void forget_a_step(const bp_trainer *trainer, support_snapshot *taken)
{
    (void)trainer;
    taken->state.step--;
}

static void test_forgetting_is_noticed(void **state)
{
    (void)state;
    void (*const forget[])(const bp_trainer *trainer, support_snapshot *taken) = {
        forget_weights, forget_slots,          forget_best,
        forget_plateau, forget_early_stopping, forget_a_step};
    const fixture *f = fixture_of(BP_FLOAT64, "adam");
    support_snapshot through = finish(create(f));
    for (size_t i = 0; i < sizeof forget / sizeof *forget; i++) {
        bp_trainer *first = create(f), *second = create(f);
        for (size_t taken = 0; taken < 14; taken++)
            step(first);
        support_snapshot taken = support_snapshot_take(first);
        forget[i](first, &taken);
        assert_int_equal(bp_trainer_restore(second, &taken.state, taken.memory, NULL), BP_OK);
        support_snapshot resumed = finish(second);
        assert_false(support_snapshot_same(&through, &resumed));
        bp_trainer_free(first);
        free(taken.memory);
        free(resumed.memory);
    }
    free(through.memory);
}

/* ---- tensors and refusals ---- */

static void test_tensors(void **state)
{
    (void)state;
    const fixture *f = fixture_of(BP_FLOAT32, "adam");
    bp_trainer *trainer = create(f);
    bp_network_size network;
    size_t trainer_bytes, bytes = 0;
    assert_int_equal(bp_trainer_measure(&trainer_bytes, &network, &f->spec, ROWS, NULL), BP_OK);
    assert_int_equal(bp_snapshot_measure(&bytes, &f->spec, &network, NULL), BP_OK);
    support_snapshot taken = support_snapshot_take(trainer);
    assert_int_equal(bytes, taken.bytes);
    assert_int_equal(bp_state_tensor_count(trainer, &taken.state), 4 * 3); /* no best yet */
    for (size_t i = 0; i < 3; i++)
        step(trainer);
    free(taken.memory);
    taken = support_snapshot_take(trainer);
    assert_int_equal(bp_state_tensor_count(trainer, &taken.state), 4 * 4);
    const bp_state_tensor slot = bp_state_tensor_at(trainer, taken.memory, 4 + 4 + 2);
    assert_int_equal(slot.role, BP_STATE_SLOT);
    assert_int_equal(slot.slot, 1);
    assert_string_equal(slot.tensor.name, "layers.1.weight");
    const bp_state_tensor weights = bp_state_tensor_at(trainer, taken.memory, 2);
    const bp_tensor live = bp_network_tensor(bp_trainer_network(trainer), 2);
    assert_int_equal(weights.role, BP_STATE_WEIGHTS);
    assert_memory_equal(weights.tensor.data, live.data, live.element_count * sizeof(float));
    assert_int_equal(bp_state_tensor_at(trainer, taken.memory, 12).role, BP_STATE_BEST);
    assert_string_equal(bp_state_role_name(BP_STATE_BEST), "best");
    free(taken.memory);
    bp_trainer_free(trainer);
}

static void test_impossible_states_are_refused(void **state)
{
    (void)state;
    fixture *f = fixture_of(BP_FLOAT64, "adam");
    bp_trainer *trainer = create(f);
    for (size_t i = 0; i < 7; i++)
        step(trainer);
    support_snapshot taken = support_snapshot_take(trainer);
    for (int i = 0; i < 5; i++) {
        bp_trainer_state wrong = taken.state;
        if (i == 0)
            wrong.step = STEPS + 1;
        else if (i == 1)
            wrong.watch.plateau.started = 2;
        else if (i == 2)
            wrong.watch.early_stopping.started = 2;
        else if (i == 3)
            wrong.watch.early_stopping.stopped = 2;
        else
            wrong.watch.early_stopping.best_step = wrong.step + 1;
        bp_error error = {.status = BP_OK};
        assert_int_equal(bp_trainer_restore(trainer, &wrong, taken.memory, &error), BP_CORRUPT);
        assert_int_equal(bp_trainer_position(trainer).step, 7);
    }
    bp_trainer_free(trainer);
    /* Nothing that a run of this specification would have seen. */
    f->spec.early_stopping.member = NULL;
    f->spec.schedule = support_choice(&bp_schedule_family, "constant");
    trainer = create(f);
    bp_trainer_state wrong = taken.state;
    wrong.watch.plateau = (bp_plateau_state){0};
    assert_int_equal(bp_trainer_restore(trainer, &wrong, taken.memory, NULL), BP_CORRUPT);
    wrong = taken.state;
    wrong.watch.early_stopping = (bp_early_stopping_state){0};
    assert_int_equal(bp_trainer_restore(trainer, &wrong, taken.memory, NULL), BP_CORRUPT);
    wrong.watch.plateau = (bp_plateau_state){0};
    assert_int_equal(bp_trainer_restore(trainer, &wrong, taken.memory, NULL), BP_OK);
    bp_trainer_free(trainer);
    free(taken.memory);
}

int main(void)
{
    bp_kernels_thread_start();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_goes_on_from_every_step),
        cmocka_unit_test(test_a_restored_trainer_forgets_its_own_state),
        cmocka_unit_test(test_forgetting_is_noticed),
        cmocka_unit_test(test_tensors),
        cmocka_unit_test(test_impossible_states_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
