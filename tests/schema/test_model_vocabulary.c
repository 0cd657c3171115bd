/* Models of texts and of tagged sentences: what of the corpus is in their documents. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/activation/activation.h"
#include "core/initializer/initializer.h"
#include "core/layer/token_layers.h"
#include "core/loss/loss.h"
#include "schema/json/json_text.h"
#include "schema/model/model_info.h"
#include "schema/model/model_vocabulary.h"
#include "schema/weights/safetensors.h"
#include "tests/schema/support_datasets.h"

static bp_vocabulary *make_vocabulary(const bp_vocabulary_rule *rule, const char *text)
{
    bp_vocabulary_builder *builder;
    bp_vocabulary *vocabulary;
    bool full;
    assert_int_equal(bp_vocabulary_builder_create(&builder, rule, UINT64_MAX, 1, NULL), BP_OK);
    assert_int_equal(bp_vocabulary_builder_feed(builder, text, strlen(text), &full, NULL), BP_OK);
    assert_int_equal(bp_vocabulary_builder_finish(builder, &vocabulary, NULL), BP_OK);
    bp_vocabulary_builder_free(builder);
    return vocabulary;
}

static bp_layer_spec dense(size_t units)
{
    bp_layer_spec layer = {
        .layer = bp_choice_default(bp_layer_family.members[BP_LAYER_dense]),
        .activation = bp_choice_default(bp_activation_family.members[BP_ACTIVATION_identity]),
        .initializer =
            bp_choice_default(bp_initializer_family.members[BP_INITIALIZER_xavier_uniform])};
    layer.layer.value[0] = (double)units;
    return layer;
}

/* A window, where one is wanted, and an embedding, as every network over tokens begins. Returns how many. */
static size_t put_token_layers(bp_layer_spec *layers, size_t window_width)
{
    size_t count = 0;
    if (window_width > 1) {
        layers[count] =
            (bp_layer_spec){.layer = bp_choice_default(bp_layer_family.members[BP_LAYER_window])};
        layers[count++].layer.value[BP_WINDOW_WIDTH] = (double)window_width;
    }
    layers[count] =
        (bp_layer_spec){.layer = bp_choice_default(bp_layer_family.members[BP_LAYER_embedding]),
                        .initializer = bp_choice_default(
                            bp_initializer_family.members[BP_INITIALIZER_xavier_uniform])};
    layers[count++].layer.value[BP_EMBEDDING_DIMENSION] = 3;
    return count;
}

/* What a job would hand over. */
static bp_model_info *make_model(bp_task_kind task, const bp_vocabulary_rule *rule,
                                 const char *text)
{
    char place[] = "B-place", outside[] = "O", name[] = "m", dataset[] = "plays";
    char *tags[] = {place, outside};
    bp_vocabulary *vocabulary = make_vocabulary(rule, text);
    const bool tagging = task == BP_TASK_TAGGING;
    bp_layer_spec layers[3];
    size_t layer_count = put_token_layers(layers, tagging ? 5 : 1);
    layers[layer_count++] = dense(tagging ? 2 : bp_vocabulary_count(vocabulary));
    bp_job_spec spec = {
        .name = name,
        .task = task,
        .dataset = dataset,
        .classes = {.type = BP_COLUMN_CATEGORICAL, .count = tagging ? 2 : 0, .texts = tags},
        .target_width = tagging ? 2 : bp_vocabulary_count(vocabulary),
        .corpus = {.rule = *rule, .vocabulary = vocabulary, .window_width = tagging ? 5 : 1},
        .layer_count = layer_count,
        .layers = layers,
        .training.network.loss =
            bp_choice_default(bp_loss_family.members[BP_LOSS_softmax_cross_entropy])};
    memset(spec.dataset_sha256, 'a', 64);
    bp_model_info *info;
    bp_error error = {0};
    if (bp_model_info_create(&info, &spec, NULL, NULL, &error) != BP_OK)
        fail_msg("%s", error.message);
    assert_ptr_equal(info->vocabulary, vocabulary);
    bp_vocabulary_free(vocabulary); /* the model has a share of its own */
    strcpy(info->created, "2026-01-02T03:04:05Z");
    return info;
}

static bp_status reread(bp_model_info **out, const json_t *document)
{
    bp_error error = {0};
    char *text = bp_json_text(document, NULL);
    json_t *stored = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    const bp_status status = bp_model_info_parse(out, stored, &error);
    json_decref(stored);
    free(text);
    return status;
}

static const bp_vocabulary_rule characters = {.unit = BP_UNIT_CHARACTER, .min_count = 1};
static const bp_vocabulary_rule words = {
    .unit = BP_UNIT_WORD, .lowercase = true, .min_count = 2, .max_count = 9};
static const bp_vocabulary_rule sentences = {.unit = BP_UNIT_WORD, .padded = true, .min_count = 1};

