/* Training over windows of sentences: which windows a batch has, taggers, pairs under the max-margin loss, how
 * windows are made wrong, evaluations, bits. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/evaluation/entity_score.h"
#include "core/training/batch.h"
#include "core/training/row_order.h"
#include "tests/core/support_parallel.h"
#include "tests/core/support_sentences.h"
#include "tests/core/support_snapshot.h"

static void run(bp_trainer *trainer)
{
    while (!bp_trainer_finished(trainer)) {
        bp_step_report report;
        assert_int_equal(bp_trainer_step(&report, trainer, true, NULL), BP_OK);
        assert_true(report.finite);
    }
}

/* ---- batches ---- */

/* Room for batches of so many rows, with its buffers; released with bp_arena_done. */
static bp_arena open_room(bp_batch_room *room, const support_windows *t, size_t batch_size)
{
    bp_training_spec spec = t->spec;
    spec.batch_size = batch_size;
    *room =
        (bp_batch_room){.kernels = bp_kernels_get(BP_FLOAT64, BP_ISA_BASELINE),
                        .kind = BP_EXAMPLES_WINDOWS,
                        .target_kind = t->examples.windows.label ? BP_TARGET_CLASS : BP_TARGET_NONE,
                        .paired = !t->examples.windows.label,
                        .input_width = WIDTH,
                        .output_width = 1};
    assert_int_equal(bp_batch_room_size(room, &spec, t->examples.row_count, NULL), BP_OK);
    bp_arena arena = bp_arena_measure();
    bp_batch_room_plan(room, &arena, true);
    const size_t bytes = arena.used_bytes;
    assert_int_equal(bp_arena_open(&arena, bytes, NULL), BP_OK);
    bp_batch_room_plan(room, &arena, true);
    return arena;
}

/* The row of a window by its ids and place; fails where there is no such window. */
static bool is_window(const support_corpus *c, const int32_t *window, size_t row)
{
    int32_t wanted[WIDTH];
    bp_token_windows_gather(wanted, NULL, &c->windows, NULL, row, 1);
    return memcmp(wanted, window, sizeof wanted) == 0;
}

/* Every row once, in the order of rows, with its label, whatever the batches. */
static void test_batches_of_a_tagger(void **state)
{
    (void)state;
    support_corpus *c = support_places();
    support_windows *t = support_tagging(c);
    size_t order[TOKEN_LIMIT];
    const bp_random random = bp_random_stream(5, 0, BP_RANDOM_SHUFFLE, 2);
    bp_random_permutation(order, c->token_count, &random);
    for (size_t size = 1; size < c->token_count + 9; size += 8) {
        bp_batch_room room;
        bp_arena arena = open_room(&room, t, size);
        bp_batches batches;
        assert_int_equal(bp_batches_cut(&batches, &room, &t->examples, NULL), BP_OK);
        for (int shuffled = 0; shuffled < 2; shuffled++) {
            size_t seen = 0;
            batches.order = shuffled ? order : NULL;
            for (size_t index = 0; index < batches.batch_count; index++) {
                bp_batch batch;
                assert_int_equal(bp_batch_take(&batch, &room, NULL, &batches, index, NULL), BP_OK);
                assert_int_equal(batch.rows, batch.pass_rows);
                for (size_t i = 0; i < batch.rows; i++, seen++) {
                    const size_t row = shuffled ? order[seen] : seen;
                    assert_true(is_window(c, (const int32_t *)batch.input + i * WIDTH, row));
                    assert_int_equal(batch.targets.label[i], c->label[row]);
                }
            }
            assert_int_equal(seen, c->token_count);
        }
        bp_arena_done(&arena);
    }
    free(t);
    free(c);
}

/* All batches of an epoch, true windows and wrong ones, on end. */
static size_t take_pairs(int32_t *right, int32_t *wrong, const support_windows *t,
                         size_t batch_size, const size_t *order, uint64_t epoch)
{
    bp_batch_room room;
    bp_arena arena = open_room(&room, t, batch_size);
    bp_batches batches;
    size_t seen = 0;
    assert_int_equal(bp_batches_cut(&batches, &room, &t->examples, NULL), BP_OK);
    batches.order = order;
    batches.corruption = bp_random_stream(t->spec.seed, 0, BP_RANDOM_CORRUPTION, epoch);
    for (size_t index = 0; index < batches.batch_count; index++) {
        bp_batch batch;
        assert_int_equal(bp_batch_take(&batch, &room, NULL, &batches, index, NULL), BP_OK);
        assert_int_equal(batch.pass_rows, 2 * batch.rows);
        assert_null(batch.targets.label);
        const size_t count = batch.rows * WIDTH;
        memcpy(right + seen * WIDTH, batch.input, count * sizeof *right);
        memcpy(wrong + seen * WIDTH, (const int32_t *)batch.input + count, count * sizeof *wrong);
        seen += batch.rows;
    }
    bp_arena_done(&arena);
    return seen;
}

