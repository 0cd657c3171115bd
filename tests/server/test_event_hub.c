/* Event streams without HTTP: one order of events and points, ids to go on from, shared pieces, slow and
 * refused readers, points computed anew, comments where nothing comes. */
#include <assert.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "server/event/event_hub.h"
#include "server/store/event_store.h"
#include "server/store/metric_store.h"
#include "tests/server/support_directory.h"

enum { PATIENCE_S = 60, JOB = 1, SILENT_MS = 1000000 };

typedef struct fixture {
    char directory[SUPPORT_PATH_SIZE];
    bp_store *store;
    bp_event_hub *hub;
    uint64_t seq; /* of the last point */
} fixture;

/* ---- writes ---- */

typedef struct act {
    bp_write write;  /* first */
    const char *sql; /* one of these */
    const char *log;
    uint64_t first, count; /* points */
    uint64_t *keep;        /* truncates behind it, with an event */
    double value;
} act;

static bp_status apply_points(sqlite3 *database, const act *self, bp_error *error)
{
    static const char *const names[] = {"loss"};
    bp_metric_set *sets = NULL;
    bp_metric_page page = {0};
    bp_status status = bp_metric_set_add(&sets, 1, names, 1, error);
    for (uint64_t i = 0; i < self->count && status == BP_OK; i++) {
        double *values = NULL;
        const bp_metric_point point = {
            .seq = self->first + i, .step = self->first + i, .epoch = 1, .set = sets};
        status = bp_metric_page_add(&values, &page, &point, error);
        if (status == BP_OK)
            *values = self->value;
    }
    if (status == BP_OK)
        status = bp_metric_store_append(database, JOB, &page, error);
    bp_metric_page_done(&page);
    bp_metric_sets_free(sets);
    return status;
}

static bp_status apply_sql(sqlite3 *database, const char *sql, bp_error *error)
{
    return sqlite3_exec(database, sql, NULL, NULL, NULL) == SQLITE_OK
               ? BP_OK
               : bp_error_set(error, BP_INTERNAL, NULL, "%s", sqlite3_errmsg(database));
}

static bp_status apply_log(sqlite3 *database, const char *text, bp_error *error)
{
    return bp_event_store_append(database, JOB, "log", json_pack("{s:s}", "message", text), 0,
                                 error);
}

static bp_status apply(bp_write *write, sqlite3 *database, bp_error *error)
{
    const act *self = (const act *)write;
    bp_status status = BP_OK;
    if (self->sql)
        status = apply_sql(database, self->sql, error);
    if (status == BP_OK && self->keep)
        status = bp_metric_store_truncate(database, JOB, *self->keep, error);
    if (status == BP_OK && self->log)
        status = apply_log(database, self->log, error);
    if (status == BP_OK && self->count > 0)
        status = apply_points(database, self, error);
    /* As the progress that goes with every group of points. */
    return status == BP_OK ? apply_sql(database, "UPDATE jobs SET step = step + 1", error) : status;
}

static void perform(fixture *f, act self)
{
    bp_error error = {.status = BP_OK};
    self.write.apply = apply;
    if (bp_store_write_wait(f->store, &self.write, &error) != BP_OK)
        fail_msg("%s", error.message);
}

static void add_points(fixture *f, uint64_t count)
{
    perform(f, (act){.first = f->seq + 1, .count = count, .value = 0.5});
    f->seq += count;
}

static void add_log(fixture *f, const char *text)
{
    perform(f, (act){.log = text});
}

static void finish(fixture *f)
{
    perform(f, (act){.log = "last", .sql = "UPDATE jobs SET finished = 1"});
}

static int open_fixture(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    bp_error error = {.status = BP_OK};
    support_directory_make(f->directory);
    assert_int_equal(bp_store_open(&f->store, f->directory, &error), BP_OK);
    perform(f, (act){.sql = "INSERT INTO jobs (id, name, state, specification, memory_bytes, "
                            "created) VALUES (1, 'a', 'running', '{}', 0, 0)"});
    assert_int_equal(bp_event_hub_create(&f->hub, f->store, SILENT_MS, &error), BP_OK);
    *state = f;
    return 0;
}

