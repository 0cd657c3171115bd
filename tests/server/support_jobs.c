#include "tests/server/support_jobs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above first */
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "server/base/log.h"
#include "server/base/sha256.h"
#include "server/job/metrics_read.h"
#include "server/store/database.h"

/* Far beyond what anything here takes, even under a sanitizer on a busy machine: a hang, not a limit. */
enum { PATIENCE_MS = RIG_PATIENCE_MS };

/* ---- the daemon's parts ---- */

void rig_turn(rig *f)
{
    uv_run(&f->loop, UV_RUN_NOWAIT);
    nanosleep(&(struct timespec){.tv_nsec = 500000}, NULL);
}

void rig_wait_for(rig *f, const atomic_bool *flag)
{
    for (int i = 0; i < PATIENCE_MS * 2 && !atomic_load(flag); i++)
        rig_turn(f);
    assert_true(atomic_load(flag));
}

void rig_open_parts(rig *f)
{
    const bp_dataset_limits dataset_limits = {.decoded_bytes = 1 << 20, .columns = 100};
    const bp_jobs_options options = {.worker_count = f->worker_count,
                                     .isa = bp_isa_detect(),
                                     .limits = f->limits,
                                     .restart_limit = f->restart_limit};
    uv_loop_init(&f->loop);
    assert_int_equal(bp_store_open(&f->store, f->directory, NULL), BP_OK);
    assert_int_equal(bp_datasets_open(&f->datasets, f->store, &dataset_limits, NULL), BP_OK);
    assert_int_equal(bp_jobs_open(&f->jobs, &f->loop, f->store, f->datasets, &options, NULL),
                     BP_OK);
}

void rig_set_flag(void *context)
{
    atomic_store((atomic_bool *)context, true);
}

void rig_close_parts(rig *f)
{
    atomic_bool stopped = false;
    bp_jobs_stop(f->jobs, rig_set_flag, &stopped);
    rig_wait_for(f, &stopped);
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
    rig_set_flag(context);
}

static void no_room(void *context)
{
    (void)context;
}

/* 90 rows of two numbers and the sign of their sum: learnt within a few epochs. */
static void upload_points(rig *f)
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
    rig_wait_for(f, &done);
}

int rig_open(void **state)
{
    bp_log_set_level(BP_LOG_ERROR);
    rig *f = calloc(1, sizeof *f);
    support_directory_make(f->directory);
    f->worker_count = 1;
    f->restart_limit = 100;
    f->limits = (bp_job_limits){.memory_bytes = (uint64_t)1 << 30,
                                .parameter_count = 1000000,
                                .layer_count = 10,
                                .thread_count = 8};
    rig_open_parts(f);
    upload_points(f);
    *state = f;
    return 0;
}

int rig_close(void **state)
{
    rig *f = *state;
    rig_close_parts(f);
    support_directory_remove(f->directory);
    free(f);
    return 0;
}

void rig_reopen(rig *f)
{
    rig_close_parts(f);
    rig_open_parts(f);
}

/* ---- commands ---- */

void rig_take_reply(void *context, int64_t id, bp_status status, const bp_error *error)
{
    rig_reply *self = context;
    self->id = id;
    self->status = status;
    if (status != BP_OK)
        self->error = *error;
    atomic_store(&self->done, true);
}

static const bp_dataset_info *find_points(void *context, const char *name, const char *sha256)
{
    bp_dataset_info **found = context;
    rig *f = (rig *)(void *)found[1];
    if (!found[0] && bp_datasets_find(&found[0], f->datasets, name, sha256, NULL) != BP_OK)
        return NULL;
    return found[0];
}

bp_job_submission *rig_submission(rig *f, json_t *body)
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

json_t *rig_body(const rig_wish *w)
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

int64_t rig_submit(rig *f, const rig_wish *w)
{
    rig_reply answer = {0};
    bp_jobs_submit(f->jobs, rig_submission(f, rig_body(w)), rig_take_reply, &answer);
    rig_wait_for(f, &answer.done);
    assert_int_equal(answer.status, BP_OK);
    assert_true(answer.id > 0);
    return answer.id;
}

bp_status rig_act(rig *f, int64_t id, bp_job_action action)
{
    rig_reply answer = {0};
    bp_jobs_act(f->jobs, id, action, rig_take_reply, &answer);
    rig_wait_for(f, &answer.done);
    assert_int_equal(answer.id, answer.status == BP_OK ? id : 0);
    return answer.status;
}

bp_status rig_cancel(rig *f, int64_t id)
{
    return rig_act(f, id, BP_JOB_CANCEL);
}

bp_status rig_delete(rig *f, int64_t id)
{
    rig_reply answer = {0};
    bp_jobs_delete(f->jobs, id, &(bp_if_match){0}, rig_take_reply, &answer);
    rig_wait_for(f, &answer.done);
    return answer.status;
}

