/* Jobs over texts and tagged sentences: what of a specification fits them, and what does not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/training/trainer_state.h"
#include "tests/schema/support_datasets.h"

enum { FAULTS = 10 };

typedef struct corpus_row {
    const char *body;
    struct {
        const char *pointer, *words; /* words joined by '|' */
    } fault[FAULTS];
} corpus_row;

#define PLAYS(rest)    "{'data': {'dataset': 'plays'" rest "}}"
#define TWEETS(rest)   "{'data': {'dataset': 'tweets'" rest "}}"
#define LAYERS(layers) "'network': {'layers': [" layers "]"
#define IRIS(rest)     "{'data': {'dataset': 'iris', 'target': 'species'" rest "}}"
static const corpus_row rows[] = {
    {TWEETS("}, 'task': 'tagging', 'x': {"), {{"/x", "unknown field"}}},
    /* fields of another kind */
    {PLAYS(", 'target': 'text', 'features': [], 'exclude': [], 'columns': {}}, 'preprocess': "
           "{'center': true, 'scale': 'none', 'whiten': false, 'missing': 'zero'"),
     {{"/data/features", "table|\"plays\""},
      {"/data/target", "belongs to a table"},
      {"/data/exclude", "belongs to a table"},
      {"/data/columns", "belongs to a table"},
      {"/preprocess/center", "belongs to a table"},
      {"/preprocess/scale", "belongs to a table"},
      {"/preprocess/whiten", "belongs to a table"},
      {"/preprocess/missing", "belongs to a table"}}},
    {IRIS(", 'unit': 'word', 'lowercase': false, 'min_count': 1, 'max_vocabulary': 5}, "
          "'training': {'sequence_length': 3"),
     {{"/data/unit", "\"iris\" is a table"},
      {"/data/lowercase", "table"},
      {"/data/min_count", "table"},
      {"/data/max_vocabulary", "table"},
      {"/training/sequence_length", "table"}}},
    {IRIS("}, 'task': 'tagging', 'metrics': {"), {{"/task", "\"tagging\"|kind \"tagged\""}}},
    {IRIS("}, 'task': 'language_model', 'metrics': {"), {{"/task", "kind \"text\""}}},
    {IRIS(", 'test': {'dataset': 'plays'}"), {{"/data/test/dataset", "\"text\"|take tables"}}},
    {PLAYS("}, 'task': 'tagging', 'metrics': {"),
     {{"/task", "\"text\"|\"language_model\"|got \"tagging\""}}},
    {TWEETS("}, 'task': 'classification', 'metrics': {"), {{"/task", "\"tagging\""}}},
    /* characters */
    {PLAYS(", 'lowercase': true, 'min_count': 2, 'max_vocabulary': 100"),
     {{"/data/lowercase", "as they are"},
      {"/data/min_count", "must be 1"},
      {"/data/max_vocabulary", "must be null"}}},
    {TWEETS(", 'unit': 'character'"), {{"/data/unit", "must be \"word\""}}},
    {PLAYS(", 'unit': 'syllable'"), {{"/data/unit", "character|word"}}},
    {PLAYS(", 'unit': 'word', 'min_count': 0, 'max_vocabulary': 0"),
     {{"/data/min_count", "at least 1"}, {"/data/max_vocabulary", "at least 1"}}},
    /* order */
    {PLAYS("}, 'training': {'shuffle': true, 'sequence_length': 0"),
     {{"/training/sequence_length", "at least 1"}, {"/training/shuffle", "must be false"}}},
    {TWEETS("}, 'training': {'sequence_length': 5"),
     {{"/training/sequence_length", "belongs to a text"}}},
    /* parts */
    {PLAYS(", 'validation': {'fraction': 0.6}, 'test': {'fraction': 0.5}"),
     {{"/data/validation/fraction", "5489 characters of 4990"}}},
    {PLAYS(", 'unit': 'word', 'test': {'fraction': 0.999}"),
     {{"/data/dataset", "1 words|at least 2"}}},
    {TWEETS(", 'test': {'fraction': 0.9}"), {{"/data/test/fraction", "2 sentences of 2"}}},
    {PLAYS(", 'validation': {'dataset': 'tweets'}, 'test': {'dataset': 'iris'}"),
     {{"/data/validation/dataset", "\"tagged\"|kind \"text\""},
      {"/data/test/dataset", "\"table\"|kind \"text\""}}},
    {PLAYS(", 'test': {'dataset': 'nothing'}"), {{"/data/test/dataset", "no data set"}}},
    {PLAYS(", 'validation': {'fraction': 0.0001}"),
     {{"/data/validation", "one token alone|at least 2"}}},
    {TWEETS(", 'test': {'dataset': 'odd-tweets'}"),
     {{"/data/test/dataset", "the tag \"B-y\"|does not have"}}},
    {"{'data': {'dataset': 'odd-tweets', 'test': {'dataset': 'tweets'}}}",
     {{"/data/test/dataset", "the tag \"B-x\"|does not have"}}},
    /* no data set: nothing is asked of it that only a table has */
    {"{'task': 'language_model', 'data': {'dataset': 'nothing'}, " LAYERS(
         "{'type': 'embedding', 'dimension': 3}, {'type': 'dense', 'units': 'auto', 'tied': "
         "true}") "}}",
     {{"/data/dataset", "no data set"}}},
    {"{'data': {'dataset': 'nothing', 'unit': 'word'}}", {{"/data/dataset", "no data set"}}},
    {"{'data': {'dataset': 'nothing'}}",
     {{"/data/dataset", "no data set"}, {"/data/target", "required"}}},
    /* vocabularies without words */
    {PLAYS(", 'unit': 'word', 'min_count': 5"), {{"/data", "no word|min_count|max_vocabulary"}}},
    {PLAYS(", 'unit': 'word', 'max_vocabulary': 1"), {{"/data", "no word"}}},
    {TWEETS(", 'max_vocabulary': 1"), {{"/data", "no word"}}},
    {TWEETS(", 'max_vocabulary': 2"), {{"/data", "no word"}}},
    /* layers */
    {PLAYS(", 'unit': 'word'}, " LAYERS(
         "{'type': 'window', 'width': 3}, {'type': 'lstm', 'units': 4},"
         " {'type': 'dense', 'units': 9}")),
     {{"/network/layers/0/type", "only tagged sentences have windows"},
      {"/network/layers/1/type", "an embedding before other layers"},
      {"/network/layers/2/units", "5 entries of the vocabulary|got 9"}}},
    {TWEETS("}, " LAYERS("{'type': 'window', 'width': 4}, {'type': 'window', 'width': 3}, "
                         "{'type': 'embedding', 'dimension': 3}, {'type': 'gru', 'units': 4}, "
                         "{'type': 'embedding', 'dimension': 2}, {'type': 'dense', 'units': 3}")),
     {{"/network/layers/0/width", "must be odd|got 4"},
      {"/network/layers/1/type", "one \"window\" already"},
      {"/network/layers/3/type", "needs the task \"language_model\""},
      {"/network/layers/4/type", "one \"embedding\" already"},
      {"/network/layers/5/units", "2 tags of \"tweets\"|got 3"}}},
    {TWEETS("}, " LAYERS("{'type': 'embedding', 'dimension': 3}, {'type': 'dense', 'units': 3}, "
                         "{'type': 'window', 'width': 3}, {'type': 'dense', 'units': 'auto'}")),
     {{"/network/layers/2/type", "stands before all other layers"}}},
    {IRIS("}, " LAYERS("{'type': 'window', 'width': 3}, {'type': 'embedding', 'dimension': 3}, "
                       "{'type': 'rnn', 'units': 3}, {'type': 'dense', 'units': 'auto'}")),
     {{"/network/layers/0/type", "reads words or characters"},
      {"/network/layers/1/type", "this job reads a table"},
      {"/network/layers/2/type", "reads a text in its order"}}},
    {TWEETS("}, " LAYERS(
         "{'type': 'embedding', 'dimension': 3, 'sparse': true, 'trainable': false}, "
         "{'type': 'dense', 'units': 'auto'}") "}, 'regularization': {'l2': 0.1, "
                                               "'max_norm': 3}, 'optimizer': {'type': 'adam', "
                                               "'learning_rate': 0.1, 'weight_decay': 0.5"
                                               "}, 'metrics': {"),
     {{"/network/layers/0/sparse", "regularization.l2"},
      {"/network/layers/0/sparse", "regularization.max_norm"},
      {"/network/layers/0/sparse", "optimizer.weight_decay"},
      {"/network/layers/0/sparse", "a frozen embedding"}}},
    {PLAYS("}, " LAYERS(
         "{'type': 'embedding', 'dimension': 3}, {'type': 'dense', 'units': 3, 'tied': "
         "true}, {'type': 'dense', 'units': 'auto', 'tied': true, 'init': 'zeros'}")),
     {{"/network/layers/1/tied", "only the last layer"},
      {"/network/layers/2/init", "vectors of the embedding"}}},
    {PLAYS("}, " LAYERS(
         "{'type': 'embedding', 'dimension': 3}, {'type': 'rnn', 'units': 4}, {'type': "
         "'dense', 'units': 'auto', 'tied': true}")),
     {{"/network/layers/2/tied", "3 numbers|4 inputs"}}},
    {TWEETS(
         "}, " LAYERS("{'type': 'embedding', 'dimension': 3}, {'type': 'dense', 'units': 'auto', "
                      "'tied': true}")),
     {{"/network/layers/1/tied", "of a language model"}}},
    {PLAYS("}, " LAYERS("{'type': 'embedding', 'dimension': 27}")),
     {{"/network/layers/0/type", "must be \"dense\""}}},
    {PLAYS("}, " LAYERS("{'type': 'embedding', 'dimension': 3}, {'type': 'rnn', 'units': 5}")),
     {{"/network/layers/1/type", "must be \"dense\""}}},
    /* vectors */
    {"{'data': {'dataset': 'words'}}", {{"/data/dataset", "kind \"vectors\"|an embedding"}}},
    {PLAYS("}, " LAYERS(
         "{'type': 'embedding', 'dimension': 4, 'vectors': 'words'}, {'type': 'dense', "
         "'units': 'auto'}")),
     {{"/network/layers/0/vectors", "3 numbers|4"}}},
    {TWEETS("}, " LAYERS(
         "{'type': 'window', 'width': 3}, {'type': 'embedding', 'dimension': 3, 'vectors': "
         "'plays'}, {'type': 'dense', 'units': 'auto', 'vectors': 'words'}")),
     {{"/network/layers/1/vectors", "kind \"text\"|\"vectors\""},
      {"/network/layers/2/vectors", "unknown field"}}},
    {PLAYS("}, " LAYERS("{'type': 'embedding', 'dimension': 3, 'vectors': 7}, "
                        "{'type': 'dense', 'units': 'auto'}")),
     {{"/network/layers/0/vectors", "the name of a data set|got a whole number"}}},
    /* losses */
    {TWEETS("}, 'loss': {'type': 'max_margin', 'class_weights': 'balanced'}, " LAYERS(
         "{'type': 'embedding', 'dimension': 3}, {'type': 'dense', 'units': 2}")),
     {{"/network/layers/1/units", "must have one unit, got 2"},
      {"/loss/class_weights", "no classes to weigh"}}},
    {IRIS("}, 'loss': 'max_margin', 'metrics': {"), {{"/loss", "windows of tagged sentences"}}},
    {PLAYS("}, 'loss': 'hinge', 'metrics': {"), {{"/loss", "softmax_cross_entropy, got hinge"}}},
    {TWEETS("}, 'loss': 'mean_squared_error', 'metrics': {"), {{"/loss", "for regression"}}},
    {PLAYS("}, 'loss': {'type': 'softmax_cross_entropy', 'class_weights': 'balanced'"),
     {{"/loss/class_weights", "entries of the vocabulary"}}},
    {TWEETS("}, 'loss': {'type': 'softmax_cross_entropy', 'class_weights': {'B-z': 2}"),
     {{"/loss/class_weights/B-z", "unknown class|\"tweets\"|\"B-x\""}}},
};

