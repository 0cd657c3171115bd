/* A model's document, rows that go in, answers that come out, and its weights' header. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "schema/json/json_text.h"
#include "schema/model/model_info.h"
#include "schema/weights/safetensors.h"
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

/* A model of a job, with numbers for a preparation that no decimal of six digits holds. */
static bp_model_info *make_model(const char *body_text)
{
    json_t *body = support_json(body_text);
    support_job job;
    support_resolve(&job, &datasets, body);
    for (size_t index = 0; index < job.faults.count; index++)
        print_error("%s: %s\n", job.faults.items[index].pointer, job.faults.items[index].detail);
    assert_int_equal(job.status, BP_OK);
    bp_feature_column columns[16];
    for (size_t index = 0; index < job.spec->feature_count; index++)
        columns[index] = (bp_feature_column){
            .categorical = job.spec->features[index].type == BP_COLUMN_CATEGORICAL,
            .width = job.spec->features[index].width,
            .category_count = job.spec->features[index].category_count};
    bp_preparation preparation;
    assert_int_equal(bp_preparation_create(&preparation, columns, job.spec->feature_count,
                                           job.spec->whiten, NULL),
                     BP_OK);
    for (size_t index = 0; index < preparation.numeric_width; index++) {
        preparation.fill[index] = 1.0 / (3 + (double)index);
        preparation.offset[index] = -(double)index;
        preparation.scale[index] = 1e-300 * (1 + (double)index);
    }
    bp_model_info *info;
    assert_int_equal(bp_model_info_create(&info, job.spec, &preparation, NULL, NULL), BP_OK);
    bp_preparation_done(&preparation);
    support_job_done(&job);
    json_decref(body);
    info->version = 3;
    info->job = 17;
    strcpy(info->created, "2026-01-02T03:04:05Z");
    info->metrics = json_pack("{s:{s:f}}", "train", "loss", 0.25);
    return info;
}

static const char *const bodies[] = {
    "{'data': {'dataset': 'iris', 'target': 'species'}}",
    "{'data': {'dataset': 'birds', 'target': 'kind', 'columns': {'ringed': 'categorical'}},"
    " 'training': {'dtype': 'float64'}, 'optimizer': 'sgd'}",
    "{'data': {'dataset': 'images', 'target': 'digit', 'features': ['pixels']},"
    " 'network': {'layers': [{'type': 'dense', 'units': 5, 'activation': 'tanh', 'bias': false,"
    " 'init': {'type': 'normal', 'std': 0.1}}, {'type': 'dense', 'units': 'auto',"
    " 'activation': 'softmax'}]}, 'preprocess': {'center': false, 'scale': 'minmax',"
    " 'missing': 'error'}}",
    "{'data': {'dataset': 'images', 'target': ['score', 'pair']}}",
    "{'data': {'dataset': 'birds', 'target': 'ringed', 'features': ['sex', 'island']}}",
    "{'data': {'dataset': 'birds', 'target': 'ringed', 'features': ['sex', 'island']},"
    " 'loss': 'binary_cross_entropy'}",
    "{'data': {'dataset': 'iris', 'target': 'species'}, 'loss': {'type': 'hinge', 'margin': 2},"
    " 'schedule': {'type': 'plateau', 'patience': 3, 'metric': 'train.loss'}}",
    "{'data': {'dataset': 'iris', 'target': 'species'}, 'network': {'layers': ["
    " {'type': 'dropout', 'keep': 0.8}, {'type': 'dense', 'units': 4, 'dropout': {'keep': 0.5}},"
    " {'type': 'dense', 'units': 4, 'dropout': {'keep': 0.9, 'of': 'layer'}},"
    " {'type': 'dense', 'units': 3, 'dropout': {'keep': 0.7, 'of': 'connections'}}]}}",
};

static bp_model_info *reread(const bp_model_info *info)
{
    json_t *json = bp_model_info_json(info, true);
    char *text = bp_json_text(json, NULL);
    json_t *stored = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    bp_error error = {0};
    bp_model_info *again = NULL;
    if (bp_model_info_parse(&again, stored, &error) != BP_OK)
        fail_msg("%s in %s", error.message, text);
    free(text);
    json_decref(stored);
    json_decref(json);
    return again;
}

