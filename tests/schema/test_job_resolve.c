/* What a job becomes when it says little, and that the result says all. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "schema/json/json_text.h"
#include "tests/schema/support_datasets.h"

static support_datasets datasets;

static int open_datasets(void **state)
{
    (void)state;
    support_datasets_open(&datasets);
    return 0;
}

static int close_datasets(void **state)
{
    (void)state;
    support_datasets_close(&datasets);
    return 0;
}

static void resolve_text(support_job *job, const char *text)
{
    json_t *body = support_json(text);
    support_resolve(job, &datasets, body);
    for (size_t index = 0; index < job->faults.count; index++)
        print_error("%s: %s\n", job->faults.items[index].pointer, job->faults.items[index].detail);
    assert_int_equal(job->status, BP_OK);
    json_decref(body);
}

static void assert_json(const json_t *got, const char *text)
{
    json_t *wanted = support_json(text);
    if (!json_equal(bp_json_mutable(got), wanted)) {
        char *shown = bp_json_text(got, NULL);
        print_error("got    %s\nwanted %s\n", shown, text);
        free(shown);
        fail();
    }
    json_decref(wanted);
}

static void test_shortest_job(void **state)
{
    (void)state;
    support_job job;
    resolve_text(&job, "{'data': {'dataset': 'iris', 'target': 'species'}}");
    assert_json(
        job.resolved,
        "{'name': 'iris', 'task': 'classification', 'priority': 0,"
        " 'data': {'dataset': 'iris', 'version': 1, 'sha256':"
        "   'a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1',"
        "   'features': ['sepal_length', 'sepal_width', 'petal_length', 'petal_width'],"
        "   'target': 'species', 'exclude': [], 'columns': {}},"
        " 'preprocess': {'center': true, 'scale': 'standard', 'whiten': false, 'missing': 'mean'},"
        " 'network': {'layers': ["
        "   {'type': 'dense', 'units': 64, 'bias': true, 'tied': false, 'activation': 'relu',"
        "    'init': {'type': 'xavier_uniform'}},"
        "   {'type': 'dense', 'units': 3, 'bias': true, 'tied': false, 'activation': 'identity',"
        "    'init': {'type': 'xavier_uniform'}}]},"
        " 'loss': {'type': 'softmax_cross_entropy'},"
        " 'optimizer': {'type': 'momentum', 'learning_rate': 0.05, 'momentum': 0.9,"
        "   'nesterov': false},"
        " 'schedule': {'type': 'constant', 'per': 'step', 'warmup_steps': 0,"
        "   'fan_in_scaled': false},"
        " 'regularization': {},"
        " 'training': {'epochs': 50, 'batch_size': 64, 'shuffle': true, 'seed': 1,"
        "   'dtype': 'float32', 'threads': 1, 'gradient_check': false},"
        " 'checkpoint': {'every_seconds': 10, 'keep_last': 2, 'keep_best': false},"
        " 'metrics': {'every_steps': 50}}");
    assert_string_equal(job.spec->classes.texts[2], "virginica");
    assert_int_equal(job.spec->input_width, 4);
    assert_int_equal(job.spec->training.network.input_width, 4);
    assert_int_equal(job.spec->training.network.layer_count, 2);
    assert_ptr_equal(job.spec->training.network.layers, job.spec->layers);
    assert_int_equal(job.size.network.parameter_count, 4 * 64 + 64 + 64 * 3 + 3);
    assert_int_equal(job.size.training_rows, 150);
    assert_int_equal(json_array_size(job.warnings), 0);
    support_job_done(&job);
}

typedef struct inference {
    const char *body;
    const char *path, *wanted; /* members of the resolved document, joined by '/' */
} inference;

static const json_t *look_up(const json_t *json, const char *path)
{
    char *copy = strdup(path), *rest = copy, *part;
    while ((part = strsep(&rest, "/")) && json)
        json = json_is_array(json) ? json_array_get(json, (size_t)atoi(part))
                                   : json_object_get(json, part);
    free(copy);
    return json;
}

