/* Bodies that must be refused: every fault, its place, and words that its sentence must have. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "schema/json/json_text.h"
#include "tests/schema/support_datasets.h"

enum { FAULT_COLUMNS = 6 };

typedef struct fault_row {
    const char *body;
    bp_status status; /* of the first fault */
    struct {
        const char *pointer, *words; /* words joined by '|' */
    } fault[FAULT_COLUMNS];
} fault_row;

#define DATA         "'data': {'dataset': 'iris', 'target': 'species'}"
#define IRIS(rest)   "{" DATA ", " rest "}"
#define IMAGES(rest) "{'data': {'dataset': 'images', " rest "}}"
#define LAYERS(rest) IRIS("'network': {'layers': [" rest "]}")

static const fault_row rows[] = {
    /* kinds of JSON */
    {"[]", BP_INVALID, {{"", "an object|an array"}}},
    {"null", BP_INVALID, {{"", "null"}}},
    {"{}", BP_INVALID, {{"/data", "required"}}},
    {"{'data': 3}", BP_INVALID, {{"/data", "an object|a whole number"}}},
    {"{'data': {}}", BP_INVALID, {{"/data/dataset", "required"}, {"/data/target", "required"}}},
    {IRIS("'name': 7"), BP_INVALID, {{"/name", "a string"}}},
    {IRIS("'name': '../x'"), BP_INVALID, {{"/name", "name"}}},
    {IRIS("'name': ''"), BP_INVALID, {{"/name", "name"}}},
    {IRIS("'priority': 1.5"), BP_INVALID, {{"/priority", "whole number|fraction"}}},
    {IRIS("'priority': 1e300"), BP_INVALID, {{"/priority", "at most 1000000, got 1e+300"}}},
    {IRIS("'priority': 1000001"), BP_INVALID, {{"/priority", "-1000000|1000000|1000001"}}},
    {IRIS("'preprocess': {'center': 1}"), BP_INVALID, {{"/preprocess/center", "true or false"}}},
    {IRIS("'network': null"), BP_INVALID, {{"/network", "an object|null"}}},
    /* unknown names */
    {IRIS("'optimiser': 'sgd'"),
     BP_UNKNOWN_NAME,
     {{"/optimiser", "optimiser|did you mean|optimizer"}}},
    {LAYERS("{'type': 'dense', 'unts': 3}"),
     BP_UNKNOWN_NAME,
     {{"/network/layers/0/unts",
       "unknown field \"unts\"|did you mean \"units\"?|\"bias\"|\"init\""},
      {"/network/layers/0/units", "required"}}},
    {LAYERS("{'type': 'dens', 'units': 3}"),
     BP_UNKNOWN_NAME,
     {{"/network/layers/0/type", "unknown layer \"dens\"|did you mean \"dense\"?"}}},
    {LAYERS("{'units': 3}"), BP_INVALID, {{"/network/layers/0/type", "required"}}},
    {LAYERS("'dense'"), BP_INVALID, {{"/network/layers/0", "units"}}},
    {LAYERS("{'type': 'dense', 'units': 3, 'activation': 'rleu'}"),
     BP_UNKNOWN_NAME,
     {{"/network/layers/0/activation", "\"rleu\"|did you mean \"relu\"?|tanh"}}},
    {IRIS("'loss': {'type': 'softmax_crossentropy'}"),
     BP_UNKNOWN_NAME,
     {{"/loss/type", "did you mean \"softmax_cross_entropy\"?"}}},
    {IRIS("'training': {'dtype': 'float16'}"),
     BP_UNKNOWN_NAME,
     {{"/training/dtype", "float16|float32|float64"}}},
    {IRIS("'optimizer': {'type': 'lion'}"), BP_UNKNOWN_NAME, {{"/optimizer/type", "sgd|momentum"}}},
    {IRIS("'loss': 'binary_cross_entropy'"),
     BP_INVALID,
     {{"/loss", "two classes|\"species\" has 3"}}},
    {"{'data': {'dataset': 'birds', 'target': 'ringed'}, 'loss': 'binary_cross_entropy',"
     " 'network': {'layers': [{'type': 'dense', 'units': 2}]}}",
     BP_INVALID,
     {{"/network/layers/0/units", "one unit, got 2|auto"}}},
    {IRIS("'schedule': {'type': 'step', 'per': 'hour'}"),
     BP_UNKNOWN_NAME,
     {{"/schedule/per", "hour|step|epoch"}, {"/schedule/every", "required"}}},
    {IRIS("'regularization': {'l3': 0.1, 'l2': -1, 'l1': '0', 'max_norm': 0, 'frobenius': true}"),
     BP_UNKNOWN_NAME,
     {{"/regularization/l3", "unknown field \"l3\"|did you mean|\"frobenius\""},
      {"/regularization/l2", "at least 0, got -1"},
      {"/regularization/l1", "a number|a string"},
      {"/regularization/max_norm", "above 0, got 0"},
      {"/regularization/frobenius", "a number|a boolean"}}},
    {IRIS("'training': {'clip_norm': 0, 'gradient_check': 1}"),
     BP_INVALID,
     {{"/training/clip_norm", "above 0, got 0"}, {"/training/gradient_check", "true or false"}}},
    /* what cannot be watched */
    {IRIS("'schedule': 'plateau', 'training': {'early_stopping': {}}"),
     BP_INVALID,
     {{"/schedule/metric", "validation.loss|no validation part|train.loss"},
      {"/training/early_stopping/metric", "validation.loss|no validation part"}}},
    {IRIS("'schedule': {'type': 'plateau', 'metric': 'loss'}, 'training': {'early_stopping':"
          " {'metric': 'test.loss', 'patience': 0, 'type': 'x'}}"),
     BP_UNKNOWN_NAME,
     {{"/schedule/metric", "loss|validation.loss|train.accuracy"},
      {"/training/early_stopping/metric", "test.loss|validation.loss"},
      {"/training/early_stopping/patience", "at least 1"},
      {"/training/early_stopping/type", "unknown field \"type\"|\"restore_best\""}}},
    {IRIS("'training': {'early_stopping': {'metric': 'validation.entity_f1'}}"),
     BP_INVALID,
     {{"/training/early_stopping/metric", "validation.entity_f1|no entities|B-person"}}},
    {IMAGES("'target': 'score', 'validation': {'fraction': 0.1}}, 'training': {'early_stopping':"
            " {'metric': 'validation.accuracy'}"),
     BP_INVALID,
     {{"/training/early_stopping/metric", "a regression has no accuracy"}}},
    {IRIS("'training': {'early_stopping': true}"),
     BP_INVALID,
     {{"/training/early_stopping", "an object|a boolean"}}},
    /* preparation */
    {IRIS("'preprocess': {'whiten': 1, 'epsilon': 0, 'target': 'minmax'}"),
     BP_INVALID,
     {{"/preprocess/whiten", "true or false"},
      {"/preprocess/epsilon", "above 0, got 0"},
      {"/preprocess/target", "minmax|none|standard"}}},
    {IRIS("'preprocess': {'whiten': true, 'center': false, 'target': 'standard'}"),
     BP_INVALID,
     {{"/preprocess/whiten", "center"}, {"/preprocess/target", "regression"}}},
    {IRIS("'preprocess': {'epsilon': 0.1}"), BP_INVALID, {{"/preprocess/epsilon", "\"whiten\""}}},
    /* class weights */
    {IRIS("'loss': {'type': 'hinge', 'class_weights': {'setosa': 0, 'virginia': 2}}"),
     BP_INVALID,
     {{"/loss/class_weights/setosa", "above 0, got 0"},
      {"/loss/class_weights/virginia", "unknown class|species|did you mean \"virginica\"?"}}},
    {IRIS("'loss': 'max_margin'"), BP_INVALID, {{"/loss", "max_margin|windows of tagged"}}},
    {IRIS("'loss': {'type': 'hinge', 'class_weights': 'equal'}"),
     BP_INVALID,
     {{"/loss/class_weights", "\"balanced\"|object"}}},
    {IMAGES(
         "'target': 'digit'}, 'loss': {'type': 'softmax_cross_entropy', 'class_weights': {'3': 1,"
         " '3.0': 2, '10': 1, 'x': 1, '1': true}"),
     BP_INVALID,
     {{"/loss/class_weights/3.0", "again"},
      {"/loss/class_weights/10", "unknown class \"10\" of \"digit\""},
      {"/loss/class_weights/x", "unknown class"},
      {"/loss/class_weights/1", "a number|a boolean"}}},
    {IMAGES("'target': 'score'}, 'loss': {'type': 'mean_squared_error', 'class_weights':"
            " 'balanced'"),
     BP_INVALID,
     {{"/loss/class_weights", "mean_squared_error has no classes"}}},
    /* weights to begin with */
    {IRIS("'initial': {'modell': 'x', 'version': 0}"),
     BP_UNKNOWN_NAME,
     {{"/initial/modell", "did you mean \"model\"?"},
      {"/initial/version", "at least 1"},
      {"/initial", "either \"model\" or \"job\""}}},
    {IRIS("'initial': {'model': 'x', 'checkpoint': 2}"),
     BP_INVALID,
     {{"/initial", "\"checkpoint\" belongs to \"job\""}, {"/initial/model", "no model \"x\""}}},
    {IRIS("'initial': {'job': 7, 'version': 2}"),
     BP_INVALID,
     {{"/initial", "\"version\" belongs to \"model\""},
      {"/initial/job", "no checkpoint of a job 7"}}},
    {IRIS("'initial': {'model': 'x'}"), BP_NOT_FOUND, {{"/initial/model", "no model \"x\""}}},
    {IRIS("'initial': {'model': 'x', 'version': 3}"),
     BP_NOT_FOUND,
     {{"/initial/version", "no version 3 of model \"x\""}}},
    {IRIS("'a/b~c': 1"), BP_UNKNOWN_NAME, {{"/a~1b~0c", "a/b~c"}}},
    /* ranges */
    {IRIS("'optimizer': {'type': 'momentum', 'momentum': 1.5, 'learning_rate': 0}"),
     BP_INVALID,
     {{"/optimizer/momentum", "at least 0 and below 1, got 1.5"},
      {"/optimizer/learning_rate", "above 0, got 0"}}},
    {IRIS("'optimizer': {'type': 'momentum', 'nesterov': 1}"),
     BP_INVALID,
     {{"/optimizer/nesterov", "true or false"}}},
    {IRIS("'optimizer': {'type': 'sgd', 'learning_rate': '0.1'}"),
     BP_INVALID,
     {{"/optimizer/learning_rate", "a number|a string"}}},
    {LAYERS("{'type': 'dense', 'units': 0}"),
     BP_INVALID,
     {{"/network/layers/0/units", "whole number|at least 1|got 0"}}},
    {LAYERS("{'type': 'dense', 'units': -1}"), BP_INVALID, {{"/network/layers/0/units", "got -1"}}},
    {LAYERS("{'type': 'dense', 'units': 3.5}"),
     BP_INVALID,
     {{"/network/layers/0/units", "a whole number or \"auto\""}}},
    {LAYERS("{'type': 'dense', 'units': 4294967296}, {'type': 'dense', 'units': 'auto'}"),
     BP_INVALID,
     {{"/network/layers/0/units", "at most 2147483647"}}},
    {LAYERS("{'type': 'dense', 'units': 9223372036854775807}"),
     BP_INVALID,
     {{"/network/layers/0/units", "at most 2147483647"}}},
    {IRIS("'training': {'epochs': -1, 'batch_size': 0, 'seed': 9007199254740992, 'threads': 5}"),
     BP_INVALID,
     {{"/training/epochs", "at least 0"},
      {"/training/batch_size", "at least 1"},
      {"/training/seed", "at most 9007199254740991"},
      {"/training/threads", "at most 4"}}},
    {IRIS("'training': {'epochs': 9007199254740991, 'batch_size': 1}"),
     BP_TOO_LARGE,
     {{"/training/epochs", "steps"}}},
    {IRIS("'checkpoint': {'every_steps': 0, 'every_epochs': 1.5, 'every_seconds': 0,"
          " 'keep_last': 0, 'keep_best': 1}"),
     BP_INVALID,
     {{"/checkpoint/every_steps", "at least 1"},
      {"/checkpoint/every_epochs", "whole number"},
      {"/checkpoint/every_seconds", "above 0"},
      {"/checkpoint/keep_last", "at least 1"},
      {"/checkpoint/keep_best", "true or false"}}},
    {IRIS("'checkpoint': {'every_epoch': 1}"),
     BP_UNKNOWN_NAME,
     {{"/checkpoint/every_epoch", "did you mean|every_epochs"}}},
    {IRIS("'checkpoint': {'every_epochs': 1, 'keep_best': true}"),
     BP_INVALID,
     {{"/checkpoint/keep_best", "data.validation|early_stopping"}}},
    {IRIS("'checkpoint': {'every_steps': 1, 'keep_best': true},"
          " 'training': {'early_stopping': {'metric': 'train.loss'}}"),
     BP_INVALID,
     {{"/checkpoint/keep_best", "every_epochs"}}},
    {IRIS("'metrics': {'every_steps': 0}"), BP_INVALID, {{"/metrics/every_steps", "at least 1"}}},
    /* data sets and columns */
    {"{'data': {'dataset': 'irs', 'target': 'species'}}",
     BP_NOT_FOUND,
     {{"/data/dataset", "no data set|irs"}}},
    {"{'data': {'dataset': 'uneven', 'target': 'y'}}",
     BP_CONFLICT,
     {{"/data/dataset", "unequal|\"x\" has 5|\"y\" has 3"}}},
    {"{'data': {'dataset': 'empty', 'target': 'y'}}", BP_INVALID, {{"/data/dataset", "no rows"}}},
    {"{'data': {'dataset': 'iris', 'target': 'specie'}}",
     BP_UNKNOWN_NAME,
     {{"/data/target", "specie|did you mean \"species\"?"}}},
    {"{'data': {'dataset': 'iris', 'target': 'species', 'sha256': 'abc'}}",
     BP_INVALID,
     {{"/data/sha256", "64"}}},
    {"{'data': {'dataset': 'iris', 'target': 'species', 'version': 2}}",
     BP_NOT_FOUND,
     {{"/data/version", "is 1"}}},
    {"{'data': {'dataset': 'iris', 'target': 'species', 'features': ['petal_width', 'petal_widht',"
     " 'species', 'petal_width', 3]}}",
     BP_UNKNOWN_NAME,
     {{"/data/features/1", "did you mean \"petal_width\"?"},
      {"/data/features/3", "again"},
      {"/data/features/4", "a column name"}}},
    {"{'data': {'dataset': 'iris', 'target': 'species', 'features': ['species']}}",
     BP_INVALID,
     {{"/data/features/0", "target"}}},
    {"{'data': {'dataset': 'iris', 'target': 'species', 'features': []}}",
     BP_INVALID,
     {{"/data/features", "no features"}}},
    {"{'data': {'dataset': 'one-class', 'target': 'y', 'exclude': ['x']}}",
     BP_INVALID,
     {{"/data", "no features"}, {"/data/target", "2 classes"}}},
    {"{'data': {'dataset': 'iris', 'target': []}}", BP_INVALID, {{"/data/target", "at least one"}}},
    {"{'data': {'dataset': 'iris', 'target': {'name': 'species'}}}",
     BP_INVALID,
     {{"/data/target", "an object"}}},
    {"{'data': {'dataset': 'iris', 'target': 'species', 'exclude': 'petal_width'}}",
     BP_INVALID,
     {{"/data/exclude", "an array"}}},
    /* types */
    {"{'data': {'dataset': 'birds', 'target': 'ringed', 'columns': {'sex': 'numeric', 'mass':"
     " 'boolean', 'a/b~c': 'text', 'nobody': 'numeric'}}}",
     BP_INVALID,
     {{"/data/columns/sex", "\"sex\" holds text|female|numeric"},
      {"/data/columns/mass", "other than 0 and 1"},
      {"/data/columns/a~1b~0c", "text|categorical"},
      {"/data/columns/nobody", "unknown column \"nobody\""}}},
    {IMAGES("'target': 'digit', 'columns': {'pixels': 'categorical'}"),
     BP_INVALID,
     {{"/data/columns/pixels", "tensor"}}},
    {"{'data': {'dataset': 'ids', 'target': 'x', 'columns': {'id': 'categorical'}}}",
     BP_TOO_LARGE,
     {{"/data/columns/id", "10000"}}},
    {"{'data': {'dataset': 'iris', 'target': 'species'}, 'task': 'regression'}",
     BP_INVALID,
     {{"/data/target", "categories|numbers"}}},
    {"{'data': {'dataset': 'birds', 'target': ['mass', 'sex'], 'exclude': []}, 'task':"
     " 'regression', 'preprocess': {'missing': 'drop_row'}}",
     BP_INVALID,
     {{"/data/target/1", "sex|categories"}}},
    {"{'data': {'dataset': 'images', 'target': ['digit', 'score']}, 'task': 'classification'}",
     BP_INVALID,
     {{"/data/target", "one target, got 2"}}},
    {"{'data': {'dataset': 'images', 'target': 'pair'}, 'task': 'classification'}",
     BP_INVALID,
     {{"/data/target", "tensor"}}},
    {"{'data': {'dataset': 'ids', 'target': 'id'}, 'task': 'classification'}",
     BP_TOO_LARGE,
     {{"/data/target", "too many for classes"}}},
    {"{'data': {'dataset': 'iris', 'target': 'species'}, 'loss': 'mean_squared_error'}",
     BP_INVALID,
     {{"/data/target", "categories"}}},
    {"{'data': {'dataset': 'iris', 'target': 'species'}, 'task': 'classification', 'loss':"
     " 'mean_squared_error'}",
     BP_INVALID,
     {{"/loss", "mean_squared_error|regression|classification"}}},
    /* missing values */
    {"{'data': {'dataset': 'birds', 'target': 'sex'}}",
     BP_INVALID,
     {{"/data/target", "\"sex\"|3 rows|drop_row"}}},
    {"{'data': {'dataset': 'birds', 'target': 'kind'}, 'preprocess': {'missing': 'error'}}",
     BP_INVALID,
     {{"/preprocess/missing", "\"island\", \"mass\", \"sex\""}}},
    /* parts */
    {IMAGES("'target': 'digit', 'validation': {}"),
     BP_INVALID,
     {{"/data/validation", "fraction|dataset"}}},
    {IMAGES("'target': 'digit', 'validation': {'fraction': 0.1, 'dataset': 'images-test'}"),
     BP_INVALID,
     {{"/data/validation", "either"}}},
    {IMAGES("'target': 'digit', 'validation': {'fraction': 1}"),
     BP_INVALID,
     {{"/data/validation/fraction", "above 0 and below 1, got 1"}}},
    {IMAGES("'target': 'digit', 'validation': {'fraction': 0.5}, 'test': {'fraction': 0.5}"),
     BP_INVALID,
     {{"/data/validation/fraction", "1000 rows of 1000"}}},
    {IMAGES("'target': 'digit', 'test': {'dataset': 'nothing'}"),
     BP_NOT_FOUND,
     {{"/data/test/dataset", "nothing"}}},
    {IMAGES("'target': 'digit', 'features': ['pixels', 'score', 'pair'], 'test': {'dataset':"
            " 'images-odd'}"),
     BP_INVALID,
     {{"/data/test/dataset", "pixels|another shape"},
      {"/data/test/dataset", "score|categorical|numeric"},
      {"/data/test/dataset", "no column \"pair\""},
      {"/data/test/dataset", "label 10"}}},
    {IMAGES("'target': 'score', 'features': ['pixels'], 'test': {'dataset': 'images-test'}"),
     BP_INVALID,
     {{"/data/target", "images-test|1 rows"}}},
    {IMAGES("'target': 'digit', 'test': {'dataset': 'uneven'}"),
     BP_CONFLICT,
     {{"/data/test/dataset", "unequal"}}},
    /* networks */
    {IRIS("'network': {}"), BP_INVALID, {{"/network/layers", "required"}}},
    {LAYERS(""), BP_INVALID, {{"/network/layers", "1 to 64 layers, got 0"}}},
    {LAYERS("{'type': 'dense', 'units': 9}"),
     BP_INVALID,
     {{"/network/layers/0/units", "3 classes|got 9|auto"}}},
    {LAYERS("{'type': 'dense', 'units': 'auto'}, {'type': 'dense', 'units': 3}"),
     BP_INVALID,
     {{"/network/layers/0/units", "only the last layer"}}},
    {LAYERS("{'type': 'dense', 'units': 'many'}"),
     BP_INVALID,
     {{"/network/layers/0/units", "whole number or \"auto\"|a string"}}},
    {LAYERS(
         "{'type': 'dense', 'units': 4, 'activation': 'softmax'}, {'type': 'dense', 'units': 3}"),
     BP_INVALID,
     {{"/network/layers/0/activation", "last layer"}}},
    {LAYERS("{'type': 'dense', 'units': 3, 'dropout': {'of': 'weights', 'keep': 2}},"
            "{'type': 'dense', 'units': 3, 'dropout': {'keep': 2}},"
            "{'type': 'dense', 'units': 3, 'dropout': {'of': 'layer', 'rate': 0.5}},"
            "{'type': 'dense', 'units': 3, 'dropout': 0.5},"
            "{'type': 'dense', 'units': 3}"),
     BP_UNKNOWN_NAME,
     {{"/network/layers/0/dropout/of", "\"weights\"|connections|layer"},
      {"/network/layers/1/dropout/keep", "above 0 and at most 1, got 2"},
      {"/network/layers/2/dropout/rate", "unknown field \"rate\"|\"keep\""},
      {"/network/layers/2/dropout/keep", "required"},
      {"/network/layers/3/dropout", "an object|a number"}}},
    {LAYERS("{'type': 'dropout', 'activation': 'relu'}, {'type': 'dense', 'units': 3},"
            "{'type': 'dropout', 'keep': 0.5}"),
     BP_UNKNOWN_NAME,
     {{"/network/layers/0/activation", "unknown field|\"keep\""},
      {"/network/layers/0/keep", "required"},
      {"/network/layers/2/type", "last layer|hands on"}}},
    {LAYERS("{'type': 'dense', 'units': 3, 'tied': true}"),
     BP_INVALID,
     {{"/network/layers/0/tied", "last layer of a language model"}}},
    {LAYERS("{'type': 'embedding', 'dimension': 4}, {'type': 'dense', 'units': 3}"),
     BP_INVALID,
     {{"/network/layers/0/type", "\"embedding\" reads words|a table"}}},
    {LAYERS("{'type': 'window', 'width': 3}, {'type': 'embedding', 'dimension': 4},"
            "{'type': 'dense', 'units': 3}"),
     BP_INVALID,
     {{"/network/layers/0/type", "\"window\" reads words"},
      {"/network/layers/1/type", "\"embedding\" reads words"}}},
    {LAYERS("{'type': 'embedding', 'activation': 'relu', 'sparse': 1}, {'type': 'window'},"
            "{'type': 'dense', 'units': 3}"),
     BP_UNKNOWN_NAME,
     {{"/network/layers/0/activation", "unknown field|\"sparse\""},
      {"/network/layers/0/sparse", "true or false"},
      {"/network/layers/0/dimension", "required"},
      {"/network/layers/1/width", "required"},
      {"/network/layers/0/type", "reads words"},
      {"/network/layers/1/type", "reads words"}}},
    {LAYERS("{'type': 'dense', 'units': 5, 'dropout': {'keep': 0.5, 'of': 'layer'}},"
            "{'type': 'dense', 'units': 3}"),
     BP_SHAPE,
     {{"/network/layers/0/dropout", "4|5"}}},
    {LAYERS("{'type': 'dense', 'units': 3, 'init': {'type': 'normal', 'std': -1}}"),
     BP_INVALID,
     {{"/network/layers/0/init/std", "at least 0, got -1"}}},
    /* five faults, five entries */
    {"{'nam': 'x', 'data': {'dataset': 'iris', 'target': 'specis'}, 'network': {'layers': ["
     "{'type': 'dense', 'units': 0, 'activation': 'softmax'}, {'type': 'dense', 'units': true}]},"
     " 'training': {'shuffle': 'yes'}}",
     BP_UNKNOWN_NAME,
     {{"/nam", "name"},
      {"/network/layers/0/units", "got 0"},
      {"/network/layers/1/units", "a boolean"},
      {"/training/shuffle", "true or false"},
      {"/data/target", "species"},
      {"/network/layers/0/activation", "last layer"}}},
};

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

