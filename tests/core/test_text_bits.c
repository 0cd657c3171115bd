/* Training of language models is the same bits for any number of threads and on every instruction set, and
 * after a run that is stopped at any step and put back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/layer/dense.h"
#include "core/schedule/schedule.h"
#include "tests/core/support_parallel.h"
#include "tests/core/support_snapshot.h"
#include "tests/core/support_text.h"

static bool is_tied(size_t cell)
{
    return cell == 1;
}

/* Everything that a run may have: one cell has its last layer tied to the vectors, which are as wide as it. */
static void ask_for_everything(support_text *f, size_t cell)
{
    const bool tied = is_tied(cell);
    f->layers[2].layer.value[BP_DENSE_TIED] = tied;
    bp_choice *dropout = &f->layers[1].dropout;
    *dropout = support_choice_of(&bp_dropout_family, "units", 0.8);
    const bool variational = cell % 2;
    dropout->value[BP_DROPOUT_VARIATIONAL] = variational;
    dropout->value[BP_DROPOUT_KEEP_RECURRENT] = variational ? 0.9 : 0;
    f->spec.clip_norm = 0.5;
    const bool sparse =
        cell >= 2; /* slots are then updated where a step reads, and penalties refused */
    f->layers[0].layer.value[BP_EMBEDDING_SPARSE] = sparse;
    f->spec.regularizer_count = !sparse;
    f->spec.regularizers[0] = support_choice_of(&bp_regularizer_family, "l2", 1e-4);
    f->spec.schedule = support_choice(&bp_schedule_family, "plateau");
    f->spec.schedule.value[BP_PLATEAU_PATIENCE] = 1;
    f->spec.schedule.value[BP_PLATEAU_FACTOR] = 0.5;
    f->spec.early_stopping = support_choice(&bp_stopping_family, "early_stopping");
    f->spec.early_stopping.value[BP_EARLY_STOPPING_PATIENCE] = 100;
}

/* ---- threads, instruction sets ---- */

enum {
    LARGE_TOKENS = 16 * 50 + 1,
    LARGE_STEPS = 9 /* of two epochs of 12, 12, 12, 12 and 2 steps */
};

typedef struct outcome {
    support_snapshot snapshot;
    bp_step_report reports[LARGE_STEPS];
    bp_evaluation evaluation;
} outcome;

static outcome train_large(size_t cell, bp_dtype dtype, bp_isa isa, const bp_parallel *parallel)
{
    support_text *f = support_text_of((support_text_sizes){.tokens = LARGE_TOKENS,
                                                           .vocabulary = 600,
                                                           .dimension = is_tied(cell) ? 72 : 48,
                                                           .units = 72,
                                                           .cell = cell});
    outcome out;
    ask_for_everything(f, cell);
    f->spec.network.dtype = dtype;
    f->spec.network.isa = isa;
    f->spec.optimizer = support_choice_of(&bp_optimizer_family, "adam", 0.01);
    f->spec.batch_size = 16;
    f->spec.sequence_length = 12;
    f->spec.epochs = 2;
    bp_trainer *trainer = support_text_trainer(f, parallel);
    memset(&out, 0, sizeof out);
    for (size_t i = 0; i < LARGE_STEPS; i++) {
        bp_step_report report;
        assert_int_equal(bp_trainer_step(&report, trainer, i % 2, NULL), BP_OK);
        assert_true(report.finite);
        out.reports[i].loss = report.loss;
        out.reports[i].accuracy = i % 2 ? report.accuracy : 0;
        out.reports[i].gradient_norm = i % 2 ? report.gradient_norm : 0;
    }
    out.evaluation = support_evaluate(trainer, &f->examples);
    out.snapshot = support_snapshot_take(trainer);
    bp_trainer_free(trainer);
    support_text_free(f);
    return out;
}

static void assert_same_outcome(const outcome *a, const outcome *b)
{
    assert_true(support_snapshot_same(&a->snapshot, &b->snapshot));
    assert_memory_equal(a->reports, b->reports, sizeof a->reports);
    assert_true(a->evaluation.loss == b->evaluation.loss &&
                a->evaluation.accuracy == b->evaluation.accuracy);
}

