/* A job's data from real column files: splits, labels, mapping between data sets, missing values, and
 * that all of it is what the same arithmetic on the plain numbers gives. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/kernel/kernels.h"
#include "tests/server/support_upload.h"

static const bp_job_limits limits = {.memory_bytes = (uint64_t)1 << 30,
                                     .parameter_count = 1000000,
                                     .layer_count = 8,
                                     .thread_count = 1};

static int open_data(void **state)
{
    support_data *data = calloc(1, sizeof *data);
    support_data_open(data);
    *state = data;
    return 0;
}

static int close_data(void **state)
{
    support_data_close(*state);
    free(*state);
    return 0;
}

/* Infos found while resolving; freed after it. */
typedef struct finder {
    support_data *data;
    bp_dataset_info *found[8];
    size_t count;
} finder;

static const bp_dataset_info *find(void *context, const char *name, const char *sha256)
{
    finder *self = context;
    if (bp_datasets_find(&self->found[self->count], self->data->datasets, name, sha256, NULL) !=
        BP_OK)
        return NULL;
    return self->found[self->count++];
}

/* A specification from JSON with single quotes. */
static bp_job_spec *resolve(support_data *data, const char *text)
{
    char body[1024];
    snprintf(body, sizeof body, "%s", text);
    for (char *at = body; *at; at++)
        if (*at == '\'')
            *at = '"';
    json_t *json = json_loads(body, 0, NULL), *resolved, *warnings;
    assert_non_null(json);
    finder self = {.data = data};
    const bp_dataset_lookup lookup = {.context = &self, .find = find};
    bp_job_spec *spec;
    bp_job_size size;
    bp_faults faults = {0};
    bp_status status = bp_job_resolve(&spec, &resolved, &warnings, &size, &faults, json, &lookup,
                                      &limits, BP_ISA_BASELINE);
    if (status != BP_OK)
        fail_msg("%s: %s", faults.items[0].pointer, faults.items[0].detail);
    json_decref(resolved);
    json_decref(warnings);
    json_decref(json);
    for (size_t i = 0; i < self.count; i++)
        bp_dataset_info_free(self.found[i]);
    return spec;
}

static bp_status load(bp_job_data *out, support_data *data, const char *text, bp_error *error)
{
    bp_job_spec *spec = resolve(data, text);
    *error = (bp_error){0};
    memset(out, 0, sizeof *out);
    bp_status status = bp_job_data_load(out, data->datasets, spec, NULL, NULL, error);
    bp_job_spec_free(spec);
    return status;
}

static void must_load(bp_job_data *out, support_data *data, const char *text)
{
    bp_error error;
    if (load(out, data, text, &error) != BP_OK)
        fail_msg("%s: %s", error.where, error.message);
}

static void one_hot_and_standardised(void **state)
{
    support_data *data = *state;
    bp_job_data loaded;
    support_upload_csv(data, "t", "x,kind,y\n1,b,no\n,a,yes\n3,,no\n5,b,maybe\n");
    must_load(&loaded, data,
              "{'data': {'dataset': 't', 'target': 'y'}, 'training': {'dtype': 'float64'}}");
    const double scale = sqrt(8.0 / 3),
                 expected[] = {-2 / scale,       0, 1, /* */ 0,         1, 0,
                               /* the mean */ 0, 0, 0, /* */ 2 / scale, 0, 1};
    assert_int_equal(loaded.training.row_count, 4);
    assert_int_equal(loaded.preparation.prepared_width, 3);
    const double *features = loaded.training.features;
    for (size_t i = 0; i < 12; i++)
        assert_true(fabs(features[i] - expected[i]) < 1e-15);
    const int32_t labels[] = {1, 2, 1, 0}; /* maybe, no, yes */
    assert_memory_equal(loaded.training.label, labels, sizeof labels);
    assert_int_equal(loaded.validation.row_count, 0);
    bp_job_data_done(&loaded);
}

static void parts_are_disjoint_and_in_file_order(void **state)
{
    support_data *data = *state;
    bp_job_data loaded, again;
    char text[4096] = "x,y\n";
    for (int i = 0; i < 200; i++)
        sprintf(text + strlen(text), "%d,%d\n", i, i % 3);
    support_upload_csv(data, "t", text);
    static const char job[] =
        "{'data': {'dataset': 't', 'target': 'y', 'validation': {'fraction': 0.1}, "
        "'test': {'fraction': 0.25}}, 'task': 'classification', "
        "'preprocess': {'center': false, 'scale': 'none'}}";
    must_load(&loaded, data, job);
    assert_int_equal(loaded.training.row_count, 130);
    assert_int_equal(loaded.validation.row_count, 20);
    assert_int_equal(loaded.test.row_count, 50);
    const bp_examples *parts[] = {&loaded.training, &loaded.validation, &loaded.test};
    bool seen[200] = {false};
    for (size_t part = 0; part < 3; part++) {
        const float *x = parts[part]->features;
        for (size_t i = 0; i < parts[part]->row_count; i++) {
            assert_true(i == 0 || x[i] > x[i - 1]);
            assert_false(seen[(int)x[i]]);
            seen[(int)x[i]] = true;
            assert_int_equal(parts[part]->label[i], (int)x[i] % 3);
        }
    }
    must_load(&again, data, job);
    assert_memory_equal(again.validation.features, loaded.validation.features, 20 * sizeof(float));
    bp_job_data_done(&again);
    bp_job_data_done(&loaded);
}