#define IMAGES(target) "{'data': {'dataset': 'images', 'target': " target "}"
#define DENSE(activation)                                                                          \
    "'network': {'layers': [{'type': 'dense', 'units': 'auto', 'activation': '" activation "'}]}"

static const inference inferences[] = {
    /* the task, from loss, then type, then number of values */
    {IMAGES("'digit'") "}", "task", "'classification'"},
    {IMAGES("'digit'") ", 'loss': 'mean_squared_error'}", "task", "'regression'"},
    {IMAGES("'digit'") ", 'task': 'regression'}", "loss/type", "'mean_squared_error'"},
    {IMAGES("'score'") "}", "task", "'regression'"},
    {IMAGES("'pair'") "}", "task", "'regression'"},
    {IMAGES("'pair'") "}", "network/layers/1/units", "2"},
    {IMAGES("['pair', 'score']") "}", "network/layers/1/units", "3"},
    {IMAGES("['pair', 'score']") "}", "data/features", "['pixels', 'digit']"},
    {IMAGES("['score']") "}", "data/target", "['score']"},
    {"{'data': {'dataset': 'birds', 'target': 'ringed'}}", "task", "'classification'"},
    {"{'data': {'dataset': 'ids', 'target': 'id'}}", "task", "'regression'"},
    {"{'data': {'dataset': 'ids', 'target': 'id'}}", "data/version", "7"},
    /* columns */
    {"{'data': {'dataset': 'birds', 'target': 'kind', 'exclude': ['sex', 'mass']}}",
     "data/features", "['island', 'ringed', 'a/b~c']"},
    {"{'data': {'dataset': 'birds', 'target': 'kind', 'exclude': ['sex', 'mass']}}", "data/exclude",
     "['sex', 'mass']"},
    {"{'data': {'dataset': 'iris', 'target': 'species', 'features': ['petal_width',"
     " 'sepal_width']}}",
     "data/features", "['petal_width', 'sepal_width']"},
    {"{'data': {'dataset': 'images', 'target': 'digit', 'columns': {'digit': 'categorical'}}}",
     "data/columns", "{'digit': 'categorical'}"},
    {"{'data': {'dataset': 'images', 'target': 'digit', 'test': {'dataset': 'images-test'}}}",
     "data/test",
     "{'dataset': 'images-test', 'version': 1, 'sha256':"
     " 'a4a4a4a4a4a4a4a4a4a4a4a4a4a4a4a4a4a4a4a4a4a4a4a4a4a4a4a4a4a4a4a4'}"},
    {"{'data': {'dataset': 'iris', 'target': 'species', 'validation': {'fraction': 0.1}}}",
     "data/validation", "{'fraction': 0.1}"},
    /* checkpoints */
    {"{'data': {'dataset': 'iris', 'target': 'species'}, 'checkpoint': {'keep_last': 3}}",
     "checkpoint", "{'every_seconds': 10, 'keep_last': 3, 'keep_best': false}"},
    {"{'data': {'dataset': 'iris', 'target': 'species'}, 'checkpoint': {'every_epochs': 2}}",
     "checkpoint", "{'every_epochs': 2, 'keep_last': 2, 'keep_best': false}"},
    {"{'data': {'dataset': 'iris', 'target': 'species', 'validation': {'fraction': 0.1}},"
     " 'checkpoint': {'every_epochs': 2, 'every_steps': 7, 'every_seconds': 0.5}}",
     "checkpoint",
     "{'every_epochs': 2, 'every_steps': 7, 'every_seconds': 0.5, 'keep_last': 2,"
     " 'keep_best': true}"},
    {"{'data': {'dataset': 'iris', 'target': 'species', 'validation': {'fraction': 0.1}},"
     " 'checkpoint': {'every_epochs': 2, 'keep_best': false}}",
     "checkpoint", "{'every_epochs': 2, 'keep_last': 2, 'keep_best': false}"},
    {"{'data': {'dataset': 'iris', 'target': 'species'}, 'checkpoint': {'keep_best': true},"
     " 'training': {'early_stopping': {'metric': 'train.loss'}}}",
     "checkpoint", "{'every_epochs': 1, 'keep_last': 2, 'keep_best': true}"},
    {"{'data': {'dataset': 'iris', 'target': 'species', 'validation': {'fraction': 0.1}},"
     " 'checkpoint': {'every_steps': 7}}",
     "checkpoint", "{'every_steps': 7, 'keep_last': 2, 'keep_best': false}"},
    /* choices */
    {IMAGES("'digit'") ", 'optimizer': 'sgd'}", "optimizer",
     "{'type': 'sgd', 'learning_rate': 0.01}"},
    {IMAGES("'digit'") ", 'optimizer': {'type': 'momentum', 'learning_rate': 1}}", "optimizer",
     "{'type': 'momentum', 'learning_rate': 1.0, 'momentum': 0.9, 'nesterov': false}"},
    {IMAGES("'digit'") "," DENSE("softmax") "}", "network/layers/0",
     "{'type': 'dense', 'units': 10, 'bias': true, 'tied': false, 'activation': 'softmax',"
     " 'init': {'type': 'xavier_uniform'}}"},
    {IMAGES("'digit'") ", 'network': {'layers': [{'type': 'dense', 'units': 10, 'bias': false,"
                       " 'init': {'type': 'normal', 'std': 0.5}}]}}",
     "network/layers/0",
     "{'type': 'dense', 'units': 10, 'bias': false, 'tied': false, 'activation': 'identity',"
     " 'init': {'type': 'normal', 'std': 0.5}}"},
    {IMAGES("'digit'") ", 'preprocess': {'center': false, 'scale': {'type': 'minmax'}}}",
     "preprocess", "{'center': false, 'scale': 'minmax', 'whiten': false, 'missing': 'mean'}"},
    /* a rate that large targets do not make diverge; the largest here is 9, then 255 */
    {IMAGES("'score'") "}", "optimizer/learning_rate", "0.006"},
    {IMAGES("'pair'") "}", "optimizer/learning_rate", "0.0002"},
    {IMAGES(
         "'digit'") ", 'name': 'A.b-c_9', 'priority': -3, 'training': {'epochs': 0, 'batch_size':"
                    " 100000, 'shuffle': false, 'seed': 9007199254740991, 'dtype': 'float64',"
                    " 'threads': 4}, 'metrics': {'every_steps': 1}}",
     "training",
     "{'epochs': 0, 'batch_size': 100000, 'shuffle': false, 'seed': 9007199254740991,"
     " 'dtype': 'float64', 'threads': 4, 'gradient_check': false}"},
    /* whole numbers however they are written */
    {IMAGES("'digit'") ", 'priority': 7.0, 'optimizer': 'adam', 'training': {'epochs': 1e1,"
                       " 'batch_size': 64.0, 'seed': 9007199254740991.0},"
                       " 'network': {'layers': [{'type': 'dense', 'units': 1.0e1}]}}",
     "training",
     "{'epochs': 10, 'batch_size': 64, 'shuffle': true, 'seed': 9007199254740991,"
     " 'dtype': 'float32', 'threads': 1, 'gradient_check': false}"},
    /* dropout, of units where it does not say */
    {IMAGES("'digit'") ", 'network': {'layers': [{'type': 'dropout', 'keep': 0.8},"
                       " {'type': 'dense', 'units': 8, 'dropout': {'keep': 0.5}},"
                       " {'type': 'dense', 'units': 8, 'activation': 'tanh',"
                       "  'dropout': {'keep': 0.9, 'of': 'layer'}},"
                       " {'type': 'dense', 'units': 10, 'bias': false,"
                       "  'dropout': {'of': 'connections', 'keep': 1}}]}}",
     "network/layers",
     "[{'type': 'dropout', 'keep': 0.8, 'variational': false},"
     " {'type': 'dense', 'units': 8, 'bias': true, 'tied': false, 'activation': 'identity',"
     "  'init': {'type': 'xavier_uniform'}, 'dropout': {'of': 'units', 'keep': 0.5, 'variational': "
     "false, 'keep_recurrent': 0.0}},"
     " {'type': 'dense', 'units': 8, 'bias': true, 'tied': false, 'activation': 'tanh',"
     "  'init': {'type': 'xavier_uniform'}, 'dropout': {'of': 'layer', 'keep': 0.9}},"
     " {'type': 'dense', 'units': 10, 'bias': false, 'tied': false, 'activation': 'identity',"
     "  'init': {'type': 'xavier_uniform'}, 'dropout': {'of': 'connections', 'keep': 1.0, "
     "'variational': false, 'keep_recurrent': 0.0}}]"},
    /* what keeps weights small */
    {IMAGES("'digit'") ", 'regularization': {'max_norm': 3, 'l2': 1e-4, 'l1': 0}}",
     "regularization", "{'l2': 0.0001, 'l1': 0.0, 'max_norm': 3.0}"},
    {IMAGES("'digit', 'validation': {'fraction': 0.1}") ", 'schedule': 'plateau', 'training':"
                                                        " {'epochs': 1, 'clip_norm': 5,"
                                                        " 'gradient_check': true,"
                                                        " 'early_stopping': {'patience': 3.0}}}",
     "training",
     "{'epochs': 1, 'batch_size': 64, 'shuffle': true, 'seed': 1, 'dtype': 'float32', 'threads': 1,"
     " 'gradient_check': true, 'clip_norm': 5.0, 'early_stopping': {'metric': 'validation.loss',"
     " 'patience': 3, 'min_delta': 0.0, 'restore_best': true}}"},
    /* preparation */
    {IMAGES("'digit'") ", 'preprocess': {'whiten': true}}", "preprocess",
     "{'center': true, 'scale': 'standard', 'whiten': true, 'epsilon': 1e-5, 'missing': 'mean'}"},
    {IMAGES("'score'") ", 'preprocess': {'whiten': true, 'epsilon': 1, 'target': 'standard'}}",
     "preprocess",
     "{'center': true, 'scale': 'standard', 'whiten': true, 'epsilon': 1.0, 'missing': 'mean',"
     " 'target': 'standard'}"},
    {IMAGES("'score'") ", 'preprocess': {'target': 'standard'}}", "optimizer/learning_rate",
     "0.05"},
    /* class weights */
    {IMAGES("'digit'") ", 'loss': {'type': 'softmax_cross_entropy', 'class_weights': 'balanced'}}",
     "loss", "{'type': 'softmax_cross_entropy', 'class_weights': 'balanced'}"},
    {IMAGES("'digit'") ", 'loss': {'type': 'hinge', 'class_weights': {'3': 2, '9.0': 0.5}}}",
     "loss", "{'type': 'hinge', 'margin': 1.0, 'class_weights': {'3': 2, '9.0': 0.5}}"},
    {"{'data': {'dataset': 'birds', 'target': 'ringed'}, 'loss': {'type': 'binary_cross_entropy',"
     " 'class_weights': {'true': 3}}}",
     "network/layers/1/units", "1"},
};