/* The wrong window of a pair depends on seed, epoch and place alone; it is one of those that it may be. */
static void test_corrupted_windows(void **state)
{
    (void)state;
    support_corpus *c = support_places();
    for (int kind = BP_CORRUPT_BY_OTHER; kind <= BP_CORRUPT_CENTRE; kind++) {
        support_windows *t = support_ranking(c, (bp_corruption_kind)kind);
        const size_t rows = t->examples.row_count, bytes = rows * WIDTH * sizeof(int32_t);
        static int32_t right[2][TOKEN_LIMIT * WIDTH], wrong[4][TOKEN_LIMIT * WIDTH];
        size_t order[TOKEN_LIMIT];
        const bp_random random = bp_random_stream(5, 0, BP_RANDOM_SHUFFLE, 2);
        bp_random_permutation(order, rows, &random);
        assert_int_equal(take_pairs(right[0], wrong[0], t, rows, order, 6), rows);
        for (size_t size = 1; size < rows; size += 4) {
            assert_int_equal(take_pairs(right[1], wrong[1], t, size, order, 6), rows);
            assert_memory_equal(right[0], right[1], bytes);
            assert_memory_equal(wrong[0], wrong[1], bytes);
        }
        take_pairs(right[1], wrong[2], t, 3, order, 7);
        assert_memory_equal(right[0], right[1], bytes);
        assert_memory_not_equal(wrong[0], wrong[2], bytes);
        t->spec.seed++;
        take_pairs(right[1], wrong[3], t, 3, order, 6);
        assert_memory_not_equal(wrong[0], wrong[3], bytes);
        for (size_t i = 0; i < rows; i++) {
            const size_t row = t->examples.window_row ? t->examples.window_row[order[i]] : order[i];
            const int32_t *true_one = right[0] + i * WIDTH, *other = wrong[0] + i * WIDTH;
            assert_true(is_window(c, true_one, row));
            bool found = false;
            for (size_t j = 0; kind == BP_CORRUPT_BY_OTHER && j < c->outside_count; j++)
                found |= is_window(c, other, c->outside[j]);
            if (kind == BP_CORRUPT_CENTRE) {
                found = other[WIDTH / 2] != true_one[WIDTH / 2] && other[WIDTH / 2] >= 1 &&
                        other[WIDTH / 2] < (int32_t)c->word_count;
                for (size_t j = 0; j < WIDTH; j++)
                    found &= j == WIDTH / 2 || other[j] == true_one[j];
            }
            assert_true(found);
        }
        free(t);
    }
    free(c);
}

/* ---- taggers ---- */

static void test_learns_to_tag(void **state)
{
    (void)state;
    support_corpus *c = support_places();
    support_windows *t = support_tagging(c);
    bp_trainer *trainer = support_windows_trainer(t, NULL);
    const bp_position position = bp_trainer_position(trainer);
    assert_int_equal(position.steps_per_epoch, (c->token_count + 6) / 7);
    const bp_evaluation before = support_evaluate(trainer, &t->examples);
    run(trainer);
    int32_t decided[TOKEN_LIMIT];
    memset(decided, -1, sizeof decided);
    bp_evaluation after;
    assert_int_equal(bp_trainer_evaluate(&after, trainer, &t->examples, decided, NULL), BP_OK);
    assert_int_equal(after.rows, c->token_count);
    assert_true(after.accuracy == 1 && after.loss < 0.05 && before.loss > 0.3);
    assert_memory_equal(decided, c->label, c->token_count * sizeof *decided);
    /* Sentence by sentence; one entity of two tokens in the labels, of which one is found, is none. */
    const bp_entity_tag tags[] = {{BP_ENTITY_OUTSIDE, 0}, {BP_ENTITY_BEGIN, 0}};
    bp_entity_count count = {0};
    bp_entity_score_sentences(&count, tags, c->label, decided, c->first, c->sentence_count);
    assert_int_equal(count.expected, c->inside_count);
    assert_int_equal(count.correct, c->inside_count);
    assert_true(bp_entity_score_ratio(&count).f1 == 1);

    bp_network_size size;
    size_t bytes;
    bp_evaluator *evaluator = NULL;
    bp_evaluation_report report;
    assert_int_equal(bp_trainer_measure(&bytes, &size, &t->spec, c->token_count, NULL), BP_OK);
    const bp_evaluator_spec spec = bp_training_evaluator(&t->spec, &size, c->token_count);
    assert_int_equal(bp_evaluator_create(&evaluator, &spec, NULL), BP_OK);
    memset(decided, -1, sizeof decided);
    assert_int_equal(
        bp_trainer_evaluate_full(&report, trainer, &t->examples, evaluator, decided, NULL), BP_OK);
    assert_true(report.loss == after.loss && report.accuracy == 1);
    assert_int_equal(report.classes[1].support, c->inside_count);
    assert_memory_equal(decided, c->label, c->token_count * sizeof *decided);
    bp_evaluator_free(evaluator);
    bp_trainer_free(trainer);
    free(t);
    free(c);
}