static void test_documents_round_trip(void **state)
{
    (void)state;
    for (size_t index = 0; index < sizeof bodies / sizeof *bodies; index++) {
        bp_model_info *info = make_model(bodies[index]), *again = reread(info);
        json_t *first = bp_model_info_json(info, true), *second = bp_model_info_json(again, true);
        assert_true(json_equal(first, second));
        const bp_preparation *a = &info->preparation, *b = &again->preparation;
        assert_int_equal(a->numeric_width, b->numeric_width);
        size_t bytes = a->numeric_width * sizeof(double);
        if (bytes) {
            assert_memory_equal(a->fill, b->fill, bytes);
            assert_memory_equal(a->offset, b->offset, bytes);
            assert_memory_equal(a->scale, b->scale, bytes);
        }
        assert_memory_equal(again->layers, info->layers, info->layer_count * sizeof *info->layers);
        assert_int_equal(again->parameter_count, info->parameter_count);
        json_decref(first);
        json_decref(second);
        bp_model_info_free(info);
        bp_model_info_free(again);
    }
}

/* A whitened model of a regression with scaled targets: exact through its document, and answers in the
 * targets' own units. */
static void test_whitened_and_scaled(void **state)
{
    (void)state;
    json_t *body = support_json(bodies[3]);
    support_job job;
    support_resolve(&job, &datasets, body);
    assert_int_equal(job.status, BP_OK);
    job.spec->whiten = true;
    job.spec->whiten_epsilon = 0.1;
    job.spec->target_scaling =
        bp_choice_default(bp_target_scaling_family.members[BP_TARGET_SCALING_standard]);
    bp_feature_column columns[16];
    for (size_t index = 0; index < job.spec->feature_count; index++)
        columns[index] = (bp_feature_column){
            .categorical = job.spec->features[index].type == BP_COLUMN_CATEGORICAL,
            .width = job.spec->features[index].width,
            .category_count = job.spec->features[index].category_count};
    bp_preparation preparation, target;
    assert_int_equal(
        bp_preparation_create(&preparation, columns, job.spec->feature_count, true, NULL), BP_OK);
    const size_t width = preparation.numeric_width;
    for (size_t index = 0; index < width * width; index++)
        preparation.whitening[index] = 1.0 / (double)(index + 3) - 0.1;
    const bp_feature_column target_column = {.width = job.spec->target_width};
    assert_int_equal(job.spec->target_width, 3);
    assert_int_equal(bp_preparation_create(&target, &target_column, 1, false, NULL), BP_OK);
    for (size_t index = 0; index < 3; index++) {
        target.offset[index] = 10 * (double)index + 0.5;
        target.scale[index] = (double)(1 << index);
    }
    bp_model_info *info;
    assert_int_equal(bp_model_info_create(&info, job.spec, &preparation, &target, NULL), BP_OK);
    bp_preparation_done(&preparation);
    bp_preparation_done(&target);
    bp_model_info *again = reread(info);
    assert_true(again->whiten && again->whiten_epsilon == 0.1);
    assert_int_equal(again->preparation.numeric_width, width);
    assert_memory_equal(again->preparation.whitening, info->preparation.whitening,
                        width * width * sizeof(double));
    json_t *json = bp_model_info_json(again, false);
    json_t *wanted = support_json("{'center': true, 'scale': 'standard', 'whiten': true,"
                                  " 'epsilon': 0.1, 'missing': 'mean', 'target': 'standard'}");
    assert_true(json_equal(json_object_get(json, "preprocess"), wanted));
    json_decref(json);
    json_decref(wanted);
    const float shown[] = {0, 1, -2};
    json = bp_predict_answer_json(again, shown, 1);
    wanted = support_json("[0.5, 12.5, 12.5]");
    const json_t *value =
        json_object_get(json_array_get(json_object_get(json, "predictions"), 0), "value");
    assert_true(json_equal(value, wanted));
    json_decref(json);
    json_decref(wanted);

    json = bp_model_info_json(info, true);
    json_object_set_new(json_object_get(json, "preparation"), "whitening", json_string("AAAA"));
    bp_model_info *damaged = NULL;
    assert_int_equal(bp_model_info_parse(&damaged, json, NULL), BP_CORRUPT);
    json_decref(json);
    json = bp_model_info_json(info, true);
    json_object_del(json_object_get(json, "preparation"), "target_scale");
    assert_int_equal(bp_model_info_parse(&damaged, json, NULL), BP_CORRUPT);
    json_decref(json);
    bp_model_info_free(info);
    bp_model_info_free(again);
    support_job_done(&job);
    json_decref(body);
}

