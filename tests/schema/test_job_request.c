/* Bodies of the requests that look into a network, and rows with their targets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "schema/job/job_request.h"
#include "schema/model/example_rows.h"
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

static void test_gradient_check(void **state)
{
    (void)state;
    static const char *const job_text = "{'data': {'dataset': 'iris', 'target': 'species'}}";
    json_t *job = NULL, *wanted = support_json(job_text);
    bp_check_request request;
    bp_faults faults = {0};
    bp_check_request_read(&request, &job, &faults, wanted);
    assert_false(bp_faults_any(&faults));
    assert_int_equal(request.difference, BP_DIFFERENCE_CENTRAL);
    assert_true(request.epsilon == 1e-5);
    assert_int_equal(request.max_elements, BP_CHECK_MAX_ELEMENTS);
    assert_true(json_equal(job, wanted));
    json_decref(job);

    json_t *body =
        support_json("{'data': {'dataset': 'iris', 'target': 'species'}, 'epsilon': 1e-4,"
                     " 'method': 'forward', 'max_elements': 2e1}");
    bp_check_request_read(&request, &job, &faults, body);
    assert_false(bp_faults_any(&faults));
    assert_int_equal(request.difference, BP_DIFFERENCE_FORWARD);
    assert_true(request.epsilon == 1e-4);
    assert_int_equal(request.max_elements, 20);
    assert_true(json_equal(job, wanted)); /* and the body is as it was */
    assert_int_equal(json_object_size(body), 4);
    json_decref(body);
    json_decref(job);
    json_decref(wanted);
}

/* Its own faults and the job's come in one answer. */
static void test_gradient_check_faults(void **state)
{
    (void)state;
    json_t *body = support_json("{'data': {'dataset': 'iris', 'target': 'specie'}, 'epsilon': 0,"
                                " 'method': 'backward', 'max_elements': 0.5, 'elements': 3}");
    bp_check_request request;
    json_t *job;
    support_job resolved = {0};
    bp_check_request_read(&request, &job, &resolved.faults, body);
    bp_dataset_lookup lookup = support_lookup(&datasets);
    resolved.status =
        bp_job_resolve(&resolved.spec, &resolved.resolved, &resolved.warnings, &resolved.size,
                       &resolved.faults, job, &lookup, &support_limits, BP_ISA_BASELINE);
    static const char *const pointers[] = {"/epsilon", "/max_elements", "/method", "/elements",
                                           "/data/target"};
    assert_int_equal(resolved.status, BP_INVALID);
    assert_int_equal(resolved.faults.count, 5);
    for (size_t index = 0; index < 5; index++)
        assert_string_equal(resolved.faults.items[index].pointer, pointers[index]);
    assert_non_null(strstr(resolved.faults.items[2].detail, "central"));
    support_job_done(&resolved);
    json_decref(job);
    json_decref(body);
}

static void test_backpropagate(void **state)
{
    (void)state;
    bp_backpropagate_request request;
    bp_faults faults = {0};
    json_t *body =
        support_json("{'model': 'iris', 'version': 2, 'rows': [[1, 2, 3, 4, 'setosa']]}");
    bp_backpropagate_request_read(&request, &faults, body);
    assert_false(bp_faults_any(&faults));
    assert_string_equal(request.model, "iris");
    assert_int_equal(request.version, 2);
    assert_null(request.job);
    assert_ptr_equal(request.rows, json_object_get(body, "rows"));
    json_decref(body);

    body = support_json("{'data': {'dataset': 'iris', 'target': 'species'}, 'rows': [[]]}");
    bp_backpropagate_request_read(&request, &faults, body);
    assert_false(bp_faults_any(&faults));
    assert_null(request.model);
    assert_int_equal(json_object_size(request.job), 1);
    json_decref(request.job);
    json_decref(body);
}

static void test_backpropagate_faults(void **state)
{
    (void)state;
    static const struct {
        const char *body, *pointer, *words;
    } rows[] = {
        {"[]", "", "an object"},
        {"{'model': 'iris'}", "/rows", "required"},
        {"{'model': 'iris', 'rows': []}", "/rows", "1 to 16 rows, got 0"},
        {"{'model': 'iris', 'rows': [1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]}", "/rows", "got 17"},
        {"{'model': 'iris', 'rows': {}}", "/rows", "an array"},
        {"{'model': '', 'rows': [[1]]}", "/model", "name"},
        {"{'model': 'iris', 'version': 0, 'rows': [[1]]}", "/version", "at least 1"},
        {"{'version': 1, 'rows': [[1]], 'data': {}}", "/version", "belongs to \"model\""},
        {"{'model': 'iris', 'rows': [[1]], 'data': {}}", "/model", "alone"},
    };
    for (size_t index = 0; index < sizeof rows / sizeof *rows; index++) {
        bp_backpropagate_request request;
        bp_faults faults = {0};
        json_t *body = support_json(rows[index].body);
        bp_backpropagate_request_read(&request, &faults, body);
        assert_int_equal(faults.count, 1);
        assert_string_equal(faults.items[0].pointer, rows[index].pointer);
        assert_non_null(strstr(faults.items[0].detail, rows[index].words));
        json_decref(request.job);
        json_decref(body);
        bp_faults_done(&faults);
    }
}

