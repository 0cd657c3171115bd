/* The life cycle: what each action leads to from each state, and what a restart makes of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above first */
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/job/metrics_read.h"
#include "server/store/database.h"
#include "tests/server/support_jobs.h"

/* ---- the matrix ---- */

typedef enum start {
    START_QUEUED,
    START_RUNNING,
    START_PAUSING,
    START_CANCELLING,
    START_PAUSED,
    START_RESUMED,
    START_SUCCEEDED,
    START_FAILED,
    START_CANCELLED,
    START_RETRIED,
    START_COUNT
} start;

enum { ACTION_COUNT = 4 };

/* A job in a state, with an action posted behind what leads there, so that nothing comes in between. */
static int64_t act_from(rig *f, start from, bp_job_action action, rig_reply *out,
                        int64_t *out_blocker)
{
    static const rig_wish endless = {.epochs = RIG_ENDLESS}, short_one = {.epochs = 1};
    static const rig_wish failing = {.epochs = 50, .learning_rate = 1e38};
    rig_reply first = {0};
    int64_t id = 0;
    switch (from) {
    case START_QUEUED:
    case START_PAUSED:
    case START_RESUMED:
    case START_RUNNING:
    case START_PAUSING:
    case START_CANCELLING:
    case START_CANCELLED:
    case START_RETRIED:
        id = rig_submit(f, &endless);
        break;
    case START_SUCCEEDED:
        id = rig_submit(f, &short_one);
        rig_wait_for_state(f, id, "succeeded");
        break;
    case START_FAILED:
        id = rig_submit(f, &failing);
        rig_wait_for_state(f, id, "failed");
        break;
    case START_COUNT:
        break;
    }
    if (from == START_SUCCEEDED || from == START_FAILED) {
        *out_blocker = rig_submit(f, &endless);
        rig_wait_for_state(f, *out_blocker, "running");
    }
    if (from == START_RUNNING || from == START_PAUSING || from == START_CANCELLING)
        rig_wait_for_points(f, id, 1);
    if (from == START_PAUSED || from == START_RESUMED)
        assert_int_equal(rig_act(f, id, BP_JOB_PAUSE), BP_OK);
    if (from == START_CANCELLED || from == START_RETRIED)
        assert_int_equal(rig_cancel(f, id), BP_OK);
    if (from == START_RESUMED)
        assert_int_equal(rig_act(f, id, BP_JOB_RESUME), BP_OK);
    if (from == START_RETRIED)
        assert_int_equal(rig_act(f, id, BP_JOB_RETRY), BP_OK);
    if (from == START_PAUSING || from == START_CANCELLING)
        bp_jobs_act(f->jobs, id, from == START_PAUSING ? BP_JOB_PAUSE : BP_JOB_CANCEL,
                    rig_take_reply, &first);
    *out = (rig_reply){0};
    bp_jobs_act(f->jobs, id, action, rig_take_reply, out);
    rig_wait_for(f, &out->done);
    if (from == START_PAUSING || from == START_CANCELLING)
        assert_int_equal(first.status, BP_OK);
    return id;
}

typedef struct outcome {
    bp_status status;
    const char *state, *reason; /* right after the answer; reason NULL: any */
} outcome;

/* Rows: states; columns: pause, resume, cancel, retry. Another job holds the only worker, except where the
 * job itself has it. */