/* A document of the first release, which knew of neither. */
static void test_older_document(void **state)
{
    (void)state;
    bp_model_info *info = make_model(bodies[3]), *again = NULL;
    json_t *json = bp_model_info_json(info, true);
    json_object_del(json_object_get(json, "preprocess"), "whiten");
    json_object_del(json_object_get(json, "preprocess"), "target");
    assert_int_equal(bp_model_info_parse(&again, json, NULL), BP_OK);
    assert_false(again->whiten);
    assert_int_equal(again->target_preparation.column_count, 0);
    json_decref(json);
    bp_model_info_free(info);
    bp_model_info_free(again);
}

static void test_public_document(void **state)
{
    (void)state;
    bp_model_info *info = make_model(bodies[1]);
    json_t *json = bp_model_info_json(info, false);
    assert_null(json_object_get(json, "preparation"));
    json_t *wanted = support_json("['Adelie', 'Gentoo']");
    assert_true(json_equal(json_object_get(json, "classes"), wanted));
    json_decref(wanted);
    wanted = support_json("{'name': 'ringed', 'type': 'categorical', 'categories': [false, true]}");
    assert_true(json_equal(json_array_get(json_object_get(json, "features"), 2), wanted));
    json_decref(wanted);
    json_decref(json);
    bp_model_info_free(info);
}

static void test_network_of_model(void **state)
{
    (void)state;
    bp_model_info *info = make_model(bodies[0]);
    bp_network_spec spec;
    bp_model_info_network(&spec, info, BP_ISA_BASELINE, 8);
    assert_int_equal(spec.input_width, 4);
    assert_int_equal(spec.batch_rows, 8);
    assert_int_equal(spec.use, BP_USE_PREDICTION);
    assert_int_equal(info->parameter_count, 515);
    bp_network_size size;
    assert_int_equal(bp_network_measure(&size, &spec, NULL), BP_OK);
    assert_int_equal(size.output_width, 3);
    bp_model_info_free(info);
}

/* Damage to any member is an error, never a model. */
static void test_damage_is_noticed(void **state)
{
    (void)state;
    bp_model_info *info = make_model(bodies[2]);
    json_t *whole = bp_model_info_json(info, true);
    const char *key;
    json_t *value;
    void *next;
    json_object_foreach_safe(whole, next, key, value)
    {
        if (!strcmp(key, "metrics"))
            continue;
        char *kept_key = strdup(key);
        json_t *kept = json_incref(value);
        bp_model_info *read = NULL;
        json_object_set_new(whole, kept_key, json_string("?"));
        bool harmless = !strcmp(kept_key, "name") || !strcmp(kept_key, "created");
        bp_status status = bp_model_info_parse(&read, whole, NULL);
        assert_int_equal(status == BP_OK, harmless);
        bp_model_info_free(read);
        json_object_set_new(whole, kept_key, kept);
        free(kept_key);
    }
    static const char *const replacements[][2] = {
        {"parameters", "3"},
        {"classes", "{'type': 'numeric', 'labels': [1, 2]}"},
        {"preparation", "{'fill': [0], 'offset': [0], 'scale': [1]}"},
        {"layers", "[]"},
        {"features", "[]"},
    };
    for (size_t index = 0; index < sizeof replacements / sizeof *replacements; index++) {
        json_t *damaged = json_copy(whole);
        json_object_set_new(damaged, replacements[index][0], support_json(replacements[index][1]));
        bp_model_info *read = NULL;
        bp_error error = {0};
        assert_int_not_equal(bp_model_info_parse(&read, damaged, &error), BP_OK);
        assert_true(error.message[0]);
        json_decref(damaged);
    }
    json_decref(whole);
    bp_model_info_free(info);
}

