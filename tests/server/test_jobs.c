/* Jobs from submission to their end: states, metrics, restarts, cancelling, the queue. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above first */
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/base/sha256.h"
#include "server/job/metrics_read.h"
#include "server/store/database.h"
#include "tests/server/support_jobs.h"

/* ---- tests ---- */

static void test_a_job_succeeds(void **state)
{
    rig *f = *state;
    const int64_t id = rig_submit(f, &(rig_wish){.epochs = 20});
    rig_wait_for_state(f, id, "succeeded");
    json_t *json = rig_document(f, id);
    const json_t *progress = json_object_get(json, "progress");
    assert_int_equal(json_integer_value(json_object_get(progress, "epoch")), 20);
    assert_int_equal(json_integer_value(json_object_get(progress, "epochs")), 20);
    /* 72 training rows in batches of 16. */
    assert_int_equal(json_integer_value(json_object_get(progress, "step")), 100);
    assert_int_equal(json_integer_value(json_object_get(progress, "steps")), 100);
    const json_t *model = json_object_get(json, "model");
    assert_string_equal(rig_text(model, "name"), "points");
    assert_int_equal(json_integer_value(json_object_get(model, "version")), 1);
    const json_t *all = json_object_get(json, "metrics");
    static const char *const parts[] = {"train", "validation"};
    for (size_t i = 0; i < 2; i++)
        assert_true(json_real_value(json_object_get(json_object_get(all, parts[i]), "accuracy")) >
                    0.8);
    const json_t *transitions = json_object_get(json, "transitions");
    static const char *const expected[] = {"queued", "running", "succeeded"};
    assert_int_equal(json_array_size(transitions), 3);
    for (size_t i = 0; i < 3; i++)
        assert_string_equal(rig_text(json_array_get(transitions, i), "to"), expected[i]);
    json_decref(json);

    json_t *page = rig_metrics(f, id, 0, 1000);
    assert_true(json_is_true(json_object_get(page, "complete")));
    const json_t *points = json_object_get(page, "points");
    size_t index;
    json_t *point;
    bool due[101] = {false};
    json_array_foreach(json_object_get(page, "points"), index, point)
    {
        const size_t step = (size_t)json_integer_value(json_object_get(point, "step"));
        assert_int_equal(json_integer_value(json_object_get(point, "seq")), index + 1);
        assert_int_equal(json_integer_value(json_object_get(point, "epoch")), (step + 4) / 5);
        const json_t *values = json_object_get(point, "values");
        assert_non_null(json_object_get(values, "loss"));
        assert_non_null(json_object_get(values, "learning_rate"));
        assert_int_equal(json_object_get(values, "validation.loss") != NULL, step % 5 == 0);
        due[step] = true;
    }
    for (size_t step = 1; step <= 100; step++)
        assert_int_equal(due[step], step == 1 || step == 100 || step % 7 == 0 || step % 5 == 0);
    assert_int_equal(json_integer_value(json_object_get(page, "next")), json_array_size(points));
    json_decref(page);
    page = rig_metrics(f, id, 3, 2);
    assert_int_equal(json_array_size(json_object_get(page, "points")), 2);
    assert_int_equal(json_integer_value(json_object_get(page, "next")), 5);
    assert_false(json_is_true(json_object_get(page, "complete")));
    json_decref(page);
    assert_int_equal(rig_cancel(f, id), BP_CONFLICT);
}

static void test_no_epochs(void **state)
{
    rig *f = *state;
    const int64_t id = rig_submit(f, &(rig_wish){.epochs = 0});
    rig_wait_for_state(f, id, "succeeded");
    json_t *page = rig_metrics(f, id, 0, 10);
    assert_int_equal(json_array_size(json_object_get(page, "points")), 0);
    assert_int_equal(json_integer_value(json_object_get(page, "next")), 0);
    assert_true(json_is_true(json_object_get(page, "complete")));
    json_decref(page);
    char weights[BP_SHA256_TEXT_SIZE];
    rig_weights(f, id, weights);
}

static void test_threads_and_repetition_give_the_same_bits(void **state)
{
    rig *f = *state;
    const int64_t one = rig_submit(f, &(rig_wish){.epochs = 5});
    const int64_t four = rig_submit(f, &(rig_wish){.epochs = 5, .threads = 4});
    rig_wait_for_state(f, one, "succeeded");
    rig_wait_for_state(f, four, "succeeded");
    char weights[2][BP_SHA256_TEXT_SIZE];
    rig_weights(f, one, weights[0]);
    rig_weights(f, four, weights[1]);
    assert_string_equal(weights[0], weights[1]);
    rig_assert_same_points(f, one, four);
    json_t *json = rig_document(f, four);
    assert_int_equal(json_integer_value(json_object_get(json_object_get(json, "model"), "version")),
                     2);
    json_decref(json);
}

