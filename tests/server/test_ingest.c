/* Uploads with a real store: types, versions, merging of columns, failures, deletion, orphans. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/server/support_upload.h"

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

static const char table[] = "number,flag,text,mixed,empty\n"
                            "1.5,true,b,1,\n"
                            "NA,FALSE,\"a, b\",x,?\n"
                            "-2,,?,TRUE,null\n"
                            "1e3,true,b,2.50,NaN\n";

static const bp_column_info *column_of(const bp_dataset_info *info, const char *name)
{
    const size_t index = bp_dataset_info_column(info, name);
    assert_true(index != SIZE_MAX);
    return &info->columns[index];
}

static void a_table_gets_types_and_statistics(void **state)
{
    support_data *data = *state;
    bp_dataset_info *info;
    for (size_t chunk = 1; chunk < sizeof table; chunk += 13) {
        bp_upload_result result =
            support_upload(data, "t", NULL, BP_FORMAT_AUTO, table, sizeof table - 1, chunk);
        assert_int_equal(result.status, BP_OK);
        assert_int_equal(result.created, chunk == 1);
        assert_int_equal(json_integer_value(json_object_get(result.document, "version")), 1);
        json_decref(result.document);
    }
    assert_int_equal(bp_datasets_find(&info, data->datasets, "t", NULL, NULL), BP_OK);
    assert_int_equal(info->row_count, 4);
    assert_true(info->equal_lengths);
    const bp_column_info *number = column_of(info, "number");
    assert_int_equal(number->type, BP_COLUMN_NUMERIC);
    assert_int_equal(number->missing_count, 1);
    assert_false(number->integral);
    assert_true(number->minimum == -2 && number->maximum == 1000);
    assert_true(number->mean == 999.5 / 3);
    const bp_column_info *flag = column_of(info, "flag");
    assert_int_equal(flag->type, BP_COLUMN_BOOLEAN);
    assert_int_equal(flag->missing_count, 1);
    const bp_column_info *text = column_of(info, "text");
    assert_int_equal(text->type, BP_COLUMN_CATEGORICAL);
    assert_int_equal(text->category_count, 2);
    assert_string_equal(text->categories[0], "a, b");
    const bp_column_info *mixed = column_of(info, "mixed");
    assert_int_equal(mixed->category_count, 4);
    assert_string_equal(mixed->categories[1], "2.50");
    const bp_column_info *empty = column_of(info, "empty");
    assert_int_equal(empty->type, BP_COLUMN_NUMERIC);
    assert_int_equal(empty->missing_count, 4);
    assert_true(isnan(empty->mean));
    bp_dataset_info_free(info);

    json_t *rows;
    assert_int_equal(bp_datasets_rows_json(&rows, data->datasets, "t", 0, 10, NULL), BP_OK);
    char *shown = json_dumps(rows, JSON_COMPACT);
    assert_string_equal(shown,
                        "{\"columns\":[\"number\",\"flag\",\"text\",\"mixed\",\"empty\"],\"rows\":["
                        "[1.5,true,\"b\",\"1\",null],[null,false,\"a, b\",\"x\",null],"
                        "[-2.0,null,null,\"TRUE\",null],[1000.0,true,\"b\",\"2.50\",null]]}");
    free(shown);
    json_decref(rows);
    assert_int_equal(bp_datasets_rows_json(&rows, data->datasets, "t", 3, 10, NULL), BP_OK);
    assert_int_equal(json_array_size(json_object_get(rows, "rows")), 1);
    json_decref(rows);
    assert_int_equal(support_file_count(data, "tmp"), 0);
}

/* Large enough for several groups of the staging file, with a column that turns to text at the end. */
static void a_table_of_many_rows(void **state)
{
    support_data *data = *state;
    enum { ROWS = 300000 };
    char *text = malloc(ROWS * 24 + 100);
    size_t length = (size_t)sprintf(text, "i,late,c\n");
    for (int i = 0; i < ROWS; i++)
        length += (size_t)sprintf(text + length, "%d,%s,c%d\n", i, i == ROWS - 1 ? "end" : "7.50",
                                  i % 1000);
    bp_upload_result result =
        support_upload(data, "many", NULL, BP_FORMAT_CSV, text, length, 100000);
    free(text);
    assert_int_equal(result.status, BP_OK);
    json_decref(result.document);
    bp_dataset_info *info;
    assert_int_equal(bp_datasets_find(&info, data->datasets, "many", NULL, NULL), BP_OK);
    assert_int_equal(info->row_count, ROWS);
    assert_true(info->columns[0].distinct_is_lower_bound);
    assert_true(info->columns[0].mean == (ROWS - 1) / 2.0);
    assert_int_equal(info->columns[1].category_count, 2);
    assert_string_equal(info->columns[1].categories[0], "7.50");
    assert_int_equal(info->columns[2].category_count, 1000);
    bp_dataset_info_free(info);
    json_t *rows;
    assert_int_equal(bp_datasets_rows_json(&rows, data->datasets, "many", ROWS - 1, 1, NULL),
                     BP_OK);
    char *shown = json_dumps(json_object_get(rows, "rows"), JSON_COMPACT);
    assert_string_equal(shown, "[[299999,\"end\",\"c999\"]]");
    free(shown);
    json_decref(rows);
}

