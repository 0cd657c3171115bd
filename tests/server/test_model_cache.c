/* Models in memory: shared by all who ask at the same time, alive while somebody has them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "server/base/sha256.h"
#include "server/model/models.h"
#include "server/store/database.h"
#include "tests/server/support_directory.h"

enum { WIDTH = 2000 }; /* so that loading takes longer than starting a thread */

typedef struct fixture {
    char directory[SUPPORT_PATH_SIZE];
    bp_store *store;
} fixture;

typedef struct store_model {
    bp_write write; /* first */
    const char *name;
} store_model;

static const char info_format[] =
    "{\"name\":\"%s\",\"version\":1,\"job\":1,\"task\":\"regression\","
    "\"dataset\":{\"name\":\"d\",\"sha256\":"
    "\"1313a7d3c8e674c96db1ab36bb6b99c9fe779d2daf1839cbda0b3f5b866e7ef4\"},"
    "\"features\":[{\"name\":\"x\",\"type\":\"numeric\",\"index\":0,\"width\":1}],"
    "\"targets\":[\"y\"],\"target_width\":%d,"
    "\"preprocess\":{\"center\":true,\"scale\":\"standard\",\"missing\":\"mean\"},"
    "\"preparation\":{\"fill\":[0],\"offset\":[0],\"scale\":[1]},\"dtype\":\"float32\","
    "\"layers\":[{\"type\":\"dense\",\"units\":%d,\"bias\":false,\"activation\":\"relu\","
    "\"init\":{\"type\":\"zeros\"}},{\"type\":\"dense\",\"units\":%d,\"bias\":false,"
    "\"activation\":\"identity\",\"init\":{\"type\":\"zeros\"}}],"
    "\"loss\":{\"type\":\"mean_squared_error\"},\"parameters\":%d,\"metrics\":{},"
    "\"created\":\"2026-01-01T00:00:00.000Z\"}";

static bp_status insert_tensor(sqlite3 *database, sqlite3_int64 model, int ordinal, int elements,
                               bp_error *error)
{
    sqlite3_stmt *statement;
    char name[32], sha256[BP_SHA256_TEXT_SIZE];
    const size_t bytes = (size_t)elements * sizeof(float);
    float *zeros = calloc(1, bytes);
    assert_non_null(zeros);
    snprintf(name, sizeof name, "layers.%d.weight", ordinal);
    bp_sha256_text(sha256, zeros, bytes);
    bp_status status = bp_database_prepare(
        &statement, database,
        "INSERT INTO model_tensors (model_id, ordinal, name, dtype, shape, sha256, data) "
        "VALUES (?1, ?2, ?3, 'float32', '[]', ?4, ?5)",
        error);
    assert_int_equal(status, BP_OK);
    sqlite3_bind_int64(statement, 1, model);
    sqlite3_bind_int(statement, 2, ordinal);
    sqlite3_bind_text(statement, 3, name, -1, SQLITE_STATIC);
    sqlite3_bind_text(statement, 4, sha256, -1, SQLITE_STATIC);
    sqlite3_bind_blob64(statement, 5, zeros, bytes, SQLITE_STATIC);
    status = bp_database_step_done(statement, error);
    sqlite3_finalize(statement);
    free(zeros);
    return status;
}

static bp_status apply(bp_write *write, sqlite3 *database, bp_error *error)
{
    const char *name = ((const store_model *)write)->name;
    sqlite3_stmt *statement;
    char info[2048];
    snprintf(info, sizeof info, info_format, name, WIDTH, WIDTH, WIDTH, WIDTH * WIDTH + WIDTH);
    bp_status status = bp_database_prepare(
        &statement, database,
        "INSERT INTO models (name, version, info, created) VALUES (?1, 1, ?2, 0)", error);
    assert_int_equal(status, BP_OK);
    sqlite3_bind_text(statement, 1, name, -1, SQLITE_STATIC);
    sqlite3_bind_text(statement, 2, info, -1, SQLITE_STATIC);
    status = bp_database_step_done(statement, error);
    sqlite3_finalize(statement);
    const sqlite3_int64 model = sqlite3_last_insert_rowid(database);
    if (status == BP_OK)
        status = insert_tensor(database, model, 0, WIDTH, error);
    if (status == BP_OK)
        status = insert_tensor(database, model, 1, WIDTH * WIDTH, error);
    return status;
}