static void test_inference_and_fixed_point(void **state)
{
    (void)state;
    for (size_t index = 0; index < sizeof inferences / sizeof *inferences; index++) {
        const inference *row = &inferences[index];
        support_job job, again;
        resolve_text(&job, row->body);
        assert_json(look_up(job.resolved, row->path), row->wanted);

        /* Through text and back, as it is stored. */
        char *text = bp_json_text(job.resolved, NULL);
        assert_non_null(text);
        json_t *stored = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
        assert_non_null(stored);
        support_resolve(&again, &datasets, stored);
        assert_int_equal(again.status, BP_OK);
        assert_true(json_equal(again.resolved, job.resolved));
        char *text_again = bp_json_text(again.resolved, NULL);
        assert_string_equal(text, text_again);
        assert_memory_equal(&again.size, &job.size, sizeof job.size);
        free(text);
        free(text_again);
        json_decref(stored);
        support_job_done(&again);
        support_job_done(&job);
    }
}

static void test_columns_of_spec(void **state)
{
    (void)state;
    support_job job;
    resolve_text(&job, "{'data': {'dataset': 'birds', 'target': 'kind', 'exclude': ['a/b~c'],"
                       " 'columns': {'ringed': 'categorical'}}}");
    const bp_job_spec *spec = job.spec;
    assert_int_equal(spec->feature_count, 4);
    assert_int_equal(spec->features[0].type, BP_COLUMN_CATEGORICAL);
    assert_int_equal(spec->features[0].category_count, 2);
    assert_string_equal(spec->feature_categories[0].texts[1], "Dream");
    assert_int_equal(spec->features[1].type, BP_COLUMN_NUMERIC);
    assert_int_equal(spec->feature_categories[1].count, 0);
    assert_int_equal(spec->features[2].type, BP_COLUMN_CATEGORICAL);
    assert_int_equal(spec->feature_categories[2].type, BP_COLUMN_BOOLEAN);
    assert_int_equal(spec->feature_categories[2].count, 2);
    assert_int_equal(spec->features[3].index, 3);
    assert_int_equal(spec->input_width, 2 + 1 + 2 + 2);
    assert_int_equal(spec->target_width, 2);
    support_job_done(&job);
}

