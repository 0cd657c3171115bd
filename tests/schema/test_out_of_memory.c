/* Every allocation fails once, in turn, in whatever the server calls with data from outside: a clean
 * answer each time, no leak (the sanitizer looks), and the right result when nothing failed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/loss/loss.h"
#include "schema/catalog/catalog.h"
#include "schema/json/json_text.h"
#include "schema/language/token_encoder.h"
#include "schema/model/language_answer.h"
#include "schema/model/sentence_rows.h"
#include "schema/weights/safetensors.h"
#include "tests/schema/support_datasets.h"

/* ---- allocation by the linker's --wrap ---- */

static size_t until_failure = SIZE_MAX; /* SIZE_MAX: never */
static bool has_failed;

static bool fails(void)
{
    if (until_failure == SIZE_MAX || until_failure-- > 0)
        return false;
    until_failure = SIZE_MAX;
    has_failed = true;
    return true;
}

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
char *__real_strdup(const char *text);
int __real_vasprintf(char **out, const char *format, va_list arguments);
FILE *__real_open_memstream(char **out, size_t *size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);
char *__wrap_strdup(const char *text);
int __wrap_vasprintf(char **out, const char *format, va_list arguments)
    __attribute__((format(printf, 2, 0)));
FILE *__wrap_open_memstream(char **out, size_t *size);

void *__wrap_malloc(size_t size)
{
    return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return fails() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *old, size_t size)
{
    return fails() ? NULL : __real_realloc(old, size);
}

char *__wrap_strdup(const char *text)
{
    return fails() ? NULL : __real_strdup(text);
}

int __wrap_vasprintf(char **out, const char *format, va_list arguments)
{
    return fails() ? -1 : __real_vasprintf(out, format, arguments);
}

FILE *__wrap_open_memstream(char **out, size_t *size)
{
    return fails() ? NULL : __real_open_memstream(out, size);
}

/* Runs attempt, which returns whether it succeeded, with the Nth allocation failing, N = 1, 2, …,
 * until it gets through without one. */
static void for_each_failure(bool (*attempt)(void))
{
    for (size_t index = 0;; index++) {
        assert_true(index < 100000);
        has_failed = false;
        until_failure = index;
        bool succeeded = attempt();
        until_failure = SIZE_MAX;
        if (!has_failed) {
            assert_true(succeeded);
            assert_true(index > 5);
            return;
        }
        assert_false(succeeded);
    }
}

/* ---- what is attempted ---- */

static support_datasets datasets;
static json_t *body;
static bp_status expected;

static bool resolve(void)
{
    bp_dataset_lookup lookup = support_lookup(&datasets);
    support_job job = {0};
    job.status = bp_job_resolve(&job.spec, &job.resolved, &job.warnings, &job.size, &job.faults,
                                body, &lookup, &support_limits, BP_ISA_BASELINE);
    bool whole = job.status == expected && !job.faults.out_of_memory;
    if (job.status != BP_OK) {
        assert_null(job.spec);
        assert_null(job.resolved);
        assert_true(bp_faults_any(&job.faults));
    }
    if (job.status == BP_OK) {
        json_t *answer = bp_job_validation_json(job.spec, job.resolved, job.warnings, &job.size);
        whole = answer != NULL;
        json_decref(answer);
    }
    support_job_done(&job);
    return whole;
}

static void test_resolving(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "{'data': {'dataset': 'birds', 'target': 'kind', 'validation': {'fraction': 0.2},"
        " 'exclude': ['mass'], 'columns': {'ringed': 'categorical'}}}",
        "{'data': {'dataset': 'images', 'target': 'digit', 'test': {'dataset': 'images-test'}},"
        " 'network': {'layers': [{'type': 'dense', 'units': 'auto', 'activation': 'relu'}]}}",
        "{'data': {'dataset': 'images', 'target': ['pair', 'score']}}",
        "{'data': {'dataset': 'iris', 'target': 'species'}, 'loss': {'type': 'hinge',"
        " 'class_weights': {'setosa': 2}}, 'regularization': {'l2': 1, 'max_norm': 3},"
        " 'network': {'layers': [{'type': 'dropout', 'keep': 0.5}, {'type': 'dense', 'units': 3,"
        " 'dropout': {'keep': 0.5, 'of': 'connections'}}]}, 'training': {'clip_norm': 1,"
        " 'early_stopping': {'metric': 'train.loss'}}, 'preprocess': {'whiten': true}}",
        "{'data': {'dataset': 'plays', 'unit': 'word', 'test': {'dataset': 'plays'}}, 'network': "
        "{'layers': [{'type': 'embedding', 'dimension': 3, 'vectors': 'words'}, {'type': 'lstm', "
        "'units': 3}, {'type': 'dense', 'units': 'auto', 'tied': true}]}}",
        "{'data': {'dataset': 'tweets', 'validation': {'fraction': 0.5}}, 'loss': {'type': "
        "'softmax_cross_entropy', 'class_weights': {'O': 2}}}",
        "{'data': {'dataset': 'tweets'}, 'loss': 'max_margin'}"};
    expected = BP_OK;
    for (size_t index = 0; index < sizeof texts / sizeof *texts; index++) {
        body = support_json(texts[index]);
        for_each_failure(resolve);
        json_decref(body);
    }
}