static void test_cancel(void **state)
{
    rig *f = *state;
    const int64_t running = rig_submit(f, &(rig_wish){.epochs = RIG_ENDLESS});
    const int64_t queued = rig_submit(f, &(rig_wish){.epochs = 1});
    rig_wait_for_points(f, running, 3);
    assert_int_equal(rig_cancel(f, queued), BP_OK);
    assert_int_equal(rig_cancel(f, queued), BP_OK);
    rig_wait_for_state(f, queued, "cancelled");
    assert_int_equal(rig_cancel(f, running), BP_OK);
    assert_int_equal(rig_cancel(f, running), BP_OK);
    rig_wait_for_state(f, running, "cancelled");
    assert_int_equal(rig_cancel(f, running), BP_OK);
    assert_int_equal(rig_cancel(f, 12345), BP_NOT_FOUND);
    json_t *json = rig_document(f, running);
    assert_true(json_is_null(json_object_get(json, "model")));
    assert_string_equal(rig_text(json, "reason"), "cancelled");
    json_decref(json);
    json_t *page = rig_metrics(f, running, 0, 2);
    assert_false(json_is_true(json_object_get(page, "complete")));
    json_decref(page);
    /* The worker is free again. */
    rig_wait_for_state(f, rig_submit(f, &(rig_wish){.epochs = 1}), "succeeded");
}

static void test_priority_before_age(void **state)
{
    rig *f = *state;
    const int64_t blocking = rig_submit(f, &(rig_wish){.epochs = RIG_ENDLESS});
    rig_wait_for_points(f, blocking, 1);
    const int64_t low = rig_submit(f, &(rig_wish){.epochs = 1, .priority = -1, .name = "low"});
    const int64_t first = rig_submit(f, &(rig_wish){.epochs = 1, .name = "first"});
    const int64_t second = rig_submit(f, &(rig_wish){.epochs = 1, .name = "second"});
    const int64_t high = rig_submit(f, &(rig_wish){.epochs = 1, .priority = 5, .name = "high"});
    assert_int_equal(rig_cancel(f, blocking), BP_OK);
    rig_wait_for_state(f, low, "succeeded");
    sqlite3 *database = NULL;
    sqlite3_stmt *statement = NULL;
    assert_int_equal(bp_store_reader(&database, f->store, NULL), BP_OK);
    assert_int_equal(bp_database_prepare(&statement, database,
                                         "SELECT job_id FROM job_events WHERE type = 'state' AND "
                                         "json_extract(data, '$.to') = 'running' ORDER BY time",
                                         NULL),
                     BP_OK);
    const int64_t order[] = {blocking, high, first, second, low};
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
        assert_int_equal(sqlite3_column_int64(statement, 0), order[i]);
    }
    sqlite3_finalize(statement);
}

static void test_memory_holds_jobs_back(void **state)
{
    rig *f = *state;
    bp_job_submission *probe = rig_submission(f, rig_body(&(rig_wish){.epochs = RIG_ENDLESS}));
    rig_close_parts(f);
    f->worker_count = 3;
    f->limits.memory_bytes = probe->memory_bytes * 2 - 1;
    rig_open_parts(f);
    rig_reply answer = {0};
    bp_jobs_submit(f->jobs, probe, rig_take_reply, &answer);
    rig_wait_for(f, &answer.done);
    const int64_t second = rig_submit(f, &(rig_wish){.epochs = 1});
    rig_wait_for_points(f, answer.id, 2);
    json_t *json = rig_document(f, second);
    assert_string_equal(rig_text(json, "state"), "queued");
    json_decref(json);
    assert_int_equal(rig_cancel(f, answer.id), BP_OK);
    rig_wait_for_state(f, second, "succeeded");
}

static void test_stopping_requeues_without_counting(void **state)
{
    rig *f = *state;
    const rig_wish w = {.epochs = 3000};
    const int64_t whole = rig_submit(f, &w), cut = rig_submit(f, &w);
    rig_wait_for_state(f, whole, "succeeded");
    rig_wait_for_points(f, cut, 3);
    rig_reopen(f);
    rig_wait_for_state(f, cut, "succeeded");
    json_t *json = rig_document(f, cut);
    assert_int_equal(json_integer_value(json_object_get(json, "restarts")), 0);
    assert_true(json_is_true(json_object_get(json, "reproducible")));
    json_decref(json);
    char weights[2][BP_SHA256_TEXT_SIZE];
    rig_weights(f, whole, weights[0]);
    rig_weights(f, cut, weights[1]);
    assert_string_equal(weights[0], weights[1]);
    rig_assert_same_points(f, whole, cut);
}

