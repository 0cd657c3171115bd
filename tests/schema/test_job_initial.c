/* Weights of a model to begin with: what is resolved, and shapes that do not fit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "schema/model/model_info.h"
#include "tests/schema/support_datasets.h"

static support_datasets datasets;
static bp_model_info *model; /* version 3 of "iris", features 4, units 8 and 3 */

static const bp_model_info *find_model(void *context, const char *name, uint64_t version)
{
    (void)context;
    return model && !strcmp(name, "iris") && (version == 0 || version == 3) ? model : NULL;
}

static void resolve(support_job *out, const json_t *body)
{
    bp_dataset_lookup lookup = support_lookup(&datasets);
    lookup.find_model = find_model;
    *out = (support_job){0};
    out->status = bp_job_resolve(&out->spec, &out->resolved, &out->warnings, &out->size,
                                 &out->faults, body, &lookup, &support_limits, BP_ISA_BASELINE);
}

static void resolve_text(support_job *out, const char *text)
{
    json_t *body = support_json(text);
    resolve(out, body);
    json_decref(body);
}

#define LAYERS(units)                                                                              \
    "'network': {'layers': [{'type': 'dense', 'units': " units                                     \
    ", 'activation': 'tanh'}, {'type': 'dense', 'units': 'auto'}]}"
#define DATA "'data': {'dataset': 'iris', 'target': 'species'"

static int open_all(void **state)
{
    (void)state;
    support_datasets_open(&datasets);
    support_job job;
    resolve_text(&job, "{" DATA "}, " LAYERS("8") "}");
    assert_int_equal(job.status, BP_OK);
    bp_feature_column columns[4];
    for (size_t index = 0; index < 4; index++)
        columns[index] = (bp_feature_column){.width = 1};
    bp_preparation preparation;
    assert_int_equal(bp_preparation_create(&preparation, columns, 4, false, NULL), BP_OK);
    assert_int_equal(bp_model_info_create(&model, job.spec, &preparation, NULL, NULL), BP_OK);
    model->version = 3;
    bp_preparation_done(&preparation);
    support_job_done(&job);
    return 0;
}

static int close_all(void **state)
{
    (void)state;
    bp_model_info_free(model);
    support_datasets_close(&datasets);
    return 0;
}

static void test_resolved(void **state)
{
    (void)state;
    support_job job, again;
    resolve_text(&job, "{" DATA "}, 'initial': {'model': 'iris'}}");
    assert_int_equal(job.status, BP_OK);
    assert_string_equal(job.spec->initial_model, "iris");
    assert_int_equal(job.spec->initial_version, 3);
    /* Layers that are not given are the model's. */
    assert_int_equal(job.spec->layer_count, 2);
    assert_memory_equal(job.spec->layers, model->layers, 2 * sizeof *model->layers);
    json_t *initial = support_json("{'model': 'iris', 'version': 3}");
    assert_true(json_equal(json_object_get(job.resolved, "initial"), initial));
    resolve(&again, job.resolved);
    assert_int_equal(again.status, BP_OK);
    assert_true(json_equal(again.resolved, job.resolved));
    json_decref(initial);
    support_job_done(&again);
    support_job_done(&job);
}

static void test_other_classes_are_told(void **state)
{
    (void)state;
    const char *body = "{" DATA "}, 'initial': {'model': 'iris'}}";
    support_job job;
    resolve_text(&job, body);
    const size_t before = json_array_size(job.warnings);
    support_job_done(&job);
    char *name = model->classes.texts[2];
    model->classes.texts[2] = (char *)(uintptr_t) "zinnia";
    resolve_text(&job, body);
    model->classes.texts[2] = name;
    assert_int_equal(job.status, BP_OK);
    assert_int_equal(json_array_size(job.warnings), before + 1);
    const char *said = json_string_value(json_array_get(job.warnings, before));
    assert_non_null(strstr(said, "classes are not those of version 3 of model \"iris\""));
    support_job_done(&job);
}

static void test_shapes_must_match(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        size_t count;
        const char *pointer, *detail; /* of the first fault */
    } rows[] = {
        {"{" DATA "}, " LAYERS("9") ", 'initial': {'model': 'iris', 'version': 3}}", 3,
         "/network/layers/0",
         "layers.0.weight is [9, 4] here and [8, 4] in version 3 of model \"iris\", whose weights "
         "are to be taken"},
        {"{" DATA ", 'exclude': ['petal_width']}, 'initial': {'model': 'iris'}}", 1, "/initial",
         "layers.0.weight is [8, 3] here and [8, 4] in version 3 of model \"iris\", whose weights "
         "are to be taken"},
        {"{" DATA "}, 'network': {'layers': [{'type': 'dense', 'units': 3}]},"
         " 'initial': {'model': 'iris'}}",
         1, "/network/layers",
         "there are 1 layers here and 2 in version 3 of model \"iris\", whose weights are to be "
         "taken"},
        {"{" DATA "}, 'network': {'layers': [{'type': 'dense', 'units': 8, 'bias': false},"
         " {'type': 'dense', 'units': 3}]}, 'initial': {'model': 'iris'}}",
         1, "/network/layers/0",
         "layers.0.bias is only in version 3 of model \"iris\", whose weights are to be taken"},
        {"{" DATA "}, 'initial': {'model': 'iris', 'version': 4}}", 1, "/initial/version",
         "there is no version 4 of model \"iris\""},
    };
    for (size_t index = 0; index < sizeof rows / sizeof *rows; index++) {
        support_job job;
        resolve_text(&job, rows[index].body);
        assert_int_not_equal(job.status, BP_OK);
        assert_int_equal(job.faults.count, rows[index].count);
        assert_string_equal(job.faults.items[0].pointer, rows[index].pointer);
        assert_string_equal(job.faults.items[0].detail, rows[index].detail);
        support_job_done(&job);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_resolved),
        cmocka_unit_test(test_other_classes_are_told),
        cmocka_unit_test(test_shapes_must_match),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}