static int open_store(void **state)
{
    static const char *const names[] = {"a", "b"};
    fixture *f = calloc(1, sizeof *f);
    support_directory_make(f->directory);
    assert_int_equal(bp_store_open(&f->store, f->directory, NULL), BP_OK);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        bp_error error = {.status = BP_OK};
        store_model write = {.write.apply = apply, .name = names[i]};
        if (bp_store_write_wait(f->store, &write.write, &error) != BP_OK)
            fail_msg("%s", error.message);
    }
    *state = f;
    return 0;
}

static int close_store(void **state)
{
    fixture *f = *state;
    bp_store_close(f->store);
    support_directory_remove(f->directory);
    free(f);
    return 0;
}

typedef struct borrower {
    bp_models *models;
    pthread_barrier_t *together;
    bp_model *model;
    bp_error error;
} borrower;

static void *borrow(void *argument)
{
    borrower *self = argument;
    pthread_barrier_wait(self->together);
    (void)!bp_models_borrow(&self->model, self->models, "a", 0, &self->error);
    return NULL;
}

static void many_who_ask_at_once_share_one_copy(void **state)
{
    enum { THREADS = 8 };
    const fixture *f = *state;
    bp_models *models;
    pthread_barrier_t together;
    pthread_t threads[THREADS];
    borrower borrowers[THREADS];
    pthread_barrier_init(&together, NULL, THREADS);
    assert_int_equal(bp_models_open(&models, f->store, bp_isa_detect(), 1 << 30, NULL), BP_OK);
    for (size_t i = 0; i < THREADS; i++) {
        borrowers[i] = (borrower){.models = models, .together = &together};
        assert_int_equal(pthread_create(&threads[i], NULL, borrow, &borrowers[i]), 0);
    }
    for (size_t i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    for (size_t i = 0; i < THREADS; i++) {
        assert_string_equal(borrowers[i].error.message, "");
        assert_ptr_equal(borrowers[i].model, borrowers[0].model);
    }
    for (size_t i = 0; i < THREADS; i++)
        bp_model_release(borrowers[i].model);
    bp_models_close(models);
    pthread_barrier_destroy(&together);
}

static void what_the_cache_drops_lives_while_it_is_borrowed(void **state)
{
    const fixture *f = *state;
    bp_models *models;
    bp_model *first, *second, *again;
    assert_int_equal(bp_models_open(&models, f->store, bp_isa_detect(), 1, NULL), BP_OK);
    assert_int_equal(bp_models_borrow(&first, models, "a", 1, NULL), BP_OK);
    assert_int_equal(bp_models_borrow(&second, models, "b", 1, NULL), BP_OK);
    assert_int_equal(bp_models_borrow(&again, models, "a", 1, NULL), BP_OK);
    assert_ptr_not_equal(first, again);
    const double raw[] = {1};
    void *shown;
    const bp_model_input input = {.row_count = 1, .raw = raw};
    assert_int_equal(bp_model_predict(&shown, first, &input, NULL), BP_OK);
    assert_true(((const float *)shown)[WIDTH - 1] == 0);
    free(shown);
    bp_model_release(first);
    bp_model_release(second);
    bp_model_release(again);
    bp_error error = {.status = BP_OK};
    assert_int_equal(bp_models_borrow(&again, models, "c", 0, &error), BP_NOT_FOUND);
    bp_models_close(models);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(many_who_ask_at_once_share_one_copy),
        cmocka_unit_test(what_the_cache_drops_lives_while_it_is_borrowed),
    };
    return cmocka_run_group_tests(tests, open_store, close_store);
}