/* ---- rows ---- */

typedef struct row_fault {
    size_t body;
    const char *rows, *pointer, *words; /* pointer NULL: no fault */
} row_fault;

static const row_fault row_faults[] = {
    {0,
     "[[1, 2, 3, 4], {'petal_width': 1.5, 'sepal_length': 2, 'sepal_width': null,"
     " 'petal_length': -0.0}]",
     NULL, NULL},
    {0, "[]", NULL, NULL},
    {0, "{}", "/rows", "an array of rows"},
    {0, "[1]", "/rows/0", "an object of columns"},
    {0, "[[1, 2, 3]]", "/rows/0", "4 elements|got 3"},
    {0, "[[1, 2, 3, '4']]", "/rows/0/3", "a number|a string"},
    {0, "[[1, 2, 3, true]]", "/rows/0/3", "a number"},
    {0, "[{'sepal_length': 1, 'sepal_width': 2, 'petal_length': 3}]", "/rows/0/petal_width",
     "no \"petal_width\""},
    {0,
     "[{'sepal_length': 1, 'sepal_width': 2, 'petal_length': 3, 'petal_width': 4, 'petal_widht':"
     " 5}]",
     "/rows/0/petal_widht", "did you mean \"petal_width\"?"},
    {0, "[[1,2,3,4],[1,2,3,4],[1,2,3,4],[1,2,3,4],[1,2,3,4]]", "/rows", "at most 4 rows, got 5"},
    {1,
     "[['Dream', 3500, true, 'male', 0.5], {'island': 'Biscoe', 'mass': 1, 'ringed': false,"
     " 'sex': null, 'a/b~c': 2}]",
     NULL, NULL},
    {1, "[['Drema', 3500, true, 'male', 0.5]]", "/rows/0/0",
     "unknown category \"Drema\" of \"island\"|did you mean \"Dream\"?"},
    {1, "[['Dream', 3500, 7, 'male', 0.5]]", "/rows/0/2", "unknown category 7"},
    {1, "[[5, 3500, true, 'male', 0.5]]", "/rows/0/0", "a string"},
    {1, "[{'island': 'Biscoe', 'mass': 1, 'ringed': 0, 'sex': 'male', 'a/b~c': 'x'}]",
     "/rows/0/a~1b~0c", "a number"},
    {2,
     "[[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16], {'pixels': [1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,"
     "16]}, {'pixels': [[1,2,3,4],[5,6,7,8],[9,10,11,12],[13,14,15,16]]}]",
     NULL, NULL},
    {2, "[{'pixels': [[1,2,3,4],[5,6,7,8],[9,10,11,12],[13,14,15]]}]", "/rows/0/pixels/3",
     "array of 4|axis 1"},
    {2, "[{'pixels': [1,2,3,4,5]}]", "/rows/0/pixels", "16 numbers, got 5"},
    {2, "[{'pixels': 7}]", "/rows/0/pixels", "an array of numbers"},
    {2, "[{'pixels': [[1,2,3,4],[5,6,7,8],[9,10,11,null],[13,14,15,16]]}]", "/rows/0/pixels/2/3",
     "missing|error"},
    {2, "[{'pixels': null}]", "/rows/0/pixels", "an array of numbers|null"},
};

