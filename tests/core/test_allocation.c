/* Memory: nothing is allocated after creation, creation takes what measuring said, and every
 * allocation may fail. The linker wraps the allocator's calls in core and here. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "core/dropout/dropout.h"
#include "core/schedule/schedule.h"
#include "core/training/update.h"
#include "tests/core/support_snapshot.h"
#include "tests/core/support_text.h"

static size_t call_count, byte_count, free_count;
static size_t fail_at; /* which allocation fails, counted from 1; 0: none */

static bool counted(size_t bytes)
{
    call_count++;
    byte_count += bytes;
    return call_count != fail_at;
}

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_malloc(size_t size)
{
    return counted(size) ? __real_malloc(size) : NULL;
}

void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size)
{
    return counted(count * size) ? __real_calloc(count, size) : NULL;
}

void *__real_realloc(void *old, size_t size);
void *__wrap_realloc(void *old, size_t size);
void *__wrap_realloc(void *old, size_t size)
{
    return counted(size) ? __real_realloc(old, size) : NULL;
}

void *__real_aligned_alloc(size_t alignment, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
    return counted(size) ? __real_aligned_alloc(alignment, size) : NULL;
}

void __real_free(void *old);
void __wrap_free(void *old);
void __wrap_free(void *old)
{
    free_count += old != NULL;
    __real_free(old);
}

static void start_counting(void)
{
    call_count = byte_count = free_count = fail_at = 0;
}

enum { ROWS = 100, IN = 784, HIDDEN = 128, OUT = 10, BATCH = 32 };

typedef struct fixture {
    bp_layer_spec layers[5];
    bp_training_spec spec;
    float features[ROWS * IN];
    float value[ROWS * OUT];
    int32_t label[ROWS];
    bp_examples examples;
} fixture;

static fixture *fixture_of(bool shuffle, const char *loss)
{
    static fixture f;
    f.layers[0] = support_dense(HIDDEN, "sigmoid");
    f.layers[1] = support_dense(OUT, "identity");
    f.spec = (bp_training_spec){.network = support_network_spec(f.layers, 2, IN, BATCH, loss),
                                .optimizer = support_choice(&bp_optimizer_family, "momentum"),
                                .schedule = support_choice(&bp_schedule_family, "constant"),
                                .epochs = 1000,
                                .batch_size = BATCH,
                                .shuffle = shuffle};
    f.spec.network.dtype = BP_FLOAT32;
    support_values(f.features, BP_FLOAT32, ROWS * IN, 1);
    support_values(f.value, BP_FLOAT32, ROWS * OUT, 1);
    support_labels(f.label, ROWS, OUT, 2);
    f.examples = (bp_examples){
        .row_count = ROWS, .features = f.features, .label = f.label, .value = f.value};
    return &f;
}

/* Whatever a step or the end of an epoch can do besides. */
static void ask_for_everything(bp_training_spec *spec)
{
    static const char *const names[] = {"l2", "l1", "frobenius", "max_norm"};
    spec->regularizer_count = BP_REGULARIZER_LIMIT;
    for (size_t i = 0; i < BP_REGULARIZER_LIMIT; i++)
        spec->regularizers[i] = support_choice_of(&bp_regularizer_family, names[i], 0.5);
    spec->clip_norm = 0.1;
    spec->early_stopping = support_choice(&bp_stopping_family, "early_stopping");
    spec->early_stopping.value[BP_EARLY_STOPPING_PATIENCE] = 1000;
    spec->schedule = support_choice(&bp_schedule_family, "plateau");
    spec->schedule.value[BP_SCHEDULE_FAN_IN_SCALED] = 1;
}