static const outcome matrix[START_COUNT][ACTION_COUNT] = {
    [START_QUEUED] = {{BP_OK, "paused", "paused"},
                      {BP_CONFLICT, "queued", NULL},
                      {BP_OK, "cancelled", "cancelled"},
                      {BP_CONFLICT, "queued", NULL}},
    [START_RUNNING] = {{BP_OK, "stopping", "paused"},
                       {BP_CONFLICT, "running", "started"},
                       {BP_OK, "stopping", "cancelled"},
                       {BP_CONFLICT, "running", "started"}},
    [START_PAUSING] = {{BP_OK, "stopping", "paused"},
                       {BP_CONFLICT, "stopping", "paused"},
                       {BP_OK, "stopping", "cancelled"},
                       {BP_CONFLICT, "stopping", "paused"}},
    [START_CANCELLING] = {{BP_CONFLICT, "stopping", "cancelled"},
                          {BP_CONFLICT, "stopping", "cancelled"},
                          {BP_OK, "stopping", "cancelled"},
                          {BP_CONFLICT, "stopping", "cancelled"}},
    [START_PAUSED] = {{BP_OK, "paused", "paused"},
                      {BP_OK, "queued", NULL},
                      {BP_OK, "cancelled", "cancelled"},
                      {BP_CONFLICT, "paused", "paused"}},
    [START_RESUMED] = {{BP_OK, "paused", "paused"},
                       {BP_OK, "queued", NULL},
                       {BP_OK, "cancelled", "cancelled"},
                       {BP_CONFLICT, "queued", NULL}},
    [START_SUCCEEDED] = {{BP_CONFLICT, "succeeded", "completed"},
                         {BP_CONFLICT, "succeeded", "completed"},
                         {BP_CONFLICT, "succeeded", "completed"},
                         {BP_CONFLICT, "succeeded", "completed"}},
    [START_FAILED] = {{BP_CONFLICT, "failed", "diverged"},
                      {BP_CONFLICT, "failed", "diverged"},
                      {BP_CONFLICT, "failed", "diverged"},
                      {BP_OK, "queued", NULL}},
    [START_CANCELLED] = {{BP_CONFLICT, "cancelled", "cancelled"},
                         {BP_CONFLICT, "cancelled", "cancelled"},
                         {BP_OK, "cancelled", "cancelled"},
                         {BP_OK, "queued", NULL}},
    [START_RETRIED] = {{BP_OK, "paused", "paused"},
                       {BP_CONFLICT, "queued", NULL},
                       {BP_OK, "cancelled", "cancelled"},
                       {BP_OK, "queued", NULL}},
};

static bool runs_itself(start from)
{
    return from == START_RUNNING || from == START_PAUSING || from == START_CANCELLING ||
           from == START_SUCCEEDED || from == START_FAILED;
}

/* Each transition begins where the last one ended, and has its reason. */
static void check_transitions(const json_t *document)
{
    const json_t *list = json_object_get(document, "transitions");
    const char *state = "";
    size_t index;
    json_t *item;
    json_array_foreach((json_t *)(uintptr_t)list, index, item)
    {
        assert_string_equal(rig_text(item, "from"), state);
        assert_string_not_equal(rig_text(item, "reason"), "");
        state = rig_text(item, "to");
    }
    assert_string_equal(state, rig_text(document, "state"));
}

static void check_cell(rig *f, start from, bp_job_action action)
{
    const outcome *wanted = &matrix[from][action];
    int64_t blocker = 0;
    if (!runs_itself(from)) {
        blocker = rig_submit(f, &(rig_wish){.epochs = RIG_ENDLESS});
        rig_wait_for_state(f, blocker, "running");
    }
    rig_reply answer;
    const int64_t id = act_from(f, from, action, &answer, &blocker);
    json_t *document = rig_document(f, id);
    const char *state = rig_text(document, "state"), *reason = rig_text(document, "reason");
    if (answer.status != wanted->status || strcmp(state, wanted->state) != 0 ||
        (wanted->reason && strcmp(reason, wanted->reason) != 0))
        fail_msg("state %d, action %d: status %d, %s (%s)", (int)from, (int)action,
                 (int)answer.status, state, reason);
    assert_string_not_equal(reason, "");
    if (answer.status == BP_CONFLICT)
        assert_non_null(strstr(answer.error.message, wanted->state));
    check_transitions(document);
    /* Finished has a time exactly in the finished states. */
    static const char *const finished[] = {"succeeded", "failed", "cancelled"};
    bool over = false;
    for (size_t i = 0; i < 3; i++)
        over = over || strcmp(state, finished[i]) == 0;
    assert_int_equal(json_is_string(json_object_get(document, "finished")), over);
    json_decref(document);
    if (blocker)
        (void)rig_cancel(f, blocker);
    (void)rig_cancel(f, id);
}