/* Sentences end where they end: an entity that goes on in the next sentence is another one. */
static void test_entities_end_with_sentences(void **state)
{
    (void)state;
    const bp_entity_tag tags[] = {
        {BP_ENTITY_OUTSIDE, 0}, {BP_ENTITY_BEGIN, 0}, {BP_ENTITY_INSIDE, 0}};
    const int32_t label[] = {0, 1, 2, 2, 0, 1}, decided[] = {0, 1, 2, 2, 0, 1};
    const size_t two[] = {0, 3, 6}, one[] = {0, 6};
    bp_entity_count count = {0};
    bp_entity_score_sentences(&count, tags, label, decided, one, 1);
    assert_int_equal(count.expected, 2);
    count = (bp_entity_count){0};
    bp_entity_score_sentences(&count, tags, label, decided, two, 2);
    assert_int_equal(count.expected, 3);
    assert_int_equal(count.found, 3);
    assert_int_equal(count.correct, 3);
}

/* ---- pairs ---- */

static double score_of(bp_trainer *trainer, support_corpus *c, const char *sentence)
{
    int32_t window[WIDTH];
    for (size_t i = 0; i < WIDTH; i++) {
        const size_t length = strcspn(sentence, " ");
        const size_t words = c->word_count;
        window[i] = support_word(c, sentence, length);
        assert_int_equal(words, c->word_count); /* it is known */
        sentence += length + (sentence[length] == ' ');
    }
    bp_network *network = bp_trainer_network(trainer);
    return ((const double *)bp_network_forward(network, NULL, window, 1, false))[0];
}

/* The example of the notes: words of 4 numbers, windows of 5, 8 sigmoids, one score. */
static void test_museums_in_paris(void **state)
{
    (void)state;
    for (int kind = BP_CORRUPT_BY_OTHER; kind <= BP_CORRUPT_CENTRE; kind++) {
        support_corpus *c = support_places();
        support_windows *t = support_ranking(c, (bp_corruption_kind)kind);
        t->spec.epochs = 150;
        bp_trainer *trainer = support_windows_trainer(t, NULL);
        bp_network *network = bp_trainer_network(trainer);
        const bp_tensor hidden = bp_network_tensor(network, 1);
        const bp_tensor score = bp_network_tensor(network, 3);
        assert_string_equal(bp_network_tensor(network, 0).name, "layers.1.weight");
        assert_int_equal(bp_network_tensor(network, 0).shape[1], 4);
        assert_int_equal(hidden.shape[0], 8);
        assert_int_equal(hidden.shape[1], 20);
        assert_int_equal(score.shape[0], 1);
        assert_int_equal(score.shape[1], 8);
        const bp_evaluation before = support_evaluate(trainer, &t->examples);
        run(trainer);
        const bp_evaluation after = support_evaluate(trainer, &t->examples);
        assert_int_equal(after.rows, t->examples.row_count);
        const double right = score_of(trainer, c, "museums in Paris are amazing");
        const double wrong = score_of(trainer, c, "not all museums in Paris");
        print_message("J %.3f, %.0f %% ranked right; then %.3f, %.0f %%; s %.2f, s_c %.2f\n",
                      before.loss, 100 * before.accuracy, after.loss, 100 * after.accuracy, right,
                      wrong);
        assert_true(before.loss > 0.8);
        if (kind == BP_CORRUPT_BY_OTHER) {
            assert_true(after.loss < 0.05 && after.accuracy > 0.95);
            assert_true(right > wrong + 1); /* by the margin */
        } else {
            assert_true(after.loss < 0.2 && after.accuracy > 0.9);
        }
        bp_trainer_free(trainer);
        free(t);
        free(c);
    }
}