/* The same with every form of dropout. */
static fixture *fixture_with_dropout(bool shuffle, const char *loss)
{
    fixture *f = fixture_of(shuffle, loss);
    const bp_layer_spec hidden = f->layers[0], last = f->layers[1];
    f->layers[0] = (bp_layer_spec){.layer = support_choice_of(&bp_layer_family, "dropout", 0.8)};
    f->layers[1] = f->layers[2] = f->layers[3] = hidden;
    f->layers[1].dropout = support_choice_of(&bp_dropout_family, "units", 0.5);
    f->layers[2].dropout = support_choice_of(&bp_dropout_family, "layer", 0.8);
    f->layers[3].dropout = support_choice_of(&bp_dropout_family, "connections", 0.9);
    f->layers[4] = last;
    f->spec.network.layer_count = 5;
    return f;
}

static void test_step_and_evaluation(void **state)
{
    (void)state;
    const char *const losses[] = {"softmax_cross_entropy", "mean_squared_error"};
    for (size_t which = 0; which < 8; which++) {
        const char *loss = losses[which / 2 % 2];
        fixture *f =
            which >= 6 ? fixture_with_dropout(which % 2, loss) : fixture_of(which % 2, loss);
        if (which >= 4)
            ask_for_everything(&f->spec);
        bp_trainer *trainer = NULL;
        start_counting();
        assert_int_equal(bp_trainer_create(&trainer, &f->spec, &f->examples, NULL, NULL), BP_OK);
        assert_true(call_count > 0); /* the counters count */
        start_counting();
        bp_step_report report;
        for (size_t step = 0; step < 100; step++) {
            assert_int_equal(bp_trainer_step(&report, trainer, step % 2, NULL), BP_OK);
            if (step % 4 == 3) /* the end of an epoch */
                bp_trainer_epoch_end(trainer, &(bp_epoch_metrics){.value = {0}});
        }
        support_evaluate(trainer, &f->examples);
        assert_int_equal(bp_trainer_restore_best(trainer), which >= 4);
        assert_int_equal(call_count, 0);
        assert_int_equal(free_count, 0);
        assert_true(report.finite);
        bp_trainer_free(trainer);
        assert_true(free_count > 0);
    }
}

static void test_prediction(void **state)
{
    (void)state;
    fixture *f = fixture_with_dropout(true, "softmax_cross_entropy");
    bp_network_spec spec = f->spec.network;
    bp_network *own = support_network_create(&spec), *shared = NULL;
    spec.use = BP_USE_PREDICTION;
    assert_int_equal(bp_network_create_shared(&shared, &spec, bp_network_parameters(own), NULL),
                     BP_OK);
    start_counting();
    for (size_t rows = 1; rows <= BATCH; rows++) {
        bp_network_set_noise(shared,
                             (bp_noise){rows % 2 ? BP_NOISE_SAMPLE : BP_NOISE_NONE, 1, rows});
        bp_network_forward(shared, NULL, f->features, rows, false);
        bp_network_shown_output(shared);
    }
    assert_int_equal(call_count + free_count, 0);
    bp_network_free(shared);
    bp_network_free(own);
}

/* Passes of each cell under each form of dropout, and the measure of their networks. */
static void test_recurrent(void **state)
{
    (void)state;
    for (size_t cell = 0; cell < RECURRENT_CELLS; cell++)
        for (size_t form = 0; form < RECURRENT_FORMS; form++)
            for (bp_network_use use = BP_USE_TRAINING; use <= BP_USE_PREDICTION; use++) {
                bp_layer_spec layers[RECURRENT_LAYERS];
                const size_t count = support_recurrent_network(layers, cell, 2, form);
                bp_network_spec spec =
                    support_recurrent_spec(layers, count, "softmax_cross_entropy");
                spec.use = use;
                double x[RECURRENT_ROWS * RECURRENT_IN];
                int32_t label[RECURRENT_ROWS];
                support_values(x, BP_FLOAT64, RECURRENT_ROWS * RECURRENT_IN, 1);
                support_labels(label, RECURRENT_ROWS, RECURRENT_OUT, 2);
                const bp_targets targets = {.label = label};
                bp_network *network = NULL;
                bp_network_size size;
                assert_int_equal(bp_network_measure(&size, &spec, NULL), BP_OK);
                start_counting();
                assert_int_equal(bp_network_create(&network, &spec, NULL), BP_OK);
                assert_int_equal(byte_count, size.total_bytes);
                start_counting();
                bp_network_set_noise(network, (bp_noise){BP_NOISE_TRAINING, 1, 2});
                bp_network_forward(network, NULL, x, RECURRENT_ROWS, use == BP_USE_TRAINING);
                if (use == BP_USE_TRAINING)
                    bp_network_backward(network, NULL, &targets);
                bp_network_set_noise(network, (bp_noise){BP_NOISE_SAMPLE, 1, 2});
                bp_network_forward(network, NULL, x, RECURRENT_STREAMS, false);
                bp_network_state_reset(network);
                assert_int_equal(call_count + free_count, 0);
                bp_network_free(network);
            }
}

