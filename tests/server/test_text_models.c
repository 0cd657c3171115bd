/* Language models of hand-written weights: what they write and how they judge, beside a plain loop. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "core/layer/token_layers.h"
#include "core/loss/loss.h"
#include "schema/language/token_encoder.h"
#include "server/model/model_loader.h"
#include "server/model/text_generation.h"
#include "server/model/text_scoring.h"
#include "tests/server/support_directory.h"
#include "tests/server/support_models.h"

enum { DIMENSION = 3, UNITS = 4, MOST_TOKENS = 8 };

static const char letters[] = "\nabcde";    /* of the model "letters" */
static const char words[] = "to be or not"; /* and of "words" */

typedef struct fixture {
    char directory[SUPPORT_PATH_SIZE];
    bp_store *store;
    bp_models *models;
} fixture;

static double weight(size_t tensor, size_t element)
{
    return 1.5 * sin(1.0 + 1.7 * (double)element + 5.3 * (double)tensor);
}

/* As `weight`, but that the last bias makes the unknown token, number 0, by far the most likely. */
static double weight_of_words(size_t tensor, size_t element)
{
    return tensor == 6 && element == 0 ? 20 : weight(tensor, element);
}

static double weight_of_broken(size_t tensor, size_t element)
{
    return tensor == 6 && element == 1 ? (double)NAN : weight(tensor, element);
}

static void store_model(fixture *f, const char *name, const char *text, bp_token_unit unit,
                        double (*weights)(size_t tensor, size_t element))
{
    bp_vocabulary *vocabulary = support_vocabulary(text, unit, false);
    const support_layer layers[] = {{BP_LAYER_embedding, DIMENSION},
                                    {BP_LAYER_rnn, UNITS},
                                    {BP_LAYER_dense, (double)bp_vocabulary_count(vocabulary)}};
    bp_model_info info = {.task = BP_TASK_LANGUAGE_MODEL,
                          .vocabulary = vocabulary,
                          .vocabulary_rule = {.unit = unit, .min_count = 1},
                          .window_width = 1};
    support_model_describe(&info, name, BP_FLOAT64, layers, 3, BP_LOSS_softmax_cross_entropy);
    support_model_store(f->store, &info, weights);
    support_model_forget(&info);
    bp_vocabulary_free(vocabulary);
}

static int open_models(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    support_directory_make(f->directory);
    assert_int_equal(bp_store_open(&f->store, f->directory, NULL), BP_OK);
    store_model(f, "letters", letters, BP_UNIT_CHARACTER, weight);
    store_model(f, "words", words, BP_UNIT_WORD, weight_of_words);
    store_model(f, "broken", letters, BP_UNIT_CHARACTER, weight_of_broken);
    store_model(f, "lineless", "abc", BP_UNIT_CHARACTER, weight);
    assert_int_equal(bp_models_open(&f->models, f->store, bp_isa_detect(), 1 << 30, NULL), BP_OK);
    *state = f;
    return 0;
}

static int close_models(void **state)
{
    fixture *f = *state;
    bp_models_close(f->models);
    bp_store_close(f->store);
    support_directory_remove(f->directory);
    free(f);
    return 0;
}

static bp_model *borrow(const fixture *f, const char *name)
{
    bp_model *model;
    bp_error error = {.status = BP_OK};
    if (bp_models_borrow(&model, f->models, name, 0, &error) != BP_OK)
        fail_msg("%s: %s", error.where, error.message);
    return model;
}

/* ---- the plain loop ---- */

/* Reads a token: h (UNITS) goes on, logit (count) is what comes next. */
static void plain_step(double *h, double *logit, int32_t token, size_t count,
                       double (*weights)(size_t tensor, size_t element))
{
    double next[UNITS];
    for (size_t u = 0; u < UNITS; u++) {
        double sum = weights(3, u) + weights(4, u);
        for (size_t d = 0; d < DIMENSION; d++)
            sum += weights(1, u * DIMENSION + d) * weights(0, (size_t)token * DIMENSION + d);
        for (size_t k = 0; k < UNITS; k++)
            sum += weights(2, u * UNITS + k) * h[k];
        next[u] = tanh(sum);
    }
    memcpy(h, next, sizeof next);
    for (size_t id = 0; id < count; id++) {
        logit[id] = weights(6, id);
        for (size_t u = 0; u < UNITS; u++)
            logit[id] += weights(5, id * UNITS + u) * h[u];
    }
}