/* What a killed daemon leaves behind: a running job, and one that was being cancelled. */
static void test_recovery_counts_a_restart(void **state)
{
    rig *f = *state;
    const int64_t running = rig_submit(f, &(rig_wish){.epochs = RIG_ENDLESS});
    const int64_t stopping = rig_submit(f, &(rig_wish){.epochs = 1});
    rig_wait_for_points(f, running, 3);
    rig_close_parts(f);
    f->worker_count = 1;
    bp_store *store = NULL;
    assert_int_equal(bp_store_open(&store, f->directory, NULL), BP_OK);
    f->store = store;
    char sql[160];
    snprintf(sql, sizeof sql,
             "UPDATE jobs SET state = 'running' WHERE id = %lld; "
             "UPDATE jobs SET state = 'stopping', reason = 'cancelled' WHERE id = %lld",
             (long long)running, (long long)stopping);
    rig_change_database(f, sql);
    bp_store_close(store);
    rig_open_parts(f);
    rig_wait_for_state(f, stopping, "cancelled");
    rig_wait_for_state(f, running, "running");
    json_t *json = rig_document(f, running);
    assert_int_equal(json_integer_value(json_object_get(json, "restarts")), 1);
    json_decref(json);
}

static void test_another_history_fails(void **state)
{
    rig *f = *state;
    const int64_t id = rig_submit(f, &(rig_wish){.epochs = RIG_ENDLESS});
    rig_wait_for_points(f, id, 3);
    rig_close_parts(f);
    bp_store *store = NULL;
    assert_int_equal(bp_store_open(&store, f->directory, NULL), BP_OK);
    f->store = store;
    /* The lowest bit of the mantissa of one stored loss. */
    rig_change_database(
        f, "UPDATE metrics SET \"values\" = CAST(x'01' || substr(\"values\", 2) AS BLOB) "
           "WHERE seq = 2 AND substr(\"values\", 1, 1) <> x'01'");
    rig_change_database(
        f, "UPDATE metrics SET \"values\" = CAST(x'02' || substr(\"values\", 2) AS BLOB) "
           "WHERE seq = 3 AND substr(\"values\", 1, 1) <> x'02'");
    /* As a daemon that died would have left it: all points are computed again. */
    rig_change_database(f, "DELETE FROM checkpoints");
    bp_store_close(store);
    rig_open_parts(f);
    rig_wait_for_state(f, id, "failed");
    json_t *json = rig_document(f, id);
    assert_string_equal(rig_text(json, "reason"), "not_reproducible");
    json_decref(json);
}

static void test_divergence(void **state)
{
    rig *f = *state;
    const int64_t id = rig_submit(f, &(rig_wish){.epochs = 50, .learning_rate = 1e38});
    rig_wait_for_state(f, id, "failed");
    json_t *json = rig_document(f, id);
    assert_string_equal(rig_text(json, "reason"), "diverged");
    assert_true(json_is_null(json_object_get(json, "model")));
    json_decref(json);
    json_t *page = rig_metrics(f, id, 0, 1000);
    assert_true(json_is_true(json_object_get(page, "complete")));
    assert_true(json_array_size(json_object_get(page, "points")) >= 1);
    json_decref(page);
}

static void submit_with_key(rig *f, const char *key, const rig_wish *w, rig_reply *answer)
{
    json_t *body = rig_body(w);
    char *text = json_dumps(body, JSON_SORT_KEYS);
    bp_job_submission *submission = rig_submission(f, body);
    snprintf(submission->idempotency_key, sizeof submission->idempotency_key, "%s", key);
    snprintf(submission->idempotency_route, sizeof submission->idempotency_route, "POST /jobs");
    bp_sha256_text(submission->body_sha256, text, strlen(text));
    free(text);
    *answer = (rig_reply){.id = 0};
    bp_jobs_submit(f->jobs, submission, rig_take_reply, answer);
    rig_wait_for(f, &answer->done);
}

static void test_idempotency_keys(void **state)
{
    rig *f = *state;
    rig_reply first, second;
    submit_with_key(f, "k1", &(rig_wish){.epochs = 1}, &first);
    submit_with_key(f, "k1", &(rig_wish){.epochs = 1}, &second);
    assert_int_equal(second.status, BP_OK);
    assert_int_equal(second.id, first.id);
    submit_with_key(f, "k1", &(rig_wish){.epochs = 2}, &second);
    assert_int_equal(second.status, BP_INVALID);
    assert_string_equal(second.error.where, "Idempotency-Key");
    submit_with_key(f, "k2", &(rig_wish){.epochs = 1}, &second);
    assert_int_equal(second.status, BP_OK);
    assert_true(second.id > first.id);
    rig_wait_for_state(f, second.id, "succeeded");
}