static int close_fixture(void **state)
{
    fixture *f = *state;
    bp_event_hub_free(f->hub);
    bp_store_close(f->store);
    support_directory_remove(f->directory);
    free(f);
    return 0;
}

/* ---- readers ---- */

typedef struct reader {
    bp_event_stream *stream;
    pthread_mutex_t mutex;
    pthread_cond_t woken;
    bool asleep, refuses;
    char *text; /* all that came, NUL-terminated */
    size_t size;
} reader;

static bool fall_asleep(void *context)
{
    reader *r = context;
    pthread_mutex_lock(&r->mutex);
    r->asleep = !r->refuses;
    pthread_mutex_unlock(&r->mutex);
    return !r->refuses;
}

static void wake_up(void *context)
{
    reader *r = context;
    pthread_mutex_lock(&r->mutex);
    assert(r->asleep);
    r->asleep = false;
    pthread_cond_signal(&r->woken);
    pthread_mutex_unlock(&r->mutex);
}

static bp_status try_open(reader *r, fixture *f, uint64_t after, bp_error *error)
{
    *r = (reader){.mutex = PTHREAD_MUTEX_INITIALIZER, .woken = PTHREAD_COND_INITIALIZER};
    const bp_event_sleeper sleeper = {.sleep = fall_asleep, .wake = wake_up, .context = r};
    return bp_event_stream_open(&r->stream, f->hub, JOB, after, &sleeper, error);
}

static void open_reader(reader *r, fixture *f, uint64_t after)
{
    bp_error error = {.status = BP_OK};
    if (try_open(r, f, after, &error) != BP_OK)
        fail_msg("%s", error.message);
    assert_non_null(r->stream);
}

static void close_reader(reader *r)
{
    bp_event_stream_close(r->stream);
    free(r->text);
    pthread_mutex_destroy(&r->mutex);
    pthread_cond_destroy(&r->woken);
}

static void sleep_until_woken(reader *r)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += PATIENCE_S;
    pthread_mutex_lock(&r->mutex);
    int code = 0;
    while (r->asleep && code == 0)
        code = pthread_cond_timedwait(&r->woken, &r->mutex, &until);
    pthread_mutex_unlock(&r->mutex);
    assert_int_equal(code, 0);
}

/* One reading of at most `most` bytes. */
static ssize_t read_some(reader *r, size_t most)
{
    r->text = realloc(r->text, r->size + most + 1);
    const ssize_t count = bp_event_stream_read(r->stream, r->text + r->size, most);
    r->size += count > 0 ? (size_t)count : 0;
    r->text[r->size] = '\0';
    return count;
}

/* Until `mark` has come, or the end. */
static void read_until(reader *r, const char *mark, size_t most)
{
    while (!r->text || !strstr(r->text, mark)) {
        const ssize_t count = read_some(r, most);
        assert_true(count >= 0);
        if (count == BP_EVENT_STREAM_ASLEEP)
            sleep_until_woken(r);
    }
}

static void read_to_end(reader *r, size_t most)
{
    ssize_t count;
    while ((count = read_some(r, most)) != BP_EVENT_STREAM_ENDED) {
        assert_true(count >= 0);
        if (count == BP_EVENT_STREAM_ASLEEP)
            sleep_until_woken(r);
    }
}

/* Behind the greeting. */
static const char *events_of(const reader *r)
{
    assert_true(strncmp(r->text, "retry: ", 7) == 0);
    return strstr(r->text, "\n\n") + 2;
}

static uint64_t id_at(const char *event)
{
    assert_true(strncmp(event, "id: ", 4) == 0);
    return strtoull(event + 4, NULL, 10);
}

static uint64_t id_of(uint64_t event, uint64_t seq)
{
    return bp_event_position_id((bp_event_position){.event = event, .seq = seq});
}

/* ---- tests ---- */