/* What comes after tokens (count), written by the letters model into out (length). */
static void plain_generate(int32_t *out, const int32_t *tokens, size_t count,
                           const bp_generate_request *request)
{
    double h[UNITS] = {0}, logit[MOST_TOKENS] = {0}, scratch[2 * MOST_TOKENS];
    const bp_random random = bp_random_stream(request->seed, 0, BP_RANDOM_GENERATE, 0);
    for (size_t i = 0; i < count; i++)
        plain_step(h, logit, tokens[i], strlen(letters), weight);
    for (uint64_t i = 0; i < request->length; i++) {
        out[i] = bp_token_sample(&request->sampler, logit, BP_FLOAT64, strlen(letters), scratch,
                                 &random, i);
        plain_step(h, logit, out[i], strlen(letters), weight);
    }
}

/* ---- writing ---- */

static bp_text_generation *begin(const fixture *f, const char *name,
                                 const bp_generate_request *request)
{
    bp_text_generation *generation;
    bp_error error = {.status = BP_OK};
    if (bp_text_generation_create(&generation, borrow(f, name), request, &error) != BP_OK)
        fail_msg("%s: %s", error.where, error.message);
    return generation;
}

static const int32_t *finish(bp_text_generation *generation, size_t length)
{
    size_t count;
    while (!bp_text_generation_is_done(generation))
        assert_int_equal(bp_text_generation_turn(generation, NULL), BP_OK);
    const int32_t *tokens = bp_text_generation_tokens(generation, &count);
    assert_int_equal(count, length);
    return tokens;
}

static bp_generate_request request_of(const char *prompt, uint64_t length)
{
    return (bp_generate_request){.prompt = prompt,
                                 .prompt_length = strlen(prompt),
                                 .length = length,
                                 .sampler.temperature = 1,
                                 .seed = 7};
}

static void a_text_is_that_of_a_plain_loop(void **state)
{
    static char long_prompt[1001];
    const fixture *f = *state;
    for (size_t i = 0; i < sizeof long_prompt - 1; i++)
        long_prompt[i] = letters[i * i % strlen(letters)];
    const char *const prompts[] = {"", "a", "abcde\nedcba", long_prompt};
    const bp_sampler_spec samplers[] = {{1, 0}, {0, 0}, {0.5, 0}, {2, 3}, {1, 1}};
    const uint64_t lengths[] = {1, 5, 300};
    for (size_t i = 0; i < 4 * 5 * 3; i++) {
        bp_generate_request request = request_of(prompts[i % 4], lengths[i / 20]);
        request.sampler = samplers[i / 4 % 5];
        request.seed = i;
        int32_t *tokens, expected[300];
        size_t count;
        bp_model *model = borrow(f, "letters");
        /* An empty prompt is a line break, which is not part of the text. */
        const char *read = i % 4 == 0 ? "\n" : request.prompt;
        assert_int_equal(bp_tokens_encode(&tokens, &count, bp_model_info_of(model)->vocabulary,
                                          read, strlen(read), NULL),
                         BP_OK);
        bp_model_release(model);
        plain_generate(expected, tokens, count, &request);
        bp_text_generation *generation = begin(f, "letters", &request);
        assert_memory_equal(finish(generation, request.length), expected,
                            request.length * sizeof *expected);
        bp_text_generation_free(generation);
        free(tokens);
    }
}

static void texts_that_take_turns_do_not_know_of_each_other(void **state)
{
    enum { COUNT = 5, LENGTH = 400 };
    const fixture *f = *state;
    bp_text_generation *alone[COUNT], *together[COUNT];
    bool goes_on = true;
    for (size_t i = 0; i < COUNT; i++) {
        bp_generate_request request = request_of(i % 2 ? "abc" : "ec", LENGTH);
        request.seed = i;
        alone[i] = begin(f, "letters", &request);
        together[i] = begin(f, "letters", &request);
        (void)finish(alone[i], LENGTH);
    }
    while (goes_on) {
        goes_on = false;
        for (size_t i = 0; i < COUNT; i++)
            if (!bp_text_generation_is_done(together[i])) {
                assert_int_equal(bp_text_generation_turn(together[i], NULL), BP_OK);
                goes_on = true;
            }
    }
    for (size_t i = 0; i < COUNT; i++) {
        assert_memory_equal(finish(alone[i], LENGTH), finish(together[i], LENGTH),
                            LENGTH * sizeof(int32_t));
        assert_true(i == 0 || memcmp(finish(alone[i], LENGTH), finish(alone[0], LENGTH),
                                     LENGTH * sizeof(int32_t)) != 0);
    }
    for (size_t i = 0; i < COUNT; i++) {
        bp_text_generation_free(alone[i]);
        bp_text_generation_free(together[i]);
    }
}

static void a_longer_text_begins_like_a_shorter_one(void **state)
{
    const fixture *f = *state;
    const bp_generate_request shorter = request_of("ab", 30), longer = request_of("ab", 200);
    bp_text_generation *a = begin(f, "letters", &shorter), *b = begin(f, "letters", &longer);
    assert_memory_equal(finish(a, 30), finish(b, 200), 30 * sizeof(int32_t));
    bp_text_generation_free(a);
    bp_text_generation_free(b);
}