static void other_content_makes_a_version(void **state)
{
    support_data *data = *state;
    bp_dataset_info *first, *found;
    support_upload_csv(data, "v", "a\n1\n");
    assert_int_equal(bp_datasets_find(&first, data->datasets, "v", NULL, NULL), BP_OK);
    support_upload_csv(data, "v", "a\n2\n");
    support_upload_csv(data, "v", "a\n2\n");
    support_data_reopen(data);
    assert_int_equal(bp_datasets_find(&found, data->datasets, "v", NULL, NULL), BP_OK);
    assert_int_equal(found->version, 2);
    bp_dataset_info_free(found);
    assert_int_equal(bp_datasets_find(&found, data->datasets, "v", first->sha256, NULL), BP_OK);
    assert_int_equal(found->version, 1);
    bp_dataset_info_free(found);
    bp_dataset_info_free(first);
    support_upload_csv(data, "v", "a\n1\n"); /* an old content is the newest again */
    json_t *document;
    assert_int_equal(bp_datasets_document_json(&document, data->datasets, "v", NULL), BP_OK);
    assert_int_equal(json_array_size(json_object_get(document, "versions")), 3);
    json_decref(document);
    assert_int_equal(support_file_count(data, "columns"), 2);
}

static void columns_are_added_and_replaced(void **state)
{
    support_data *data = *state;
    bp_dataset_info *info;
    support_upload_column(data, "m", "images", 3, (uint32_t[]){2, 2, 2},
                          (const unsigned char *)"abcdefgh");
    support_upload_column(data, "m", "labels", 1, (uint32_t[]){2}, (const unsigned char *)"\1\0");
    assert_int_equal(bp_datasets_find(&info, data->datasets, "m", NULL, NULL), BP_OK);
    assert_int_equal(info->version, 2);
    assert_int_equal(info->column_count, 2);
    assert_string_equal(info->columns[0].name, "images");
    assert_int_equal(info->columns[0].type, BP_COLUMN_TENSOR);
    assert_int_equal(info->columns[0].width, 4);
    assert_int_equal(info->columns[1].type, BP_COLUMN_NUMERIC);
    assert_int_equal(info->columns[1].value_count, 2);
    bp_dataset_info_free(info);
    /* The same again changes nothing; another length does, and shows. */
    support_upload_column(data, "m", "images", 3, (uint32_t[]){2, 2, 2},
                          (const unsigned char *)"abcdefgh");
    support_upload_column(data, "m", "labels", 1, (uint32_t[]){3}, (const unsigned char *)"\1\0\1");
    assert_int_equal(bp_datasets_find(&info, data->datasets, "m", NULL, NULL), BP_OK);
    assert_int_equal(info->version, 3);
    assert_false(info->equal_lengths);
    assert_int_equal(info->row_count, 2);
    bp_dataset_info_free(info);
    json_t *rows;
    assert_int_equal(bp_datasets_rows_json(&rows, data->datasets, "m", 0, 1, NULL), BP_OK);
    char *shown = json_dumps(json_object_get(rows, "rows"), JSON_COMPACT);
    assert_string_equal(shown, "[[[[97,98],[99,100]],1]]");
    free(shown);
    json_decref(rows);
}

