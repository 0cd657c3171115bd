/* A data set's document, both ways. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "schema/json/json_text.h"
#include "tests/schema/support_datasets.h"

static void test_documents_round_trip(void **state)
{
    (void)state;
    support_datasets datasets;
    support_datasets_open(&datasets);
    for (size_t index = 0; index < datasets.count; index++) {
        json_t *json = bp_dataset_info_json(datasets.items[index], true);
        char *text = bp_json_text(json, NULL);
        json_t *stored = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
        bp_dataset_info *info;
        assert_int_equal(bp_dataset_info_parse(&info, stored, NULL), BP_OK);
        json_t *again = bp_dataset_info_json(info, true);
        assert_true(json_equal(again, json));
        assert_int_equal(info->column_count, datasets.items[index]->column_count);
        free(text);
        json_decref(json);
        json_decref(stored);
        json_decref(again);
        bp_dataset_info_free(info);
    }
    support_datasets_close(&datasets);
}

static void test_fields_arrive(void **state)
{
    (void)state;
    support_datasets datasets;
    support_datasets_open(&datasets);
    const bp_dataset_info *images = support_dataset(&datasets, "images");
    const bp_column_info *pixels = &images->columns[0], *digit = &images->columns[1];
    assert_int_equal(pixels->type, BP_COLUMN_TENSOR);
    assert_int_equal(pixels->element, BP_ELEMENT_UINT8);
    assert_int_equal(pixels->rank, 2);
    assert_int_equal(pixels->width, 16);
    assert_int_equal(digit->width, 1);
    assert_int_equal(digit->value_count, 10);
    assert_true(digit->values[9] == 9);
    assert_int_equal(bp_dataset_info_column(images, "score"), 2);
    assert_true(bp_dataset_info_column(images, "nothing") == SIZE_MAX);
    const bp_dataset_info *birds = support_dataset(&datasets, "birds");
    assert_string_equal(birds->columns[0].categories[1], "Dream");
    assert_true(isnan(birds->columns[0].mean));
    support_datasets_close(&datasets);
}

/* Numbers that are awkward in JSON, and empty lists. */
static void test_awkward_values(void **state)
{
    (void)state;
    char name[] = "x", set[] = "s", *categories[] = {(char[]){"\xc3\xa4\n"}};
    double values[] = {-0.0, 5e-324, 0.1, 1e300};
    bp_column_info columns[] = {
        {.name = name,
         .type = BP_COLUMN_NUMERIC,
         .element = BP_ELEMENT_FLOAT64,
         .width = 1,
         .minimum = -INFINITY,
         .maximum = 1e300,
         .mean = NAN,
         .value_count = 4,
         .values = values},
        {.name = name,
         .type = BP_COLUMN_CATEGORICAL,
         .element = BP_ELEMENT_CATEGORY,
         .width = 1,
         .minimum = NAN,
         .maximum = NAN,
         .mean = NAN,
         .category_count = 1,
         .categories = categories},
        {.name = name,
         .type = BP_COLUMN_NUMERIC,
         .element = BP_ELEMENT_FLOAT32,
         .width = 1,
         .minimum = NAN,
         .maximum = NAN,
         .mean = NAN,
         .values = values},
    };
    bp_dataset_info info = {
        .name = set, .version = 3, .equal_lengths = true, .column_count = 3, .columns = columns};
    json_t *json = bp_dataset_info_json(&info, true);
    char *text = bp_json_text(json, NULL);
    json_t *stored = json_loads(text, 0, NULL);
    bp_dataset_info *read;
    assert_int_equal(bp_dataset_info_parse(&read, stored, NULL), BP_OK);
    assert_memory_equal(read->columns[0].values, values, sizeof values);
    assert_true(isinf(read->columns[0].minimum) && read->columns[0].minimum < 0);
    assert_true(isnan(read->columns[0].mean));
    assert_string_equal(read->columns[1].categories[0], categories[0]);
    assert_int_equal(read->columns[2].value_count, 0);
    bp_dataset_info_free(read);
    free(text);
    json_decref(stored);
    json_decref(json);
}

static void test_public_document_is_short(void **state)
{
    (void)state;
    enum { COUNT = 250 };
    char name[] = "x", set[] = "s";
    double values[COUNT];
    for (size_t index = 0; index < COUNT; index++)
        values[index] = (double)index;
    bp_column_info column = {.name = name,
                             .type = BP_COLUMN_NUMERIC,
                             .width = 1,
                             .distinct_count = COUNT,
                             .value_count = COUNT,
                             .values = values};
    bp_dataset_info info = {.name = set, .version = 1, .column_count = 1, .columns = &column};
    json_t *shown = bp_dataset_info_json(&info, false), *full = bp_dataset_info_json(&info, true);
    json_t *shown_column = json_array_get(json_object_get(shown, "columns"), 0);
    json_t *full_column = json_array_get(json_object_get(full, "columns"), 0);
    assert_int_equal(json_array_size(json_object_get(shown_column, "values")), 100);
    assert_int_equal(json_array_size(json_object_get(full_column, "values")), COUNT);
    assert_int_equal(json_integer_value(json_object_get(shown_column, "distinct")), COUNT);
    json_decref(shown);
    json_decref(full);
}

