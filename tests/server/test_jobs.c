/* Jobs from submission to their end: states, metrics, restarts, cancelling, the queue.
 * Long because half of it is the rig (store, uploads, loop, scheduler) that all of its tests share. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above first */
#include <cmocka.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "server/base/log.h"
#include "server/base/sha256.h"
#include "server/job/jobs.h"
#include "server/job/metrics_read.h"
#include "server/store/database.h"
#include "tests/server/support_directory.h"

/* Far beyond what anything here takes, even under a sanitizer on a busy machine: a hang, not a limit. */
enum { PATIENCE_MS = 120000, ENDLESS = 100000000 };

typedef struct fixture {
    char directory[SUPPORT_PATH_SIZE];
    uv_loop_t loop;
    bp_store *store;
    bp_datasets *datasets;
    bp_jobs *jobs;
    bp_job_limits limits;
    size_t worker_count;
} fixture;

typedef struct reply {
    atomic_bool done;
    int64_t id;
    bp_status status;
    bp_error error;
} reply;

/* ---- the daemon's parts ---- */

static void turn_loop(fixture *f)
{
    uv_run(&f->loop, UV_RUN_NOWAIT);
    nanosleep(&(struct timespec){.tv_nsec = 500000}, NULL);
}

static void wait_for(fixture *f, const atomic_bool *flag)
{
    for (int i = 0; i < PATIENCE_MS * 2 && !atomic_load(flag); i++)
        turn_loop(f);
    assert_true(atomic_load(flag));
}

static void open_parts(fixture *f)
{
    const bp_dataset_limits dataset_limits = {.decoded_bytes = 1 << 20, .columns = 100};
    const bp_jobs_options options = {.worker_count = f->worker_count,
                                     .isa = bp_isa_detect(),
                                     .limits = f->limits,
                                     .restart_limit = 100};
    uv_loop_init(&f->loop);
    assert_int_equal(bp_store_open(&f->store, f->directory, NULL), BP_OK);
    assert_int_equal(bp_datasets_open(&f->datasets, f->store, &dataset_limits, NULL), BP_OK);
    assert_int_equal(bp_jobs_open(&f->jobs, &f->loop, f->store, f->datasets, &options, NULL),
                     BP_OK);
}

static void set_flag(void *context)
{
    atomic_store((atomic_bool *)context, true);
}

static void close_parts(fixture *f)
{
    atomic_bool stopped = false;
    bp_jobs_stop(f->jobs, set_flag, &stopped);
    wait_for(f, &stopped);
    bp_datasets_close(f->datasets);
    bp_store_close(f->store);
    bp_jobs_free(f->jobs);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&f->loop), 0);
}

static void upload_done(void *context, bp_upload_result *result)
{
    assert_int_equal(result->status, BP_OK);
    json_decref(result->document);
    set_flag(context);
}

static void no_room(void *context)
{
    (void)context;
}

/* 90 rows of two numbers and the sign of their sum: learnt within a few epochs. */
static void upload_points(fixture *f)
{
    char text[8192];
    size_t used = (size_t)snprintf(text, sizeof text, "x,y,sign\n");
    for (int i = 0; i < 90; i++) {
        const int x = i * 37 % 101 - 50, y = i * 53 % 89 - 44;
        used += (size_t)snprintf(text + used, sizeof text - used, "%d,%d,%s\n", x, y,
                                 x + y < 0 ? "minus" : "plus");
    }
    bp_upload *upload = NULL;
    atomic_bool done = false;
    assert_int_equal(bp_upload_begin(&upload, f->datasets, "points", NULL, BP_FORMAT_CSV, no_room,
                                     upload_done, &done, NULL),
                     BP_OK);
    assert_true(bp_upload_feed(upload, text, used));
    bp_upload_end(upload);
    wait_for(f, &done);
}

static int open_fixture(void **state)
{
    bp_log_set_level(BP_LOG_ERROR);
    fixture *f = calloc(1, sizeof *f);
    support_directory_make(f->directory);
    f->worker_count = 1;
    f->limits = (bp_job_limits){.memory_bytes = (uint64_t)1 << 30,
                                .parameter_count = 1000000,
                                .layer_count = 10,
                                .thread_count = 8};
    open_parts(f);
    upload_points(f);
    *state = f;
    return 0;
}

static int close_fixture(void **state)
{
    fixture *f = *state;
    close_parts(f);
    support_directory_remove(f->directory);
    free(f);
    return 0;
}