static bool has_words(const char *detail, const char *words)
{
    char *copy = strdup(words), *rest = copy, *word;
    bool all = true;
    while ((word = strsep(&rest, "|")))
        all = all && strstr(detail, word);
    free(copy);
    return all;
}

static bool row_fits(const corpus_row *row, const bp_faults *faults)
{
    size_t wanted = 0;
    while (wanted < FAULTS && row->fault[wanted].pointer)
        wanted++;
    bool fits = faults->count == wanted;
    for (size_t i = 0; fits && i < wanted; i++) {
        bool found = false;
        for (size_t j = 0; j < faults->count; j++)
            found = found || (!strcmp(faults->items[j].pointer, row->fault[i].pointer) &&
                              has_words(faults->items[j].detail, row->fault[i].words));
        fits = found;
    }
    return fits;
}

static void test_corpora(void **state)
{
    (void)state;
    support_datasets datasets;
    support_datasets_open(&datasets);
    size_t failed = 0;
    for (size_t index = 0; index < sizeof rows / sizeof *rows; index++) {
        json_t *body = support_json(rows[index].body);
        support_job job;
        support_resolve(&job, &datasets, body);
        assert_int_not_equal(job.status, BP_OK);
        if (!row_fits(&rows[index], &job.faults)) {
            print_error("%s: status %d\n", rows[index].body, (int)job.status);
            for (size_t fault = 0; fault < job.faults.count; fault++)
                print_error("    %s: %s\n", job.faults.items[fault].pointer,
                            job.faults.items[fault].detail);
            failed++;
        }
        support_job_done(&job);
        json_decref(body);
    }
    assert_int_equal(failed, 0);
    support_datasets_close(&datasets);
}