int64_t rig_count(rig *f, const char *sql)
{
    sqlite3 *database = NULL;
    sqlite3_stmt *statement = NULL;
    assert_int_equal(bp_store_reader(&database, f->store, NULL), BP_OK);
    assert_int_equal(bp_database_prepare(&statement, database, sql, NULL), BP_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    const int64_t count = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return count;
}

json_t *rig_parsed(bp_json_writer *text)
{
    assert_false(text->failed);
    json_t *json = json_loadb(text->bytes, text->length, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(json);
    free(text->bytes);
    *text = (bp_json_writer){0};
    return json;
}

json_t *rig_document(rig *f, int64_t id)
{
    bp_json_writer text = {0};
    int64_t revision = 0;
    assert_int_equal(bp_jobs_put_document(&text, &revision, f->jobs, id, NULL), BP_OK);
    json_t *json = rig_parsed(&text);
    assert_int_equal(json_integer_value(json_object_get(json, "revision")), revision);
    return json;
}

json_t *rig_list(rig *f, const bp_jobs_filter *filter)
{
    bp_json_writer text = {0};
    assert_int_equal(bp_jobs_put_list(&text, f->jobs, filter, NULL), BP_OK);
    return rig_parsed(&text);
}

const char *rig_text(const json_t *json, const char *key)
{
    const char *text = json_string_value(json_object_get(json, key));
    return text ? text : "";
}

/* Waits until the job has the state, which it then has for good or until somebody acts. */
void rig_wait_for_state(rig *f, int64_t id, const char *state)
{
    for (int i = 0; i < PATIENCE_MS * 2; i++) {
        json_t *json = rig_document(f, id);
        const bool reached = strcmp(rig_text(json, "state"), state) == 0;
        const bool finished = !json_is_null(json_object_get(json, "finished"));
        if (finished && !reached)
            fail_msg("job %lld is %s (%s), not %s", (long long)id, rig_text(json, "state"),
                     rig_text(json, "reason"), state);
        json_decref(json);
        if (reached)
            return;
        rig_turn(f);
    }
    fail_msg("job %lld did not become %s", (long long)id, state);
}

json_t *rig_metrics(rig *f, int64_t id, uint64_t after, size_t limit)
{
    bp_metrics_view view = {0};
    bp_json_writer text = {0};
    assert_int_equal(bp_metrics_read_points(&view, f->jobs, id, after, limit, NULL), BP_OK);
    bp_metrics_put_json(&text, &view);
    bp_metrics_view_done(&view);
    return rig_parsed(&text);
}

void rig_wait_for_points(rig *f, int64_t id, size_t count)
{
    for (int i = 0; i < PATIENCE_MS * 2; i++) {
        json_t *page = rig_metrics(f, id, 0, count);
        const size_t found = json_array_size(json_object_get(page, "points"));
        json_decref(page);
        if (found == count)
            return;
        rig_turn(f);
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

void rig_change_database(rig *f, const char *sql)
{
    sql_write write = {.write.apply = run_sql, .sql = sql};
    assert_int_equal(bp_store_write_wait(f->store, &write.write, NULL), BP_OK);
}

/* SHA-256 over all tensors of a job's model. */
void rig_weights(rig *f, int64_t id, char out[BP_SHA256_TEXT_SIZE])
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
void rig_assert_same_points(rig *f, int64_t a, int64_t b)
{
    json_t *first = rig_metrics(f, a, 0, 100000), *second = rig_metrics(f, b, 0, 100000);
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

bp_status rig_set_priority(rig *f, int64_t id, int64_t priority, const bp_if_match *condition)
{
    rig_reply answer = {0};
    bp_jobs_set_priority(f->jobs, id, priority, condition, rig_take_reply, &answer);
    rig_wait_for(f, &answer.done);
    return answer.status;
}

void rig_wait_until_swept(rig *f)
{
    for (int i = 0; i < RIG_PATIENCE_MS * 2; i++) {
        if (rig_count(f, "SELECT count(*) FROM jobs WHERE deleted = 1") == 0)
            return;
        rig_turn(f);
    }
    fail_msg("rows of deleted jobs are still there");
}

void rig_assert_gone(rig *f, int64_t id)
{
    bp_json_writer text = {0};
    assert_int_equal(bp_jobs_put_document(&text, NULL, f->jobs, id, NULL), BP_NOT_FOUND);
    bp_metrics_view view = {0};
    assert_int_equal(bp_metrics_read_points(&view, f->jobs, id, 0, 10, NULL), BP_NOT_FOUND);
    bp_metrics_view_done(&view);
    assert_int_equal(rig_act(f, id, BP_JOB_RETRY), BP_NOT_FOUND);
    assert_int_equal(rig_delete(f, id), BP_NOT_FOUND);
    assert_int_equal(rig_set_priority(f, id, 1, &(bp_if_match){0}), BP_NOT_FOUND);
    const bp_jobs_filter filter = {.limit = 100};
    json_t *json = rig_list(f, &filter);
    size_t index;
    json_t *item;
    json_array_foreach(json_object_get(json, "items"), index, item)
        assert_int_not_equal(json_integer_value(json_object_get(item, "id")), id);
    json_decref(json);
}
