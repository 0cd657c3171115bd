/* The store: groups, savepoints, the lock, versions, readers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above first */
#include <cmocka.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "schema/sql/migrations.h"
#include "server/base/log.h"
#include "server/store/database.h"
#include "server/store/store.h"
#include "tests/server/support_directory.h"

typedef struct named_write {
    bp_write write;
    char sql[256];
    atomic_int *answers;
    atomic_int *failures;
} named_write;

static bp_status run_sql(bp_write *write, sqlite3 *database, bp_error *error)
{
    const int code = sqlite3_exec(database, ((named_write *)write)->sql, NULL, NULL, NULL);
    return code == SQLITE_OK ? BP_OK : bp_database_error(database, code, "test", error);
}

static void count_answer(bp_write *write, bp_status status, const bp_error *error)
{
    named_write *named = (named_write *)write;
    if (status != BP_OK) {
        assert_int_equal(status, error->status);
        atomic_fetch_add(named->failures, 1);
    }
    atomic_fetch_add(named->answers, 1);
    free(named);
}

static int open_directory(void **state)
{
    char *directory = malloc(SUPPORT_PATH_SIZE);
    support_directory_make(directory);
    *state = directory;
    bp_log_set_level(BP_LOG_ERROR);
    return 0;
}

static int remove_directory(void **state)
{
    support_directory_remove(*state);
    free(*state);
    return 0;
}

static bp_store *open_store(const char *directory)
{
    bp_store *store = NULL;
    bp_error error = {0};
    if (bp_store_open(&store, directory, &error) != BP_OK)
        fail_msg("%s", error.message);
    return store;
}

static bp_status write_sql(bp_store *store, const char *sql, bp_error *error)
{
    named_write write = {.write = {.apply = run_sql}};
    snprintf(write.sql, sizeof write.sql, "%s", sql);
    return bp_store_write_wait(store, &write.write, error);
}