static void test_threads(void **state)
{
    (void)state;
    for (size_t cell = 0; cell < RECURRENT_CELLS; cell++)
        for (bp_dtype dtype = BP_FLOAT32; dtype <= BP_FLOAT64; dtype++) {
            outcome alone = train_large(cell, dtype, bp_isa_detect(), NULL);
            for (size_t threads = 2; threads <= 4; threads *= 2) {
                support_pool *pool = support_pool_open(threads);
                const bp_parallel parallel = support_pool_parallel(pool);
                outcome together = train_large(cell, dtype, bp_isa_detect(), &parallel);
                assert_true(support_pool_run_count(pool) >= LARGE_STEPS);
                assert_same_outcome(&alone, &together);
                free(together.snapshot.memory);
                support_pool_close(pool);
            }
            free(alone.snapshot.memory);
        }
}

static void test_instruction_sets(void **state)
{
    (void)state;
    for (size_t cell = 0; cell < RECURRENT_CELLS; cell++) {
        outcome best = train_large(cell, BP_FLOAT32, bp_isa_detect(), NULL);
        for (bp_isa isa = BP_ISA_BASELINE; isa < bp_isa_detect(); isa++) {
            if (!bp_kernels_get(BP_FLOAT32, isa))
                continue;
            outcome other = train_large(cell, BP_FLOAT32, isa, NULL);
            assert_same_outcome(&best, &other);
            free(other.snapshot.memory);
        }
        free(best.snapshot.memory);
    }
}

/* ---- stopped at any step ---- */

enum { SMALL_TOKENS = 4 * 17 + 2, EPOCHS = 4, STEPS = 4 * EPOCHS /* of 5, 5, 5 and 2 */ };

/* At a rate at which no ReLU dies, with which there would be nothing to carry. */
static support_text *small_text(size_t cell, bp_dtype dtype, const char *optimizer)
{
    support_text *f = support_text_of((support_text_sizes){.tokens = SMALL_TOKENS,
                                                           .vocabulary = 17,
                                                           .dimension = is_tied(cell) ? 5 : 3,
                                                           .units = 5,
                                                           .cell = cell});
    ask_for_everything(f, cell);
    f->spec.network.dtype = dtype;
    f->spec.optimizer = support_choice_of(&bp_optimizer_family, optimizer, 0.01);
    f->spec.batch_size = 4;
    f->spec.sequence_length = 5;
    f->spec.epochs = EPOCHS;
    return f;
}

/* What is watched is the loss on a part of the text. */
static void step(bp_trainer *trainer, const support_text *f)
{
    bp_step_report report;
    assert_int_equal(bp_trainer_step(&report, trainer, false, NULL), BP_OK);
    assert_true(report.finite);
    const bp_position position = bp_trainer_position(trainer);
    assert_int_equal(position.step_limit, STEPS);
    if (position.step % position.steps_per_epoch != 0)
        return;
    const bp_examples part = support_text_examples(f->ids + 20, 31);
    bp_epoch_metrics metrics;
    for (size_t i = 0; i < BP_WATCHED_COUNT; i++)
        metrics.value[i] = support_evaluate(trainer, &part).loss;
    (void)bp_trainer_epoch_end(trainer, &metrics);
}

static support_snapshot finish(bp_trainer *trainer, const support_text *f)
{
    while (!bp_trainer_finished(trainer))
        step(trainer, f);
    support_snapshot last = support_snapshot_take(trainer);
    bp_trainer_free(trainer);
    return last;
}

static void test_goes_on_from_every_step(void **state)
{
    (void)state;
    for (size_t cell = 0; cell < RECURRENT_CELLS; cell++)
        for (bp_dtype dtype = BP_FLOAT32; dtype <= BP_FLOAT64; dtype++) {
            support_text *f = small_text(cell, dtype, cell % 2 ? "adam" : "momentum");
            support_snapshot through = finish(support_text_trainer(f, NULL), f);
            for (size_t at = 0; at <= STEPS; at++) {
                bp_trainer *first = support_text_trainer(f, NULL);
                bp_trainer *second = support_text_trainer(f, NULL);
                for (size_t i = 0; i < at; i++)
                    step(first, f);
                support_snapshot taken = support_snapshot_take(first);
                bp_trainer_free(first);
                for (size_t i = 0; i < at % 3; i++) /* what it was in before does not matter */
                    step(second, f);
                support_snapshot_restore(second, &taken);
                support_snapshot resumed = finish(second, f);
                assert_true(support_snapshot_same(&through, &resumed));
                free(taken.memory);
                free(resumed.memory);
            }
            free(through.memory);
            support_text_free(f);
        }
}

