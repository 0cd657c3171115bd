/* Fills a data directory with finished jobs and their metric points, by the store's own code, many points a
 * second: no daemon, no waiting for the disk.
 *
 * usage: bench_store_fill DIRECTORY JOBS POINTS
 * The directory is that of a stopped daemon; its job 1 is the pattern of all others. One job gets a
 * fifth of the points, ten get a fiftieth each, the others share the rest. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/base/clock.h"
#include "server/store/database.h"
#include "server/store/metric_store.h"
#include "server/store/rollup_store.h"

enum { PAGE_POINTS = 10000 };

static bp_error failure = {.status = BP_OK};

static void check(bp_status status)
{
    if (status == BP_OK)
        return;
    fprintf(stderr, "bench_store_fill: %s\n", failure.message);
    exit(1);
}

static void run_sql(sqlite3 *database, const char *sql)
{
    char *message = NULL;
    if (sqlite3_exec(database, sql, NULL, NULL, &message) == SQLITE_OK)
        return;
    fprintf(stderr, "bench_store_fill: %s: %s\n", sql, message);
    exit(1);
}

static void copy_job(sqlite3 *database, int64_t job)
{
    char *sql = sqlite3_mprintf(
        "INSERT INTO jobs (id, name, state, specification, warnings, memory_bytes, created, "
        "started, "
        "finished, epoch, step, steps, metrics) SELECT %lld, 'job-%lld', state, specification, "
        "warnings, memory_bytes, created, started, finished, epoch, step, steps, metrics FROM jobs "
        "WHERE id = 1; "
        "INSERT INTO job_events (job_id, ordinal, time, after_seq, type, data) "
        "SELECT %lld, ordinal, time, 0, type, data FROM job_events WHERE job_id = 1",
        (long long)job, (long long)job, (long long)job);
    run_sql(database, sql);
    sqlite3_free(sql);
}

/* A loss that falls, with noise, and others like it. */
static void make_values(double *values, size_t count, uint64_t seq, uint64_t points)
{
    static uint64_t noise = 88172645463325252u;
    for (size_t i = 0; i < count; i++) {
        noise ^= noise << 13;
        noise ^= noise >> 7;
        noise ^= noise << 17;
        const double fallen = 1 / (1 + 20.0 * (double)seq / (double)points);
        values[i] = (double)(float)(fallen * (0.5 + (double)(noise >> 11) * 0x1p-53));
    }
}

static void add_points(sqlite3 *database, int64_t job, const bp_metric_set *names, uint64_t points)
{
    bp_metric_set *sets = NULL;
    bp_metric_rollup rollup = {0};
    bp_metric_page page = {0};
    bp_metric_series finished = {0};
    bp_metric_point point = {.epoch = 1, .time_us = bp_clock_now_us()};
    check(bp_metric_set_of(&point.set, &sets, names->names, names->count, &failure));
    for (uint64_t seq = 1; seq <= points; seq++) {
        double *values = NULL;
        point.seq = point.step = seq;
        point.time_us += 1000;
        check(bp_metric_page_add(&values, &page, &point, &failure));
        make_values(values, names->count, seq, points);
        const bp_metric_span span = bp_metric_span_of(&page, &page.points[page.point_count - 1]);
        check(bp_metric_rollup_add(&rollup, &finished, &sets, &span, &failure));
        if (seq < points && page.point_count < PAGE_POINTS)
            continue;
        check(bp_metric_store_append(database, job, &page, &failure));
        check(bp_rollup_store_append(database, job, &finished, &failure));
        bp_metric_page_clear(&page);
        bp_metric_series_clear(&finished);
    }
    bp_metric_page_done(&page);
    bp_metric_series_done(&finished);
    bp_metric_rollup_done(&rollup);
    bp_metric_sets_free(sets);
}

static uint64_t share(uint64_t job, uint64_t jobs, uint64_t points)
{
    if (jobs <= 11)
        return points / jobs;
    if (job == 0)
        return points / 5;
    if (job <= 10)
        return points / 50;
    return (points - points / 5 - 10 * (points / 50)) / (jobs - 11);
}

int main(int count, char **arguments)
{
    char path[4096];
    const uint64_t jobs = count == 4 ? strtoull(arguments[2], NULL, 10) : 0;
    const uint64_t points = count == 4 ? strtoull(arguments[3], NULL, 10) : 0;
    if (jobs == 0 || points == 0) {
        fprintf(stderr, "usage: bench_store_fill DIRECTORY JOBS POINTS\n");
        return 2;
    }
    snprintf(path, sizeof path, "%s/backpropd.db", arguments[1]);
    sqlite3 *database = NULL;
    bp_metric_set *sets = NULL;
    check(bp_database_open_writer(&database, path, &failure));
    check(bp_metric_store_read_sets(&sets, database, 1, &failure));
    if (!sets) {
        fprintf(stderr, "bench_store_fill: job 1 of %s has no points\n", arguments[1]);
        return 1;
    }
    run_sql(database, "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; "
                      "PRAGMA foreign_keys = OFF; PRAGMA cache_size = -65536");
    const uint64_t begun = bp_clock_monotonic_ns();
    uint64_t total = 0;
    for (uint64_t job = 0; job < jobs; job++) {
        run_sql(database, "BEGIN");
        copy_job(database, (int64_t)job + 2);
        add_points(database, (int64_t)job + 2, sets, share(job, jobs, points));
        run_sql(database, "COMMIT");
        total += share(job, jobs, points);
    }
    run_sql(database, "PRAGMA journal_mode = WAL");
    const double seconds = (double)(bp_clock_monotonic_ns() - begun) * 1e-9;
    printf("%llu jobs and %llu points of %zu values in %.1f s: %.0f points a second\n",
           (unsigned long long)jobs, (unsigned long long)total, sets->count, seconds,
           (double)total / seconds);
    bp_metric_sets_free(sets);
    return sqlite3_close(database) == SQLITE_OK ? 0 : 1;
}