static void test_every_action_from_every_state(void **state)
{
    rig *f = *state;
    for (int from = 0; from < START_COUNT; from++)
        for (int action = 0; action < ACTION_COUNT; action++)
            check_cell(f, (start)from, (bp_job_action)action);
    rig_reply answer = {0};
    bp_jobs_act(f->jobs, 99999, BP_JOB_PAUSE, rig_take_reply, &answer);
    rig_wait_for(f, &answer.done);
    assert_int_equal(answer.status, BP_NOT_FOUND);
}

/* ---- going on ---- */

static void assert_same_end(rig *f, int64_t whole, int64_t cut)
{
    char weights[2][BP_SHA256_TEXT_SIZE];
    rig_weights(f, whole, weights[0]);
    rig_weights(f, cut, weights[1]);
    assert_string_equal(weights[0], weights[1]);
    rig_assert_same_points(f, whole, cut);
    json_t *one = rig_document(f, whole), *two = rig_document(f, cut);
    assert_int_equal(strlen(rig_text(one, "weights_sha256")), 64);
    assert_string_equal(rig_text(one, "weights_sha256"), rig_text(two, "weights_sha256"));
    json_decref(one);
    json_decref(two);
}

/* A job that an action has stopped in mid-run. A run may come to its end before it notices: then another
 * one is tried. */
static int64_t interrupt(rig *f, const rig_wish *w, bp_job_action action, const char *wanted)
{
    for (int attempt = 0; attempt < 100; attempt++) {
        const int64_t id = rig_submit(f, w);
        rig_wait_for_points(f, id, 3);
        (void)rig_act(f, id, action);
        for (const char *state = ""; strcmp(state, "succeeded") != 0; rig_turn(f)) {
            json_t *document = rig_document(f, id);
            const char *now = rig_text(document, "state");
            const bool reached = strcmp(now, wanted) == 0;
            state = strcmp(now, "succeeded") == 0 ? "succeeded" : "";
            json_decref(document);
            if (reached)
                return id;
        }
    }
    fail_msg("no job could be interrupted");
    return 0;
}

static void test_paused_and_resumed_ends_with_the_same_bits(void **state)
{
    rig *f = *state;
    const rig_wish w = {.epochs = 2000};
    const int64_t whole = rig_submit(f, &w);
    rig_wait_for_state(f, whole, "succeeded");
    const int64_t cut = interrupt(f, &w, BP_JOB_PAUSE, "paused");
    /* The worker is free meanwhile, and a restart leaves it paused. */
    rig_wait_for_state(f, rig_submit(f, &(rig_wish){.epochs = 1}), "succeeded");
    rig_reopen(f);
    rig_wait_for_state(f, rig_submit(f, &(rig_wish){.epochs = 1}), "succeeded");
    rig_wait_for_state(f, cut, "paused");
    assert_int_equal(rig_act(f, cut, BP_JOB_RESUME), BP_OK);
    rig_wait_for_state(f, cut, "succeeded");
    assert_same_end(f, whole, cut);
}

static void test_retried_after_cancelling_ends_with_the_same_bits(void **state)
{
    rig *f = *state;
    const rig_wish w = {.epochs = 2000};
    const int64_t whole = rig_submit(f, &w);
    rig_wait_for_state(f, whole, "succeeded");
    const int64_t cut = interrupt(f, &w, BP_JOB_CANCEL, "cancelled");
    assert_int_equal(rig_count(f, "SELECT count(*) FROM job_datasets"), 0);
    rig_reopen(f);
    assert_int_equal(rig_act(f, cut, BP_JOB_RETRY), BP_OK);
    assert_int_equal(rig_count(f, "SELECT count(*) FROM job_datasets"), 1);
    rig_wait_for_state(f, cut, "succeeded");
    assert_same_end(f, whole, cut);
}