/* ---- rows with targets ---- */

static bp_model_info *make_model(const char *text)
{
    json_t *body = support_json(text);
    support_job job;
    support_resolve(&job, &datasets, body);
    assert_int_equal(job.status, BP_OK);
    bp_feature_column columns[8];
    for (size_t index = 0; index < job.spec->feature_count; index++)
        columns[index] = (bp_feature_column){
            .categorical = job.spec->features[index].type == BP_COLUMN_CATEGORICAL,
            .width = job.spec->features[index].width,
            .category_count = job.spec->features[index].category_count};
    bp_preparation preparation;
    bp_model_info *info;
    assert_int_equal(
        bp_preparation_create(&preparation, columns, job.spec->feature_count, false, NULL), BP_OK);
    assert_int_equal(bp_model_info_create(&info, job.spec, &preparation, NULL, NULL), BP_OK);
    bp_preparation_done(&preparation);
    support_job_done(&job);
    json_decref(body);
    return info;
}

static bp_status parse(bp_example_rows *out, bp_faults *faults, const bp_model_info *info,
                       const char *text)
{
    json_t *rows = support_json(text);
    *out = (bp_example_rows){0};
    *faults = (bp_faults){0};
    bp_status status = bp_example_rows_parse(out, faults, info, rows, 16);
    json_decref(rows);
    return status;
}

static void test_rows_of_classes(void **state)
{
    (void)state;
    bp_model_info *info = make_model("{'data': {'dataset': 'birds', 'target': 'kind', 'features':"
                                     " ['mass', 'island']}}");
    bp_example_rows rows;
    bp_faults faults;
    assert_int_equal(parse(&rows, &faults, info,
                           "[{'kind': 'Gentoo', 'island': 'Dream', 'mass': 2.5},"
                           " [3.5, 'Biscoe', 'Adelie']]"),
                     BP_OK);
    assert_int_equal(rows.count, 2);
    assert_true(rows.raw[0] == 2.5 && rows.raw[1] == 1 && rows.raw[2] == 3.5 && rows.raw[3] == 0);
    assert_int_equal(rows.label[0], 1);
    assert_int_equal(rows.label[1], 0);
    assert_null(rows.value);
    bp_example_rows_done(&rows);

    assert_int_equal(parse(&rows, &faults, info,
                           "[{'island': 'Dream', 'mass': 2.5}, [3.5, 'Biscoe'],"
                           " {'kind': 'Emperor', 'island': 3, 'mass': 1, 'x': 1},"
                           " [3.5, 'Biscoe', 7], 5]"),
                     BP_INVALID);
    static const char *const pointers[] = {"/rows/0/kind", "/rows/1",        "/rows/2/kind",
                                           "/rows/3/2",    "/rows/2/island", "/rows/2/x",
                                           "/rows/4"};
    assert_int_equal(faults.count, sizeof pointers / sizeof *pointers);
    for (size_t index = 0; index < faults.count; index++)
        assert_string_equal(faults.items[index].pointer, pointers[index]);
    assert_null(rows.raw);
    bp_faults_done(&faults);
    bp_model_info_free(info);
}

static void test_rows_of_values(void **state)
{
    (void)state;
    bp_model_info *info = make_model("{'data': {'dataset': 'images', 'target': ['pair', 'score'],"
                                     " 'features': ['digit']}}");
    bp_example_rows rows;
    bp_faults faults;
    assert_int_equal(
        parse(&rows, &faults, info, "[{'pair': [1, 2], 'score': 3, 'digit': 9}, [8, 4, 5, 6]]"),
        BP_OK);
    for (size_t index = 0; index < 6; index++)
        assert_true(rows.value[index] == (double)(index + 1));
    assert_true(rows.raw[0] == 9 && rows.raw[1] == 8);
    assert_null(rows.label);
    bp_example_rows_done(&rows);

    assert_int_equal(parse(&rows, &faults, info,
                           "[{'pair': [1, 2, 3], 'score': 3, 'digit': 9}, {'digit': 1, 'pair':"
                           " ['1', 2], 'score': 3}]"),
                     BP_SHAPE);
    assert_int_equal(faults.count, 2);
    assert_string_equal(faults.items[0].pointer, "/rows/0");
    assert_non_null(strstr(faults.items[0].detail, "3 numbers as its target, got 4"));
    assert_string_equal(faults.items[1].pointer, "/rows/1/pair/0");
    bp_faults_done(&faults);
    assert_int_equal(parse(&rows, &faults, info, "{}"), BP_INVALID);
    bp_faults_done(&faults);
    bp_model_info_free(info);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gradient_check),  cmocka_unit_test(test_gradient_check_faults),
        cmocka_unit_test(test_backpropagate),   cmocka_unit_test(test_backpropagate_faults),
        cmocka_unit_test(test_rows_of_classes), cmocka_unit_test(test_rows_of_values),
    };
    return cmocka_run_group_tests(tests, open_datasets, close_datasets);
}