/* Resolved documents, whole; each resolves to itself. */
static const struct {
    const char *body, *resolved;
} resolved_rows[] = {
    {PLAYS(""),
     "{'name': 'plays', 'task': 'language_model', 'priority': 0, 'data': {'dataset': 'plays', "
     "'version': 1, 'sha256': '@d1', 'unit': 'character', 'lowercase': false, 'min_count': 1, "
     "'max_vocabulary': null}, 'network': {'layers': [{'type': 'embedding', 'dimension': 64, "
     "'trainable': true, 'sparse': false, 'init': {'type': 'xavier_uniform'}}, {'type': 'lstm', "
     "'units': 128, 'init': {'type': 'xavier_uniform'}}, {'type': 'dense', 'units': 27, 'bias': "
     "true, 'tied': false, 'activation': 'identity', 'init': {'type': 'xavier_uniform'}}]}, "
     "'loss': {'type': "
     "'softmax_cross_entropy'}, 'optimizer': {'type': 'adam', 'learning_rate': 0.002, 'beta1': "
     "0.9, "
     "'beta2': 0.999, 'epsilon': 1e-8, 'bias_correction': true, 'weight_decay': 0.0}, 'schedule': "
     "{'type': 'constant', 'per': 'step', 'fan_in_scaled': false, 'warmup_steps': 0}, "
     "'regularization': {}, "
     "'training': {'epochs': 10, 'batch_size': 64, 'shuffle': false, 'seed': 1, 'dtype': "
     "'float32', "
     "'threads': 1, 'gradient_check': false, 'sequence_length': 64}, 'checkpoint': "
     "{'every_seconds': 10, 'keep_last': 2, 'keep_best': false}, 'metrics': {'every_steps': 50}}"},
    {TWEETS(", 'lowercase': true, 'max_vocabulary': 5, 'validation': {'fraction': 0.5}"),
     "{'name': 'tweets', 'task': 'tagging', 'priority': 0, 'data': {'dataset': 'tweets', "
     "'version': 1, 'sha256': '@d2', 'unit': 'word', 'lowercase': true, 'min_count': 1, "
     "'max_vocabulary': 5, 'validation': {'fraction': 0.5}}, 'network': {'layers': [{'type': "
     "'window', 'width': 5}, {'type': 'embedding', 'dimension': 64, 'trainable': true, 'sparse': "
     "false, 'init': {'type': 'xavier_uniform'}}, {'type': 'dense', 'units': 64, 'bias': true, "
     "'tied': false, 'activation': 'tanh', 'init': {'type': 'xavier_uniform'}}, {'type': 'dense', "
     "'units': 2, "
     "'bias': true, 'tied': false, 'activation': 'identity', 'init': {'type': "
     "'xavier_uniform'}}]}, 'loss': "
     "{'type': 'softmax_cross_entropy'}, 'optimizer': {'type': 'adam', 'learning_rate': 0.002, "
     "'beta1': 0.9, 'beta2': 0.999, 'epsilon': 1e-8, 'bias_correction': true, 'weight_decay': "
     "0.0}, 'schedule': {'type': 'constant', 'per': 'step', 'fan_in_scaled': false, "
     "'warmup_steps': 0}, "
     "'regularization': {}, 'training': {'epochs': 10, 'batch_size': 64, 'shuffle': true, 'seed': "
     "1, 'dtype': 'float32', 'threads': 1, 'gradient_check': false}, 'checkpoint': "
     "{'every_seconds': 10, 'keep_last': 2, 'keep_best': false}, 'metrics': {'every_steps': 50}}"},
};