static void test_retry_needs_the_data_set(void **state)
{
    rig *f = *state;
    const int64_t id = rig_submit(f, &(rig_wish){.epochs = RIG_ENDLESS});
    assert_int_equal(rig_cancel(f, id), BP_OK);
    rig_wait_for_state(f, id, "cancelled");
    rig_change_database(f, "DELETE FROM datasets WHERE name = 'points'");
    assert_int_equal(rig_act(f, id, BP_JOB_RETRY), BP_CONFLICT);
    rig_wait_for_state(f, id, "cancelled");
    assert_int_equal(rig_act(f, id, BP_JOB_RETRY), BP_CONFLICT);
}

/* ---- after a daemon that died ---- */

/* What kill -9 leaves: closes, then gives jobs the states that they had. */
static void die(rig *f, const char *sql)
{
    rig_close_parts(f);
    assert_int_equal(bp_store_open(&f->store, f->directory, NULL), BP_OK);
    rig_change_database(f, sql);
    bp_store_close(f->store);
    rig_open_parts(f);
}

static void test_a_pause_survives_death(void **state)
{
    rig *f = *state;
    const int64_t id = rig_submit(f, &(rig_wish){.epochs = RIG_ENDLESS});
    rig_wait_for_points(f, id, 1);
    die(f, "UPDATE jobs SET state = 'stopping', reason = 'paused'");
    rig_wait_for_state(f, id, "paused");
    json_t *document = rig_document(f, id);
    assert_int_equal(json_integer_value(json_object_get(document, "restarts")), 0);
    json_decref(document);
}

static void test_too_many_restarts_fail(void **state)
{
    rig *f = *state;
    f->restart_limit = 2;
    rig_reopen(f);
    const int64_t id = rig_submit(f, &(rig_wish){.epochs = RIG_ENDLESS});
    for (int i = 1; i <= 2; i++) {
        rig_wait_for_state(f, id, "running");
        die(f, "UPDATE jobs SET state = 'running'");
        json_t *document = rig_document(f, id);
        assert_int_equal(json_integer_value(json_object_get(document, "restarts")), i);
        json_decref(document);
    }
    /* A new checkpoint lets it go on. */
    rig_wait_for_state(f, id, "running");
    die(f, "UPDATE jobs SET state = 'running', stalled_restarts = 0");
    rig_wait_for_state(f, id, "running");
    die(f, "UPDATE jobs SET state = 'running', stalled_restarts = 2");
    rig_wait_for_state(f, id, "failed");
    json_t *document = rig_document(f, id);
    assert_string_equal(rig_text(document, "reason"), "restart_limit");
    assert_int_equal(json_integer_value(json_object_get(document, "restarts")), 3);
    json_decref(document);
    /* Asked for by somebody, it begins to count anew. */
    assert_int_equal(rig_act(f, id, BP_JOB_RETRY), BP_OK);
    assert_int_equal(rig_count(f, "SELECT stalled_restarts FROM jobs"), 0);
    rig_wait_for_state(f, id, "running");
}

/* ---- the queue ---- */

static void assert_reason(rig *f, int64_t id, const char *wanted)
{
    json_t *document = rig_document(f, id);
    assert_string_equal(rig_text(document, "reason"), wanted);
    json_decref(document);
}