/* A language model's steps, evaluations and snapshots, and the measure of its training. */
static void test_text(void **state)
{
    (void)state;
    for (size_t cell = 0; cell < RECURRENT_CELLS; cell++) {
        support_text *f = support_text_of((support_text_sizes){
            .tokens = 400, .vocabulary = 50, .dimension = 6, .units = 9, .cell = cell});
        ask_for_everything(&f->spec);
        f->spec.batch_size = 7;
        f->spec.sequence_length = 10;
        f->spec.epochs = 5;
        size_t bytes;
        bp_network_size size;
        bp_trainer *trainer = NULL;
        bp_evaluator *evaluator = NULL;
        start_counting();
        assert_int_equal(bp_trainer_measure(&bytes, &size, &f->spec, 400, NULL), BP_OK);
        assert_int_equal(call_count, 0);
        assert_int_equal(bp_trainer_create(&trainer, &f->spec, &f->examples, NULL, NULL), BP_OK);
        assert_int_equal(byte_count, bytes);
        const bp_evaluator_spec spec = bp_training_evaluator(&f->spec, &size, 400);
        assert_int_equal(bp_evaluator_create(&evaluator, &spec, NULL), BP_OK);
        support_snapshot taken = support_snapshot_take(trainer);
        start_counting();
        for (size_t step = 0; !bp_trainer_finished(trainer); step++) {
            bp_step_report report;
            bp_evaluation_report full;
            assert_int_equal(bp_trainer_step(&report, trainer, step % 2, NULL), BP_OK);
            const bp_position position = bp_trainer_position(trainer);
            if (position.step % position.steps_per_epoch != 0)
                continue;
            (void)support_evaluate(trainer, &f->examples);
            assert_int_equal(
                bp_trainer_evaluate_full(&full, trainer, &f->examples, evaluator, NULL, NULL),
                BP_OK);
            bp_trainer_epoch_end(trainer, &(bp_epoch_metrics){.value = {0}});
            taken.state = bp_trainer_snapshot(trainer, taken.memory);
            support_snapshot_restore(trainer, &taken);
        }
        assert_int_equal(call_count + free_count, 0);
        bp_evaluator_free(evaluator);
        bp_trainer_free(trainer);
        free(taken.memory);
        support_text_free(f);
    }
}