static void other_sets_are_mapped_by_name_and_text(void **state)
{
    support_data *data = *state;
    bp_job_data loaded;
    bp_error error;
    support_upload_csv(data, "train", "x,kind,y\n1,red,p\n2,green,q\n3,red,p\n");
    support_upload_csv(data, "test", "y,extra,kind,x\nq,9,blue,2\np,9,red,1\n");
    support_upload_csv(data, "odd", "y,kind,x\nq,red,2\nz,red,1\n");
    must_load(&loaded, data,
              "{'data': {'dataset': 'train', 'target': 'y', 'test': {'dataset': 'test'}}, "
              "'preprocess': {'center': false, 'scale': 'none'}}");
    const float expected[] = {2, 0, 0, /* blue is unseen */ 1, 0, 1};
    assert_int_equal(loaded.test.row_count, 2);
    assert_memory_equal(loaded.test.features, expected, sizeof expected);
    assert_int_equal(loaded.test.label[0], 1);
    assert_int_equal(loaded.test.label[1], 0);
    bp_job_data_done(&loaded);
    /* The resolver sees an unseen label too; a loader that trusted it would read out of bounds. */
    bp_job_spec *spec = resolve(data, "{'data': {'dataset': 'train', 'target': 'y', "
                                      "'test': {'dataset': 'test'}}}");
    bp_dataset_info *odd;
    assert_int_equal(bp_datasets_find(&odd, data->datasets, "odd", NULL, NULL), BP_OK);
    free(spec->test.dataset);
    spec->test.dataset = strdup("odd");
    memcpy(spec->test.sha256, odd->sha256, sizeof odd->sha256);
    bp_dataset_info_free(odd);
    error = (bp_error){0};
    assert_int_equal(bp_job_data_load(&loaded, data->datasets, spec, NULL, NULL, &error),
                     BP_INVALID);
    assert_non_null(strstr(error.message, "\"z\""));
    assert_non_null(strstr(error.message, "row 2"));
    bp_job_spec_free(spec);
}

static void rows_with_missing_values_are_dropped(void **state)
{
    support_data *data = *state;
    bp_job_data loaded;
    support_upload_csv(data, "t", "x,kind,y\n1,a,1.5\n,a,2\n3,,3\n4,b,\n5,b,5\n6,a,6\n");
    must_load(&loaded, data,
              "{'data': {'dataset': 't', 'target': 'y'}, 'task': 'regression', "
              "'preprocess': {'missing': 'drop_row', 'center': false, 'scale': 'none'}}");
    const float values[] = {1.5f, 5, 6}, features[] = {1, 1, 0, 5, 0, 1, 6, 1, 0};
    assert_int_equal(loaded.training.row_count, 3);
    assert_memory_equal(loaded.training.value, values, sizeof values);
    assert_memory_equal(loaded.training.features, features, sizeof features);
    bp_job_data_done(&loaded);
}

/* Statistics of targets are those of the training rows; other parts are scaled by them. */
static void targets_are_scaled_and_features_whitened(void **state)
{
    support_data *data = *state;
    support_upload_csv(data, "scaled", "a,b,y\n3,1,10\n-3,-1,20\n1,3,30\n-1,-3,\n");
    support_upload_csv(data, "scaled-test", "a,b,y\n5,5,40\n");
    bp_job_spec *spec =
        resolve(data, "{'data': {'dataset': 'scaled', 'target': 'y', 'test': {'dataset': "
                      "'scaled-test'}}, 'task': 'regression', 'training': {'dtype': 'float64'},"
                      "'preprocess': {'missing': 'drop_row', 'scale': 'none'}}");
    spec->whiten = true;
    spec->whiten_epsilon = 1e-6;
    spec->target_scaling =
        bp_choice_default(bp_target_scaling_family.members[BP_TARGET_SCALING_standard]);
    bp_job_data loaded;
    bp_error error = {0};
    if (bp_job_data_load(&loaded, data->datasets, spec, NULL, NULL, &error) != BP_OK)
        fail_msg("%s: %s", error.where, error.message);
    const double deviation = sqrt(200.0 / 3), *value = loaded.training.value;
    assert_int_equal(loaded.training.row_count, 3);
    assert_true(value[0] == -10 / deviation && value[1] == 0 && value[2] == 10 / deviation);
    assert_true(*(const double *)loaded.test.value == 20 / deviation);
    assert_true(loaded.target_preparation.offset[0] == 20);
    assert_true(loaded.target_preparation.scale[0] == deviation);
    const double *x = loaded.training.features;
    for (size_t a = 0; a < 2; a++)
        for (size_t b = 0; b < 2; b++) {
            double sum = 0;
            for (size_t row = 0; row < 3; row++)
                sum += x[2 * row + a] * x[2 * row + b] / 3;
            assert_true(fabs(sum - (a == b)) < 1e-12);
        }
    bp_job_data_done(&loaded);
    bp_job_spec_free(spec);
}