static int64_t read_number(bp_store *store, const char *sql)
{
    sqlite3 *database = NULL;
    assert_int_equal(bp_store_reader(&database, store, NULL), BP_OK);
    sqlite3_stmt *statement = NULL;
    assert_int_equal(bp_database_prepare(&statement, database, sql, NULL), BP_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    const int64_t number = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return number;
}

#define INSERT(name) "INSERT INTO datasets (name, created) VALUES ('" name "', 1)"

static void test_survives_reopening(void **state)
{
    bp_store *store = open_store(*state);
    assert_string_equal(bp_store_directory(store), *state);
    assert_int_equal(write_sql(store, INSERT("a"), NULL), BP_OK);
    bp_store_close(store);
    store = open_store(*state);
    assert_int_equal(read_number(store, "SELECT count(*) FROM datasets WHERE name = 'a'"), 1);
    assert_int_equal(read_number(store, "PRAGMA user_version"), bp_migration_count);
    assert_int_equal(read_number(store, "PRAGMA page_size"), 16384);
    bp_store_close(store);
}

/* Writes that fail in the middle, or after a first statement that worked, leave nothing behind; their
 * neighbours in the same transaction stay. */
static void test_a_failing_write_is_alone(void **state)
{
    bp_store *store = open_store(*state);
    atomic_int answers = 0, failures = 0;
    enum { WRITES = 200 };
    for (int i = 0; i < WRITES; i++) {
        named_write *write = calloc(1, sizeof *write);
        write->write = (bp_write){.apply = run_sql, .done = count_answer};
        write->answers = &answers;
        write->failures = &failures;
        snprintf(write->sql, sizeof write->sql,
                 "INSERT INTO datasets (name, created) VALUES ('d%d', 1);%s", i,
                 i % 3 == 2 ? " INSERT INTO datasets (name, created) VALUES ('d0', 1)" : "");
        bp_store_write(store, &write->write);
    }
    /* In order: when this one is answered, all before it are. */
    assert_int_equal(write_sql(store, "SELECT 1", NULL), BP_OK);
    assert_int_equal(atomic_load(&answers), WRITES);
    assert_int_equal(atomic_load(&failures), WRITES / 3);
    assert_int_equal(read_number(store, "SELECT count(*) FROM datasets"), WRITES - WRITES / 3);
    bp_store_close(store);
}

static void test_errors_reach_the_waiter(void **state)
{
    bp_store *store = open_store(*state);
    bp_error error = {0};
    assert_int_equal(write_sql(store, INSERT("a"), &error), BP_OK);
    assert_int_equal(write_sql(store, INSERT("a"), &error), BP_CONFLICT);
    assert_non_null(strstr(error.message, "UNIQUE"));
    assert_int_equal(write_sql(store, "INSERT INTO nowhere VALUES (1)", NULL), BP_INPUT_OUTPUT);
    bp_store_close(store);
}

/* Readers cannot write; a write that takes the transaction down does not take its neighbours' answers. */
static void test_a_lost_transaction(void **state)
{
    bp_store *store = open_store(*state);
    bp_error error = {0};
    assert_int_equal(write_sql(store, INSERT("a") "; ROLLBACK", &error), BP_INTERNAL);
    assert_int_equal(write_sql(store, INSERT("b"), NULL), BP_OK);
    assert_int_equal(read_number(store, "SELECT count(*) FROM datasets"), 1);
    sqlite3 *database = NULL;
    assert_int_equal(bp_store_reader(&database, store, NULL), BP_OK);
    assert_int_not_equal(sqlite3_exec(database, INSERT("c"), NULL, NULL, NULL), SQLITE_OK);
    bp_store_close(store);
}

/* The disk is full: the write is refused, reads and small writes go on, and so does all when there is
 * room again. */
static void test_disk_full(void **state)
{
    bp_store *store = open_store(*state);
    assert_int_equal(write_sql(store, INSERT("a"), NULL), BP_OK);
    char limit[64];
    snprintf(limit, sizeof limit, "PRAGMA max_page_count = %lld",
             (long long)read_number(store, "PRAGMA page_count") + 2);
    assert_int_equal(write_sql(store, limit, NULL), BP_OK);
    const char *large = "INSERT INTO datasets (name, created) VALUES (hex(zeroblob(200000)), 1)";
    atomic_int answers = 0, failures = 0;
    for (int i = 0; i < 3; i++) {
        named_write *write = calloc(1, sizeof *write);
        write->write = (bp_write){.apply = run_sql, .done = count_answer};
        write->answers = &answers;
        write->failures = &failures;
        snprintf(write->sql, sizeof write->sql, "%s", large);
        bp_store_write(store, &write->write);
    }
    bp_error error = {0};
    assert_int_equal(write_sql(store, large, &error), BP_STORAGE_FULL);
    assert_int_equal(atomic_load(&answers), 3);
    assert_int_equal(atomic_load(&failures), 3);
    assert_int_equal(write_sql(store, INSERT("b"), NULL), BP_OK);
    assert_int_equal(read_number(store, "SELECT count(*) FROM datasets"), 2);
    assert_int_equal(write_sql(store, "PRAGMA max_page_count = 1000000", NULL), BP_OK);
    assert_int_equal(write_sql(store, large, NULL), BP_OK);
    assert_int_equal(read_number(store, "SELECT count(*) FROM datasets"), 3);
    bp_store_close(store);
}

/* Inserts a row of a megabyte. */
static named_write *large_write(const char *name, bool waits, atomic_int *answers,
                                atomic_int *failures)
{
    named_write *write = calloc(1, sizeof *write);
    write->write = (bp_write){.apply = run_sql, .done = count_answer, .waits_for_space = waits};
    write->answers = answers;
    write->failures = failures;
    snprintf(write->sql, sizeof write->sql,
             "INSERT INTO datasets (name, created) VALUES ('%s' || hex(zeroblob(500000)), 1)",
             name);
    return write;
}

/* What waits for space is there once there is some, and nothing else waits for it. */
static void test_waiting_for_space(void **state)
{
    bp_log_set_level(BP_LOG_ERROR);
    bp_store *store = open_store(*state);
    atomic_int answers = 0, failures = 0, waiting = 0, given_up = 0;
    assert_int_equal(write_sql(store, "PRAGMA max_page_count = 1", NULL), BP_OK);
    bp_store_write(store, &large_write("w1", true, &waiting, &given_up)->write);
    bp_store_write(store, &large_write("n1", false, &answers, &failures)->write);
    bp_store_write(store, &large_write("w2", true, &waiting, &given_up)->write);
    bp_store_write(store, &large_write("n2", false, &answers, &failures)->write);
    /* Small writes have room; each of them has those that wait tried again. */
    for (int i = 0; i < 20; i++) {
        char sql[64];
        snprintf(sql, sizeof sql, INSERT("s%d"), i);
        assert_int_equal(write_sql(store, sql, NULL), BP_OK);
    }
    assert_int_equal(atomic_load(&answers), 2);
    assert_int_equal(atomic_load(&failures), 2);
    assert_int_equal(atomic_load(&waiting), 0);
    assert_int_equal(read_number(store, "SELECT count(*) FROM datasets"), 20);
    assert_int_equal(write_sql(store, "PRAGMA max_page_count = 100000", NULL), BP_OK);
    /* Before this one or, at the latest, with it. */
    assert_int_equal(write_sql(store, INSERT("last"), NULL), BP_OK);
    while (atomic_load(&waiting) < 2)
        usleep(1000);
    assert_int_equal(atomic_load(&given_up), 0);
    assert_int_equal(read_number(store, "SELECT count(*) FROM datasets"), 23);
    assert_int_equal(read_number(store, "SELECT count(*) FROM datasets WHERE name LIKE 'w%'"), 2);

    /* A daemon that stops waits no longer. */
    assert_int_equal(write_sql(store, "PRAGMA max_page_count = 1", NULL), BP_OK);
    bp_store_write(store, &large_write("w3", true, &waiting, &given_up)->write);
    bp_store_write(store, &large_write("w4", true, &waiting, &given_up)->write);
    bp_store_stop_waiting(store);
    while (atomic_load(&waiting) < 4)
        usleep(1000);
    assert_int_equal(atomic_load(&given_up), 2);
    bp_store_write(store, &large_write("w5", true, &waiting, &given_up)->write);
    bp_store_close(store);
    assert_int_equal(atomic_load(&given_up), 3);
}

static void test_the_lock(void **state)
{
    bp_store *store = open_store(*state);
    bp_store *second = NULL;
    bp_error error = {0};
    assert_int_equal(bp_store_open(&second, *state, &error), BP_CONFLICT);
    assert_null(second);
    bp_store_close(store);
    bp_store_close(open_store(*state));
}

static void alter(const char *directory, const char *sql)
{
    char path[SUPPORT_PATH_SIZE + 16];
    snprintf(path, sizeof path, "%s/backpropd.db", directory);
    sqlite3 *database = NULL;
    assert_int_equal(sqlite3_open(path, &database), SQLITE_OK);
    assert_int_equal(sqlite3_exec(database, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(database);
}

static void test_other_versions(void **state)
{
    bp_store_close(open_store(*state));
    bp_store *store = NULL;
    bp_error error = {0};
    alter(*state, "PRAGMA user_version = 1000");
    assert_int_equal(bp_store_open(&store, *state, &error), BP_UNSUPPORTED);
    assert_non_null(strstr(error.message, "newer"));
    alter(*state, "PRAGMA user_version = 1; PRAGMA application_id = 7");
    assert_int_equal(bp_store_open(&store, *state, NULL), BP_UNSUPPORTED);
}

static void test_not_a_database(void **state)
{
    char path[SUPPORT_PATH_SIZE + 16];
    snprintf(path, sizeof path, "%s/backpropd.db", (const char *)*state);
    FILE *file = fopen(path, "w");
    fputs("this is a text, long enough to be read as the header of a database: it is none, of "
          "course\n",
          file);
    fclose(file);
    bp_store *store = NULL;
    assert_int_equal(bp_store_open(&store, *state, NULL), BP_CORRUPT);
}

static void test_directories(void **state)
{
    char path[SUPPORT_PATH_SIZE + 16];
    snprintf(path, sizeof path, "%s/a/b/c", (const char *)*state);
    bp_store_close(open_store(path));
    assert_int_equal(access(path, F_OK), 0);
    snprintf(path, sizeof path, "%s/a/b/c/lock/d", (const char *)*state);
    bp_store *store = NULL;
    assert_int_equal(bp_store_open(&store, path, NULL), BP_INPUT_OUTPUT);
}

typedef struct reading {
    bp_store *store;
    atomic_bool stop;
    int64_t reads;
} reading;

static void *read_often(void *argument)
{
    reading *self = argument;
    int64_t last = 0;
    while (!atomic_load(&self->stop) || self->reads == 0) {
        const int64_t count = read_number(self->store, "SELECT count(*) FROM datasets");
        if (count < last) {
            self->reads = -1;
            return NULL;
        }
        last = count;
        self->reads++;
    }
    return NULL;
}

/* Readers beside a writer and its checkpoints; their connections end with their threads. */
static void test_readers_beside_writes(void **state)
{
    bp_store *store = open_store(*state);
    reading readings[3] = {0};
    pthread_t threads[3];
    for (size_t i = 0; i < 3; i++) {
        readings[i].store = store;
        pthread_create(&threads[i], NULL, read_often, &readings[i]);
    }
    for (int i = 0; i < 100; i++) {
        char sql[256];
        snprintf(sql, sizeof sql,
                 "INSERT INTO datasets (name, created) VALUES ('%d' || hex(zeroblob(30000)), 1)",
                 i);
        assert_int_equal(write_sql(store, sql, NULL), BP_OK);
    }
    for (size_t i = 0; i < 3; i++) {
        atomic_store(&readings[i].stop, true);
        pthread_join(threads[i], NULL);
        assert_true(readings[i].reads > 0);
    }
    assert_int_equal(read_number(store, "SELECT count(*) FROM datasets"), 100);
    bp_store_close(store);
}

int main(void)
{
#define STORE_TEST(name) cmocka_unit_test_setup_teardown(name, open_directory, remove_directory)
    const struct CMUnitTest tests[] = {STORE_TEST(test_survives_reopening),
                                       STORE_TEST(test_a_failing_write_is_alone),
                                       STORE_TEST(test_errors_reach_the_waiter),
                                       STORE_TEST(test_a_lost_transaction),
                                       STORE_TEST(test_the_lock),
                                       STORE_TEST(test_disk_full),
                                       STORE_TEST(test_waiting_for_space),
                                       STORE_TEST(test_other_versions),
                                       STORE_TEST(test_not_a_database),
                                       STORE_TEST(test_directories),
                                       STORE_TEST(test_readers_beside_writes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