static void test_what_a_queued_job_waits_for(void **state)
{
    rig *f = *state;
    bp_job_submission *probe = rig_submission(f, rig_body(&(rig_wish){.epochs = RIG_ENDLESS}));
    const uint64_t need = probe->memory_bytes;
    rig_close_parts(f);
    f->worker_count = 2;
    f->limits.memory_bytes = need * 2 - 1;
    rig_open_parts(f);
    rig_reply answer = {0};
    bp_jobs_submit(f->jobs, probe, rig_take_reply, &answer);
    rig_wait_for(f, &answer.done);
    rig_wait_for_state(f, answer.id, "running");
    const int64_t next = rig_submit(f, &(rig_wish){.epochs = RIG_ENDLESS});
    const int64_t behind = rig_submit(f, &(rig_wish){.epochs = RIG_ENDLESS});
    rig_turn(f);
    char wanted[200];
    snprintf(wanted, sizeof wanted,
             "waiting_for_memory: it needs %llu bytes, of %llu bytes %llu are free",
             (unsigned long long)need, (unsigned long long)(2 * need - 1),
             (unsigned long long)(need - 1));
    assert_reason(f, next, wanted);
    snprintf(wanted, sizeof wanted,
             "waiting_for_memory: job %lld, the next in the queue, needs %llu bytes, of %llu bytes "
             "%llu are free",
             (long long)next, (unsigned long long)need, (unsigned long long)(2 * need - 1),
             (unsigned long long)(need - 1));
    assert_reason(f, behind, wanted);
    rig_close_parts(f);
    f->worker_count = 1;
    f->limits.memory_bytes = (uint64_t)1 << 30;
    rig_open_parts(f);
    rig_wait_for_state(f, answer.id, "running");
    assert_reason(f, next, "waiting_for_worker: 1 of 1 workers is busy");
    assert_reason(f, answer.id, "started");
}

static void test_a_changed_priority_changes_the_order(void **state)
{
    rig *f = *state;
    const bp_if_match none = {0}, first = {.given = true, .count = 1, .revisions = {1}};
    const bp_if_match any = {.given = true, .any = true}, nothing = {.given = true};
    const int64_t blocker = rig_submit(f, &(rig_wish){.epochs = RIG_ENDLESS});
    rig_wait_for_state(f, blocker, "running");
    int64_t ids[4];
    for (int i = 0; i < 4; i++)
        ids[i] = rig_submit(f, &(rig_wish){.epochs = 1});
    assert_int_equal(rig_set_priority(f, ids[2], 7, &none), BP_OK);
    assert_int_equal(rig_set_priority(f, ids[3], 3, &first), BP_OK);
    assert_int_equal(rig_set_priority(f, ids[3], 9, &first), BP_STALE);
    assert_int_equal(rig_set_priority(f, ids[3], 9, &nothing), BP_STALE);
    assert_int_equal(rig_set_priority(f, ids[0], -1, &any), BP_OK);
    assert_int_equal(rig_set_priority(f, 12345, 0, &none), BP_NOT_FOUND);
    json_t *document = rig_document(f, ids[3]);
    assert_int_equal(json_integer_value(json_object_get(document, "priority")), 3);
    assert_int_equal(json_integer_value(json_object_get(document, "revision")), 2);
    json_decref(document);
    assert_int_equal(rig_cancel(f, blocker), BP_OK);
    for (int i = 0; i < 4; i++)
        rig_wait_for_state(f, ids[i], "succeeded");
    const int64_t order[] = {ids[2], ids[3], ids[1], ids[0]};
    for (int i = 0; i < 4; i++) {
        char sql[160];
        snprintf(sql, sizeof sql,
                 "SELECT id FROM jobs WHERE id > %lld ORDER BY started LIMIT 1 OFFSET %d",
                 (long long)blocker, i);
        assert_int_equal(rig_count(f, sql), order[i]);
    }
    assert_int_equal(rig_set_priority(f, ids[0], 1, &none), BP_CONFLICT);
}

/* ---- deleting ---- */