static void resolve_fitting(support_job *out, support_datasets *datasets, const json_t *body)
{
    support_resolve(out, datasets, body);
    for (size_t fault = 0; fault < out->faults.count; fault++)
        print_error("%s: %s\n", out->faults.items[fault].pointer, out->faults.items[fault].detail);
    assert_int_equal(out->status, BP_OK);
}

/* '@d1' stands for 32 times d1. */
static json_t *resolved_json(const char *text)
{
    json_t *json = support_json(text), *data = json_object_get(json, "data");
    const char *pair = json_string_value(json_object_get(data, "sha256")) + 1;
    char sha256[65] = "";
    for (size_t i = 0; i < 64; i++)
        sha256[i] = pair[i % 2];
    json_object_set_new(data, "sha256", json_string(sha256));
    return json;
}

static void test_resolved(void **state)
{
    (void)state;
    support_datasets datasets;
    support_datasets_open(&datasets);
    for (size_t i = 0; i < sizeof resolved_rows / sizeof *resolved_rows; i++) {
        json_t *body = support_json(resolved_rows[i].body);
        json_t *wanted = resolved_json(resolved_rows[i].resolved);
        support_job job, again;
        resolve_fitting(&job, &datasets, body);
        char *got = json_dumps(job.resolved, 0);
        if (!json_equal(job.resolved, wanted))
            fail_msg("%s\ngives %s", resolved_rows[i].body, got);
        free(got);
        resolve_fitting(&again, &datasets, job.resolved);
        assert_true(json_equal(job.resolved, again.resolved));
        assert_int_equal(job.size.total_bytes, again.size.total_bytes);
        support_job_done(&again);
        support_job_done(&job);
        json_decref(wanted);
        json_decref(body);
    }
    support_datasets_close(&datasets);
}