static void test_class_weights(void **state)
{
    (void)state;
    static const int32_t label[] = {2, 0, 0, 0, 2};
    support_job job;
    resolve_text(&job, "{'data': {'dataset': 'iris', 'target': 'species'}, 'loss': {'type':"
                       " 'softmax_cross_entropy', 'class_weights': {'virginica': 2.5}}}");
    const double *weight = job.spec->training.network.class_weight;
    assert_true(weight[0] == 1 && weight[1] == 1 && weight[2] == 2.5);
    assert_int_equal(bp_job_balance_classes(job.spec, label, 5, NULL), BP_OK);
    assert_true(weight[0] == 1 && weight[2] == 2.5); /* not asked for */
    support_job_done(&job);
    resolve_text(&job, "{'data': {'dataset': 'iris', 'target': 'species'}, 'loss': {'type':"
                       " 'softmax_cross_entropy', 'class_weights': 'balanced'}}");
    weight = job.spec->training.network.class_weight;
    assert_int_equal(bp_job_balance_classes(job.spec, label, 5, NULL), BP_OK);
    assert_true(weight[0] == 5.0 / 9 && weight[1] == 1 && weight[2] == 5.0 / 6);
    support_job_done(&job);
}

/* What the trainer allocates beyond the plain job's: best weights, a weight for each class. */
static void test_memory_of_watching(void **state)
{
    (void)state;
    support_job plain, stopping;
    resolve_text(&plain, "{'data': {'dataset': 'iris', 'target': 'species'}}");
    resolve_text(&stopping, "{'data': {'dataset': 'iris', 'target': 'species'}, 'training':"
                            " {'early_stopping': {'metric': 'train.loss'}}}");
    assert_true(stopping.size.training_bytes >=
                plain.size.training_bytes + plain.size.network.parameter_count * sizeof(float));
    /* A gradient check: parameters, gradients and activations once more, in float64. */
    support_job checking;
    resolve_text(&checking, "{'data': {'dataset': 'iris', 'target': 'species'}, 'training':"
                            " {'gradient_check': true}}");
    assert_true(checking.size.training_bytes >=
                plain.size.network.total_bytes +
                    2 * plain.size.network.parameter_count * sizeof(double) +
                    64 * (4 + 64 + 64 + 3) * sizeof(double));
    support_job_done(&checking);
    support_job_done(&plain);
    support_job_done(&stopping);
}