/* Every member is needed, and of its kind: taking one out, or making it another thing, is noticed. */
static void assert_damage_is_noticed(const bp_dataset_info *dataset)
{
    json_t *whole = bp_dataset_info_json(dataset, true);
    json_t *columns = json_object_get(whole, "columns");
    const char *key;
    json_t *value;
    void *next;
    for (size_t place = 0; place <= json_array_size(columns); place++) {
        json_t *object = place ? json_array_get(columns, place - 1) : whole;
        json_object_foreach_safe(object, next, key, value)
        {
            char *kept_key = strdup(key);
            json_t *kept = json_incref(value);
            bp_dataset_info *info = NULL;
            bp_error error = {0};
            json_object_set_new(object, kept_key, json_pack("{s:i}", "no", 1));
            assert_int_equal(bp_dataset_info_parse(&info, whole, &error), BP_CORRUPT);
            assert_null(info);
            assert_true(error.message[0]);
            json_object_set_new(object, kept_key, kept);
            free(kept_key);
        }
    }
    json_decref(whole);
}

static void test_damage_is_noticed(void **state)
{
    (void)state;
    support_datasets datasets;
    support_datasets_open(&datasets);
    assert_damage_is_noticed(support_dataset(&datasets, "images"));
    assert_damage_is_noticed(support_dataset(&datasets, "plays"));
    assert_damage_is_noticed(support_dataset(&datasets, "tweets"));
    assert_int_equal(bp_dataset_info_parse(&(bp_dataset_info *){NULL}, NULL, NULL), BP_CORRUPT);
    /* A corpus with the columns of another. */
    json_t *plays = bp_dataset_info_json(support_dataset(&datasets, "plays"), true);
    json_t *tweets = bp_dataset_info_json(support_dataset(&datasets, "tweets"), true);
    json_object_set(plays, "columns", json_object_get(tweets, "columns"));
    bp_dataset_info *info = NULL;
    assert_int_equal(bp_dataset_info_parse(&info, plays, NULL), BP_CORRUPT);
    json_array_remove(json_object_get(tweets, "columns"), 2);
    assert_int_equal(bp_dataset_info_parse(&info, tweets, NULL), BP_CORRUPT);
    json_decref(plays);
    json_decref(tweets);
    support_datasets_close(&datasets);
}

/* The counts of a corpus by which readers take memory are those of its columns. */
static void test_counts_that_disagree_are_noticed(void **state)
{
    (void)state;
    static const struct {
        const char *dataset, *key;
        int more;
    } cases[] = {{"plays", "bytes", 1},      {"plays", "lines", 1},    {"plays", "rows", 1},
                 {"tweets", "bytes", -1},    {"tweets", "tokens", -1}, {"tweets", "sentences", -1},
                 {"tweets", "sentences", 1}, {"tweets", "rows", 1},    {"tweets", "tags", 0}};
    support_datasets datasets;
    support_datasets_open(&datasets);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        json_t *json = bp_dataset_info_json(support_dataset(&datasets, cases[i].dataset), true);
        json_t *value = json_object_get(json, cases[i].key);
        bp_dataset_info *info = NULL;
        if (cases[i].more)
            json_integer_set(value, json_integer_value(value) + cases[i].more);
        else
            json_array_remove(value, 0);
        assert_int_equal(bp_dataset_info_parse(&info, json, NULL), BP_CORRUPT);
        json_decref(json);
    }
    support_datasets_close(&datasets);
}

static void test_corpora_are_shown_by_lines_and_tokens(void **state)
{
    (void)state;
    support_datasets datasets;
    support_datasets_open(&datasets);
    json_t *plays = bp_dataset_info_json(support_dataset(&datasets, "plays"), false);
    json_t *tweets = bp_dataset_info_json(support_dataset(&datasets, "tweets"), false);
    const json_t *columns = json_object_get(plays, "columns");
    assert_int_equal(json_array_size(columns), 1);
    const json_t *text = json_array_get(columns, 0);
    assert_int_equal(json_integer_value(json_object_get(text, "rows")), 4);
    assert_null(json_object_get(text, "distinct"));
    columns = json_object_get(tweets, "columns");
    assert_int_equal(json_array_size(columns), 2);
    text = json_array_get(columns, 0);
    assert_int_equal(json_integer_value(json_object_get(text, "rows")), 8);
    assert_int_equal(json_integer_value(json_object_get(text, "distinct")), 7);
    assert_int_equal(support_dataset(&datasets, "tweets")->corpus.tags[1].count, 7);
    json_decref(plays);
    json_decref(tweets);
    support_datasets_close(&datasets);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_documents_round_trip),
        cmocka_unit_test(test_fields_arrive),
        cmocka_unit_test(test_awkward_values),
        cmocka_unit_test(test_public_document_is_short),
        cmocka_unit_test(test_damage_is_noticed),
        cmocka_unit_test(test_counts_that_disagree_are_noticed),
        cmocka_unit_test(test_corpora_are_shown_by_lines_and_tokens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
