/* What language models and taggers are asked and what they answer. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/loss/loss.h"
#include "schema/model/language_answer.h"
#include "schema/model/sentence_rows.h"
#include "tests/schema/support_datasets.h"

enum { TAGS = 3, WIDTH = 3 };

static char tag_texts[TAGS][8] = {"B-place", "I-place", "O"}, model_name[] = "places";
static char *tags[TAGS] = {tag_texts[0], tag_texts[1], tag_texts[2]};
static bp_vocabulary *words, *letters;
static bp_model_info tagger, scorer, writer, character_writer;

static bp_vocabulary *make_vocabulary(const char *text, bp_token_unit unit, bool padded)
{
    const bp_vocabulary_rule rule = {
        .unit = unit, .padded = padded, .lowercase = padded, .min_count = 1};
    bp_vocabulary_builder *builder;
    bp_vocabulary *vocabulary;
    bool full;
    assert_int_equal(bp_vocabulary_builder_create(&builder, &rule, UINT64_MAX, 1, NULL), BP_OK);
    assert_int_equal(bp_vocabulary_builder_feed(builder, text, strlen(text), &full, NULL), BP_OK);
    assert_int_equal(bp_vocabulary_builder_finish(builder, &vocabulary, NULL), BP_OK);
    bp_vocabulary_builder_free(builder);
    return vocabulary;
}

static int open_models(void **state)
{
    (void)state;
    words = make_vocabulary("in in in museums museums paris", BP_UNIT_WORD, true);
    letters = make_vocabulary("a\"\n\xe2\x82\xac", BP_UNIT_CHARACTER, false);
    tagger = (bp_model_info){
        .name = model_name,
        .version = 2,
        .task = BP_TASK_TAGGING,
        .vocabulary = words,
        .window_width = WIDTH,
        .classes = {.type = BP_COLUMN_CATEGORICAL, .count = TAGS, .texts = tags},
        .dtype = BP_FLOAT64,
        .loss = bp_choice_default(bp_loss_family.members[BP_LOSS_softmax_cross_entropy])};
    scorer = tagger;
    scorer.loss = bp_choice_default(bp_loss_family.members[BP_LOSS_max_margin]);
    writer = tagger;
    writer.task = BP_TASK_LANGUAGE_MODEL;
    character_writer = writer;
    character_writer.vocabulary = letters;
    character_writer.job = 5;
    character_writer.checkpoint = 7;
    return 0;
}

static int close_models(void **state)
{
    (void)state;
    bp_vocabulary_free(words);
    bp_vocabulary_free(letters);
    return 0;
}

/* Each fault stands at the pointer that is named, in order; NULL ends them. */
static void assert_faults(bp_faults *faults, const char *const *pointers)
{
    size_t count = 0;
    for (; pointers[count]; count++) {
        assert_true(count < faults->count);
        assert_string_equal(faults->items[count].pointer, pointers[count]);
    }
    assert_int_equal(faults->count, count);
    bp_faults_done(faults);
}

static void assert_text(bp_json_writer *out, const char *expected)
{
    bp_json_put(out, "", 1);
    assert_false(out->failed);
    assert_string_equal(out->bytes, expected);
    free(out->bytes);
    *out = (bp_json_writer){0};
}

/* ---- bodies ---- */