static void test_documents(void **state)
{
    (void)state;
    const struct {
        bp_task_kind task;
        const bp_vocabulary_rule *rule;
        const char *text, *vocabulary;
    } rows[] = {
        {BP_TASK_LANGUAGE_MODEL, &characters, "abca é",
         "{'unit': 'character', 'lowercase': false, 'unknown': null, 'padding': null, 'tokens': "
         "[' ', 'a', 'b', 'c', 'é'], 'min_count': 1, 'max_vocabulary': null, 'size': 5}"},
        {BP_TASK_LANGUAGE_MODEL, &words, "So so it it IT goes",
         "{'unit': 'word', 'lowercase': true, 'unknown': 0, 'padding': null, 'tokens': ['<unk>', "
         "'it', 'so'], 'min_count': 2, 'max_vocabulary': 9, 'size': 3}"},
        {BP_TASK_TAGGING, &sentences, "in Paris in",
         "{'unit': 'word', 'lowercase': false, 'unknown': 0, 'padding': 1, 'tokens': ['<unk>', "
         "'<pad>', 'in', 'Paris'], 'min_count': 1, 'max_vocabulary': null, 'size': 4}"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        bp_model_info *info = make_model(rows[i].task, rows[i].rule, rows[i].text), *again;
        json_t *full = bp_model_info_json(info, true), *shown = bp_model_info_json(info, false);
        json_t *wanted = support_json(rows[i].vocabulary);
        assert_true(json_equal(json_object_get(shown, "vocabulary"), wanted));
        assert_null(json_object_get(shown, "features"));
        assert_null(json_object_get(shown, "preprocess"));
        const bool tagging = rows[i].task == BP_TASK_TAGGING;
        assert_int_equal(json_array_size(json_object_get(shown, "tags")), tagging ? 2 : 0);
        assert_int_equal(json_integer_value(json_object_get(shown, "window")), tagging ? 5 : 0);
        assert_int_equal(reread(&again, full), BP_OK);
        json_t *full_again = bp_model_info_json(again, true);
        assert_true(json_equal(full, full_again));
        assert_memory_equal(&again->vocabulary_rule, &info->vocabulary_rule,
                            sizeof info->vocabulary_rule);
        assert_int_equal(again->window_width, info->window_width);
        json_t *metadata = bp_model_metadata_json(again);
        json_t *whole =
            json_loads(json_string_value(json_object_get(metadata, "vocabulary")), 0, NULL);
        assert_true(json_equal(whole, wanted));
        json_decref(whole);
        json_decref(metadata);
        json_decref(full_again);
        json_decref(wanted);
        json_decref(shown);
        json_decref(full);
        bp_model_info_free(again);
        bp_model_info_free(info);
    }
}

/* Documents that nobody wrote. */
static void test_corrupt_documents(void **state)
{
    (void)state;
    const struct {
        bp_task_kind task;
        const char *member, *value, *inner;
    } rows[] = {
        {BP_TASK_TAGGING, "vocabulary", "null", NULL},
        {BP_TASK_TAGGING, "vocabulary", "0", "min_count"},
        {BP_TASK_TAGGING, "vocabulary", "null", "padding"},
        {BP_TASK_TAGGING, "vocabulary", "[]", "tokens"},
        {BP_TASK_TAGGING, "vocabulary", "-1", "max_vocabulary"},
        {BP_TASK_TAGGING, "window", "4", NULL},
        {BP_TASK_TAGGING, "tags", "{'type': 'numeric', 'labels': [1, 2]}", NULL},
        {BP_TASK_TAGGING, "tags", "{'type': 'categorical', 'labels': ['a', 'b', 'c']}", NULL},
        {BP_TASK_LANGUAGE_MODEL, "vocabulary", "1", "padding"},
        {BP_TASK_LANGUAGE_MODEL, "vocabulary", "['<unk>', 'a', 'b']", "tokens"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const bool tagging = rows[i].task == BP_TASK_TAGGING;
        bp_model_info *info =
            make_model(rows[i].task, tagging ? &sentences : &words, "in Paris in");
        json_t *full = bp_model_info_json(info, true);
        json_t *at = rows[i].inner ? json_object_get(full, rows[i].member) : full;
        json_object_set_new(at, rows[i].inner ? rows[i].inner : rows[i].member,
                            support_json(rows[i].value));
        bp_model_info *again = NULL;
        if (reread(&again, full) != BP_CORRUPT)
            fail_msg("%s %s is taken", rows[i].member, rows[i].value);
        json_decref(full);
        bp_model_info_free(info);
    }
}

/* A large vocabulary is shown in part, and stored whole. */
static void test_many_words(void **state)
{
    (void)state;
    enum { WORDS = BP_SHOWN_TOKENS + 5 };
    char *text = malloc((size_t)WORDS * 12), *at = text;
    for (size_t i = 0; i < WORDS; i++)
        at += sprintf(at, "w%zu ", i);
    bp_model_info *info = make_model(BP_TASK_TAGGING, &sentences, text);
    json_t *shown = bp_model_info_json(info, false), *full = bp_model_info_json(info, true);
    const json_t *cut = json_object_get(shown, "vocabulary");
    assert_int_equal(json_array_size(json_object_get(cut, "tokens")), BP_SHOWN_TOKENS);
    assert_int_equal(json_integer_value(json_object_get(cut, "size")), WORDS + 2);
    assert_int_equal(
        json_array_size(json_object_get(json_object_get(full, "vocabulary"), "tokens")), WORDS + 2);
    assert_true(bp_vocabulary_bytes(info->vocabulary) > (size_t)WORDS * 5);
    json_decref(shown);
    json_decref(full);
    bp_model_info_free(info);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_documents),
        cmocka_unit_test(test_corrupt_documents),
        cmocka_unit_test(test_many_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