static void reopen(fixture *f)
{
    close_parts(f);
    open_parts(f);
}

/* ---- commands ---- */

static void take_reply(void *context, int64_t id, bp_status status, const bp_error *error)
{
    reply *self = context;
    self->id = id;
    self->status = status;
    if (status != BP_OK)
        self->error = *error;
    atomic_store(&self->done, true);
}

static const bp_dataset_info *find_points(void *context, const char *name, const char *sha256)
{
    bp_dataset_info **found = context;
    fixture *f = (fixture *)(void *)found[1];
    if (!found[0] && bp_datasets_find(&found[0], f->datasets, name, sha256, NULL) != BP_OK)
        return NULL;
    return found[0];
}

static bp_job_submission *make_submission(fixture *f, json_t *body)
{
    bp_dataset_info *found[2] = {NULL, (bp_dataset_info *)(void *)f};
    const bp_dataset_lookup lookup = {.context = found, .find = find_points};
    bp_job_submission *submission = calloc(1, sizeof *submission);
    bp_faults faults = {0};
    bp_job_size size;
    if (bp_job_resolve(&submission->spec, &submission->resolved, &submission->warnings, &size,
                       &faults, body, &lookup, &f->limits, bp_isa_detect()) != BP_OK)
        fail_msg("%s: %s", faults.items[0].pointer, faults.items[0].detail);
    submission->memory_bytes = size.total_bytes;
    bp_dataset_info_free(found[0]);
    json_decref(body);
    return submission;
}

typedef struct wish {
    int epochs, priority, threads;
    double learning_rate;
    const char *name;
} wish;

static json_t *body_of(const wish *w)
{
    json_t *body = json_pack(
        "{s:s, s:i, s:{s:s, s:s, s:{s:f}}, s:{s:[{s:s, s:i, s:s}, {s:s, s:s}]}, "
        "s:{s:s, s:f, s:f}, s:{s:i, s:i, s:i, s:i}, s:{s:i}}",
        "name", w->name ? w->name : "points", "priority", w->priority, "data", "dataset", "points",
        "target", "sign", "validation", "fraction", 0.2, "network", "layers", "type", "dense",
        "units", 8, "activation", "tanh", "type", "dense", "units", "auto", "optimizer", "type",
        "momentum", "learning_rate", w->learning_rate > 0 ? w->learning_rate : 0.05, "momentum",
        0.9, "training", "epochs", w->epochs, "batch_size", 16, "seed", 3, "threads",
        w->threads ? w->threads : 1, "metrics", "every_steps", 7);
    assert_non_null(body);
    return body;
}

static int64_t submit(fixture *f, const wish *w)
{
    reply answer = {0};
    bp_jobs_submit(f->jobs, make_submission(f, body_of(w)), take_reply, &answer);
    wait_for(f, &answer.done);
    assert_int_equal(answer.status, BP_OK);
    assert_true(answer.id > 0);
    return answer.id;
}

static bp_status cancel(fixture *f, int64_t id)
{
    reply answer = {0};
    bp_jobs_act(f->jobs, id, BP_JOB_CANCEL, take_reply, &answer);
    wait_for(f, &answer.done);
    assert_int_equal(answer.id, answer.status == BP_OK ? id : 0);
    return answer.status;
}

static json_t *document(fixture *f, int64_t id)
{
    json_t *json = NULL;
    assert_int_equal(bp_jobs_document_json(&json, f->jobs, id, NULL), BP_OK);
    return json;
}

static const char *text_of(const json_t *json, const char *key)
{
    const char *text = json_string_value(json_object_get(json, key));
    return text ? text : "";
}

/* Waits until the job has the state, which it then has for good or until somebody acts. */
static void wait_for_state(fixture *f, int64_t id, const char *state)
{
    for (int i = 0; i < PATIENCE_MS * 2; i++) {
        json_t *json = document(f, id);
        const bool reached = strcmp(text_of(json, "state"), state) == 0;
        const bool finished = !json_is_null(json_object_get(json, "finished"));
        if (finished && !reached)
            fail_msg("job %lld is %s (%s), not %s", (long long)id, text_of(json, "state"),
                     text_of(json, "reason"), state);
        json_decref(json);
        if (reached)
            return;
        turn_loop(f);
    }
    fail_msg("job %lld did not become %s", (long long)id, state);
}

