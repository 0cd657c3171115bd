/* Roll-ups of metric points against the plain thing: all points, read one by one and summed up. Random
 * lengths, sets of names that come and go, NaN and signed zeros, resumes at any point, histories cut back,
 * and rows that are missing because an earlier version ran the job. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "schema/sql/migrations.h"
#include "server/store/metric_store.h"
#include "server/store/rollup_store.h"

enum { POINT_LIMIT = 6000, NAME_COUNT = 5, JOB = 1 };

static const char *const names[NAME_COUNT] = {"loss", "accuracy", "learning_rate",
                                              "validation.loss", "layers.0.update_ratio"};

typedef struct plain_point {
    uint64_t step, epoch;
    int64_t time_us;
    bool has[NAME_COUNT];
    size_t order[NAME_COUNT], count; /* of the names, as the point has them */
    double value[NAME_COUNT];        /* by name */
} plain_point;

typedef struct fixture {
    sqlite3 *database;
    size_t count;                        /* of points stored */
    plain_point points[POINT_LIMIT + 1]; /* from 1 */
    uint64_t random;
} fixture;

static uint64_t draw(fixture *f, uint64_t below)
{
    f->random ^= f->random << 13;
    f->random ^= f->random >> 7;
    f->random ^= f->random << 17;
    return (f->random >> 11) % below;
}

static void run_sql(sqlite3 *database, const char *sql)
{
    char *message = NULL;
    if (sqlite3_exec(database, sql, NULL, NULL, &message) != SQLITE_OK)
        fail_msg("%s", message);
}