static void tensors_of_many_blocks(void **state)
{
    support_data *data = *state;
    enum { ROWS = 700, WIDTH = 600 };
    unsigned char *pixels = malloc(ROWS * WIDTH), labels[ROWS];
    for (size_t i = 0; i < ROWS * WIDTH; i++)
        pixels[i] = (unsigned char)(i * 2654435761u >> 24);
    for (size_t i = 0; i < ROWS; i++)
        labels[i] = (unsigned char)(i % 10);
    support_upload_column(data, "m", "images", 3, (uint32_t[]){ROWS, 30, 20}, pixels);
    support_upload_column(data, "m", "labels", 1, (uint32_t[]){ROWS}, labels);
    bp_job_data loaded;
    must_load(&loaded, data,
              "{'data': {'dataset': 'm', 'target': 'labels', 'validation': {'fraction': 0.2}}, "
              "'preprocess': {'center': false, 'scale': 'none'}}");
    const bp_examples *parts[] = {&loaded.training, &loaded.validation};
    size_t at[2] = {0, 0};
    for (size_t row = 0; row < ROWS; row++) {
        /* Each row is the next one of one of the two parts. */
        bool found = false;
        for (size_t part = 0; part < 2 && !found; part++) {
            if (at[part] == parts[part]->row_count)
                continue;
            const float *features = (const float *)parts[part]->features + at[part] * WIDTH;
            found = true;
            for (size_t i = 0; i < WIDTH && found; i++)
                found = features[i] == (float)pixels[row * WIDTH + i];
            if (found)
                assert_int_equal(parts[part]->label[at[part]++], row % 10);
        }
        assert_true(found);
    }
    free(pixels);
    bp_job_data_done(&loaded);
}

static bool now(void *context)
{
    (void)context;
    return true;
}

static void damage_deletion_and_cancelling(void **state)
{
    support_data *data = *state;
    bp_job_data loaded;
    bp_error error = {0};
    char path[SUPPORT_PATH_SIZE + 128];
    support_upload_csv(data, "t", "x,y\n1,a\n2,b\n");
    bp_job_spec *spec = resolve(data, "{'data': {'dataset': 't', 'target': 'y'}}");
    assert_int_equal(bp_job_data_load(&loaded, data->datasets, spec, now, NULL, &error),
                     BP_CANCELLED);
    bp_dataset_info *info;
    assert_int_equal(bp_datasets_find(&info, data->datasets, "t", NULL, NULL), BP_OK);
    snprintf(path, sizeof path, "%s/columns/%s", data->directory, info->columns[0].sha256);
    bp_dataset_info_free(info);
    int file = open(path, O_WRONLY);
    assert_int_equal(pwrite(file, "x", 1, 130), 1);
    close(file);
    assert_int_equal(bp_job_data_load(&loaded, data->datasets, spec, NULL, NULL, NULL), BP_CORRUPT);
    assert_int_equal(support_delete(data, "t", NULL), BP_OK);
    assert_int_equal(bp_job_data_load(&loaded, data->datasets, spec, NULL, NULL, NULL),
                     BP_NOT_FOUND);
    bp_job_spec_free(spec);
}

#define DATA_TEST(name) cmocka_unit_test_setup_teardown(name, open_data, close_data)

int main(void)
{
    const struct CMUnitTest tests[] = {
        DATA_TEST(one_hot_and_standardised),
        DATA_TEST(parts_are_disjoint_and_in_file_order),
        DATA_TEST(other_sets_are_mapped_by_name_and_text),
        DATA_TEST(rows_with_missing_values_are_dropped),
        DATA_TEST(targets_are_scaled_and_features_whitened),
        DATA_TEST(tensors_of_many_blocks),
        DATA_TEST(damage_deletion_and_cancelling),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