static void test_a_vanished_data_set(void **state)
{
    rig *f = *state;
    bp_job_submission *submission = rig_submission(f, rig_body(&(rig_wish){.epochs = 1}));
    rig_change_database(f, "DELETE FROM datasets WHERE name = 'points'");
    rig_reply answer = {0};
    bp_jobs_submit(f->jobs, submission, rig_take_reply, &answer);
    rig_wait_for(f, &answer.done);
    assert_int_equal(answer.status, BP_CONFLICT);
    assert_int_equal(answer.id, 0);
}

static void test_watching(void **state)
{
    rig *f = *state;
    const int64_t id = rig_submit(f, &(rig_wish){.epochs = RIG_ENDLESS});
    atomic_bool points = false, timeout = false, end = false, unknown = false;
    bp_jobs_watch(f->jobs, id, 0, RIG_PATIENCE_MS, rig_set_flag, &points);
    bp_jobs_watch(f->jobs, id, UINT64_MAX, 5, rig_set_flag, &timeout);
    bp_jobs_watch(f->jobs, id, UINT64_MAX, RIG_PATIENCE_MS, rig_set_flag, &end);
    bp_jobs_watch(f->jobs, 999, 0, RIG_PATIENCE_MS, rig_set_flag, &unknown);
    rig_wait_for(f, &points);
    rig_wait_for(f, &timeout);
    rig_wait_for(f, &unknown);
    assert_false(atomic_load(&end));
    json_t *page = rig_metrics(f, id, 0, 1);
    assert_int_equal(json_array_size(json_object_get(page, "points")), 1);
    json_decref(page);
    assert_int_equal(rig_cancel(f, id), BP_OK);
    rig_wait_for(f, &end);
    /* Stopping calls whoever still waits. */
    const int64_t other = rig_submit(f, &(rig_wish){.epochs = RIG_ENDLESS});
    atomic_bool stopped = false;
    bp_jobs_watch(f->jobs, other, UINT64_MAX, RIG_PATIENCE_MS, rig_set_flag, &stopped);
    rig_wait_for_points(f, other, 1);
    rig_reopen(f);
    assert_true(atomic_load(&stopped));
}

static void test_lists(void **state)
{
    rig *f = *state;
    int64_t ids[3];
    for (int i = 0; i < 3; i++)
        ids[i] = rig_submit(f, &(rig_wish){.epochs = 1, .name = i == 1 ? "odd" : "even"});
    for (int i = 0; i < 3; i++)
        rig_wait_for_state(f, ids[i], "succeeded");
    static const struct {
        bp_jobs_filter filter;
        size_t count;
        bool more;
    } cases[] = {{{.limit = 10}, 3, false},
                 {{.limit = 2}, 2, true},
                 {{.limit = 10, .name = "even"}, 2, false},
                 {{.limit = 2, .state = "succeeded", .name = "even"}, 2, false},
                 {{.limit = 10, .state = "failed"}, 0, false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        json_t *list = rig_list(f, &cases[i].filter);
        assert_int_equal(json_array_size(json_object_get(list, "items")), cases[i].count);
        assert_int_equal(!json_is_null(json_object_get(list, "next")), cases[i].more);
        json_decref(list);
    }
    bp_json_writer text = {0};
    const bp_jobs_filter after = {.limit = 10, .after = ids[1]};
    json_t *list = rig_list(f, &after);
    const json_t *items = json_object_get(list, "items");
    assert_int_equal(json_array_size(items), 1);
    assert_int_equal(json_integer_value(json_object_get(json_array_get(items, 0), "id")), ids[0]);
    json_decref(list);
    assert_int_equal(bp_jobs_put_document(&text, NULL, f->jobs, 77, NULL), BP_NOT_FOUND);
    bp_metrics_view view = {0};
    assert_int_equal(bp_metrics_read_points(&view, f->jobs, 77, 0, 10, NULL), BP_NOT_FOUND);
    assert_int_equal(bp_metrics_read_spans(&view, f->jobs, 77, 0, 10, NULL), BP_NOT_FOUND);
    bp_metrics_view_done(&view);
}

int main(void)
{
    json_object_seed(1);
#define JOB_TEST(name) cmocka_unit_test_setup_teardown(name, rig_open, rig_close)
    const struct CMUnitTest tests[] = {
        JOB_TEST(test_a_job_succeeds),
        JOB_TEST(test_no_epochs),
        JOB_TEST(test_threads_and_repetition_give_the_same_bits),
        JOB_TEST(test_cancel),
        JOB_TEST(test_priority_before_age),
        JOB_TEST(test_memory_holds_jobs_back),
        JOB_TEST(test_stopping_requeues_without_counting),
        JOB_TEST(test_recovery_counts_a_restart),
        JOB_TEST(test_another_history_fails),
        JOB_TEST(test_divergence),
        JOB_TEST(test_idempotency_keys),
        JOB_TEST(test_a_vanished_data_set),
        JOB_TEST(test_watching),
        JOB_TEST(test_lists),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