static void test_rows(void **state)
{
    (void)state;
    for (size_t index = 0; index < sizeof row_faults / sizeof *row_faults; index++) {
        const row_fault *row = &row_faults[index];
        bp_model_info *info = make_model(bodies[row->body]);
        json_t *json = support_json(row->rows);
        double *raw = NULL;
        size_t count = 0;
        bp_faults faults = {0};
        bp_status status = bp_predict_rows_parse(&raw, &count, &faults, info, json, 4);
        if (row->pointer) {
            assert_int_not_equal(status, BP_OK);
            assert_null(raw);
            assert_int_equal(faults.count, 1);
            char *words = strdup(row->words), *rest = words, *word;
            while ((word = strsep(&rest, "|")))
                if (!strstr(faults.items[0].detail, word))
                    fail_msg("%s: %s", row->rows, faults.items[0].detail);
            free(words);
            assert_string_equal(faults.items[0].pointer, row->pointer);
        } else {
            if (status != BP_OK)
                fail_msg("%s: %s %s", row->rows, faults.items[0].pointer, faults.items[0].detail);
            assert_int_equal(count, json_array_size(json));
        }
        free(raw);
        bp_faults_done(&faults);
        json_decref(json);
        bp_model_info_free(info);
    }
}

static void test_raw_values(void **state)
{
    (void)state;
    bp_model_info *info = make_model(bodies[1]);
    json_t *rows = support_json("[['Dream', 3500, true, null, 0.5], {'island': 'Biscoe', 'mass':"
                                " null, 'ringed': false, 'sex': 'male', 'a/b~c': 2}]");
    double *raw;
    size_t count;
    bp_faults faults = {0};
    assert_int_equal(bp_predict_rows_parse(&raw, &count, &faults, info, rows, 10), BP_OK);
    const double wanted[] = {1, 3500, 1, NAN, 0.5, 0, NAN, 0, 1, 2};
    for (size_t index = 0; index < 10; index++)
        assert_true(isnan(wanted[index]) ? isnan(raw[index]) : raw[index] == wanted[index]);
    free(raw);
    json_decref(rows);
    bp_model_info_free(info);
}

/* ---- answers ---- */

static void assert_answer(const bp_model_info *info, const void *shown, size_t count,
                          const char *wanted_text)
{
    json_t *answer = bp_predict_answer_json(info, shown, count),
           *wanted = support_json(wanted_text);
    if (!json_equal(answer, wanted)) {
        char *text = bp_json_text(answer, NULL);
        print_error("%s\n", text);
        free(text);
        fail();
    }
    json_decref(answer);
    json_decref(wanted);
}

static void test_answers(void **state)
{
    (void)state;
    bp_model_info *info = make_model(bodies[0]);
    const float shown[] = {0.25f, 0.5f, 0.25f, 0.5f, 0, 0.5f};
    assert_answer(info, shown, 2,
                  "{'model': 'iris', 'version': 3, 'classes': ['setosa', 'versicolor',"
                  " 'virginica'], 'predictions': [{'label': 'versicolor', 'probabilities': [0.25,"
                  " 0.5, 0.25]}, {'label': 'setosa', 'probabilities': [0.5, 0.0, 0.5]}]}");
    bp_model_info_free(info);

    info = make_model(bodies[3]);
    const float values[] = {1.5f, -2, NAN};
    assert_answer(info, values, 1,
                  "{'model': 'images', 'version': 3, 'predictions': [{'value': [1.5, -2.0,"
                  " 'NaN']}]}");
    bp_model_info_free(info);

    info = make_model("{'data': {'dataset': 'images', 'target': 'score'}, 'training': {'dtype':"
                      " 'float64'}}");
    assert_answer(info, &(double){0.1}, 1,
                  "{'model': 'images', 'version': 3, 'predictions': [{'value': 0.1}]}");
    bp_model_info_free(info);

    info = make_model(bodies[4]);
    const float yes[] = {0.25f, 0.75f};
    assert_answer(info, yes, 1,
                  "{'model': 'birds', 'version': 3, 'classes': [false, true], 'predictions':"
                  " [{'label': true, 'probabilities': [0.25, 0.75]}]}");
    bp_model_info_free(info);

    info = make_model(bodies[5]); /* one output, but both classes are shown */
    assert_int_equal(info->layers[info->layer_count - 1].layer.value[0], 1);
    assert_answer(info, yes, 1,
                  "{'model': 'birds', 'version': 3, 'classes': [false, true], 'predictions':"
                  " [{'label': true, 'probabilities': [0.25, 0.75]}]}");
    bp_model_info_free(info);

    info = make_model(bodies[6]);
    const float scores[] = {-1.5f, 2, 0};
    assert_answer(info, scores, 1,
                  "{'model': 'iris', 'version': 3, 'classes': ['setosa', 'versicolor',"
                  " 'virginica'], 'predictions': [{'label': 'versicolor', 'scores': [-1.5, 2.0,"
                  " 0.0]}]}");
    bp_model_info_free(info);

    info = make_model(bodies[2]);
    const float digits[10] = {[7] = 1};
    json_t *answer = bp_predict_answer_json(info, digits, 1);
    json_t *first = json_array_get(json_object_get(answer, "predictions"), 0);
    assert_true(json_is_integer(json_object_get(first, "label")));
    assert_int_equal(json_integer_value(json_object_get(first, "label")), 7);
    json_decref(answer);
    bp_model_info_free(info);
}

