/* Metric points in the database: any number of names, sets written once, and what version 1 of the
 * database kept as bits of one list. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "schema/sql/migrations.h"
#include "server/store/metric_store.h"

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
    run_sql(database, "INSERT INTO jobs (id, name, state, specification, memory_bytes, created) "
                      "VALUES (1, 'a', 'running', '{}', 0, 0)");
    return database;
}

enum { MANY = 300 };

static void add(bp_metric_page *page, const bp_metric_set *set, uint64_t seq, double first)
{
    double *values = NULL;
    const bp_metric_point point = {.seq = seq, .step = 10 * seq, .epoch = 1, .set = set};
    assert_int_equal(bp_metric_page_add(&values, page, &point, NULL), BP_OK);
    for (size_t i = 0; i < set->count; i++)
        values[i] = i == 0 ? first : first + (double)i; /* 0 + −0 is 0 */
}

static void test_many_names(void **state)
{
    (void)state;
    sqlite3 *database = open_with(bp_migration_count);
    char text[MANY][32];
    const char *names[MANY];
    for (size_t i = 0; i < MANY; i++) {
        snprintf(text[i], sizeof text[i], "layers.%zu.update_ratio", i);
        names[i] = text[i];
    }
    bp_metric_set *sets = NULL;
    assert_int_equal(bp_metric_set_add(&sets, 1, names, MANY, NULL), BP_OK);
    assert_int_equal(bp_metric_set_add(&sets, 2, names, 1, NULL), BP_OK);
    const bp_metric_set *all = bp_metric_set_find(sets, names, MANY);
    const bp_metric_set *one = bp_metric_set_find(sets, names, 1);
    assert_int_equal(all->id, 1);
    assert_int_equal(one->id, 2);
    assert_null(bp_metric_set_find(sets, names, 2));
    assert_null(bp_metric_set_find(sets, names + 1, 1));

    bp_metric_page page = {0};
    add(&page, all, 1, -0.0);
    add(&page, one, 2, NAN);
    add(&page, all, 3, INFINITY);
    assert_int_equal(bp_metric_store_append(database, 1, &page, NULL), BP_OK);
    bp_metric_page_clear(&page);
    add(&page, one, 4, 7);
    assert_int_equal(bp_metric_store_append(database, 1, &page, NULL), BP_OK);
    bp_metric_page_done(&page);

    bp_metric_page read = {0};
    assert_int_equal(bp_metric_store_read(&read, database, 1, 0, 3, NULL), BP_OK);
    assert_int_equal(read.point_count, 3);
    assert_int_equal(read.points[0].set->count, MANY);
    assert_string_equal(read.points[0].set->names[MANY - 1], names[MANY - 1]);
    const double *values = bp_metric_page_values(&read, &read.points[0]);
    assert_true(signbit(values[0]) && values[0] == 0 && values[MANY - 1] == MANY - 1);
    assert_true(isnan(bp_metric_page_values(&read, &read.points[1])[0]));
    assert_true(isinf(bp_metric_page_values(&read, &read.points[2])[0]));
    assert_int_equal(read.points[2].step, 30);
    bp_metric_page_done(&read);

    assert_int_equal(bp_metric_store_read(&read, database, 1, 3, 10, NULL), BP_OK);
    assert_int_equal(read.point_count, 1);
    assert_true(bp_metric_page_values(&read, &read.points[0])[0] == 7);
    bp_metric_page_done(&read);

    run_sql(database, "DELETE FROM metric_sets WHERE id = 2");
    bp_error error = {.status = BP_OK};
    assert_int_equal(bp_metric_store_read(&read, database, 1, 0, 10, &error), BP_CORRUPT);
    bp_metric_page_done(&read);
    bp_metric_sets_free(sets);
    sqlite3_close(database);
}

/* Bits 0 and 2 of ["loss", "accuracy", "learning_rate"], then bit 1. */
static void test_points_of_version_1(void **state)
{
    (void)state;
    sqlite3 *database = open_with(1);
    run_sql(database,
            "UPDATE jobs SET metric_names = '[\"loss\",\"accuracy\",\"learning_rate\"]';"
            "INSERT INTO metrics (job_id, seq, step, epoch, time, present, \"values\") VALUES "
            "(1, 1, 1, 1, 0, 5, x'000000000000F03F0000000000000040'),"
            "(1, 2, 2, 1, 0, 5, x'00000000000008400000000000000040'),"
            "(1, 3, 3, 1, 0, 2, x'0000000000000840')");
    run_sql(database, bp_migrations[1].sql);
    bp_metric_page read = {0};
    assert_int_equal(bp_metric_store_read(&read, database, 1, 0, 10, NULL), BP_OK);
    assert_int_equal(read.point_count, 3);
    const bp_metric_point *first = &read.points[0], *last = &read.points[2];
    assert_int_equal(first->set->count, 2);
    assert_string_equal(first->set->names[0], "loss");
    assert_string_equal(first->set->names[1], "learning_rate");
    assert_true(bp_metric_page_values(&read, first)[0] == 1);
    assert_true(bp_metric_page_values(&read, first)[1] == 2);
    assert_ptr_equal(read.points[1].set, first->set);
    assert_int_equal(last->set->count, 1);
    assert_string_equal(last->set->names[0], "accuracy");
    assert_true(bp_metric_page_values(&read, last)[0] == 3);
    bp_metric_page_done(&read);
    sqlite3_close(database);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_many_names),
        cmocka_unit_test(test_points_of_version_1),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