/* What is carried is part of the state: forgotten inside an epoch the run ends elsewhere; at the end of one it
 * is not needed. */
static void test_the_carried_state_matters(void **state)
{
    (void)state;
    for (size_t cell = 0; cell < RECURRENT_CELLS; cell++) {
        support_text *f = small_text(cell, BP_FLOAT64, "adam");
        support_snapshot through = finish(support_text_trainer(f, NULL), f);
        for (size_t at = 4; at <= 8; at++) {
            bp_trainer *trainer = support_text_trainer(f, NULL);
            for (size_t i = 0; i < at; i++)
                step(trainer, f);
            support_snapshot taken = support_snapshot_take(trainer);
            const size_t carried = support_snapshot_zero(trainer, &taken, BP_STATE_CARRIED);
            assert_int_equal(carried, cell == 3 ? 2 : 1); /* an LSTM has c beside h */
            support_snapshot_restore(trainer, &taken);
            support_snapshot resumed = finish(trainer, f);
            assert_int_equal(support_snapshot_same(&through, &resumed), at % 4 == 0);
            free(taken.memory);
            free(resumed.memory);
        }
        free(through.memory);
        support_text_free(f);
    }
}

static void test_tensors(void **state)
{
    (void)state;
    support_text *f = small_text(3, BP_FLOAT32, "momentum");
    bp_trainer *trainer = support_text_trainer(f, NULL);
    bp_network_size network;
    size_t trainer_bytes, bytes;
    for (size_t i = 0; i < 5; i++)
        step(trainer, f);
    assert_int_equal(bp_trainer_measure(&trainer_bytes, &network, &f->spec, SMALL_TOKENS, NULL),
                     BP_OK);
    assert_int_equal(bp_snapshot_measure(&bytes, &f->spec, &network, NULL), BP_OK);
    support_snapshot taken = support_snapshot_take(trainer);
    assert_int_equal(bytes, taken.bytes);
    const size_t tensors = bp_network_tensor_count(bp_trainer_network(trainer));
    assert_int_equal(bp_state_tensor_count(trainer, &taken.state), 3 * tensors + 2);
    static const char *const names[] = {"layers.1.h", "layers.1.c"};
    for (size_t i = 0; i < 2; i++) {
        const bp_state_tensor view = bp_state_tensor_at(trainer, taken.memory, 2 * tensors + i);
        const bp_tensor live = bp_network_state_tensor(bp_trainer_network(trainer), i);
        assert_int_equal(view.role, BP_STATE_CARRIED);
        assert_int_equal(view.slot, 0);
        assert_string_equal(view.tensor.name, names[i]);
        assert_int_equal(view.tensor.shape[0], 4);
        assert_int_equal(view.tensor.shape[1], 5);
        assert_memory_equal(view.tensor.data, live.data, live.element_count * sizeof(float));
    }
    const bp_state_tensor slot = bp_state_tensor_at(trainer, taken.memory, 2 * tensors - 1);
    const bp_state_tensor best = bp_state_tensor_at(trainer, taken.memory, 2 * tensors + 2);
    assert_int_equal(slot.role, BP_STATE_SLOT);
    assert_int_equal(best.role, BP_STATE_BEST);
    assert_string_equal(best.tensor.name, "layers.0.weight");
    assert_string_equal(bp_state_role_name(BP_STATE_CARRIED), "state");
    free(taken.memory);
    bp_trainer_free(trainer);
    support_text_free(f);
}

int main(void)
{
    bp_kernels_thread_start();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_instruction_sets),
        cmocka_unit_test(test_goes_on_from_every_step),
        cmocka_unit_test(test_the_carried_state_matters),
        cmocka_unit_test(test_tensors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
