#include "tests/schema/support_datasets.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "schema/json/json_text.h"

const bp_job_limits support_limits = {.memory_bytes = UINT64_C(1) << 30,
                                      .parameter_count = 100000000,
                                      .layer_count = 64,
                                      .thread_count = 4};

json_t *support_json(const char *text)
{
    char *quoted = strdup(text);
    assert_non_null(quoted);
    for (char *at = quoted; *at; at++)
        if (*at == '\'')
            *at = '"';
    json_error_t error;
    json_t *json = json_loads(quoted, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
    if (!json)
        fail_msg("%s in %s", error.text, quoted);
    free(quoted);
    return json;
}

#define HASH(c) c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c
#define SHA(cc) "'sha256': '" HASH(cc) "'"
#define NUMERIC(name, rows, missing, integral, distinct, bound, values)                            \
    "{'name': '" name "', 'type': 'numeric', 'element': 'float64', 'rows': " rows                  \
    ", 'missing': " missing ", 'integral': " integral ", 'distinct': " distinct                    \
    ", 'distinct_is_lower_bound': " bound                                                          \
    ", 'minimum': 0.1, 'maximum': 9, 'mean': 3.5, 'values': " values ", " SHA("c1") "}"
#define REAL(name, rows, missing)                                                                  \
    NUMERIC(name, rows, missing, "false", "30", "false", "[0.1, 0.2, 9]")
#define CATEGORICAL(name, rows, missing, distinct, texts)                                          \
    "{'name': '" name "', 'type': 'categorical', 'element': 'category', 'rows': " rows             \
    ", 'missing': " missing ", 'integral': false, 'distinct': " distinct                           \
    ", 'distinct_is_lower_bound': false, 'categories': " texts ", " SHA("c2") "}"
#define BOOLEAN(name, rows, missing)                                                               \
    "{'name': '" name "', 'type': 'boolean', 'element': 'uint8', 'rows': " rows                    \
    ", 'missing': " missing ", 'integral': true, 'distinct': 2, 'distinct_is_lower_bound': false," \
    " 'minimum': 0, 'maximum': 1, 'mean': 0.5, 'values': [0, 1], " SHA("c3") "}"
#define TENSOR(name, rows, shape)                                                                  \
    "{'name': '" name "', 'type': 'tensor', 'element': 'uint8', 'rows': " rows                     \
    ", 'missing': 0, 'integral': true, 'shape': " shape                                            \
    ", 'minimum': 0, 'maximum': 255, 'mean': 33.3, " SHA("c4") "}"
#define DATASET(name, sha, rows, equal, columns)                                                   \
    "{'name': '" name "', 'kind': 'table', 'version': 1, " SHA(                                    \
        sha) ", 'rows': " rows ", 'equal_lengths': " equal                                         \
             ", 'created': '2026-01-02T03:04:05Z', 'columns': [" columns "]}"
#define PAIRS(name, rows)                                                                          \
    "{'name': '" name "', 'type': 'tensor', 'element': 'int64', 'rows': " rows                     \
    ", 'missing': 0, 'integral': false, 'shape': [2], 'minimum': null, 'maximum': null, 'mean': "  \
    "null, " SHA("c5") "}"
#define TEXT(name, bytes)                                                                          \
    "{'name': '" name "', 'type': 'text', 'element': 'uint8', 'rows': " bytes                      \
    ", 'missing': 0, 'integral': false, " SHA("c6") "}"
#define CORPUS(name, kind, sha, rows, counts, columns)                                             \
    "{'name': '" name "', 'kind': '" kind "', 'version': 1, " SHA(                                 \
        sha) ", 'rows': " rows                                                                     \
             ", 'equal_lengths': true, 'created': '2026-01-02T03:04:05Z', " counts                 \
             ", 'columns': [" columns "]}"
#define DIGITS "[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]"

static const char *const documents[] = {
    CORPUS(
        "plays", "text", "d1", "4",
        "'bytes': 5000, 'characters': 4990, 'distinct_characters': 60, 'lines': 4, 'words': 900, "
        "'distinct_words': 300, 'distinct_words_is_lower_bound': true",
        TEXT("text", "5000") "," PAIRS("lines", "1")),
    CORPUS("tweets", "tagged", "d2", "2",
           "'bytes': 40, 'sentences': 2, 'longest_sentence': 5, 'tokens': 8, 'distinct_tokens': 7, "
           "'distinct_tokens_is_lower_bound': false, 'tags': [{'tag': 'B-x', 'count': 1}, {'tag': "
           "'O', 'count': 7}]",
           TEXT("token", "40") "," CATEGORICAL("tag", "8", "0", "2",
                                               "['B-x', 'O']") "," PAIRS("sentences", "2")),
    CORPUS("odd-tweets", "tagged", "d3", "2",
           "'bytes': 40, 'sentences': 2, 'longest_sentence': 5, 'tokens': 8, 'distinct_tokens': 7, "
           "'distinct_tokens_is_lower_bound': false, 'tags': [{'tag': 'B-y', 'count': 1}, {'tag': "
           "'O', 'count': 7}]",
           TEXT("token", "40") "," CATEGORICAL("tag", "8", "0", "2",
                                               "['B-y', 'O']") "," PAIRS("sentences", "2")),
    CORPUS("words", "vectors", "d4", "2", "'bytes': 10, 'words': 2",
           TEXT("word",
                "10") ",{'name': 'vector', 'type': 'tensor', 'element': 'float64', 'rows': 2, "
                      "'missing': 0, 'integral': false, 'shape': [3], 'minimum': -1, 'maximum': 2, "
                      "'mean': 0.5, " SHA("c7") "}," PAIRS("places", "1")),
    DATASET("iris", "a1", "150", "true",
            REAL("sepal_length", "150", "0") "," REAL("sepal_width", "150", "0") "," REAL(
                "petal_length", "150",
                "0") "," REAL("petal_width", "150",
                              "0") "," CATEGORICAL("species", "150", "0", "3",
                                                   "['setosa', 'versicolor', 'virginica']")),
    DATASET(
        "birds", "a2", "10", "true",
        CATEGORICAL("island", "10", "1", "2", "['Biscoe', 'Dream']") "," REAL("mass", "10", "2") "," BOOLEAN(
            "ringed", "10",
            "0") "," CATEGORICAL("sex", "10", "3", "2",
                                 "['female', 'male']") "," CATEGORICAL("kind", "10", "0", "2",
                                                                       "['Adelie',"
                                                                       " 'Gentoo'"
                                                                       "]") "," REAL("a/b~c", "10",
                                                                                     "0")),
    DATASET("images", "a3", "1000", "true",
            TENSOR("pixels", "1000", "[4, 4]") "," NUMERIC(
                "digit", "1000", "0", "true", "10", "false",
                DIGITS) "," REAL("score", "1000", "0") "," TENSOR("pair", "1000", "[2]")),
    DATASET("images-test", "a4", "100", "true",
            NUMERIC("digit", "100", "0", "true", "3", "false", "[0, 3, 9]") "," TENSOR(
                "pixels", "100", "[4, 4]") "," REAL("score", "100", "1") "," TENSOR("pair", "100",
                                                                                    "[2]")),
    DATASET("images-odd", "a5", "100", "true",
            NUMERIC("digit", "100", "0", "true", "2", "false", "[3, 10]") "," TENSOR(
                "pixels", "100", "[16]") "," CATEGORICAL("score", "100", "0", "1", "['x']")),
    DATASET("uneven", "a6", "3", "false",
            REAL("x", "5", "0") "," NUMERIC("y", "3", "0", "true", "2", "false", "[0, 1]")),
    DATASET("empty", "a7", "0", "true",
            REAL("x", "0", "0") "," NUMERIC("y", "0", "0", "true", "2", "false", "[0, 1]")),
    DATASET("one-class", "a8", "5", "true",
            REAL("x", "5", "0") "," CATEGORICAL("y", "5", "0", "1", "['only']")),
    "{'name': 'ids', 'kind': 'table', 'version': 7, " SHA(
        "a9") ", 'rows': 20000,"
              " 'equal_lengths': true, 'created': '', 'columns': ["
              "{'name': 'id', 'type': 'numeric', 'element': 'float64', 'rows': 20000, 'missing': 0,"
              " 'integral': true, 'distinct': 10000, 'distinct_is_lower_bound': true, 'minimum': 0,"
              " 'maximum': 19999, 'mean': 9999.5, " SHA("c5") "}," REAL("x", "20000", "0") "]}",
};

void support_datasets_open(support_datasets *out)
{
    *out = (support_datasets){0};
    for (size_t index = 0; index < sizeof documents / sizeof *documents; index++) {
        json_t *json = support_json(documents[index]);
        bp_error error = {0};
        if (bp_dataset_info_parse(&out->items[index], json, &error) != BP_OK)
            fail_msg("%s: %s", documents[index], error.message);
        json_decref(json);
        out->count++;
    }
}

void support_datasets_close(support_datasets *datasets)
{
    for (size_t index = 0; index < datasets->count; index++)
        bp_dataset_info_free(datasets->items[index]);
    *datasets = (support_datasets){0};
}

bp_dataset_info *support_dataset(support_datasets *datasets, const char *name)
{
    for (size_t index = 0; index < datasets->count; index++)
        if (!strcmp(datasets->items[index]->name, name))
            return datasets->items[index];
    fail_msg("no data set %s", name);
    return NULL;
}

static const bp_dataset_info *find(void *context, const char *name, const char *sha256)
{
    support_datasets *datasets = context;
    datasets->find_count++;
    for (size_t index = 0; index < datasets->count; index++) {
        const bp_dataset_info *info = datasets->items[index];
        if (!strcmp(info->name, name) && (!sha256 || !strcmp(info->sha256, sha256)))
            return info;
    }
    return NULL;
}

/* Not what the documents say of the texts, but vocabularies all the same: of plays 27 characters or six
 * words, of tweets five. */
static bp_status measure_corpus(void *context, bp_corpus_measure *out, const bp_job_spec *spec,
                                bp_vocabulary *vocabulary, bp_error *error)
{
    static const char words[] = "a b b c c c d d d d ", letters[] = "abcdefghijklmnopqrstuvwxyz ";
    support_datasets *datasets = context;
    const char *text = spec->corpus.rule.unit == BP_UNIT_WORD ? words : letters;
    bp_vocabulary_builder *builder = NULL;
    bool full;
    datasets->measure_count++;
    *out = (bp_corpus_measure){.training_entities = 1,
                               .validation_entities = 1,
                               .test_entities = 1,
                               .training_rows = 4 * spec->corpus.training_count};
    if (!spec->validation.dataset) /* others are not among what is read here */
        out->validation_rows = 4 * spec->corpus.validation_count;
    if (!spec->test.dataset)
        out->test_rows = 4 * spec->corpus.test_count;
    if (vocabulary) {
        out->vocabulary = bp_vocabulary_share(vocabulary);
        return BP_OK;
    }
    bp_status status =
        bp_vocabulary_builder_create(&builder, &spec->corpus.rule, UINT64_MAX, 1, error);
    if (status == BP_OK)
        status = bp_vocabulary_builder_feed(builder, text, strlen(text), &full, error);
    if (status == BP_OK)
        status = bp_vocabulary_builder_finish(builder, &out->vocabulary, error);
    bp_vocabulary_builder_free(builder);
    return status;
}

bp_dataset_lookup support_lookup(support_datasets *datasets)
{
    return (bp_dataset_lookup){.context = datasets, .find = find, .measure_corpus = measure_corpus};
}

void support_resolve(support_job *out, support_datasets *datasets, const json_t *body)
{
    bp_dataset_lookup lookup = support_lookup(datasets);
    *out = (support_job){0};
    out->status = bp_job_resolve(&out->spec, &out->resolved, &out->warnings, &out->size,
                                 &out->faults, body, &lookup, &support_limits, BP_ISA_BASELINE);
    assert_int_equal(out->status == BP_OK, !bp_faults_any(&out->faults));
    assert_int_equal(out->status == BP_OK, out->spec != NULL);
}

void support_job_done(support_job *job)
{
    bp_job_spec_free(job->spec);
    json_decref(job->resolved);
    json_decref(job->warnings);
    bp_faults_done(&job->faults);
    *job = (support_job){0};
}