static void test_rows_of_parts(void **state)
{
    (void)state;
    support_job job;
    resolve_text(&job, "{'data': {'dataset': 'iris', 'target': 'species',"
                       " 'validation': {'fraction': 0.1}, 'test': {'fraction': 0.25}}}");
    assert_int_equal(job.size.validation_rows, 15);
    assert_int_equal(job.size.test_rows, 38); /* 37.5 */
    assert_int_equal(job.size.training_rows, 97);
    support_job_done(&job);
    resolve_text(&job, "{'data': {'dataset': 'images', 'target': 'digit', 'features': ['pixels'],"
                       " 'test': {'dataset': 'images-test'}}, 'training': {'dtype': 'float64'}}");
    assert_int_equal(job.size.training_rows, 1000);
    assert_int_equal(job.size.test_rows, 100);
    /* prepared features, labels and the preparation; 1000 staged rows of 16 come before the trainer */
    const bp_feature_column pixels = {.width = 16};
    const bp_preparation_spec preparation = {.scaling = job.spec->scaling,
                                             .missing = job.spec->missing,
                                             .column_count = 1,
                                             .columns = &pixels};
    size_t kept, working;
    assert_int_equal(bp_preparation_measure(&kept, &working, &preparation, 1000, NULL), BP_OK);
    assert_int_equal(job.size.data_bytes, 1100 * 16 * 8 + 1100 * 4 + kept);
    const uint64_t loading = 1000 * 16 * 8 + working;
    assert_int_equal(job.size.total_bytes,
                     job.size.data_bytes +
                         (loading > job.size.training_bytes ? loading : job.size.training_bytes));
    support_job_done(&job);
}