static void test_deleting(void **state)
{
    rig *f = *state;
    const int64_t kept = rig_submit(f, &(rig_wish){.epochs = 3});
    const int64_t id = rig_submit(f, &(rig_wish){.epochs = 3});
    rig_wait_for_state(f, kept, "succeeded");
    rig_wait_for_state(f, id, "succeeded");
    /* More than one step of the sweeper has to remove. */
    char sql[400];
    snprintf(sql, sizeof sql,
             "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 12000) "
             "INSERT INTO metrics SELECT job_id, 1000 + i, step, epoch, time, set_id, \"values\" "
             "FROM metrics, n WHERE job_id = %lld AND seq = 1",
             (long long)id);
    rig_change_database(f, sql);
    const int64_t before = rig_count(f, "SELECT count(*) FROM metrics WHERE job_id = 1");
    assert_int_equal(rig_delete(f, id), BP_OK);
    rig_assert_gone(f, id);
    rig_wait_until_swept(f);
    static const char *const tables[] = {"metrics",    "metric_sets", "metric_rollups",
                                         "job_events", "checkpoints", "job_datasets"};
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
        snprintf(sql, sizeof sql, "SELECT count(*) FROM %s WHERE job_id = %lld", tables[i],
                 (long long)id);
        assert_int_equal(rig_count(f, sql), 0);
    }
    assert_int_equal(rig_count(f, "SELECT count(*) FROM pragma_foreign_key_check"), 0);
    assert_int_equal(rig_count(f, "SELECT count(*) FROM metrics WHERE job_id = 1"), before);
    /* Both models are there. */
    assert_int_equal(rig_count(f, "SELECT count(*) FROM models WHERE version IN (1, 2)"), 2);
    /* Ids are not used again. */
    assert_true(rig_submit(f, &(rig_wish){.epochs = 1}) > id);
}

static void test_what_cannot_be_deleted(void **state)
{
    rig *f = *state;
    const int64_t base = rig_submit(f, &(rig_wish){.epochs = 1});
    const int64_t other = rig_submit(f, &(rig_wish){.epochs = 1});
    rig_wait_for_state(f, base, "succeeded");
    rig_wait_for_state(f, other, "succeeded");
    const int64_t user = rig_submit(f, &(rig_wish){.epochs = RIG_ENDLESS});
    rig_wait_for_state(f, user, "running");
    assert_int_equal(rig_delete(f, user), BP_CONFLICT);
    char sql[160];
    snprintf(sql, sizeof sql,
             "INSERT INTO job_initials SELECT %lld, id FROM checkpoints WHERE job_id = %lld "
             "ORDER BY number LIMIT 1",
             (long long)user, (long long)base);
    rig_change_database(f, sql);
    assert_int_equal(rig_delete(f, base), BP_CONFLICT);
    /* The same as if it were the checkpoint of a verification, which would go too. */
    snprintf(sql, sizeof sql, "UPDATE jobs SET verifies = %lld WHERE id = %lld", (long long)base,
             (long long)other);
    rig_change_database(f, sql);
    snprintf(sql, sizeof sql,
             "UPDATE job_initials SET checkpoint_id = (SELECT id FROM checkpoints WHERE job_id = "
             "%lld)",
             (long long)other);
    rig_change_database(f, sql);
    assert_int_equal(rig_delete(f, base), BP_CONFLICT);
    assert_int_equal(rig_delete(f, other), BP_CONFLICT);
    assert_int_equal(rig_cancel(f, user), BP_OK);
    rig_wait_for_state(f, user, "cancelled");
    assert_int_equal(rig_delete(f, base), BP_OK);
    rig_wait_until_swept(f);
}

static void test_sweeping_goes_on_after_a_restart(void **state)
{
    rig *f = *state;
    const int64_t id = rig_submit(f, &(rig_wish){.epochs = 1});
    rig_wait_for_state(f, id, "succeeded");
    die(f, "UPDATE jobs SET deleted = 1");
    rig_assert_gone(f, id);
    rig_wait_until_swept(f);
}

int main(void)
{
    json_object_seed(1);
#define JOB_TEST(name) cmocka_unit_test_setup_teardown(name, rig_open, rig_close)
    const struct CMUnitTest tests[] = {
        JOB_TEST(test_every_action_from_every_state),
        JOB_TEST(test_paused_and_resumed_ends_with_the_same_bits),
        JOB_TEST(test_retried_after_cancelling_ends_with_the_same_bits),
        JOB_TEST(test_retry_needs_the_data_set),
        JOB_TEST(test_a_pause_survives_death),
        JOB_TEST(test_too_many_restarts_fail),
        JOB_TEST(test_what_a_queued_job_waits_for),
        JOB_TEST(test_a_changed_priority_changes_the_order),
        JOB_TEST(test_deleting),
        JOB_TEST(test_what_cannot_be_deleted),
        JOB_TEST(test_sweeping_goes_on_after_a_restart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