/* A hint that could not be made is left out, so only what is lost altogether counts. */
static bool refuse(void)
{
    bp_dataset_lookup lookup = support_lookup(&datasets);
    bp_job_spec *spec = NULL;
    json_t *resolved = NULL, *warnings = NULL;
    bp_job_size size;
    bp_faults faults = {0};
    bp_status status = bp_job_resolve(&spec, &resolved, &warnings, &size, &faults, body, &lookup,
                                      &support_limits, BP_ISA_BASELINE);
    assert_int_not_equal(status, BP_OK);
    assert_null(spec);
    assert_null(resolved);
    assert_true(bp_faults_any(&faults));
    bp_faults_done(&faults);
    return !has_failed;
}

static void test_refusing(void **state)
{
    (void)state;
    body = support_json("{'data': {'dataset': 'birds', 'target': 'knd', 'features': ['x']}, 'loss':"
                        " 'no', 'network': {'layers': [{'type': 'dense'}]}, 'a': 1}");
    for_each_failure(refuse);
    json_decref(body);
}

static bp_model_info *model;

static void make_model(void)
{
    body = support_json("{'data': {'dataset': 'birds', 'target': 'kind'}}");
    support_job job;
    support_resolve(&job, &datasets, body);
    bp_feature_column columns[5];
    for (size_t index = 0; index < job.spec->feature_count; index++)
        columns[index] = (bp_feature_column){
            .categorical = job.spec->features[index].type == BP_COLUMN_CATEGORICAL,
            .width = 1,
            .category_count = job.spec->features[index].category_count};
    bp_preparation preparation;
    assert_int_equal(bp_preparation_create(&preparation, columns, 5, false, NULL), BP_OK);
    assert_int_equal(bp_model_info_create(&model, job.spec, &preparation, NULL, NULL), BP_OK);
    bp_preparation_done(&preparation);
    support_job_done(&job);
    json_decref(body);
}

static bool write_documents(void)
{
    json_t *full = bp_model_info_json(model, true), *metadata = bp_model_metadata_json(model);
    json_t *shown = bp_dataset_info_json(datasets.items[1], true), *catalog = bp_catalog_json();
    char *text = full ? bp_json_text(full, NULL) : NULL;
    bp_tensor tensor = {.name = "w", .rank = 1, .shape = {2}, .element_count = 2};
    unsigned char *header = NULL;
    size_t size, data_size;
    bool ok = full && metadata && shown && catalog && text;
    ok = bp_safetensors_header(&header, &size, &data_size, &tensor, 1, metadata, NULL) == BP_OK &&
         ok;
    free(header);
    free(text);
    json_decref(full);
    json_decref(metadata);
    json_decref(shown);
    json_decref(catalog);
    return ok;
}

static json_t *stored_model, *stored_dataset, *rows;

static bool read_documents(void)
{
    bp_model_info *info = NULL;
    bp_dataset_info *dataset = NULL;
    bp_error model_error = {0}, dataset_error = {0};
    bool ok = bp_model_info_parse(&info, stored_model, &model_error) == BP_OK;
    ok = bp_dataset_info_parse(&dataset, stored_dataset, &dataset_error) == BP_OK && ok;
    assert_true(model_error.status == BP_OK || model_error.status == BP_NO_MEMORY);
    assert_true(dataset_error.status == BP_OK || dataset_error.status == BP_NO_MEMORY);
    bp_model_info_free(info);
    bp_dataset_info_free(dataset);
    return ok;
}

static bool predict(void)
{
    double *raw = NULL;
    size_t count = 0;
    bp_faults faults = {0};
    bool ok = bp_predict_rows_parse(&raw, &count, &faults, model, rows, 10) == BP_OK;
    const float shown[] = {0.5f, 0.5f, 0.25f, 0.75f};
    json_t *answer = bp_predict_answer_json(model, shown, 2);
    ok = answer && ok;
    json_decref(answer);
    free(raw);
    bp_faults_done(&faults);
    return ok;
}

static void test_documents(void **state)
{
    (void)state;
    make_model();
    for_each_failure(write_documents);
    stored_model = bp_model_info_json(model, true);
    stored_dataset = bp_dataset_info_json(datasets.items[1], true);
    for_each_failure(read_documents);
    rows = support_json("[['Dream', 1, true, 'male', 2], ['Biscoe', 1, false, null, 2]]");
    for_each_failure(predict);
    json_decref(rows);
    json_decref(stored_model);
    json_decref(stored_dataset);
    bp_model_info_free(model);
}

static const bp_vocabulary_rule *rule;