static void test_warnings(void **state)
{
    (void)state;
    support_job job;
    resolve_text(&job, IMAGES("'digit'") "," DENSE("relu") "}");
    assert_int_equal(json_array_size(job.warnings), 1);
    assert_non_null(strstr(json_string_value(json_array_get(job.warnings, 0)), "relu"));
    support_job_done(&job);
}

static void test_validation_answer(void **state)
{
    (void)state;
    support_job job;
    resolve_text(&job, "{'data': {'dataset': 'iris', 'target': 'species'}}");
    json_t *answer = bp_job_validation_json(job.spec, job.resolved, job.warnings, &job.size);
    assert_json(look_up(answer, "layers"),
                "[{'type': 'dense', 'input': 4, 'output': 64, 'parameters': 320, 'tensors':"
                "  [{'name': 'weight', 'shape': [64, 4]}, {'name': 'bias', 'shape': [64]}]},"
                " {'type': 'dense', 'input': 64, 'output': 3, 'parameters': 195, 'tensors':"
                "  [{'name': 'weight', 'shape': [3, 64]}, {'name': 'bias', 'shape': [3]}]}]");
    assert_json(look_up(answer, "parameters"), "515");
    assert_json(look_up(answer, "rows"), "{'training': 150, 'validation': 0, 'test': 0}");
    assert_true(json_equal(json_object_get(answer, "specification"), job.resolved));
    assert_true(json_integer_value(look_up(answer, "memory/total_bytes")) > 0);
    json_decref(answer);
    support_job_done(&job);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shortest_job),    cmocka_unit_test(test_inference_and_fixed_point),
        cmocka_unit_test(test_columns_of_spec), cmocka_unit_test(test_rows_of_parts),
        cmocka_unit_test(test_warnings),        cmocka_unit_test(test_validation_answer),
        cmocka_unit_test(test_class_weights),   cmocka_unit_test(test_memory_of_watching),
    };
    return cmocka_run_group_tests(tests, open_datasets, close_datasets);
}