static void the_unknown_token_is_drawn_where_it_is_asked_for(void **state)
{
    const fixture *f = *state;
    bp_generate_request request = request_of("to be", 200);
    bp_text_generation *generation = begin(f, "words", &request);
    const int32_t *tokens = finish(generation, 200);
    size_t seen[5] = {0};
    for (size_t i = 0; i < 200; i++)
        seen[tokens[i]]++;
    assert_int_equal(seen[0], 0);
    for (size_t id = 1; id < 5; id++)
        assert_true(seen[id] > 0);
    bp_text_generation_free(generation);
    request.unknown = true;
    generation = begin(f, "words", &request);
    tokens = finish(generation, 200);
    for (size_t i = 0; i < 200; i++)
        assert_int_equal(tokens[i], 0);
    bp_text_generation_free(generation);
}

static void without_prompt_or_line_break_the_first_token_is_drawn_evenly(void **state)
{
    const fixture *f = *state;
    size_t seen[5] = {0};
    for (uint64_t seed = 0; seed < 400; seed++) {
        bp_generate_request request = request_of(seed % 2 ? "" : " \t", 1);
        request.seed = seed;
        bp_text_generation *generation = begin(f, "words", &request);
        seen[finish(generation, 1)[0]]++;
        bp_text_generation_free(generation);
    }
    assert_int_equal(seen[0], 0);
    for (size_t id = 1; id < 5; id++)
        assert_in_range(seen[id], 60, 140);
    const bp_generate_request request = request_of("", 3);
    bp_text_generation *generation = begin(f, "lineless", &request);
    (void)finish(generation, 3);
    bp_text_generation_free(generation);
}

static void faults_of_a_text(void **state)
{
    const fixture *f = *state;
    bp_text_generation *generation;
    bp_error error = {.status = BP_OK};
    bp_generate_request request = request_of("abx", 3);
    bp_model *model = borrow(f, "letters");
    assert_int_equal(bp_text_generation_create(&generation, model, &request, &error), BP_INVALID);
    assert_string_equal(error.where, "character 3");
    bp_model_release(model);
    request.prompt_length = 2;
    generation = begin(f, "broken", &request);
    assert_int_equal(bp_text_generation_turn(generation, &error), BP_NOT_FINITE);
    bp_text_generation_free(generation);
}

/* ---- judging ---- */

static bp_status score(bp_text_score *out, bp_text_scoring **out_scoring, const fixture *f,
                       const char *name, const char *text, bool tokens, bp_error *error)
{
    const bp_score_request request = {text, strlen(text), tokens};
    bp_status status = bp_text_scoring_create(out_scoring, borrow(f, name), &request, error);
    while (status == BP_OK && !bp_text_scoring_is_done(*out_scoring))
        status = bp_text_scoring_turn(*out_scoring, error);
    if (status == BP_OK)
        *out = bp_text_scoring_result(*out_scoring);
    return status;
}

static double log_sum(const double *logit, size_t count)
{
    double sum = 0;
    for (size_t id = 0; id < count; id++)
        sum += exp(logit[id]);
    return log(sum);
}

static void a_score_is_that_of_a_plain_loop(void **state)
{
    enum { LENGTH = 10000 };
    static char text[LENGTH + 1];
    const fixture *f = *state;
    const size_t count = strlen(letters);
    double h[UNITS] = {0}, logit[MOST_TOKENS], total = 0;
    for (size_t i = 0; i < LENGTH; i++)
        text[i] = letters[(i * i + i / 7) % count];
    bp_text_score result;
    bp_text_scoring *scoring;
    assert_int_equal(score(&result, &scoring, f, "letters", text, true, NULL), BP_OK);
    assert_int_equal(result.count, LENGTH - 1);
    for (size_t i = 0; i + 1 < LENGTH; i++) {
        /* Ids of characters are their places in order. */
        const int32_t next = (int32_t)(strchr(letters, text[i + 1]) - letters);
        plain_step(h, logit, (int32_t)(strchr(letters, text[i]) - letters), count, weight);
        const double expected = logit[next] - log_sum(logit, count);
        assert_int_equal(result.ids[i], next);
        assert_true(fabs(result.log_probability[i] - expected) < 1e-11);
        total -= expected;
    }
    assert_true(fabs(result.loss - total / (LENGTH - 1)) < 1e-11);
    const double loss = result.loss;
    bp_text_scoring_free(scoring);
    assert_int_equal(score(&result, &scoring, f, "letters", text, false, NULL), BP_OK);
    assert_true(result.loss == loss && result.ids == NULL);
    bp_text_scoring_free(scoring);
}