/* The mean over pairs whose wrong windows are drawn by the row, the same in every evaluation. */
static void test_evaluation_of_pairs(void **state)
{
    (void)state;
    support_corpus *c = support_places();
    for (int kind = BP_CORRUPT_BY_OTHER; kind <= BP_CORRUPT_CENTRE; kind++) {
        support_windows *t = support_ranking(c, (bp_corruption_kind)kind);
        t->spec.network.loss.value[0] = 0.7; /* the margin */
        const size_t rows = t->examples.row_count;
        static int32_t right[TOKEN_LIMIT * WIDTH], wrong[TOKEN_LIMIT * WIDTH];
        take_pairs(right, wrong, t, rows, NULL, UINT64_MAX);
        bp_trainer *trainer = support_windows_trainer(t, NULL);
        bp_step_report report;
        for (size_t i = 0; i < 5; i++)
            assert_int_equal(bp_trainer_step(&report, trainer, true, NULL), BP_OK);
        double loss = 0, correct = 0;
        bp_network *network = bp_trainer_network(trainer);
        for (size_t i = 0; i < rows; i++) {
            const double s =
                *(const double *)bp_network_forward(network, NULL, right + i * WIDTH, 1, false);
            const double s_c =
                *(const double *)bp_network_forward(network, NULL, wrong + i * WIDTH, 1, false);
            loss += fmax(0, 0.7 + s_c - s) / (double)rows;
            correct += s > s_c;
        }
        bp_network_size size;
        size_t bytes;
        assert_int_equal(bp_trainer_measure(&bytes, &size, &t->spec, rows, NULL), BP_OK);
        const bp_evaluator_spec spec = bp_training_evaluator(&t->spec, &size, rows);
        bp_evaluator *evaluator = NULL;
        assert_int_equal(bp_evaluator_create(&evaluator, &spec, NULL), BP_OK);
        for (int repeated = 0; repeated < 2; repeated++) {
            bp_evaluation_report full;
            const bp_evaluation found = support_evaluate(trainer, &t->examples);
            assert_int_equal(found.rows, rows);
            assert_true(fabs(found.loss - loss) < 1e-12);
            assert_true(found.accuracy == correct / (double)rows);
            assert_int_equal(
                bp_trainer_evaluate_full(&full, trainer, &t->examples, evaluator, NULL, NULL),
                BP_OK);
            assert_int_equal(full.rows, rows);
            assert_true(full.loss == found.loss && full.accuracy == found.accuracy);
            assert_false(full.has_log_loss);
            assert_null(full.classes);
        }
        bp_evaluator_free(evaluator);
        bp_trainer_free(trainer);
        free(t);
    }
    free(c);
}

/* A step of pairs by the network alone, on the batch that the trainer is to take. */
static void test_a_step_of_pairs(void **state)
{
    (void)state;
    support_corpus *c = support_places();
    support_windows *t = support_ranking(c, BP_CORRUPT_BY_OTHER);
    const size_t rows = t->examples.row_count;
    static int32_t right[TOKEN_LIMIT * WIDTH], wrong[TOKEN_LIMIT * WIDTH];
    t->spec.batch_size = rows;
    t->spec.optimizer = support_choice_of(&bp_optimizer_family, "sgd", 0.5);
    bp_row_order order = {
        .seed = t->spec.seed, .row_count = rows, .index = calloc(rows, sizeof *order.index)};
    assert_non_null(order.index);
    bp_trainer *trainer = support_windows_trainer(t, NULL);
    bp_network_spec spec = t->spec.network;
    spec.batch_rows = 2 * rows;
    bp_network *network = support_network_create(&spec);
    bp_network_initialize(network, t->spec.seed);
    const size_t count = bp_network_block_count(network);
    double *theta = bp_network_parameters(network);
    for (size_t step = 0; step < 4; step++) { /* an epoch each */
        take_pairs(right, wrong, t, rows, bp_row_order_of(&order, step), step);
        memcpy(right + rows * WIDTH, wrong, rows * WIDTH * sizeof *wrong);
        const bp_targets none = {.label = NULL};
        const double loss = bp_network_train(network, NULL, right, 2 * rows, &none);
        const double *gradient = bp_network_gradients(network);
        for (size_t i = 0; i < count; i++)
            theta[i] -= 0.5 * gradient[i];
        bp_network_parameters_changed(network);
        bp_step_report report;
        assert_int_equal(bp_trainer_step(&report, trainer, false, NULL), BP_OK);
        assert_int_equal(report.rows, rows);
        assert_true(report.loss == loss);
    }
    assert_memory_equal(theta, bp_network_parameters(bp_trainer_network(trainer)),
                        count * sizeof *theta);
    bp_network_free(network);
    bp_trainer_free(trainer);
    free(order.index);
    free(t);
    free(c);
}