/* The same over windows, of a tagger and of pairs. */
static void test_windows(void **state)
{
    (void)state;
    enum { WIDTH = 3, TOKENS = 50, WORDS = 9, TAGS = 4 };
    int32_t ids[TOKENS + 2 * (WIDTH / 2)] = {0}, token[TOKENS], label[TOKENS], decided[TOKENS];
    uint32_t place[TOKENS];
    size_t others[TOKENS];
    support_ids(token, TOKENS, WORDS, 1);
    support_labels(label, TOKENS, TAGS, 2);
    bp_token_windows_lay_out(ids, place, token, &(size_t){TOKENS}, 1, WIDTH, 0);
    const bp_token_windows windows = {
        .width = WIDTH, .row_count = TOKENS, .ids = ids, .place = place, .label = label};
    const size_t other_count = bp_token_windows_select(others, &windows, 0, true);
    for (size_t which = 0; which < 6; which++) {
        const bool paired = which % 3 > 0;
        const bp_layer_spec layers[] = {support_embedding(5, true, which % 2),
                                        support_window(WIDTH), support_dense(6, "tanh"),
                                        support_dense(paired ? 1 : TAGS, "identity")};
        bp_training_spec spec = {
            .network = support_network_spec(layers, 4, WIDTH, 1,
                                            paired ? "max_margin" : "softmax_cross_entropy"),
            .kind = BP_EXAMPLES_WINDOWS,
            .optimizer = support_choice(&bp_optimizer_family, "adam"),
            .schedule = support_choice(&bp_schedule_family, "constant"),
            .epochs = 3,
            .batch_size = 8,
            .shuffle = which >= 3};
        spec.network.input_kind = BP_INPUT_TOKENS;
        spec.network.token_count = WORDS;
        const bp_examples examples = {
            .kind = BP_EXAMPLES_WINDOWS,
            .row_count = TOKENS,
            .windows = windows,
            .corruption = {.kind = which % 3 == 1 ? BP_CORRUPT_BY_OTHER : BP_CORRUPT_CENTRE,
                           .others = others,
                           .other_count = other_count,
                           .low = 1,
                           .high = WORDS}};
        size_t bytes;
        bp_network_size size;
        bp_trainer *trainer = NULL;
        start_counting();
        assert_int_equal(bp_trainer_measure(&bytes, &size, &spec, TOKENS, NULL), BP_OK);
        assert_int_equal(bp_trainer_create(&trainer, &spec, &examples, NULL, NULL), BP_OK);
        assert_int_equal(byte_count, bytes);
        start_counting();
        for (size_t step = 0; !bp_trainer_finished(trainer); step++) {
            bp_step_report report;
            bp_evaluation evaluation;
            assert_int_equal(bp_trainer_step(&report, trainer, step % 2, NULL), BP_OK);
            assert_int_equal(
                bp_trainer_evaluate(&evaluation, trainer, &examples, paired ? NULL : decided, NULL),
                BP_OK);
        }
        assert_int_equal(call_count + free_count, 0);
        bp_trainer_free(trainer);
    }
}

static void assert_passes_take_nothing(const bp_layer_spec *layers, size_t count, const char *loss,
                                       bool language, size_t optimizer, bp_network_use use)
{
    bp_network_spec spec =
        language ? support_language_spec(layers, count) : support_token_spec(layers, count, loss);
    spec.use = use;
    int32_t ids[RECURRENT_ROWS * TOKENS_WIDTH], label[RECURRENT_ROWS] = {0};
    const bp_targets targets = {.label = label};
    bp_network *network = NULL;
    bp_network_size size;
    assert_int_equal(bp_network_measure(&size, &spec, NULL), BP_OK);
    start_counting();
    assert_int_equal(bp_network_create(&network, &spec, NULL), BP_OK);
    assert_int_equal(byte_count, size.total_bytes);
    const bp_kernels *kernels = bp_network_kernels(network);
    bp_update update = {.kernels = kernels,
                        .optimizer = kernels->optimizers[optimizer],
                        .choice = bp_choice_default(bp_optimizer_family.members[optimizer]),
                        .clip_norm = 0.01,
                        .count = bp_network_block_count(network)};
    bp_arena arena = bp_arena_measure();
    bp_update_plan(&update, &arena, &size);
    const size_t bytes = arena.used_bytes;
    assert_int_equal(bp_arena_open(&arena, bytes, NULL), BP_OK);
    bp_update_plan(&update, &arena, &size);
    if (use == BP_USE_TRAINING)
        bp_update_bind(&update, network);
    start_counting();
    for (uint64_t step = 0; step < 3; step++) {
        support_ids(ids, spec.batch_rows * spec.input_width, TOKENS_VOCABULARY, step);
        bp_network_forward(network, NULL, ids, spec.batch_rows, false);
        if (use == BP_USE_PREDICTION)
            continue;
        bp_network_train(network, NULL, ids, spec.batch_rows, &targets);
        const bp_gradient_facts facts = bp_update_gradient(&update, NULL, step % 2);
        bp_update_apply(&update, NULL, 0.1, step, &facts, step % 2);
        bp_network_parameters_changed(network);
    }
    assert_int_equal(call_count + free_count, 0);
    bp_network_free(network);
    bp_arena_done(&arena);
}