static void a_prediction_is_of_rows_or_of_sentences(void **state)
{
    (void)state;
    const bp_model_info table = {.task = BP_TASK_REGRESSION};
    static const struct {
        const char *body;
        bool tags;
        const char *faults[5];
    } cases[] = {
        {"{'rows': []}", false, {NULL}},
        {"{'sentences': []}", true, {NULL}},
        {"{}", false, {"/rows"}},
        {"{}", true, {"/sentences"}},
        {"{'rows': [], 'sentences': []}", false, {"/sentences"}},
        {"{'rows': []}", true, {"/rows", "/sentences"}},
        {"{'rows': [], 'probabilities': true}", false, {"/probabilities"}},
        {"{'sentences': [], 'probabilities': 1, 'seed': -1, 'mc_samples': 1e9, 'x': 1}",
         true,
         {"/probabilities", "/seed", "/mc_samples", "/x"}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        bp_faults faults = {0};
        bp_predict_request request;
        json_t *body = support_json(cases[i].body);
        bp_predict_request_read(&request, &faults, cases[i].tags ? &tagger : &table, body);
        assert_faults(&faults, cases[i].faults);
        assert_true((request.rows == NULL) == (cases[i].tags || !json_object_get(body, "rows")));
        json_decref(body);
    }
    bp_faults faults = {0};
    bp_predict_request request;
    json_t *body = support_json("{'sentences': [[]], 'probabilities': true, 'mc_samples': 3}");
    bp_predict_request_read(&request, &faults, &tagger, body);
    assert_true(request.sentences == json_object_get(body, "sentences") && request.probabilities);
    assert_int_equal(request.sample_count, 3);
    assert_int_equal(request.seed, 1);
    json_decref(body);
}

static void what_a_text_is_to_be(void **state)
{
    (void)state;
    bp_faults faults = {0};
    bp_generate_request request;
    json_t *body = support_json("{}");
    bp_generate_request_read(&request, &faults, body);
    assert_false(bp_faults_any(&faults));
    assert_string_equal(request.prompt, "");
    assert_int_equal(request.length, 200);
    assert_true(request.sampler.temperature == 1 && request.sampler.top_count == 0);
    assert_int_equal(request.seed, 1);
    assert_false(request.unknown || request.stream);
    json_decref(body);
    body =
        support_json("{'prompt': 'a b', 'length': 10000, 'temperature': 0, 'top_k': 4, 'seed': 0,"
                     " 'unknown': true, 'stream': true}");
    bp_generate_request_read(&request, &faults, body);
    assert_false(bp_faults_any(&faults));
    assert_int_equal(request.prompt_length, 3);
    assert_int_equal(request.length, 10000);
    assert_true(request.sampler.temperature == 0 && request.sampler.top_count == 4);
    assert_true(request.unknown && request.stream && request.seed == 0);
    json_decref(body);
    body = support_json("{'top_k': null}");
    bp_generate_request_read(&request, &faults, body);
    assert_false(bp_faults_any(&faults));
    json_decref(body);
    static const char *const pointers[] = {"/prompt",  "/length", "/temperature", "/top_k", "/seed",
                                           "/unknown", "/stream", "/top_p",       NULL};
    static const char *const bodies[] = {
        "{'prompt': 1, 'length': 0, 'temperature': -0.1, 'top_k': 0, 'seed': 0.5, 'unknown': 1,"
        " 'stream': 'yes', 'top_p': 0.9}",
        "{'prompt': null, 'length': 10001, 'temperature': '1', 'top_k': 1.5, 'seed': "
        "9007199254740992,"
        " 'unknown': null, 'stream': 0, 'top_p': null}"};
    for (size_t i = 0; i < 2; i++) {
        body = support_json(bodies[i]);
        bp_generate_request_read(&request, &faults, body);
        assert_faults(&faults, pointers);
        json_decref(body);
    }
}

static void which_text_is_judged(void **state)
{
    (void)state;
    bp_faults faults = {0};
    bp_score_request request;
    json_t *body = support_json("{'text': 'abc', 'tokens': true}");
    bp_score_request_read(&request, &faults, body);
    assert_false(bp_faults_any(&faults));
    assert_true(request.text_length == 3 && request.tokens);
    json_decref(body);
    body = support_json("{'tokens': 1}");
    bp_score_request_read(&request, &faults, body);
    assert_faults(&faults, (const char *const[]){"/tokens", "/text", NULL});
    json_decref(body);
    body = support_json("{'text': ['a']}");
    bp_score_request_read(&request, &faults, body);
    assert_faults(&faults, (const char *const[]){"/text", NULL});
    json_decref(body);
}

/* ---- sentences ---- */

static void sentences_become_windows(void **state)
{
    (void)state;
    /* 0 the unknown token, 1 the padding one, 2 in, 3 museums, 4 paris */
    static const int32_t expected[][WIDTH] = {{1, 3, 2}, {3, 2, 4}, {2, 4, 1}, {1, 0, 1}};
    bp_faults faults = {0};
    bp_sentence_rows rows;
    json_t *sentences = support_json("[['Museums', 'IN', 'paris'], [], ['at home'], []]");
    assert_int_equal(bp_sentence_rows_parse(&rows, &faults, &tagger, sentences, 4), BP_OK);
    assert_int_equal(rows.windows.row_count, 4);
    static const size_t first[] = {0, 3, 3, 4, 4};
    assert_memory_equal(rows.first, first, sizeof first);
    int32_t window[4][WIDTH];
    bp_token_windows_gather(window[0], NULL, &rows.windows, NULL, 0, 4);
    assert_memory_equal(window, expected, sizeof expected);
    bp_sentence_rows_done(&rows);
    json_decref(sentences);

    sentences = support_json("[]");
    assert_int_equal(bp_sentence_rows_parse(&rows, &faults, &tagger, sentences, 4), BP_OK);
    assert_int_equal(rows.windows.row_count, 0);
    bp_sentence_rows_done(&rows);
    json_decref(sentences);
}

static void faults_of_sentences(void **state)
{
    (void)state;
    static const struct {
        const char *sentences;
        bp_status status;
        const char *faults[4];
    } cases[] = {
        {"{}", BP_INVALID, {"/sentences"}},
        {"['Museums in Paris']", BP_INVALID, {"/sentences/0"}},
        {"[['a', 1], [null], ['']]",
         BP_INVALID,
         {"/sentences/0/1", "/sentences/1/0", "/sentences/2/0"}},
        {"[['a', 'b'], ['c', 'd', 'e']]", BP_TOO_LARGE, {"/sentences"}},
        {"[[], [], [], [], []]", BP_TOO_LARGE, {"/sentences"}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        bp_faults faults = {0};
        bp_sentence_rows rows;
        json_t *sentences = support_json(cases[i].sentences);
        assert_int_equal(bp_sentence_rows_parse(&rows, &faults, &tagger, sentences, 4),
                         cases[i].status);
        assert_faults(&faults, cases[i].faults);
        json_decref(sentences);
    }
}

static void a_tagger_names_tags_and_entities(void **state)
{
    (void)state;
    static const double shown[][TAGS] = {{0.25, 0.25, 0.5}, {0.75, 0.125, 0.125}, {0.1, 0.8, 0.1}};
    static const double mean[][TAGS] = {{1, 0, 0}, {0, 1, 0}, {0, 0, 1}}, entropy[] = {0, 1, 2};
    bp_faults faults = {0};
    bp_sentence_rows rows;
    bp_json_writer out = {0};
    json_t *sentences = support_json("[['in', 'New', 'York'], []]");
    assert_int_equal(bp_sentence_rows_parse(&rows, &faults, &tagger, sentences, 4), BP_OK);
    bp_tag_answer_write(&out, &tagger, &rows, shown, false, NULL);
    assert_text(&out,
                "{\"model\":\"places\",\"version\":2,\"tags\":[\"B-place\",\"I-place\",\"O\"],"
                "\"predictions\":[{\"tokens\":[{\"token\":\"in\",\"tag\":\"O\",\"score\":0.5},"
                "{\"token\":\"New\",\"tag\":\"B-place\",\"score\":0.75},"
                "{\"token\":\"York\",\"tag\":\"I-place\",\"score\":0.8}],"
                "\"entities\":[{\"start\":1,\"end\":3,\"type\":\"place\","
                "\"text\":\"New York\"}]},{\"tokens\":[],\"entities\":[]}]}");
    const bp_tag_samples samples = {mean[0], mean[0], entropy};
    bp_tag_answer_write(&out, &tagger, &rows, shown, true, &samples);
    bp_json_put(&out, "", 1);
    json_t *answer = json_loads(out.bytes, JSON_REJECT_DUPLICATES, NULL);
    const json_t *token = json_array_get(
        json_object_get(json_array_get(json_object_get(answer, "predictions"), 0), "tokens"), 1);
    json_t *expected =
        support_json("{'token': 'New', 'tag': 'B-place', 'score': 0.75,"
                     " 'probabilities': [0.75, 0.125, 0.125], 'mean': [0.0, 1.0, 0.0],"
                     " 'std': [0.0, 1.0, 0.0], 'entropy': 1.0}");
    assert_true(json_equal(token, expected));
    json_decref(expected);
    json_decref(answer);
    free(out.bytes);
    bp_sentence_rows_done(&rows);
    json_decref(sentences);
}

static void a_scorer_names_neither(void **state)
{
    (void)state;
    static const double shown[] = {1.5, -2}, entropy[] = {NAN, NAN};
    const bp_tag_samples samples = {shown, shown, entropy};
    bp_faults faults = {0};
    bp_sentence_rows rows;
    bp_json_writer out = {0};
    json_t *sentences = support_json("[['in', 'Paris']]");
    assert_int_equal(bp_sentence_rows_parse(&rows, &faults, &scorer, sentences, 4), BP_OK);
    bp_tag_answer_write(&out, &scorer, &rows, shown, true, NULL);
    assert_text(&out, "{\"model\":\"places\",\"version\":2,\"predictions\":[{\"tokens\":["
                      "{\"token\":\"in\",\"score\":1.5},{\"token\":\"Paris\",\"score\":-2.0}]}]}");
    bp_tag_answer_write(&out, &scorer, &rows, shown, false, &samples);
    bp_json_put(&out, "", 1);
    assert_non_null(
        strstr(out.bytes, "\"score\":-2.0,\"mean\":-2.0,\"std\":-2.0,\"entropy\":null}"));
    free(out.bytes);
    bp_sentence_rows_done(&rows);
    json_decref(sentences);
}

static void numbers_that_are_none_are_faults(void **state)
{
    (void)state;
    static const double shown[][TAGS] = {{0, 1, 0}, {NAN, 0, 0}, {0, 1, 0}, {0, 0, INFINITY}};
    bp_faults faults = {0};
    bp_sentence_rows rows;
    json_t *sentences = support_json("[['a', 'b'], [], ['c', 'd']]");
    assert_int_equal(bp_sentence_rows_parse(&rows, &faults, &tagger, sentences, 4), BP_OK);
    bp_tag_answer_check(&faults, &tagger, &rows, shown);
    assert_faults(&faults, (const char *const[]){"/sentences/0/1", "/sentences/2/1", NULL});
    bp_sentence_rows_done(&rows);
    json_decref(sentences);
}

/* ---- texts ---- */

static void texts_are_put_together(void **state)
{
    (void)state;
    static const int32_t ids[] = {3, 2, 4}, characters[] = {3, 0, 1};
    const bp_generate_request request = {.prompt = "say \"", .prompt_length = 5};
    bp_json_writer out = {0};
    bp_generate_answer_write(&out, &writer, &request, ids, 3);
    assert_text(&out, "{\"model\":\"places\",\"version\":2,\"prompt\":\"say \\\"\","
                      "\"text\":\"museums in paris\",\"tokens\":3}");
    bp_generate_answer_write(&out, &character_writer, &request, characters, 3);
    assert_text(&out, "{\"model\":null,\"version\":null,\"job\":5,\"checkpoint\":7,"
                      "\"prompt\":\"say \\\"\",\"text\":\"\xe2\x82\xac\\n\\\"\",\"tokens\":3}");
}

static void events_spell_the_text(void **state)
{
    (void)state;
    static const int32_t ids[] = {3, 2};
    const bp_generate_request request = {.prompt = ""};
    bp_json_writer out = {0};
    bp_token_event_write(&out, &writer, 0, ids[0]);
    bp_token_event_write(&out, &writer, 1, ids[1]);
    bp_generate_end_event_write(&out, &writer, &request, ids, 2);
    assert_text(&out, "event: token\ndata: {\"index\":0,\"text\":\"museums\"}\n\n"
                      "event: token\ndata: {\"index\":1,\"text\":\" in\"}\n\n"
                      "event: end\ndata: {\"model\":\"places\",\"version\":2,\"prompt\":\"\","
                      "\"text\":\"museums in\",\"tokens\":2}\n\n");
    bp_token_event_write(&out, &character_writer, 9, 0);
    bp_generate_error_event_write(&out, "no \"more\"");
    assert_text(&out, "event: token\ndata: {\"index\":9,\"text\":\"\\n\"}\n\n"
                      "event: error\ndata: {\"detail\":\"no \\\"more\\\"\"}\n\n");
}

static void scores_are_of_nats_and_bits(void **state)
{
    (void)state;
    static const int32_t ids[] = {0, 3};
    static const double logs[] = {-1.5, 0};
    const bp_text_score score = {.count = 2, .unknown_count = 1, .loss = 0};
    const bp_text_score shown = {.count = 2, .loss = 0, .ids = ids, .log_probability = logs};
    bp_json_writer out = {0};
    bp_score_answer_write(&out, &writer, &score);
    assert_text(&out, "{\"model\":\"places\",\"version\":2,\"tokens\":2,\"unknown\":1,\"loss\":0.0,"
                      "\"perplexity\":1.0}");
    bp_score_answer_write(&out, &character_writer, &shown);
    assert_text(&out, "{\"model\":null,\"version\":null,\"job\":5,\"checkpoint\":7,\"tokens\":2,"
                      "\"loss\":0.0,\"perplexity\":1.0,\"bits_per_character\":0.0,\"scores\":["
                      "{\"token\":\"\\n\",\"log_probability\":-1.5},"
                      "{\"token\":\"\xe2\x82\xac\",\"log_probability\":0.0}]}");
    const bp_text_score bits = {.count = 1, .loss = 3 * log(2)};
    bp_score_answer_write(&out, &character_writer, &bits);
    bp_json_put(&out, "", 1);
    json_t *answer = json_loads(out.bytes, 0, NULL);
    assert_true(fabs(json_real_value(json_object_get(answer, "bits_per_character")) - 3) < 1e-14);
    assert_true(fabs(json_real_value(json_object_get(answer, "perplexity")) - 8) < 1e-13);
    json_decref(answer);
    free(out.bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_prediction_is_of_rows_or_of_sentences),
        cmocka_unit_test(what_a_text_is_to_be),
        cmocka_unit_test(which_text_is_judged),
        cmocka_unit_test(sentences_become_windows),
        cmocka_unit_test(faults_of_sentences),
        cmocka_unit_test(a_tagger_names_tags_and_entities),
        cmocka_unit_test(a_scorer_names_neither),
        cmocka_unit_test(numbers_that_are_none_are_faults),
        cmocka_unit_test(texts_are_put_together),
        cmocka_unit_test(events_spell_the_text),
        cmocka_unit_test(scores_are_of_nats_and_bits),
    };
    return cmocka_run_group_tests(tests, open_models, close_models);
}
