/* Checkpoints in the database: numbers, what is kept, what an event says, sweeping in pieces. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "schema/sql/migrations.h"
#include "server/base/sha256.h"
#include "server/store/checkpoint_read.h"
#include "server/store/checkpoint_store.h"

static void run_sql(sqlite3 *database, const char *sql)
{
    char *message = NULL;
    if (sqlite3_exec(database, sql, NULL, NULL, &message) != SQLITE_OK)
        fail_msg("%s", message);
}

static sqlite3 *open_with(size_t migrations)
{
    sqlite3 *database = NULL;
    assert_int_equal(sqlite3_open(":memory:", &database), SQLITE_OK);
    for (size_t i = 0; i < migrations; i++)
        run_sql(database, bp_migrations[i].sql);
    run_sql(database, "PRAGMA foreign_keys = ON");
    return database;
}

static int open_database(void **state)
{
    sqlite3 *database = open_with(bp_migration_count);
    run_sql(database, "INSERT INTO jobs (id, name, state, specification, memory_bytes, created, "
                      "stalled_restarts) VALUES (1, 'a', 'running', '{}', 0, 0, 4), "
                      "(2, 'b', 'queued', '{}', 0, 0, 0)");
    run_sql(database, "INSERT INTO metric_sets (job_id, id, names) VALUES (1, 1, '[]')");
    run_sql(database, "INSERT INTO metrics (job_id, seq, step, epoch, time, set_id, \"values\") "
                      "VALUES (1, 1, 1, 1, 0, 1, x''), (1, 2, 2, 1, 0, 1, x'')");
    *state = database;
    return 0;
}

static int close_database(void **state)
{
    sqlite3_close_v2(*state);
    return 0;
}

static int64_t number_of(sqlite3 *database, const char *sql)
{
    sqlite3_stmt *statement = NULL;
    assert_int_equal(sqlite3_prepare_v2(database, sql, -1, &statement, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    const int64_t number = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return number;
}

/* The numbers of the job's checkpoints that are complete: "2 5 6". */
static void assert_kept(sqlite3 *database, const char *wanted)
{
    sqlite3_stmt *statement = NULL;
    assert_int_equal(sqlite3_prepare_v2(database,
                                        "SELECT coalesce(group_concat(number, ' '), '') FROM "
                                        "(SELECT number FROM checkpoints WHERE job_id = 1 AND "
                                        "complete = 1 ORDER BY number)",
                                        -1, &statement, NULL),
                     SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    assert_string_equal((const char *)sqlite3_column_text(statement, 0), wanted);
    sqlite3_finalize(statement);
}

static bp_checkpoint_row row_with(double metric)
{
    bp_checkpoint_row row = {.job = 1,
                             .cause = "epochs",
                             .step = 10,
                             .epoch = 1,
                             .metric_seq = 2,
                             .metric = metric,
                             .state = "{}",
                             .fingerprint = "1-0123456789abcdef",
                             .size_bytes = 2};
    row.data_sha256 = "0123456789012345678901234567890123456789012345678901234567890123";
    strcpy(row.sha256, row.data_sha256);
    return row;
}

static bp_checkpoint_row take(sqlite3 *database, double metric, const bp_checkpoint_plan *plan)
{
    bp_checkpoint_row row = row_with(metric);
    assert_int_equal(bp_checkpoint_store_begin(&row, database, NULL), BP_OK);
    assert_int_equal(bp_checkpoint_store_complete(database, &row, plan, NULL), BP_OK);
    return row;
}

static void test_the_newest_and_the_best_are_kept(void **state)
{
    sqlite3 *database = *state;
    const bp_checkpoint_plan plan = {
        .keep_last = 2, .keep_best = true, .metric = BP_WATCHED_VALIDATION_LOSS};
    static const double losses[] = {0.5, 0.3, NAN, 0.3, 0.4, 0.35};
    static const char *const kept[] = {"1", "1 2", "2 3", "2 3 4", "2 4 5", "2 5 6"};
    for (size_t i = 0; i < 6; i++) {
        const bp_checkpoint_row row = take(database, losses[i], &plan);
        assert_int_equal(row.number, i + 1);
        assert_kept(database, kept[i]);
    }
    uint64_t best = 0;
    assert_int_equal(bp_checkpoint_store_best(&best, database, 1, NULL), BP_OK);
    assert_int_equal(best, 2); /* the earlier among equals */
    /* An accuracy is to rise. */
    run_sql(database, "UPDATE jobs SET specification = "
                      "'{\"training\":{\"early_stopping\":{\"metric\":\"train.accuracy\"}}}'");
    assert_int_equal(bp_checkpoint_store_best(&best, database, 1, NULL), BP_OK);
    assert_int_equal(best, 5);
}

static void test_infinite_and_missing_metrics(void **state)
{
    sqlite3 *database = *state;
    const bp_checkpoint_plan plan = {
        .keep_last = 1, .keep_best = true, .metric = BP_WATCHED_TRAIN_ACCURACY};
    take(database, NAN, &plan);
    take(database, -INFINITY, &plan);
    take(database, NAN, &plan);
    assert_kept(database, "2 3");
    take(database, 0.25, &plan);
    take(database, NAN, &plan);
    assert_kept(database, "4 5");
}

static void test_one_that_a_job_begins_with_is_kept(void **state)
{
    sqlite3 *database = *state;
    const bp_checkpoint_plan plan = {.keep_last = 1};
    const bp_checkpoint_row first = take(database, NAN, &plan);
    char sql[128];
    snprintf(sql, sizeof sql, "INSERT INTO job_initials (job_id, checkpoint_id) VALUES (2, %lld)",
             (long long)first.id);
    run_sql(database, sql);
    take(database, NAN, &plan);
    take(database, NAN, &plan);
    assert_kept(database, "1 3");
    run_sql(database, "UPDATE jobs SET state = 'cancelled' WHERE id = 2");
    take(database, NAN, &plan);
    assert_kept(database, "4");
}

static void test_completing(void **state)
{
    sqlite3 *database = *state;
    const bp_checkpoint_plan plan = {.keep_last = 2};
    bp_checkpoint_row row = row_with(0.5);
    assert_int_equal(bp_checkpoint_store_begin(&row, database, NULL), BP_OK);
    assert_kept(database, "");
    assert_int_equal(number_of(database, "SELECT stalled_restarts FROM jobs WHERE id = 1"), 4);
    row.metric_seq = 3; /* a point that is not stored */
    assert_int_equal(bp_checkpoint_store_complete(database, &row, &plan, NULL), BP_INTERNAL);
    assert_kept(database, "");
    row.metric_seq = 2;
    assert_int_equal(bp_checkpoint_store_complete(database, &row, &plan, NULL), BP_OK);
    assert_kept(database, "1");
    assert_int_equal(number_of(database, "SELECT stalled_restarts FROM jobs WHERE id = 1"), 0);
    assert_int_equal(number_of(database, "SELECT count(*) FROM job_events WHERE job_id = 1 AND "
                                         "type = 'checkpoint' AND after_seq = 2 AND "
                                         "json_extract(data, '$.number') = 1 AND "
                                         "json_extract(data, '$.step') = 10 AND "
                                         "json_extract(data, '$.cause') = 'epochs'"),
                     1);
    /* Numbers are never given again, whatever becomes of those that had them. */
    assert_int_equal(bp_checkpoint_store_drop(database, row.id, NULL), BP_OK);
    bool more = true;
    assert_int_equal(bp_checkpoint_store_sweep(&more, database, 1, INT64_MAX, NULL), BP_OK);
    assert_false(more);
    assert_int_equal(number_of(database, "SELECT count(*) FROM checkpoints"), 0);
    assert_int_equal(take(database, 0.5, &plan).number, 2);
}

enum { MIB = 1 << 20 };

static int64_t write_tensor(sqlite3 *database, int64_t checkpoint, size_t ordinal, size_t mebibytes,
                            const unsigned char *data)
{
    bp_state_tensor view = {
        .role = BP_STATE_SLOT,
        .slot = 1,
        .tensor = {.name = "layers.0.weight", .rank = 2, .shape = {mebibytes, MIB / 4}}};
    int64_t id = 0;
    char sha256[BP_SHA256_TEXT_SIZE];
    bp_sha256_text(sha256, data, mebibytes * MIB);
    assert_int_equal(
        bp_checkpoint_store_tensor(&id, database, checkpoint, ordinal, &view, sha256, NULL), BP_OK);
    for (size_t piece = 0; piece < mebibytes; piece++)
        assert_int_equal(
            bp_checkpoint_store_piece(database, id, piece, data + piece * MIB, MIB, NULL), BP_OK);
    return id;
}

static void test_sweeping_in_pieces(void **state)
{
    sqlite3 *database = *state;
    unsigned char *data = calloc(11, MIB);
    assert_non_null(data);
    const bp_checkpoint_plan plan = {.keep_last = 1};
    bp_checkpoint_row old = row_with(NAN), other = row_with(NAN);
    assert_int_equal(bp_checkpoint_store_begin(&old, database, NULL), BP_OK);
    write_tensor(database, old.id, 0, 11, data);
    other.job = 2;
    other.metric_seq = 0;
    assert_int_equal(bp_checkpoint_store_begin(&other, database, NULL), BP_OK);
    write_tensor(database, other.id, 0, 1, data);
    const bp_checkpoint_row kept = take(database, NAN, &plan);
    write_tensor(database, kept.id, 0, 1, data);

    bool more = true;
    int64_t left = 13;
    for (size_t sweeps = 0; more; sweeps++) {
        assert_true(sweeps < 4);
        assert_int_equal(bp_checkpoint_store_sweep(&more, database, 1, INT64_MAX, NULL), BP_OK);
        const int64_t now = number_of(database, "SELECT count(*) FROM checkpoint_pieces");
        assert_true(left - now <= 4);
        left = now;
    }
    assert_int_equal(left, 2); /* of the other job, and of the one that is kept */
    assert_int_equal(number_of(database, "SELECT count(*) FROM checkpoints"), 2);
    /* At the start of a daemon: of all jobs, but only what was there then. */
    assert_int_equal(bp_checkpoint_store_sweep(&more, database, 0, other.id - 1, NULL), BP_OK);
    assert_int_equal(number_of(database, "SELECT count(*) FROM checkpoints"), 2);
    assert_int_equal(bp_checkpoint_store_sweep(&more, database, 0, other.id, NULL), BP_OK);
    assert_int_equal(number_of(database, "SELECT count(*) FROM checkpoints"), 1);
    int64_t last = 0;
    assert_int_equal(bp_checkpoint_store_last_id(&last, database, NULL), BP_OK);
    assert_int_equal(last, kept.id);
    free(data);
}

static void test_reading_a_tensor(void **state)
{
    sqlite3 *database = *state;
    unsigned char *data = malloc(3 * MIB), *found = malloc(3 * MIB);
    assert_non_null(data);
    assert_non_null(found);
    for (size_t i = 0; i < 3 * MIB; i++)
        data[i] = (unsigned char)(i * 7 + i / 1000);
    bp_checkpoint_row row = row_with(NAN);
    assert_int_equal(bp_checkpoint_store_begin(&row, database, NULL), BP_OK);
    const int64_t id = write_tensor(database, row.id, 0, 3, data);
    char sha256[BP_SHA256_TEXT_SIZE];
    bp_sha256_text(sha256, data, 3 * MIB);
    bp_tensor tensor = {.name = "layers.0.weight", .element_count = 3 * MIB / 4, .data = found};
    assert_int_equal(bp_checkpoint_read_tensor(database, id, &tensor, sha256, NULL), BP_OK);
    assert_memory_equal(data, found, 3 * MIB);
    /* Too short a place, another checksum, pieces that are gone. */
    tensor.element_count--;
    assert_int_equal(bp_checkpoint_read_tensor(database, id, &tensor, sha256, NULL), BP_CORRUPT);
    tensor.element_count++;
    sha256[5] = sha256[5] == '0' ? '1' : '0';
    assert_int_equal(bp_checkpoint_read_tensor(database, id, &tensor, sha256, NULL), BP_CORRUPT);
    bp_sha256_text(sha256, data, 3 * MIB);
    run_sql(database, "UPDATE checkpoint_pieces SET ordinal = ordinal + 5 WHERE ordinal = 0");
    assert_int_equal(bp_checkpoint_read_tensor(database, id, &tensor, sha256, NULL), BP_CORRUPT);
    run_sql(database, "DELETE FROM checkpoint_pieces WHERE ordinal = 1");
    assert_int_equal(bp_checkpoint_read_tensor(database, id, &tensor, sha256, NULL), BP_CORRUPT);
    free(data);
    free(found);
}

/* Checkpoints that were there before one kept what recurrent layers carry are there after it, pieces and all; and
 * other parts than those of a state are still refused. */
static void test_roles_are_migrated(void **state)
{
    (void)state;
    enum { BEFORE = 4 };
    sqlite3 *database = open_with(BEFORE);
    run_sql(database, "INSERT INTO jobs (id, name, state, specification, memory_bytes, created) "
                      "VALUES (1, 'a', 'running', '{}', 0, 0)");
    bp_checkpoint_row row = row_with(NAN);
    unsigned char *data = calloc(2, MIB);
    assert_non_null(data);
    assert_int_equal(bp_checkpoint_store_begin(&row, database, NULL), BP_OK);
    const int64_t slot = write_tensor(database, row.id, 0, 2, data);
    const int64_t weights = write_tensor(database, row.id, 1, 1, data);
    run_sql(database, "UPDATE checkpoint_tensors SET role = 'weights' WHERE ordinal = 1");
    for (size_t i = BEFORE; i < bp_migration_count; i++) {
        run_sql(database, "BEGIN IMMEDIATE");
        run_sql(database, bp_migrations[i].sql);
        run_sql(database, "COMMIT");
    }
    char sql[160];
    snprintf(sql, sizeof sql,
             "SELECT count(*) FROM checkpoint_tensors WHERE (id, role) IN (VALUES (%lld, 'slot'), "
             "(%lld, 'weights'))",
             (long long)slot, (long long)weights);
    assert_int_equal(number_of(database, sql), 2);
    assert_int_equal(number_of(database, "SELECT count(*) FROM checkpoint_tensors"), 2);
    assert_int_equal(number_of(database, "SELECT count(*) FROM checkpoint_pieces"), 3);
    char sha256[BP_SHA256_TEXT_SIZE];
    bp_sha256_text(sha256, data, 2 * MIB);
    bp_tensor tensor = {.name = "layers.0.weight", .element_count = 2 * MIB / 4, .data = data};
    assert_int_equal(bp_checkpoint_read_tensor(database, slot, &tensor, sha256, NULL), BP_OK);

    const bp_state_tensor carried = {.role = BP_STATE_CARRIED,
                                     .tensor = {.name = "layers.1.h", .rank = 2, .shape = {3, 5}}};
    int64_t id = 0;
    assert_int_equal(bp_checkpoint_store_tensor(&id, database, row.id, 2, &carried, sha256, NULL),
                     BP_OK);
    assert_int_equal(number_of(database, "SELECT count(*) FROM checkpoint_tensors WHERE "
                                         "role = 'state' AND name = 'layers.1.h'"),
                     1);
    assert_int_not_equal(
        sqlite3_exec(database, "UPDATE checkpoint_tensors SET role = 'other'", NULL, NULL, NULL),
        SQLITE_OK);
    run_sql(database, "DELETE FROM checkpoints");
    assert_int_equal(number_of(database, "SELECT count(*) FROM checkpoint_pieces"), 0);
    free(data);
    sqlite3_close_v2(database);
}

int main(void)
{
#define STORE_TEST(name) cmocka_unit_test_setup_teardown(name, open_database, close_database)
    const struct CMUnitTest tests[] = {
        STORE_TEST(test_the_newest_and_the_best_are_kept),
        STORE_TEST(test_infinite_and_missing_metrics),
        STORE_TEST(test_one_that_a_job_begins_with_is_kept),
        STORE_TEST(test_completing),
        STORE_TEST(test_sweeping_in_pieces),
        STORE_TEST(test_reading_a_tensor),
        cmocka_unit_test(test_roles_are_migrated),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