static json_int_t number_at(const json_t *json, const char *member, const char *inner)
{
    return json_integer_value(json_object_get(json_object_get(json, member), inner));
}

/* What each token was taken for stays while checkpoints are written, which here is the most beside it. */
static void test_size_of_a_tagging(void **state)
{
    (void)state;
    support_datasets datasets;
    support_datasets_open(&datasets);
    json_t *body = support_json(TWEETS(""));
    support_job job;
    resolve_fitting(&job, &datasets, body);
    const bp_training_spec *training = &job.spec->training;
    bp_network_size network;
    size_t trainer, snapshot;
    assert_int_equal(
        bp_trainer_measure(&trainer, &network, training, (size_t)job.size.training_rows, NULL),
        BP_OK);
    assert_int_equal(bp_snapshot_measure(&snapshot, training, &network, NULL), BP_OK);
    const uint64_t writing =
        network.parameter_bytes + 2 * bp_vocabulary_bytes(job.spec->corpus.vocabulary);
    assert_int_equal(job.size.training_bytes,
                     trainer + snapshot + writing + job.size.training_rows * sizeof(int32_t));
    support_job_done(&job);
    json_decref(body);
    support_datasets_close(&datasets);
}

/* What validate_only says of vocabulary, streams and rows. */
static void test_validation(void **state)
{
    (void)state;
    support_datasets datasets;
    support_datasets_open(&datasets);
    json_t *body = support_json(PLAYS(", 'unit': 'word', 'validation': {'fraction': 0.1}}, "
                                      "'training': {'batch_size': 32, 'sequence_length': 1000"));
    support_job job;
    resolve_fitting(&job, &datasets, body);
    json_t *answer = bp_job_validation_json(job.spec, job.resolved, job.warnings, &job.size);
    assert_int_equal(number_at(answer, "vocabulary", "size"), 5);
    assert_int_equal(number_at(answer, "sequence", "streams"), 32);
    assert_int_equal(number_at(answer, "sequence", "steps"), 809 / 32);
    assert_int_equal(number_at(answer, "rows", "training"), 810);
    assert_int_equal(number_at(answer, "rows", "validation"), 90);
    assert_int_equal(json_integer_value(json_object_get(answer, "parameters")),
                     5 * 64 + 4 * 128 * (64 + 128 + 2) + 5 * 129);
    json_decref(answer);
    support_job_done(&job);
    json_decref(body);

    body = support_json(TWEETS("}, " LAYERS("{'type': 'embedding', 'dimension': 2}, "
                                            "{'type': 'dense', 'units': 'auto'}")));
    resolve_fitting(&job, &datasets, body);
    answer = bp_job_validation_json(job.spec, job.resolved, job.warnings, &job.size);
    assert_int_equal(number_at(answer, "vocabulary", "size"), 6);
    assert_null(json_object_get(answer, "sequence"));
    assert_int_equal(json_array_size(job.warnings), 1);
    assert_non_null(strstr(json_string_value(json_array_get(job.warnings, 0)), "no window"));
    const uint64_t alone = job.size.data_bytes;
    json_decref(answer);
    support_job_done(&job);
    json_decref(body);

    /* A part that is a data set of its own has its own tokens, and room for them. */
    body = support_json(TWEETS(", 'validation': {'dataset': 'tweets'}}, " LAYERS(
        "{'type': 'embedding', 'dimension': 2}, {'type': 'dense', 'units': 'auto'}")));
    resolve_fitting(&job, &datasets, body);
    answer = bp_job_validation_json(job.spec, job.resolved, job.warnings, &job.size);
    assert_int_equal(number_at(answer, "rows", "validation"), 8);
    assert_int_equal(number_at(answer, "rows", "test"), 0);
    assert_true(job.size.data_bytes >= alone + 8 * 3 * sizeof(int32_t));
    json_decref(answer);
    support_job_done(&job);
    json_decref(body);
    support_datasets_close(&datasets);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_corpora),
        cmocka_unit_test(test_resolved),
        cmocka_unit_test(test_size_of_a_tagging),
        cmocka_unit_test(test_validation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