/* Passes and updates of vectors that go by rows, whole, sparse, frozen and tied. */
static void test_tokens(void **state)
{
    (void)state;
    for (size_t optimizer = 0; optimizer < BP_OPTIMIZER_COUNT; optimizer++)
        for (bp_network_use use = BP_USE_TRAINING; use <= BP_USE_PREDICTION; use++) {
            bp_layer_spec layers[TOKENS_LAYERS];
            for (size_t kind = 0; kind < 3; kind++) { /* dense, sparse, frozen */
                const char *loss = kind % 2 ? "max_margin" : "softmax_cross_entropy";
                const size_t count = support_token_network(
                    layers, optimizer % TOKENS_BEGINS,
                    support_embedding(TOKENS_DIMENSION, kind < 2, kind == 1), loss);
                assert_passes_take_nothing(layers, count, loss, false, optimizer, use);
            }
            const size_t count = support_language_model(layers, 1, 3, true);
            assert_passes_take_nothing(layers, count, NULL, true, optimizer, use);
        }
}

static void test_measured_is_allocated(void **state)
{
    (void)state;
    for (size_t which = 0; which < 16; which++) {
        const char *loss = which & 2 ? "softmax_cross_entropy" : "mean_squared_error";
        fixture *f =
            which & 8 ? fixture_with_dropout(which & 1, loss) : fixture_of(which & 1, loss);
        f->spec.network.keep_z = which & 4;
        if (which & 8)
            ask_for_everything(&f->spec);
        size_t bytes;
        bp_network_size size;
        bp_trainer *trainer = NULL;
        start_counting();
        assert_int_equal(bp_trainer_measure(&bytes, &size, &f->spec, ROWS, NULL), BP_OK);
        assert_int_equal(call_count, 0);
        assert_int_equal(bp_trainer_create(&trainer, &f->spec, &f->examples, NULL, NULL), BP_OK);
        assert_int_equal(byte_count, bytes);
        bp_trainer_free(trainer);

        bp_network_spec spec = f->spec.network;
        for (spec.use = BP_USE_TRAINING; spec.use <= BP_USE_PREDICTION; spec.use++) {
            bp_network *network = NULL;
            assert_int_equal(bp_network_measure(&size, &spec, NULL), BP_OK);
            start_counting();
            assert_int_equal(bp_network_create(&network, &spec, NULL), BP_OK);
            assert_int_equal(byte_count, size.total_bytes);
            bp_network_free(network);
            assert_int_equal(free_count, call_count);
        }
    }
}

static void test_allocations_fail(void **state)
{
    (void)state;
    fixture *f = fixture_of(true, "softmax_cross_entropy");
    bp_trainer *trainer = NULL;
    for (size_t n = 1; !trainer; n++) {
        bp_error error = {.status = BP_OK};
        start_counting();
        fail_at = n;
        if (bp_trainer_create(&trainer, &f->spec, &f->examples, NULL, &error) == BP_OK)
            assert_true(n > 1);
        else {
            assert_int_equal(error.status, BP_NO_MEMORY);
            assert_int_equal(free_count, call_count - 1);
        }
    }
    bp_trainer_free(trainer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_step_and_evaluation),
        cmocka_unit_test(test_prediction),
        cmocka_unit_test(test_recurrent),
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_windows),
        cmocka_unit_test(test_tokens),
        cmocka_unit_test(test_measured_is_allocated),
        cmocka_unit_test(test_allocations_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