static bool has_words(const char *detail, const char *words)
{
    char *copy = strdup(words), *rest = copy, *word;
    bool all = true;
    while ((word = strsep(&rest, "|")))
        all = all && strstr(detail, word);
    free(copy);
    return all;
}

static bool row_fits(const fault_row *row, const bp_faults *faults)
{
    size_t wanted = 0;
    while (wanted < FAULT_COLUMNS && row->fault[wanted].pointer)
        wanted++;
    bool fits = faults->count == wanted;
    for (size_t index = 0; fits && index < wanted; index++)
        fits = !strcmp(faults->items[index].pointer, row->fault[index].pointer) &&
               has_words(faults->items[index].detail, row->fault[index].words);
    return fits;
}

static void test_faults(void **state)
{
    (void)state;
    size_t failed = 0;
    for (size_t index = 0; index < sizeof rows / sizeof *rows; index++) {
        json_t *body = support_json(rows[index].body);
        support_job job;
        support_resolve(&job, &datasets, body);
        if (job.status != rows[index].status || !row_fits(&rows[index], &job.faults)) {
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
}

/* 10^9 units and worse: refused with figures, and nothing of that size is touched. */
static void test_sizes(void **state)
{
    (void)state;
    static const struct {
        const char *body, *pointer, *words;
    } sizes[] = {
        {LAYERS("{'type': 'dense', 'units': 1000000000}, {'type': 'dense', 'units': 'auto'}"),
         "/network/layers/0/units", "parameters|bytes|100000000"},
        {LAYERS("{'type': 'dense', 'units': 1000000000}, {'type': 'dense', 'units': 1000000000},"
                "{'type': 'dense', 'units': 3}"),
         "/network/layers/1/units", "1000000009000000003 parameters|bytes"},
        {LAYERS("{'type': 'dense', 'units': 2147483647}, {'type': 'dense', 'units': 2147483647},"
                "{'type': 'dense', 'units': 2147483647}, {'type': 'dense', 'units': 3}"),
         NULL, "too large"},
        {IRIS("'network': {'layers': [{'type': 'dense', 'units': 10000000}, {'type': 'dense',"
              " 'units': 'auto'}]}, 'training': {'dtype': 'float64', 'batch_size': 1}"),
         "/network/layers/0/units", "bytes|1073741824"},
        {"{'data': {'dataset': 'images', 'target': 'digit'}, 'training': {'batch_size':"
         " 9007199254740991}, 'network': {'layers': [{'type': 'dense', 'units': 400000},"
         " {'type': 'dense', 'units': 'auto'}]}}",
         "/training/batch_size", "bytes|1073741824"},
    };
    for (size_t index = 0; index < sizeof sizes / sizeof *sizes; index++) {
        json_t *body = support_json(sizes[index].body);
        support_job job;
        support_resolve(&job, &datasets, body);
        assert_int_equal(job.status, BP_TOO_LARGE);
        assert_true(job.faults.count >= 1);
        if (sizes[index].pointer)
            assert_string_equal(job.faults.items[0].pointer, sizes[index].pointer);
        if (!has_words(job.faults.items[0].detail, sizes[index].words))
            fail_msg("%s: %s", job.faults.items[0].pointer, job.faults.items[0].detail);
        support_job_done(&job);
        json_decref(body);
    }
}

static void test_large_data_is_blamed(void **state)
{
    (void)state;
    bp_dataset_info *images = support_dataset(&datasets, "images");
    uint64_t rows_before = images->row_count;
    images->row_count = 9007199254740991;
    json_t *body = support_json("{'data': {'dataset': 'images', 'target': 'digit'},"
                                " 'training': {'epochs': 0}}");
    support_job job;
    support_resolve(&job, &datasets, body);
    assert_int_equal(job.status, BP_TOO_LARGE);
    images->row_count = 100000000;
    support_job_done(&job);
    support_resolve(&job, &datasets, body);
    assert_int_equal(job.status, BP_TOO_LARGE);
    assert_string_equal(job.faults.items[0].pointer, "/data");
    support_job_done(&job);
    images->row_count = rows_before;
    json_decref(body);
}

/* A million layers, a million unknown fields: one answer of bounded size. */
static void test_many_of_everything(void **state)
{
    (void)state;
    json_t *body = support_json("{" DATA "}");
    json_t *layers = json_array();
    for (size_t index = 0; index < 1000000; index++)
        json_array_append_new(layers, json_integer(1));
    json_object_set_new(body, "network", json_pack("{s:o}", "layers", layers));
    json_t *features = json_array();
    for (size_t index = 0; index < 200000; index++)
        json_array_append_new(features, json_string("petal_widthh"));
    json_object_set_new(json_object_get(body, "data"), "features", features);
    support_job job;
    support_resolve(&job, &datasets, body);
    assert_int_equal(job.faults.count, BP_FAULT_LIMIT);
    assert_int_equal(job.faults.dropped_count, 200001 - BP_FAULT_LIMIT);
    assert_string_equal(job.faults.items[0].pointer, "/network/layers");
    assert_non_null(strstr(job.faults.items[0].detail, "got 1000000"));
    support_job_done(&job);
    json_decref(body);
}

/* Faults quote what was sent: it must stay valid text, however long. */
static void test_long_names_stay_text(void **state)
{
    (void)state;
    char name[1003] = "";
    for (size_t index = 0; index < 500; index++)
        memcpy(name + 1 + 2 * index, "\xc3\xa4", 3);
    name[0] = 'x';
    json_t *body = support_json("{" DATA "}");
    json_object_set_new(body, name, json_null());
    json_object_set_new(body, "loss", json_string(name));
    json_object_set_new(json_object_get(body, "data"), "target", json_string(name));
    support_job job;
    support_resolve(&job, &datasets, body);
    assert_int_equal(job.faults.count, 3);
    for (size_t index = 0; index < job.faults.count; index++) {
        json_t *pointer = json_string(job.faults.items[index].pointer);
        json_t *detail = json_string(job.faults.items[index].detail);
        assert_non_null(pointer);
        assert_non_null(detail);
        json_decref(pointer);
        json_decref(detail);
    }
    support_job_done(&job);
    json_decref(body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_faults),
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_large_data_is_blamed),
        cmocka_unit_test(test_many_of_everything),
        cmocka_unit_test(test_long_names_stay_text),
    };
    return cmocka_run_group_tests(tests, open_datasets, close_datasets);
}