/* ---- bits ---- */

static support_snapshot finish(bp_trainer *trainer)
{
    run(trainer);
    support_snapshot last = support_snapshot_take(trainer);
    bp_trainer_free(trainer);
    return last;
}

static void test_threads(void **state)
{
    (void)state;
    support_corpus *c = support_places();
    support_windows *trainings[] = {support_tagging(c), support_ranking(c, BP_CORRUPT_BY_OTHER),
                                    support_ranking(c, BP_CORRUPT_CENTRE)};
    for (size_t i = 0; i < 3; i++) {
        support_windows *t = trainings[i];
        t->layers[1] = support_embedding(64, true, false); /* something to share */
        t->layers[2] = support_dense(256, "sigmoid");
        t->spec.epochs = 4;
        t->spec.batch_size = 50;
        support_snapshot alone = finish(support_windows_trainer(t, NULL));
        for (size_t threads = 2; threads <= 4; threads *= 2) {
            support_pool *pool = support_pool_open(threads);
            const bp_parallel parallel = support_pool_parallel(pool);
            support_snapshot together = finish(support_windows_trainer(t, &parallel));
            assert_true(support_pool_run_count(pool) >= 4);
            assert_true(support_snapshot_same(&alone, &together));
            free(together.memory);
            support_pool_close(pool);
        }
        free(alone.memory);
        free(t);
    }
    free(c);
}

static void test_goes_on_from_every_step(void **state)
{
    (void)state;
    support_corpus *c = support_places();
    support_windows *trainings[] = {support_tagging(c), support_ranking(c, BP_CORRUPT_BY_OTHER),
                                    support_ranking(c, BP_CORRUPT_CENTRE)};
    for (size_t i = 0; i < 3; i++) {
        support_windows *t = trainings[i];
        t->spec.epochs = 3;
        support_snapshot through = finish(support_windows_trainer(t, NULL));
        bp_trainer *probe = support_windows_trainer(t, NULL);
        const uint64_t steps = bp_trainer_position(probe).step_limit;
        bp_trainer_free(probe);
        for (uint64_t at = 0; at <= steps; at++) {
            bp_trainer *first = support_windows_trainer(t, NULL),
                       *second = support_windows_trainer(t, NULL);
            bp_step_report report;
            for (uint64_t step = 0; step < at; step++)
                assert_int_equal(bp_trainer_step(&report, first, false, NULL), BP_OK);
            support_snapshot taken = support_snapshot_take(first);
            bp_trainer_free(first);
            support_snapshot_restore(second, &taken);
            support_snapshot resumed = finish(second);
            assert_true(support_snapshot_same(&through, &resumed));
            free(resumed.memory);
            free(taken.memory);
        }
        free(through.memory);
        free(t);
    }
    free(c);
}

/* ---- refusals ---- */

static void test_refusals(void **state)
{
    (void)state;
    support_corpus *c = support_places();
    support_windows *t = support_tagging(c);
    bp_error error = {.status = BP_OK};
    bp_trainer *trainer = NULL;
    t->examples.row_count--;
    assert_int_equal(bp_trainer_create(&trainer, &t->spec, &t->examples, NULL, &error), BP_SHAPE);
    t->examples.row_count++;
    t->examples.windows.width = 3;
    assert_int_equal(bp_trainer_create(&trainer, &t->spec, &t->examples, NULL, NULL), BP_SHAPE);
    t->examples.windows.width = WIDTH;
    t->spec.network.loss = support_choice(&bp_loss_family, "mean_squared_error");
    assert_int_equal(bp_trainer_create(&trainer, &t->spec, &t->examples, NULL, NULL), BP_INVALID);
    free(t);
    free(c);
}

int main(void)
{
    bp_kernels_thread_start();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_batches_of_a_tagger),
        cmocka_unit_test(test_corrupted_windows),
        cmocka_unit_test(test_learns_to_tag),
        cmocka_unit_test(test_entities_end_with_sentences),
        cmocka_unit_test(test_museums_in_paris),
        cmocka_unit_test(test_evaluation_of_pairs),
        cmocka_unit_test(test_a_step_of_pairs),
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_goes_on_from_every_step),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