static int64_t count_rows(sqlite3 *database, const char *sql)
{
    sqlite3_stmt *statement = NULL;
    assert_int_equal(sqlite3_prepare_v2(database, sql, -1, &statement, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    const int64_t count = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return count;
}

static int setup(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    f->random = 0x9e3779b97f4a7c15u;
    assert_int_equal(sqlite3_open(":memory:", &f->database), SQLITE_OK);
    for (size_t i = 0; i < bp_migration_count; i++)
        run_sql(f->database, bp_migrations[i].sql);
    run_sql(f->database, "INSERT INTO jobs (id, name, state, specification, memory_bytes, created) "
                         "VALUES (1, 'a', 'running', '{}', 0, 0)");
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fixture *f = *state;
    sqlite3_close(f->database);
    free(f);
    return 0;
}

/* ---- writing as a run does ---- */

static double draw_value(fixture *f)
{
    switch (draw(f, 8)) {
    case 0:
        return NAN;
    case 1:
        return -NAN;
    case 2:
        return 0.0;
    case 3:
        return -0.0;
    case 4:
        return INFINITY;
    default:
        return (double)draw(f, 1000) - 500;
    }
}

/* Mostly one set; sometimes others, in another order too. */
static void draw_point(fixture *f, size_t seq)
{
    plain_point *point = &f->points[seq];
    memset(point, 0, sizeof *point);
    point->step = 10 * seq;
    point->epoch = seq / 100;
    point->time_us = (int64_t)(1000 * seq + draw(f, 1000));
    const uint64_t kind = draw(f, 20);
    point->order[point->count++] = 0;
    if (kind != 1)
        point->order[point->count++] = 2;
    if (kind > 2)
        point->order[point->count++] = 1;
    if (kind == 3 || seq % 50 == 0)
        point->order[point->count++] = 3;
    if (kind == 4)
        point->order[point->count++] = 4;
    if (kind == 5)
        point->count = 0;
    for (size_t i = 0; i < point->count; i++) {
        point->has[point->order[i]] = true;
        point->value[point->order[i]] = draw_value(f);
    }
}

/* A run that goes on at the last stored point, with groups of random length, until `last`. */
static void run_until(fixture *f, size_t last)
{
    bp_metric_set *sets = NULL;
    bp_metric_rollup rollup = {0};
    bp_metric_page page = {0};
    bp_metric_series finished = {0};
    assert_int_equal(bp_metric_store_read_sets(&sets, f->database, JOB, NULL), BP_OK);
    assert_int_equal(bp_rollup_store_resume(&rollup, &sets, f->database, JOB, f->count, NULL),
                     BP_OK);
    while (f->count < last) {
        const size_t seq = ++f->count;
        draw_point(f, seq);
        const plain_point *plain = &f->points[seq];
        const char *own_names[NAME_COUNT];
        for (size_t i = 0; i < plain->count; i++)
            own_names[i] = names[plain->order[i]];
        bp_metric_point point = {
            .seq = seq, .step = plain->step, .epoch = plain->epoch, .time_us = plain->time_us};
        assert_int_equal(bp_metric_set_of(&point.set, &sets, own_names, plain->count, NULL), BP_OK);
        double *values = NULL;
        assert_int_equal(bp_metric_page_add(&values, &page, &point, NULL), BP_OK);
        for (size_t i = 0; i < plain->count; i++)
            values[i] = plain->value[plain->order[i]];
        const bp_metric_span span = bp_metric_span_of(&page, &page.points[page.point_count - 1]);
        assert_int_equal(bp_metric_rollup_add(&rollup, &finished, &sets, &span, NULL), BP_OK);
        if (seq == last || draw(f, 300) == 0) {
            assert_int_equal(bp_metric_store_append(f->database, JOB, &page, NULL), BP_OK);
            assert_int_equal(bp_rollup_store_append(f->database, JOB, &finished, NULL), BP_OK);
            bp_metric_page_clear(&page);
            bp_metric_series_clear(&finished);
        }
    }
    bp_metric_page_done(&page);
    bp_metric_series_done(&finished);
    bp_metric_rollup_done(&rollup);
    bp_metric_sets_free(sets);
}

/* ---- the reference ---- */

static void assert_same_bits(double a, double b, const char *what, uint64_t seq)
{
    if (memcmp(&a, &b, sizeof a) != 0)
        fail_msg("%s of the span up to %llu: %.17g and %.17g", what, (unsigned long long)seq, a, b);
}

static void check_span(const fixture *f, const bp_metric_span *span)
{
    size_t order[NAME_COUNT], count = 0;
    bool has[NAME_COUNT] = {false};
    double minimum[NAME_COUNT], maximum[NAME_COUNT], latest[NAME_COUNT];
    for (uint64_t seq = span->first_seq; seq <= span->seq; seq++) {
        const plain_point *point = &f->points[seq];
        for (size_t i = 0; i < point->count; i++) {
            const size_t name = point->order[i];
            const double value = point->value[name];
            if (!has[name]) {
                has[name] = true;
                order[count++] = name;
                minimum[name] = maximum[name] = value;
            } else if (isnan(minimum[name])) {
                minimum[name] = maximum[name] = value;
            } else {
                if (value < minimum[name])
                    minimum[name] = value;
                if (value > maximum[name])
                    maximum[name] = value;
            }
            latest[name] = value;
        }
    }
    const plain_point *last = &f->points[span->seq];
    assert_int_equal(span->step, last->step);
    assert_int_equal(span->epoch, last->epoch);
    assert_int_equal(span->time_us, last->time_us);
    assert_int_equal(span->set->count, count);
    for (size_t i = 0; i < count; i++) {
        assert_string_equal(span->set->names[i], names[order[i]]);
        assert_same_bits(span->minima[i], minimum[order[i]], "minimum", span->seq);
        assert_same_bits(span->maxima[i], maximum[order[i]], "maximum", span->seq);
        assert_same_bits(span->latest[i], latest[order[i]], "last value", span->seq);
    }
}

static void check_range(const fixture *f, uint64_t after, size_t limit)
{
    bp_metric_series series = {0};
    bp_error error = {.status = BP_OK};
    if (bp_rollup_store_read(&series, f->database, JOB, after, f->count, limit, &error) != BP_OK)
        fail_msg("%s", error.message);
    uint64_t covered = after, width = 0;
    assert_true(series.count <= limit);
    assert_int_equal(series.count == 0, after >= f->count);
    for (size_t i = 0; i < series.count; i++) {
        const bp_metric_span span = bp_metric_series_at(&series, i);
        assert_int_equal(span.first_seq, covered + 1);
        covered = span.seq;
        if (i == 1)
            width = span.seq - span.first_seq + 1;
        if (i > 0 && i + 1 < series.count) {
            assert_int_equal(span.seq - span.first_seq + 1, width);
            assert_int_equal(span.seq % width, 0);
        }
        check_span(f, &span);
    }
    if (after < f->count)
        assert_int_equal(covered, f->count);
    bp_metric_series_done(&series);
}

static void check_all(fixture *f)
{
    static const size_t limits[] = {1, 2, 7, 8, 9, 63, 100, 500, 10000};
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        check_range(f, 0, limits[i]);
        check_range(f, draw(f, f->count + 2), limits[i]);
    }
}

/* Every whole span has its row, and only they. */
static void check_rows(fixture *f)
{
    for (int level = 1; level <= 6; level++) {
        char sql[200];
        snprintf(
            sql, sizeof sql,
            "SELECT count(*) FROM metric_rollups WHERE job_id = 1 AND level = %d AND bucket < %llu",
            level, (unsigned long long)(f->count / bp_rollup_width(level)));
        assert_int_equal(count_rows(f->database, sql), f->count / bp_rollup_width(level));
        snprintf(sql, sizeof sql, "SELECT count(*) FROM metric_rollups WHERE level = %d", level);
        assert_int_equal(count_rows(f->database, sql), f->count / bp_rollup_width(level));
    }
}

/* ---- tests ---- */

static void test_one_run(void **state)
{
    fixture *f = *state;
    for (size_t length = 1; length <= 130; length++) {
        run_until(f, length);
        check_all(f);
        check_rows(f);
    }
    run_until(f, 4097);
    check_all(f);
    check_rows(f);
}

static void test_resumes_anywhere(void **state)
{
    fixture *f = *state;
    while (f->count < POINT_LIMIT) {
        const size_t next = f->count + 1 + draw(f, draw(f, 4) == 0 ? 1500 : 20);
        run_until(f, next < POINT_LIMIT ? next : POINT_LIMIT);
        if (draw(f, 8) == 0)
            check_all(f);
    }
    check_all(f);
    check_rows(f);
}

static void test_cut_back(void **state)
{
    fixture *f = *state;
    for (int round = 0; round < 25; round++) {
        const size_t last = f->count + 1 + draw(f, 900);
        run_until(f, last < POINT_LIMIT ? last : POINT_LIMIT);
        const size_t kept = round == 24 ? 0 : draw(f, f->count + 1);
        assert_int_equal(bp_metric_store_truncate(f->database, JOB, kept, NULL), BP_OK);
        f->count = kept;
        uint64_t stored = 1;
        assert_int_equal(bp_metric_store_last(&stored, f->database, JOB, NULL), BP_OK);
        assert_int_equal(stored, kept);
        check_rows(f);
        check_all(f);
    }
    /* Beyond the end it changes nothing; of other jobs it touches nothing. */
    run_until(f, 100);
    run_sql(f->database, "INSERT INTO jobs (id, name, state, specification, memory_bytes, created) "
                         "VALUES (2, 'b', 'running', '{}', 0, 0);"
                         "INSERT INTO metrics SELECT 2, seq, step, epoch, time, set_id, \"values\" "
                         "FROM metrics WHERE job_id = 1;"
                         "INSERT INTO metric_rollups SELECT 2, level, bucket, step, epoch, time, "
                         "set_id, \"values\" FROM metric_rollups WHERE job_id = 1");
    assert_int_equal(bp_metric_store_truncate(f->database, JOB, 100, NULL), BP_OK);
    assert_int_equal(bp_metric_store_truncate(f->database, JOB, 9, NULL), BP_OK);
    assert_int_equal(count_rows(f->database, "SELECT count(*) FROM metrics WHERE job_id = 1"), 9);
    assert_int_equal(count_rows(f->database, "SELECT count(*) FROM metrics WHERE job_id = 2"), 100);
    assert_int_equal(
        count_rows(f->database, "SELECT count(*) FROM metric_rollups WHERE job_id = 1"), 1);
    assert_int_equal(
        count_rows(f->database, "SELECT count(*) FROM metric_rollups WHERE job_id = 2"), 13);
}

static void test_missing_rows(void **state)
{
    fixture *f = *state;
    run_until(f, 3000);
    run_sql(f->database, "DELETE FROM metric_rollups");
    check_all(f);
    run_until(f, 5000); /* an old job that goes on */
    check_all(f);
    run_sql(f->database, "DELETE FROM metric_rollups WHERE (level * 31 + bucket * 17) % 5 = 0");
    check_all(f);
    bp_metric_series series = {0};
    run_sql(f->database, "DELETE FROM metric_rollups; DELETE FROM metrics WHERE seq = 4999");
    bp_error error = {.status = BP_OK};
    assert_int_equal(bp_rollup_store_read(&series, f->database, JOB, 0, f->count, 10, &error),
                     BP_CORRUPT);
    bp_metric_series_done(&series);
}

/* Few rows are read, however long the history is: the points themselves hardly at all. */
static void test_rows_read(void **state)
{
    fixture *f = *state;
    run_until(f, 5999);
    run_sql(f->database, "DELETE FROM metrics WHERE seq <= 5992");
    run_sql(f->database, "DELETE FROM metric_rollups WHERE level = 1 AND bucket < 744");
    check_range(f, 0, 10);
    check_range(f, 0, 90);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_one_run, setup, teardown),
        cmocka_unit_test_setup_teardown(test_resumes_anywhere, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cut_back, setup, teardown),
        cmocka_unit_test_setup_teardown(test_missing_rows, setup, teardown),
        cmocka_unit_test_setup_teardown(test_rows_read, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
