#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "schema/json/json_text.h"
#include "schema/model/evaluation_json.h"
#include "tests/schema/support_datasets.h"

static void assert_json(json_t *json, const char *wanted_text)
{
    json_t *wanted = support_json(wanted_text);
    if (!json_equal(json, wanted)) {
        char *text = bp_json_text(json, NULL);
        print_error("%s\n", text);
        free(text);
        fail();
    }
    json_decref(json);
    json_decref(wanted);
}

static void test_classes(void **state)
{
    (void)state;
    char no[] = "no", yes[] = "yes", *texts[] = {no, yes};
    const bp_labels labels = {.type = BP_COLUMN_CATEGORICAL, .count = 2, .texts = texts};
    const bp_class_report classes[] = {
        {.precision = 0.5, .recall = 1, .f1 = 0.75, .roc_auc = NAN, .support = 3},
        {.precision = 0, .recall = 0, .f1 = 0, .roc_auc = 0.25, .support = 1}};
    const uint64_t confusion[] = {3, 0, 1, 0};
    bp_evaluation_report report = {.rows = 4,
                                   .loss = 0.5,
                                   .width = 2,
                                   .kind = BP_TARGET_CLASS,
                                   .accuracy = 0.75,
                                   .top_accuracy = NAN,
                                   .log_loss = INFINITY,
                                   .has_log_loss = true,
                                   .roc_auc = 0.25,
                                   .macro = {0.25, 0.5, 0.375},
                                   .micro = {0.75, 0.75, 0.75},
                                   .weighted = {0.125, 0.25, 0.5},
                                   .classes = classes,
                                   .confusion = confusion};
    assert_json(
        bp_evaluation_json(&report, &labels, NULL, 0),
        "{'loss': 0.5, 'accuracy': 0.75, 'log_loss': 'Infinity', 'roc_auc': 0.25, 'precision': "
        "0.25,"
        " 'recall': 0.5, 'f1': 0.375, 'rows': 4, 'per_class': [{'label': 'no', 'precision': 0.5,"
        " 'recall': 1.0, 'f1': 0.75, 'support': 3, 'roc_auc': 'NaN'}, {'label': 'yes', 'precision':"
        " 0.0, 'recall': 0.0, 'f1': 0.0, 'support': 1, 'roc_auc': 0.25}], 'averages': {'macro':"
        " {'precision': 0.25, 'recall': 0.5, 'f1': 0.375}, 'micro': {'precision': 0.75, 'recall':"
        " 0.75, 'f1': 0.75}, 'weighted': {'precision': 0.125, 'recall': 0.25, 'f1': 0.5}},"
        " 'confusion_matrix': [[3, 0], [1, 0]]}");

    report.has_log_loss = false;
    report.confusion = NULL;
    report.too_many_classes = report.too_many_outputs = true;
    json_t *json = bp_evaluation_json(&report, &labels, NULL, 0);
    static const char *const absent[] = {"log_loss", "roc_auc", "top_5_accuracy",
                                         "confusion_matrix"};
    for (size_t index = 0; index < 4; index++)
        assert_null(json_object_get(json, absent[index]));
    assert_null(json_object_get(json_array_get(json_object_get(json, "per_class"), 0), "roc_auc"));
    assert_json(json_incref(json_object_get(json, "omitted")),
                "{'roc_auc': 'rows times classes are more than 20000000', 'confusion_matrix':"
                " 'there are more than 256 classes'}");
    json_decref(json);
}

static void test_values(void **state)
{
    (void)state;
    char weight[] = "weight", pair[] = "pair";
    const bp_job_column targets[] = {{.name = weight, .width = 1}, {.name = pair, .width = 2}};
    const bp_value_report values[] = {{1, 2, 0.5}, {3, 4, NAN}, {5, 6, -1}};
    const bp_evaluation_report report = {.rows = 9,
                                         .loss = 0.5,
                                         .width = 3,
                                         .kind = BP_TARGET_VALUE,
                                         .values = {3, 4, NAN},
                                         .targets = values};
    assert_json(
        bp_evaluation_json(&report, NULL, targets, 2),
        "{'loss': 0.5, 'rmse': 3.0, 'mae': 4.0, 'r2': 'NaN', 'rows': 9, 'per_target':"
        " [{'target': 'weight', 'rmse': 1.0, 'mae': 2.0, 'r2': 0.5}, {'target': 'pair',"
        " 'element': 0, 'rmse': 3.0, 'mae': 4.0, 'r2': 'NaN'}, {'target': 'pair', 'element':"
        " 1, 'rmse': 5.0, 'mae': 6.0, 'r2': -1.0}]}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_classes),
        cmocka_unit_test(test_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