static void test_order_and_every_resumption(void **state)
{
    fixture *f = *state;
    add_log(f, "first");
    add_points(f, 2);
    add_log(f, "second");
    add_log(f, "third");
    add_points(f, 3);
    finish(f);
    static const struct {
        uint64_t event, seq;
    } expected[] = {{1, 0}, {1, 1}, {1, 2}, {2, 2}, {3, 2}, {3, 3}, {3, 4}, {3, 5}, {4, 5}};
    enum { COUNT = sizeof expected / sizeof *expected };
    reader all;
    open_reader(&all, f, 0);
    read_to_end(&all, 64);
    const char *at = events_of(&all);
    for (size_t i = 0; i < COUNT; i++) {
        assert_int_equal(id_at(at), id_of(expected[i].event, expected[i].seq));
        at = strstr(at, "\n\n") + 2;
        if (i + 1 == COUNT)
            break;
        reader rest;
        open_reader(&rest, f, id_of(expected[i].event, expected[i].seq));
        read_to_end(&rest, 1000);
        assert_string_equal(events_of(&rest), at);
        close_reader(&rest);
    }
    assert_int_equal(*at, '\0');
    assert_non_null(strstr(all.text, "event: metrics\ndata: {\"seq\":5,"));
    close_reader(&all);
    reader none;
    assert_int_equal(try_open(&none, f, id_of(4, 5), NULL), BP_OK);
    assert_null(none.stream);
}

static void test_positions_that_are_none(void **state)
{
    fixture *f = *state;
    add_log(f, "first");
    add_points(f, 2);
    add_log(f, "second");
    static const struct {
        uint64_t event, seq;
    } wrong[] = {{0, 1}, {2, 0}, {2, 1}, {2, 3}, {3, 2}, {3, 0}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        reader r;
        assert_int_equal(try_open(&r, f, id_of(wrong[i].event, wrong[i].seq), NULL), BP_INVALID);
    }
    bp_event_stream *stream;
    const bp_event_sleeper sleeper = {.sleep = fall_asleep, .wake = wake_up};
    assert_int_equal(bp_event_stream_open(&stream, f->hub, 2, 0, &sleeper, NULL), BP_NOT_FOUND);
}

static void test_streams_at_the_head_share_what_comes(void **state)
{
    fixture *f = *state;
    enum { READERS = 20, ROUNDS = 30 };
    reader readers[READERS];
    for (size_t i = 0; i < READERS; i++)
        open_reader(&readers[i], f, 0);
    char mark[64];
    for (int round = 1; round <= ROUNDS; round++) {
        snprintf(mark, sizeof mark, "round %d.", round);
        add_points(f, 3);
        add_log(f, mark);
        /* Every other one takes part now, the others when all is over. */
        for (size_t i = 0; i < READERS; i += 2)
            read_until(&readers[i], mark, 512);
    }
    finish(f);
    for (size_t i = 0; i < READERS; i++) {
        read_to_end(&readers[i], 4096);
        assert_string_equal(readers[i].text, readers[0].text);
    }
    const char *at = events_of(&readers[0]);
    for (uint64_t before = 0; *at; at = strstr(at, "\n\n") + 2) {
        assert_true(id_at(at) > before);
        before = id_at(at);
    }
    for (size_t i = 0; i < READERS; i++)
        close_reader(&readers[i]);
}

static void test_far_behind(void **state)
{
    fixture *f = *state;
    reader slow, fast;
    open_reader(&slow, f, 0);
    open_reader(&fast, f, 0);
    assert_true(read_some(&slow, 64) > 0); /* the greeting, and then nothing for long */
    for (int i = 0; i < 60; i++)           /* more than is kept */
        add_points(f, 1000);
    finish(f);
    read_to_end(&fast, 1 << 16);
    read_to_end(&slow, 1 << 16);
    assert_int_equal(slow.size, fast.size);
    assert_memory_equal(slow.text, fast.text, fast.size);
    assert_true(fast.size > 3 << 20);
    close_reader(&slow);
    close_reader(&fast);
}