static json_t *metrics(fixture *f, int64_t id, uint64_t after, size_t limit)
{
    bp_metrics_view view = {0};
    bp_json_writer text = {0};
    assert_int_equal(bp_metrics_read_points(&view, f->jobs, id, after, limit, NULL), BP_OK);
    bp_metrics_put_json(&text, &view);
    assert_false(text.failed);
    json_t *json = json_loadb(text.bytes, text.length, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(json);
    free(text.bytes);
    bp_metrics_view_done(&view);
    return json;
}

static void wait_for_points(fixture *f, int64_t id, size_t count)
{
    for (int i = 0; i < PATIENCE_MS * 2; i++) {
        json_t *page = metrics(f, id, 0, count);
        const size_t found = json_array_size(json_object_get(page, "points"));
        json_decref(page);
        if (found == count)
            return;
        turn_loop(f);
    }
    fail_msg("job %lld has no %zu points", (long long)id, count);
}

static bp_status run_sql(bp_write *write, sqlite3 *database, bp_error *error);

typedef struct sql_write {
    bp_write write;
    const char *sql;
} sql_write;

static bp_status run_sql(bp_write *write, sqlite3 *database, bp_error *error)
{
    const int code = sqlite3_exec(database, ((sql_write *)write)->sql, NULL, NULL, NULL);
    return code == SQLITE_OK ? BP_OK : bp_database_error(database, code, "test", error);
}

static void change_database(fixture *f, const char *sql)
{
    sql_write write = {.write.apply = run_sql, .sql = sql};
    assert_int_equal(bp_store_write_wait(f->store, &write.write, NULL), BP_OK);
}

/* SHA-256 over all tensors of a job's model. */
static void weights_of(fixture *f, int64_t id, char out[BP_SHA256_TEXT_SIZE])
{
    sqlite3 *database = NULL;
    sqlite3_stmt *statement = NULL;
    assert_int_equal(bp_store_reader(&database, f->store, NULL), BP_OK);
    assert_int_equal(
        bp_database_prepare(&statement, database,
                            "SELECT data, sha256 FROM model_tensors t JOIN models m "
                            "ON m.id = t.model_id WHERE m.job_id = ?1 ORDER BY ordinal",
                            NULL),
        BP_OK);
    sqlite3_bind_int64(statement, 1, id);
    bp_sha256 hash;
    bp_sha256_begin(&hash);
    size_t tensors = 0;
    for (; sqlite3_step(statement) == SQLITE_ROW; tensors++) {
        char own[BP_SHA256_TEXT_SIZE];
        const size_t bytes = (size_t)sqlite3_column_bytes(statement, 0);
        bp_sha256_text(own, sqlite3_column_blob(statement, 0), bytes);
        assert_string_equal(own, (const char *)sqlite3_column_text(statement, 1));
        bp_sha256_add(&hash, sqlite3_column_blob(statement, 0), bytes);
    }
    sqlite3_finalize(statement);
    assert_int_equal(tensors, 4);
    bp_sha256_finish(&hash, out);
}

/* Same history but for the times. */
static void assert_same_points(fixture *f, int64_t a, int64_t b)
{
    json_t *first = metrics(f, a, 0, 100000), *second = metrics(f, b, 0, 100000);
    json_t *points[2] = {json_object_get(first, "points"), json_object_get(second, "points")};
    assert_int_equal(json_array_size(points[0]), json_array_size(points[1]));
    for (size_t i = 0; i < json_array_size(points[0]); i++) {
        json_t *x = json_array_get(points[0], i), *y = json_array_get(points[1], i);
        json_object_del(x, "time");
        json_object_del(y, "time");
        assert_true(json_equal(x, y));
    }
    json_decref(first);
    json_decref(second);
}

/* ---- tests ---- */

static void test_a_job_succeeds(void **state)
{
    fixture *f = *state;
    const int64_t id = submit(f, &(wish){.epochs = 20});
    wait_for_state(f, id, "succeeded");
    json_t *json = document(f, id);
    const json_t *progress = json_object_get(json, "progress");
    assert_int_equal(json_integer_value(json_object_get(progress, "epoch")), 20);
    assert_int_equal(json_integer_value(json_object_get(progress, "epochs")), 20);
    /* 72 training rows in batches of 16. */
    assert_int_equal(json_integer_value(json_object_get(progress, "step")), 100);
    assert_int_equal(json_integer_value(json_object_get(progress, "steps")), 100);
    const json_t *model = json_object_get(json, "model");
    assert_string_equal(text_of(model, "name"), "points");
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
        assert_string_equal(text_of(json_array_get(transitions, i), "to"), expected[i]);
    json_decref(json);

    json_t *page = metrics(f, id, 0, 1000);
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
    page = metrics(f, id, 3, 2);
    assert_int_equal(json_array_size(json_object_get(page, "points")), 2);
    assert_int_equal(json_integer_value(json_object_get(page, "next")), 5);
    assert_false(json_is_true(json_object_get(page, "complete")));
    json_decref(page);
    assert_int_equal(cancel(f, id), BP_CONFLICT);
}

static void test_no_epochs(void **state)
{
    fixture *f = *state;
    const int64_t id = submit(f, &(wish){.epochs = 0});
    wait_for_state(f, id, "succeeded");
    json_t *page = metrics(f, id, 0, 10);
    assert_int_equal(json_array_size(json_object_get(page, "points")), 0);
    assert_int_equal(json_integer_value(json_object_get(page, "next")), 0);
    assert_true(json_is_true(json_object_get(page, "complete")));
    json_decref(page);
    char weights[BP_SHA256_TEXT_SIZE];
    weights_of(f, id, weights);
}

static void test_threads_and_repetition_give_the_same_bits(void **state)
{
    fixture *f = *state;
    const int64_t one = submit(f, &(wish){.epochs = 5});
    const int64_t four = submit(f, &(wish){.epochs = 5, .threads = 4});
    wait_for_state(f, one, "succeeded");
    wait_for_state(f, four, "succeeded");
    char weights[2][BP_SHA256_TEXT_SIZE];
    weights_of(f, one, weights[0]);
    weights_of(f, four, weights[1]);
    assert_string_equal(weights[0], weights[1]);
    assert_same_points(f, one, four);
    json_t *json = document(f, four);
    assert_int_equal(json_integer_value(json_object_get(json_object_get(json, "model"), "version")),
                     2);
    json_decref(json);
}

static void test_cancel(void **state)
{
    fixture *f = *state;
    const int64_t running = submit(f, &(wish){.epochs = ENDLESS});
    const int64_t queued = submit(f, &(wish){.epochs = 1});
    wait_for_points(f, running, 3);
    assert_int_equal(cancel(f, queued), BP_OK);
    assert_int_equal(cancel(f, queued), BP_OK);
    wait_for_state(f, queued, "cancelled");
    assert_int_equal(cancel(f, running), BP_OK);
    assert_int_equal(cancel(f, running), BP_OK);
    wait_for_state(f, running, "cancelled");
    assert_int_equal(cancel(f, running), BP_OK);
    assert_int_equal(cancel(f, 12345), BP_NOT_FOUND);
    json_t *json = document(f, running);
    assert_true(json_is_null(json_object_get(json, "model")));
    assert_string_equal(text_of(json, "reason"), "cancelled");
    json_decref(json);
    json_t *page = metrics(f, running, 0, 2);
    assert_false(json_is_true(json_object_get(page, "complete")));
    json_decref(page);
    /* The worker is free again. */
    wait_for_state(f, submit(f, &(wish){.epochs = 1}), "succeeded");
}

static void test_priority_before_age(void **state)
{
    fixture *f = *state;
    const int64_t blocking = submit(f, &(wish){.epochs = ENDLESS});
    wait_for_points(f, blocking, 1);
    const int64_t low = submit(f, &(wish){.epochs = 1, .priority = -1, .name = "low"});
    const int64_t first = submit(f, &(wish){.epochs = 1, .name = "first"});
    const int64_t second = submit(f, &(wish){.epochs = 1, .name = "second"});
    const int64_t high = submit(f, &(wish){.epochs = 1, .priority = 5, .name = "high"});
    assert_int_equal(cancel(f, blocking), BP_OK);
    wait_for_state(f, low, "succeeded");
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
    fixture *f = *state;
    bp_job_submission *probe = make_submission(f, body_of(&(wish){.epochs = ENDLESS}));
    close_parts(f);
    f->worker_count = 3;
    f->limits.memory_bytes = probe->memory_bytes * 2 - 1;
    open_parts(f);
    reply answer = {0};
    bp_jobs_submit(f->jobs, probe, take_reply, &answer);
    wait_for(f, &answer.done);
    const int64_t second = submit(f, &(wish){.epochs = 1});
    wait_for_points(f, answer.id, 2);
    json_t *json = document(f, second);
    assert_string_equal(text_of(json, "state"), "queued");
    json_decref(json);
    assert_int_equal(cancel(f, answer.id), BP_OK);
    wait_for_state(f, second, "succeeded");
}

static void test_stopping_requeues_without_counting(void **state)
{
    fixture *f = *state;
    const wish w = {.epochs = 3000};
    const int64_t whole = submit(f, &w), cut = submit(f, &w);
    wait_for_state(f, whole, "succeeded");
    wait_for_points(f, cut, 3);
    reopen(f);
    wait_for_state(f, cut, "succeeded");
    json_t *json = document(f, cut);
    assert_int_equal(json_integer_value(json_object_get(json, "restarts")), 0);
    assert_true(json_is_true(json_object_get(json, "reproducible")));
    json_decref(json);
    char weights[2][BP_SHA256_TEXT_SIZE];
    weights_of(f, whole, weights[0]);
    weights_of(f, cut, weights[1]);
    assert_string_equal(weights[0], weights[1]);
    assert_same_points(f, whole, cut);
}

/* What a killed daemon leaves behind: a running job, and one that was being cancelled. */
static void test_recovery_counts_a_restart(void **state)
{
    fixture *f = *state;
    const int64_t running = submit(f, &(wish){.epochs = ENDLESS});
    const int64_t stopping = submit(f, &(wish){.epochs = 1});
    wait_for_points(f, running, 3);
    close_parts(f);
    f->worker_count = 1;
    bp_store *store = NULL;
    assert_int_equal(bp_store_open(&store, f->directory, NULL), BP_OK);
    f->store = store;
    char sql[160];
    snprintf(sql, sizeof sql,
             "UPDATE jobs SET state = 'running' WHERE id = %lld; "
             "UPDATE jobs SET state = 'stopping', reason = 'cancelled' WHERE id = %lld",
             (long long)running, (long long)stopping);
    change_database(f, sql);
    bp_store_close(store);
    open_parts(f);
    wait_for_state(f, stopping, "cancelled");
    wait_for_state(f, running, "running");
    json_t *json = document(f, running);
    assert_int_equal(json_integer_value(json_object_get(json, "restarts")), 1);
    json_decref(json);
}

static void test_another_history_fails(void **state)
{
    fixture *f = *state;
    const int64_t id = submit(f, &(wish){.epochs = ENDLESS});
    wait_for_points(f, id, 3);
    close_parts(f);
    bp_store *store = NULL;
    assert_int_equal(bp_store_open(&store, f->directory, NULL), BP_OK);
    f->store = store;
    /* The lowest bit of the mantissa of one stored loss. */
    change_database(f,
                    "UPDATE metrics SET \"values\" = CAST(x'01' || substr(\"values\", 2) AS BLOB) "
                    "WHERE seq = 2 AND substr(\"values\", 1, 1) <> x'01'");
    change_database(f,
                    "UPDATE metrics SET \"values\" = CAST(x'02' || substr(\"values\", 2) AS BLOB) "
                    "WHERE seq = 3 AND substr(\"values\", 1, 1) <> x'02'");
    /* As a daemon that died would have left it: all points are computed again. */
    change_database(f, "DELETE FROM checkpoints");
    bp_store_close(store);
    open_parts(f);
    wait_for_state(f, id, "failed");
    json_t *json = document(f, id);
    assert_string_equal(text_of(json, "reason"), "not_reproducible");
    json_decref(json);
}

static void test_divergence(void **state)
{
    fixture *f = *state;
    const int64_t id = submit(f, &(wish){.epochs = 50, .learning_rate = 1e38});
    wait_for_state(f, id, "failed");
    json_t *json = document(f, id);
    assert_string_equal(text_of(json, "reason"), "diverged");
    assert_true(json_is_null(json_object_get(json, "model")));
    json_decref(json);
    json_t *page = metrics(f, id, 0, 1000);
    assert_true(json_is_true(json_object_get(page, "complete")));
    assert_true(json_array_size(json_object_get(page, "points")) >= 1);
    json_decref(page);
}

static void submit_with_key(fixture *f, const char *key, const wish *w, reply *answer)
{
    json_t *body = body_of(w);
    char *text = json_dumps(body, JSON_SORT_KEYS);
    bp_job_submission *submission = make_submission(f, body);
    snprintf(submission->idempotency_key, sizeof submission->idempotency_key, "%s", key);
    snprintf(submission->idempotency_route, sizeof submission->idempotency_route, "POST /jobs");
    bp_sha256_text(submission->body_sha256, text, strlen(text));
    free(text);
    *answer = (reply){.id = 0};
    bp_jobs_submit(f->jobs, submission, take_reply, answer);
    wait_for(f, &answer->done);
}

static void test_idempotency_keys(void **state)
{
    fixture *f = *state;
    reply first, second;
    submit_with_key(f, "k1", &(wish){.epochs = 1}, &first);
    submit_with_key(f, "k1", &(wish){.epochs = 1}, &second);
    assert_int_equal(second.status, BP_OK);
    assert_int_equal(second.id, first.id);
    submit_with_key(f, "k1", &(wish){.epochs = 2}, &second);
    assert_int_equal(second.status, BP_INVALID);
    assert_string_equal(second.error.where, "Idempotency-Key");
    submit_with_key(f, "k2", &(wish){.epochs = 1}, &second);
    assert_int_equal(second.status, BP_OK);
    assert_true(second.id > first.id);
    wait_for_state(f, second.id, "succeeded");
}

static void test_a_vanished_data_set(void **state)
{
    fixture *f = *state;
    bp_job_submission *submission = make_submission(f, body_of(&(wish){.epochs = 1}));
    change_database(f, "DELETE FROM datasets WHERE name = 'points'");
    reply answer = {0};
    bp_jobs_submit(f->jobs, submission, take_reply, &answer);
    wait_for(f, &answer.done);
    assert_int_equal(answer.status, BP_CONFLICT);
    assert_int_equal(answer.id, 0);
}

static void test_watching(void **state)
{
    fixture *f = *state;
    const int64_t id = submit(f, &(wish){.epochs = ENDLESS});
    atomic_bool points = false, timeout = false, end = false, unknown = false;
    bp_jobs_watch(f->jobs, id, 0, PATIENCE_MS, set_flag, &points);
    bp_jobs_watch(f->jobs, id, UINT64_MAX, 5, set_flag, &timeout);
    bp_jobs_watch(f->jobs, id, UINT64_MAX, PATIENCE_MS, set_flag, &end);
    bp_jobs_watch(f->jobs, 999, 0, PATIENCE_MS, set_flag, &unknown);
    wait_for(f, &points);
    wait_for(f, &timeout);
    wait_for(f, &unknown);
    assert_false(atomic_load(&end));
    json_t *page = metrics(f, id, 0, 1);
    assert_int_equal(json_array_size(json_object_get(page, "points")), 1);
    json_decref(page);
    assert_int_equal(cancel(f, id), BP_OK);
    wait_for(f, &end);
    /* Stopping calls whoever still waits. */
    const int64_t other = submit(f, &(wish){.epochs = ENDLESS});
    atomic_bool stopped = false;
    bp_jobs_watch(f->jobs, other, UINT64_MAX, PATIENCE_MS, set_flag, &stopped);
    wait_for_points(f, other, 1);
    reopen(f);
    assert_true(atomic_load(&stopped));
}

static void test_lists(void **state)
{
    fixture *f = *state;
    int64_t ids[3];
    for (int i = 0; i < 3; i++)
        ids[i] = submit(f, &(wish){.epochs = 1, .name = i == 1 ? "odd" : "even"});
    for (int i = 0; i < 3; i++)
        wait_for_state(f, ids[i], "succeeded");
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
        json_t *list = NULL;
        assert_int_equal(bp_jobs_list_json(&list, f->jobs, &cases[i].filter, NULL), BP_OK);
        assert_int_equal(json_array_size(json_object_get(list, "items")), cases[i].count);
        assert_int_equal(!json_is_null(json_object_get(list, "next")), cases[i].more);
        json_decref(list);
    }
    json_t *list = NULL;
    const bp_jobs_filter after = {.limit = 10, .after = ids[1]};
    assert_int_equal(bp_jobs_list_json(&list, f->jobs, &after, NULL), BP_OK);
    const json_t *items = json_object_get(list, "items");
    assert_int_equal(json_array_size(items), 1);
    assert_int_equal(json_integer_value(json_object_get(json_array_get(items, 0), "id")), ids[0]);
    json_decref(list);
    assert_int_equal(bp_jobs_document_json(&list, f->jobs, 77, NULL), BP_NOT_FOUND);
    bp_metrics_view view = {0};
    assert_int_equal(bp_metrics_read_points(&view, f->jobs, 77, 0, 10, NULL), BP_NOT_FOUND);
    assert_int_equal(bp_metrics_read_spans(&view, f->jobs, 77, 0, 10, NULL), BP_NOT_FOUND);
    bp_metrics_view_done(&view);
}

int main(void)
{
    json_object_seed(1);
#define JOB_TEST(name) cmocka_unit_test_setup_teardown(name, open_fixture, close_fixture)
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