/* ---- weights ---- */

static void test_safetensors_header(void **state)
{
    (void)state;
    const bp_tensor tensors[] = {{.name = "layers.0.weight",
                                  .dtype = BP_FLOAT32,
                                  .rank = 2,
                                  .shape = {3, 4},
                                  .element_count = 12},
                                 {.name = "layers.0.bias",
                                  .dtype = BP_FLOAT64,
                                  .rank = 1,
                                  .shape = {3},
                                  .element_count = 3}};
    bp_model_info *info = make_model(bodies[1]);
    json_t *metadata = bp_model_metadata_json(info);
    unsigned char *bytes;
    size_t size, data_size;
    assert_int_equal(bp_safetensors_header(&bytes, &size, &data_size, tensors, 2, metadata, NULL),
                     BP_OK);
    assert_int_equal(data_size, 48 + 24);
    assert_int_equal(size % 8, 0);
    uint64_t length = 0;
    for (size_t byte = 8; byte-- > 0;)
        length = length << 8 | bytes[byte];
    assert_int_equal(length + 8, size);
    assert_int_equal(bytes[8], '{');
    json_t *header =
        json_loadb((const char *)bytes + 8, (size_t)length, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(header);
    json_t *wanted = support_json("{'dtype': 'F64', 'shape': [3], 'data_offsets': [48, 72]}");
    assert_true(json_equal(json_object_get(header, "layers.0.bias"), wanted));
    json_decref(wanted);
    wanted = support_json("{'dtype': 'F32', 'shape': [3, 4], 'data_offsets': [0, 48]}");
    assert_true(json_equal(json_object_get(header, "layers.0.weight"), wanted));
    json_decref(wanted);

    const char *key;
    json_t *value;
    json_object_foreach(json_object_get(header, "__metadata__"), key, value)
        assert_true(json_is_string(value));
    static const char *const members[] = {"preparation", "classes", "features"};
    for (size_t index = 0; index < 3; index++) {
        const char *text = json_string_value(
            json_object_get(json_object_get(header, "__metadata__"), members[index]));
        json_t *member = json_loads(text, JSON_DECODE_ANY, NULL);
        assert_non_null(member);
        json_decref(member);
    }
    json_decref(header);
    free(bytes);

    const bp_tensor huge[] = {{.name = "a", .dtype = BP_FLOAT64, .element_count = SIZE_MAX / 8},
                              {.name = "b", .dtype = BP_FLOAT64, .element_count = 8}};
    assert_int_equal(bp_safetensors_header(&bytes, &size, &data_size, huge, 2, NULL, NULL),
                     BP_TOO_LARGE);
    json_decref(metadata);
    bp_model_info_free(info);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_documents_round_trip),
        cmocka_unit_test(test_whitened_and_scaled),
        cmocka_unit_test(test_older_document),
        cmocka_unit_test(test_public_document),
        cmocka_unit_test(test_network_of_model),
        cmocka_unit_test(test_damage_is_noticed),
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_raw_values),
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_safetensors_header),
    };
    return cmocka_run_group_tests(tests, open_datasets, close_datasets);
}