static void test_points_computed_anew(void **state)
{
    fixture *f = *state;
    add_log(f, "first");
    add_points(f, 10);
    reader ahead, behind;
    open_reader(&ahead, f, 0);
    read_until(&ahead, "{\"seq\":10,", 4096);
    assert_int_equal(read_some(&ahead, 4096), BP_EVENT_STREAM_ASLEEP);
    uint64_t keep = 4;
    perform(f, (act){.keep = &keep, .log = "anew"});
    perform(f, (act){.first = 5, .count = 3, .value = 0.25});
    f->seq = 7;
    finish(f);
    const size_t seen = ahead.size;
    sleep_until_woken(&ahead);
    read_to_end(&ahead, 4096);
    /* Whoever had seen all ten, asleep or gone meanwhile, gets the event and the new points 5, 6, 7. */
    open_reader(&behind, f, id_of(1, 10));
    read_to_end(&behind, 4096);
    assert_string_equal(events_of(&behind), ahead.text + seen);
    const char *at = ahead.text + seen;
    static const struct {
        uint64_t event, seq;
    } expected[] = {{2, 4}, {2, 5}, {2, 6}, {2, 7}, {3, 7}};
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        assert_int_equal(id_at(at), id_of(expected[i].event, expected[i].seq));
        at = strstr(at, "\n\n") + 2;
    }
    assert_int_equal(*at, '\0');
    close_reader(&ahead);
    close_reader(&behind);
}

static void test_who_must_not_sleep_ends(void **state)
{
    fixture *f = *state;
    add_log(f, "first");
    reader r;
    open_reader(&r, f, 0);
    r.refuses = true;
    read_until(&r, "first", 4096);
    assert_int_equal(read_some(&r, 4096), BP_EVENT_STREAM_ENDED);
    close_reader(&r);
}

static void test_closing_asleep(void **state)
{
    fixture *f = *state;
    add_log(f, "first");
    for (int i = 0; i < 50; i++) {
        reader r;
        open_reader(&r, f, 0);
        read_until(&r, "first", 4096);
        while (read_some(&r, 4096) != BP_EVENT_STREAM_ASLEEP)
            ;
        if (i % 2)
            perform(f, (act){.first = ++f->seq, .count = 1}); /* races with the close */
        close_reader(&r);
    }
}

static void test_comments_where_nothing_comes(void **state)
{
    fixture *f = *state;
    bp_event_hub_free(f->hub);
    assert_int_equal(bp_event_hub_create(&f->hub, f->store, 1, NULL), BP_OK);
    add_log(f, "first");
    reader r;
    open_reader(&r, f, 0);
    read_until(&r, "still here\n\n: still here\n\n: still here\n\n", 4096);
    close_reader(&r);
}

static void test_a_finished_job_that_goes_on(void **state)
{
    fixture *f = *state;
    finish(f);
    reader r;
    open_reader(&r, f, 0);
    perform(f, (act){.sql = "UPDATE jobs SET finished = NULL", .log = "tried again"});
    add_points(f, 1);
    read_until(&r, "\"seq\":1,", 4096);
    finish(f);
    read_to_end(&r, 4096);
    close_reader(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_order_and_every_resumption, open_fixture,
                                        close_fixture),
        cmocka_unit_test_setup_teardown(test_positions_that_are_none, open_fixture, close_fixture),
        cmocka_unit_test_setup_teardown(test_streams_at_the_head_share_what_comes, open_fixture,
                                        close_fixture),
        cmocka_unit_test_setup_teardown(test_far_behind, open_fixture, close_fixture),
        cmocka_unit_test_setup_teardown(test_points_computed_anew, open_fixture, close_fixture),
        cmocka_unit_test_setup_teardown(test_who_must_not_sleep_ends, open_fixture, close_fixture),
        cmocka_unit_test_setup_teardown(test_closing_asleep, open_fixture, close_fixture),
        cmocka_unit_test_setup_teardown(test_comments_where_nothing_comes, open_fixture,
                                        close_fixture),
        cmocka_unit_test_setup_teardown(test_a_finished_job_that_goes_on, open_fixture,
                                        close_fixture),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