/* Enough words for the tables to grow. */
static bool make_vocabulary(void)
{
    bp_vocabulary_builder *builder = NULL;
    bp_vocabulary *vocabulary = NULL, *again = NULL;
    json_t *json = NULL;
    int32_t *ids = NULL;
    char *text = NULL, source[1024] = "";
    size_t count = 0, length = 0;
    bp_stored stored = {BP_OK};
    bool full;
    for (size_t i = 0; i < sizeof source - 1; i++)
        source[i] = i % 5 == 4 ? ' ' : (char)('a' + i * i % 23);
    bp_status status = bp_vocabulary_builder_create(&builder, rule, UINT64_MAX, 3, NULL);
    if (status == BP_OK)
        status = bp_vocabulary_builder_feed(builder, source, strlen(source), &full, NULL);
    if (status == BP_OK)
        status = bp_vocabulary_builder_finish(builder, &vocabulary, NULL);
    if (status == BP_OK)
        status = bp_tokens_encode(&ids, &count, vocabulary, source, strlen(source), NULL);
    if (status == BP_OK)
        status = bp_vocabulary_decode(&text, &length, vocabulary, ids, count, NULL);
    if (status == BP_OK) {
        json = bp_vocabulary_json(vocabulary);
        status = json ? BP_OK : BP_NO_MEMORY;
    }
    if (status == BP_OK) {
        again = bp_vocabulary_parse(&stored, json);
        status = stored.status;
        assert_int_equal(again != NULL, status == BP_OK);
    }
    assert_true(status == BP_OK || status == BP_NO_MEMORY);
    bp_vocabulary_builder_free(builder);
    bp_vocabulary_free(vocabulary);
    bp_vocabulary_free(again);
    json_decref(json);
    free(ids);
    free(text);
    return status == BP_OK;
}

static void test_vocabularies(void **state)
{
    (void)state;
    static const bp_vocabulary_rule rules[] = {
        {.unit = BP_UNIT_CHARACTER, .min_count = 1},
        {.unit = BP_UNIT_WORD, .min_count = 1, .lowercase = true, .padded = true}};
    for (size_t i = 0; i < 2; i++) {
        rule = &rules[i];
        for_each_failure(make_vocabulary);
    }
}

/* Asks a tagger about sentences, and puts together what a language model has written. */
static bool answer_words(void)
{
    static const double shown[][3] = {{1, 0, 0}, {0, 1, 0}, {0, 0, 1}, {1, 0, 0}};
    static const int32_t ids[] = {1, 0, 2};
    bp_faults faults = {0};
    bp_sentence_rows sentences = {0};
    bp_json_writer out = {0};
    const bp_generate_request written = {.prompt = "to", .prompt_length = 2};
    bool ok = bp_sentence_rows_parse(&sentences, &faults, model, rows, 10) == BP_OK;
    assert_true(ok || faults.out_of_memory);
    if (ok) {
        bp_tag_answer_write(&out, model, &sentences, shown, true, NULL);
        bp_generate_end_event_write(&out, model, &written, ids, 3);
        ok = !out.failed;
    }
    free(out.bytes);
    bp_sentence_rows_done(&sentences);
    bp_faults_done(&faults);
    return ok;
}

static void test_answers_of_words(void **state)
{
    (void)state;
    static char name[] = "m", begin[] = "B-a", inside[] = "I-a", outside[] = "O";
    char *tags[] = {begin, inside, outside};
    const bp_vocabulary_rule words = {.unit = BP_UNIT_WORD, .padded = true, .min_count = 1};
    bp_vocabulary_builder *builder;
    bp_model_info info = {
        .name = name,
        .task = BP_TASK_TAGGING,
        .window_width = 3,
        .classes = {.type = BP_COLUMN_CATEGORICAL, .count = 3, .texts = tags},
        .dtype = BP_FLOAT64,
        .loss = bp_choice_default(bp_loss_family.members[BP_LOSS_softmax_cross_entropy])};
    assert_int_equal(bp_vocabulary_builder_create(&builder, &words, UINT64_MAX, 1, NULL), BP_OK);
    assert_int_equal(bp_vocabulary_builder_word(builder, "in", 2, NULL), BP_OK);
    assert_int_equal(bp_vocabulary_builder_finish(builder, &info.vocabulary, NULL), BP_OK);
    bp_vocabulary_builder_free(builder);
    model = &info;
    rows = support_json("[['New', 'York', 'in'], [], ['Rome']]");
    for_each_failure(answer_words);
    json_decref(rows);
    bp_vocabulary_free(info.vocabulary);
}

static int open_all(void **state)
{
    (void)state;
    json_object_seed(1);
    json_set_alloc_funcs(__wrap_malloc, free); /* Jansson is linked, not wrapped */
    support_datasets_open(&datasets);
    return 0;
}

static int close_all(void **state)
{
    (void)state;
    support_datasets_close(&datasets);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_resolving),        cmocka_unit_test(test_refusing),
        cmocka_unit_test(test_documents),        cmocka_unit_test(test_vocabularies),
        cmocka_unit_test(test_answers_of_words),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}