static void unknown_words_are_counted(void **state)
{
    bp_text_score result;
    bp_text_scoring *scoring;
    assert_int_equal(score(&result, &scoring, *state, "words", " to be and\nnot  to", false, NULL),
                     BP_OK);
    assert_int_equal(result.count, 4);
    assert_int_equal(result.unknown_count, 1);
    bp_text_scoring_free(scoring);
}

static void faults_of_a_score(void **state)
{
    static char text[2 * BP_SCORED_TOKEN_LIMIT];
    static const char *const short_ones[] = {"", "a"};
    bp_text_score result;
    bp_text_scoring *scoring;
    bp_error error = {.status = BP_OK};
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(score(&result, &scoring, *state, "letters", short_ones[i], false, &error),
                         BP_INVALID);
        assert_string_equal(error.where, "/text");
        bp_text_scoring_free(scoring);
    }
    error = (bp_error){.status = BP_OK};
    assert_int_equal(score(&result, &scoring, *state, "broken", "abc", false, &error),
                     BP_NOT_FINITE);
    bp_text_scoring_free(scoring);
    error = (bp_error){.status = BP_OK};
    memset(text, 'a', sizeof text - 1);
    text[9998] = '~';
    assert_int_equal(score(&result, &scoring, *state, "letters", text, false, &error), BP_INVALID);
    assert_string_equal(error.where, "character 9999");
    bp_text_scoring_free(scoring);
    error = (bp_error){.status = BP_OK};
    text[9998] = 'b';
    assert_int_equal(score(&result, &scoring, *state, "letters", text, true, &error), BP_TOO_LARGE);
    assert_string_equal(error.where, "/tokens");
    bp_text_scoring_free(scoring);
    text[BP_SCORED_TOKEN_LIMIT + 2] = '\0';
    error = (bp_error){.status = BP_OK};
    assert_int_equal(score(&result, &scoring, *state, "letters", text, true, &error), BP_TOO_LARGE);
    assert_string_equal(error.where, "/tokens");
    bp_text_scoring_free(scoring);
    text[BP_SCORED_TOKEN_LIMIT + 1] = '\0';
    assert_int_equal(score(&result, &scoring, *state, "letters", text, true, NULL), BP_OK);
    assert_int_equal(result.count, BP_SCORED_TOKEN_LIMIT);
    bp_text_scoring_free(scoring);
}

/* Bytes that the cache is to count for a model: its network with what it carries, and its vocabulary. */
static uint64_t bytes_of(const fixture *f, const char *name)
{
    bp_network_spec spec;
    bp_network_size size;
    bp_network *network;
    bp_model *model = borrow(f, name);
    const bp_model_info *info = bp_model_info_of(model);
    bp_model_info_network(&spec, info, bp_isa_detect(), BP_PREDICTION_CHUNK);
    assert_int_equal(bp_network_measure(&size, &spec, NULL), BP_OK);
    assert_int_equal(bp_network_create(&network, &spec, NULL), BP_OK);
    assert_true(bp_network_state_bytes(network) >= UNITS * sizeof(double));
    bp_network_free(network);
    const uint64_t bytes = size.total_bytes + bp_vocabulary_bytes(info->vocabulary);
    bp_model_release(model);
    return bytes;
}

static void the_cache_counts_states_and_vocabularies(void **state)
{
    const fixture *f = *state;
    const uint64_t both = bytes_of(f, "letters") + bytes_of(f, "words");
    for (uint64_t missing = 0; missing < 2; missing++) {
        fixture small = *f;
        assert_int_equal(
            bp_models_open(&small.models, f->store, bp_isa_detect(), both - missing, NULL), BP_OK);
        bp_model_release(borrow(&small, "letters"));
        bp_model_release(borrow(&small, "words"));
        bp_model *first = bp_models_borrow_loaded(small.models, "letters", 0);
        assert_true((first != NULL) == (missing == 0));
        bp_model_release(first);
        bp_models_close(small.models);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_text_is_that_of_a_plain_loop),
        cmocka_unit_test(texts_that_take_turns_do_not_know_of_each_other),
        cmocka_unit_test(a_longer_text_begins_like_a_shorter_one),
        cmocka_unit_test(the_unknown_token_is_drawn_where_it_is_asked_for),
        cmocka_unit_test(without_prompt_or_line_break_the_first_token_is_drawn_evenly),
        cmocka_unit_test(faults_of_a_text),
        cmocka_unit_test(a_score_is_that_of_a_plain_loop),
        cmocka_unit_test(unknown_words_are_counted),
        cmocka_unit_test(faults_of_a_score),
        cmocka_unit_test(the_cache_counts_states_and_vocabularies),
    };
    return cmocka_run_group_tests(tests, open_models, close_models);
}