typedef struct adder {
    support_data *data;
    char column[8];
    pthread_t thread;
} adder;

static void *add_column(void *argument)
{
    adder *self = argument;
    support_upload_column(self->data, "both", self->column, 1, (uint32_t[]){1},
                          (const unsigned char *)self->column);
    return NULL;
}

static void columns_at_the_same_time_are_all_kept(void **state)
{
    support_data *data = *state;
    adder adders[8];
    for (size_t i = 0; i < 8; i++) {
        adders[i].data = data;
        snprintf(adders[i].column, sizeof adders[i].column, "%zu", i);
        pthread_create(&adders[i].thread, NULL, add_column, &adders[i]);
    }
    for (size_t i = 0; i < 8; i++)
        pthread_join(adders[i].thread, NULL);
    bp_dataset_info *info;
    assert_int_equal(bp_datasets_find(&info, data->datasets, "both", NULL, NULL), BP_OK);
    assert_int_equal(info->column_count, 8);
    assert_int_equal(info->version, 8);
    bp_dataset_info_free(info);
}

static void failures_name_the_place_and_keep_nothing(void **state)
{
    support_data *data = *state;
    static const struct {
        const char *name, *column;
        bp_dataset_format format;
        const char *bytes;
        size_t count;
        bp_status status;
        const char *message;
    } cases[] = {
        {"../x", NULL, BP_FORMAT_AUTO, "a\n1\n", 4, BP_INVALID, "begins with a letter"},
        {"x", "a\nb", BP_FORMAT_AUTO, "a\n1\n", 4, BP_INVALID, "control characters"},
        {"x", NULL, BP_FORMAT_AUTO, "", 0, BP_INVALID, "empty"},
        {"x", NULL, BP_FORMAT_AUTO, "a,b\n1\n", 6, BP_INVALID, "1 field"},
        {"x", NULL, BP_FORMAT_CSV, "\0\0\x08\x01\0\0\0\1x", 9, BP_INVALID, "like an IDX"},
        {"x", NULL, BP_FORMAT_IDX, "a\n1\n2\n3\n", 8, BP_INVALID, "two zero bytes"},
        {"x", NULL, BP_FORMAT_NPY, "a\n1\n2\n3\n", 8, BP_INVALID, "NUMPY"},
        {"x", "c", BP_FORMAT_AUTO, "a\n1\n2\n3\n", 8, BP_INVALID, "neither"},
        {"x", "c", BP_FORMAT_AUTO, "\0\0\x08\x01\0\0\0\2x", 9, BP_INVALID, "truncated"},
        {"x", NULL, BP_FORMAT_AUTO, "\x1f\x8bxxxxxxxx", 10, BP_INVALID, "damaged"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        bp_upload_result result =
            support_upload(data, cases[i].name, cases[i].column, cases[i].format, cases[i].bytes,
                           cases[i].count, 3);
        assert_int_equal(result.status, cases[i].status);
        if (!strstr(result.error.message, cases[i].message))
            fail_msg("case %zu: %s", i, result.error.message);
    }
    /* Far more than the queue, after a fault in its first line: swallowed. */
    enum { LONG = 9 * 1024 * 1024 };
    char *text = malloc(LONG);
    memset(text, 'x', LONG);
    memcpy(text, "a,a\n", 4);
    bp_upload_result result = support_upload(data, "x", NULL, BP_FORMAT_AUTO, text, LONG, 65536);
    assert_int_equal(result.status, BP_INVALID);
    /* More than the limit of decoded bytes. */
    for (size_t i = 0; i < LONG; i += 2)
        memcpy(text + i, i ? "1\n" : "a\n", 2);
    result = support_upload(data, "x", NULL, BP_FORMAT_AUTO, text, LONG, 65536);
    assert_int_equal(result.status, BP_TOO_LARGE);
    free(text);
    assert_int_equal(support_file_count(data, "tmp"), 0);
    assert_int_equal(support_file_count(data, "columns"), 0);
    bp_dataset_info *info;
    assert_int_equal(bp_datasets_find(&info, data->datasets, "x", NULL, NULL), BP_NOT_FOUND);
}

static void note_cancelled(void *context, bp_upload_result *result)
{
    assert_int_equal(result->status, BP_CANCELLED);
    assert_null(result->document);
    ++*(int *)context;
}

static void no_room(void *context)
{
    (void)context;
}

static void aborted_uploads_leave_nothing(void **state)
{
    support_data *data = *state;
    bp_upload *upload, *abandoned;
    int cancelled = 0;
    assert_int_equal(bp_upload_begin(&upload, data->datasets, "x", NULL, BP_FORMAT_AUTO, no_room,
                                     note_cancelled, &cancelled, NULL),
                     BP_OK);
    assert_true(bp_upload_feed(upload, table, sizeof table - 1));
    bp_upload_abort(upload);
    assert_int_equal(bp_upload_begin(&abandoned, data->datasets, "x", NULL, BP_FORMAT_AUTO, no_room,
                                     note_cancelled, &cancelled, NULL),
                     BP_OK);
    assert_true(bp_upload_feed(abandoned, table, sizeof table - 1));
    support_data_reopen(data); /* stopping cancels what has not ended */
    assert_int_equal(cancelled, 2);
    assert_int_equal(support_file_count(data, "tmp"), 0);
    assert_int_equal(support_file_count(data, "columns"), 0);
}

static bp_status run_sql(bp_write *write, sqlite3 *database, bp_error *error)
{
    (void)write;
    return sqlite3_exec(database,
                        "INSERT INTO jobs (id, name, state, specification, memory_bytes, created) "
                        "VALUES (7, 'j', 'queued', '{}', 0, 0);"
                        "INSERT INTO job_datasets SELECT 7, 'training', id FROM dataset_versions "
                        "WHERE dataset = 'needed' AND version = 1",
                        NULL, NULL, NULL) == SQLITE_OK
               ? BP_OK
               : bp_error_set(error, BP_INTERNAL, NULL, "%s", sqlite3_errmsg(database));
}

static bp_status finish_job(bp_write *write, sqlite3 *database, bp_error *error)
{
    (void)write;
    (void)error;
    return sqlite3_exec(database, "UPDATE jobs SET state = 'succeeded'", NULL, NULL, NULL)
               ? BP_INTERNAL
               : BP_OK;
}

static void deletion_waits_for_jobs_and_removes_files(void **state)
{
    support_data *data = *state;
    bp_error error;
    assert_int_equal(support_delete(data, "none", &error), BP_NOT_FOUND);
    support_upload_csv(data, "needed", "a,b\n1,2\n");
    support_upload_csv(data, "needed", "a,b\n1,3\n"); /* shares column a */
    support_upload_csv(data, "other", "b\n2\n");      /* shares column b of the first version */
    assert_int_equal(support_file_count(data, "columns"), 3);
    bp_write write = {.apply = run_sql};
    assert_int_equal(bp_store_write_wait(data->store, &write, &error), BP_OK);
    assert_int_equal(support_delete(data, "needed", &error), BP_CONFLICT);
    assert_non_null(strstr(error.message, "job 7"));
    write.apply = finish_job;
    assert_int_equal(bp_store_write_wait(data->store, &write, NULL), BP_OK);
    assert_int_equal(support_delete(data, "needed", &error), BP_OK);
    bp_dataset_info *info;
    assert_int_equal(bp_datasets_find(&info, data->datasets, "needed", NULL, NULL), BP_NOT_FOUND);
    support_upload_csv(data, "later", "z\n9\n"); /* the sweep comes before the upload */
    assert_int_equal(support_file_count(data, "columns"), 2);
    json_t *rows;
    assert_int_equal(bp_datasets_rows_json(&rows, data->datasets, "other", 0, 1, NULL), BP_OK);
    json_decref(rows);
}

static void orphans_are_swept_at_start(void **state)
{
    support_data *data = *state;
    char path[SUPPORT_PATH_SIZE + 128];
    support_upload_csv(data, "kept", "a\n1\n");
    snprintf(path, sizeof path, "%s/tmp/column-abc", data->directory);
    close(open(path, O_CREAT | O_WRONLY, 0600));
    snprintf(path, sizeof path, "%s/columns/%064d", data->directory, 0);
    close(open(path, O_CREAT | O_WRONLY, 0600));
    support_data_reopen(data);
    support_upload_csv(data, "kept", "a\n1\n");
    assert_int_equal(support_file_count(data, "tmp"), 0);
    assert_int_equal(support_file_count(data, "columns"), 1);
}

static void lists_page_by_name(void **state)
{
    support_data *data = *state;
    support_upload_csv(data, "b", "a\n1\n");
    support_upload_csv(data, "a", "a\n1\n");
    support_upload_csv(data, "a", "a\n2\n");
    support_upload_csv(data, "c", "a\n1\n");
    json_t *list;
    assert_int_equal(bp_datasets_list_json(&list, data->datasets, NULL, 2, NULL), BP_OK);
    json_t *items = json_object_get(list, "items");
    assert_int_equal(json_array_size(items), 2);
    json_t *first = json_array_get(items, 0);
    assert_string_equal(json_string_value(json_object_get(first, "name")), "a");
    assert_int_equal(json_integer_value(json_object_get(first, "version")), 2);
    assert_string_equal(json_string_value(json_object_get(list, "next")), "b");
    json_decref(list);
    assert_int_equal(bp_datasets_list_json(&list, data->datasets, "b", 2, NULL), BP_OK);
    assert_int_equal(json_array_size(json_object_get(list, "items")), 1);
    assert_true(json_is_null(json_object_get(list, "next")));
    json_decref(list);
}

typedef struct deleter {
    support_data *data;
    atomic_bool *stop;
} deleter;

static void *delete_again_and_again(void *argument)
{
    const deleter *self = argument;
    while (!atomic_load(self->stop))
        (void)!support_delete(self->data, "d", NULL);
    return NULL;
}

/* Deletions often share the transaction of the upload. */
static void an_upload_answers_though_it_is_deleted_at_once(void **state)
{
    enum { DELETERS = 3, UPLOADS = 100 };
    support_data *data = *state;
    atomic_bool stop = false;
    deleter shared = {.data = data, .stop = &stop};
    pthread_t threads[DELETERS];
    for (size_t i = 0; i < DELETERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, delete_again_and_again, &shared), 0);
    size_t refused = 0;
    for (size_t i = 0; i < UPLOADS; i++) {
        bp_upload_result result = support_upload(data, "d", NULL, BP_FORMAT_CSV, "a\n1\n", 4, 4);
        refused += result.status != BP_OK || !json_object_get(result.document, "sha256");
        json_decref(result.document);
    }
    atomic_store(&stop, true);
    for (size_t i = 0; i < DELETERS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(refused, 0);
}

#define DATA_TEST(name) cmocka_unit_test_setup_teardown(name, open_data, close_data)

int main(void)
{
    const struct CMUnitTest tests[] = {
        DATA_TEST(a_table_gets_types_and_statistics),
        DATA_TEST(a_table_of_many_rows),
        DATA_TEST(other_content_makes_a_version),
        DATA_TEST(columns_are_added_and_replaced),
        DATA_TEST(columns_at_the_same_time_are_all_kept),
        DATA_TEST(failures_name_the_place_and_keep_nothing),
        DATA_TEST(aborted_uploads_leave_nothing),
        DATA_TEST(deletion_waits_for_jobs_and_removes_files),
        DATA_TEST(orphans_are_swept_at_start),
        DATA_TEST(lists_page_by_name),
        DATA_TEST(an_upload_answers_though_it_is_deleted_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
