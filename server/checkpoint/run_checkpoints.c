#include "server/checkpoint/run_checkpoints.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "server/base/clock.h"
#include "server/checkpoint/checkpoint_loader.h"
#include "server/record/job_log.h"
#include "server/store/checkpoint_store.h"
#include "server/store/database.h"
#include "server/store/event_store.h"

/* Metric points that one write deletes: some milliseconds. */
enum { TRUNCATE_POINTS = 10000 };

struct bp_run_checkpoints {
    bp_checkpoint_setup setup;
    bp_trainer *trainer;
    bp_metric_recorder *recorder; /* once attached */
    bp_checkpoint_writer *writer;
    bp_loaded_checkpoint loaded; /* id 0: the run began at its beginning */
    bool is_taken;               /* there is a checkpoint of last_step */
    uint64_t last_step;
    uint64_t last_ns; /* when the last one was taken, or the run began; 0: not yet */
    double metric;    /* of the epoch that ended at metric_step */
    uint64_t metric_step;
    uint64_t deadline_ns; /* 0: there is time */
};

/* ---- beginning ---- */

typedef struct drop_write {
    bp_write write; /* first */
    int64_t checkpoint;
} drop_write;

static bp_status apply_drop(bp_write *write, sqlite3 *database, bp_error *error)
{
    return bp_checkpoint_store_drop(database, ((drop_write *)write)->checkpoint, error);
}

/* The newest checkpoint that holds, into the trainer. */
static bp_status restore(bp_run_checkpoints *self, bp_error *error)
{
    const bp_checkpoint_setup *setup = &self->setup;
    void *snapshot = bp_checkpoint_writer_snapshot(self->writer);
    for (uint64_t before = 0;;) {
        bp_loaded_checkpoint loaded;
        bp_error reason = {.status = BP_OK};
        bp_status status =
            bp_checkpoint_load(&loaded, setup->store, setup->job, before, self->trainer, snapshot,
                               setup->spec->dataset_sha256, &reason);
        if (status == BP_OK)
            status = bp_trainer_restore(self->trainer, &loaded.state, snapshot, &reason);
        if (status == BP_OK) {
            self->loaded = loaded;
            return BP_OK;
        }
        json_decref(loaded.document);
        if (status == BP_NOT_FOUND)
            return BP_OK;
        if (!loaded.id || (status != BP_CORRUPT && status != BP_UNSUPPORTED))
            return bp_error_set(error, status, reason.where, "%s", reason.message);
        bp_job_log(setup->store, setup->job, BP_JOB_LOG_WARNING, "checkpoint_unusable",
                   "checkpoint %llu is passed over: %s", (unsigned long long)loaded.number,
                   reason.message);
        drop_write write = {.write = {.apply = apply_drop, .waits_for_space = true},
                            .checkpoint = loaded.id};
        status = bp_store_write_wait(setup->store, &write.write, error);
        if (status != BP_OK)
            return status;
        before = loaded.number;
    }
}

/* What the job's last run computed with; "": there was none. */
static bp_status read_fingerprint(char out[BP_FINGERPRINT_SIZE], const bp_checkpoint_setup *setup,
                                  bp_error *error)
{
    sqlite3 *database = NULL;
    sqlite3_stmt *statement = NULL;
    bp_status status = bp_store_reader(&database, setup->store, error);
    if (status == BP_OK)
        status = bp_database_prepare(&statement, database,
                                     "SELECT fingerprint FROM jobs WHERE id = ?1", error);
    if (status != BP_OK)
        return status;
    sqlite3_bind_int64(statement, 1, setup->job);
    const int code = sqlite3_step(statement);
    const char *text = code == SQLITE_ROW ? (const char *)sqlite3_column_text(statement, 0) : NULL;
    out[0] = '\0';
    if (text)
        strncat(out, text, BP_FINGERPRINT_SIZE - 1);
    if (code != SQLITE_ROW && code != SQLITE_DONE)
        status = bp_database_error(database, code, "reading a job", error);
    sqlite3_finalize(statement);
    return status;
}

/* ---- other numerics ---- */

typedef struct renew_write {
    bp_write write; /* first */
    int64_t job;
    const char *fingerprint;
    uint64_t keep; /* points up to this one stay */
    bool again;    /* there are more to delete */
} renew_write;

/* Events behind points that go are then behind the last one that stays, and one of their own comes before
 * the points that will come: whoever follows events misses none of those. */
static bp_status move_events(sqlite3 *database, const renew_write *self, bp_error *error)
{
    sqlite3_stmt *statement = NULL;
    bp_status status = bp_database_prepare(
        &statement, database,
        "UPDATE job_events SET after_seq = ?2 WHERE job_id = ?1 AND after_seq > ?2", error);
    if (status != BP_OK)
        return status;
    sqlite3_bind_int64(statement, 1, self->job);
    sqlite3_bind_int64(statement, 2, (sqlite3_int64)self->keep);
    status = bp_database_step_done(statement, error);
    sqlite3_finalize(statement);
    return status;
}

static bp_status mark_job(sqlite3 *database, const renew_write *self, bp_error *error)
{
    sqlite3_stmt *statement = NULL;
    bp_status status = bp_database_prepare(
        &statement, database, "UPDATE jobs SET fingerprint = ?2, reproducible = 0 WHERE id = ?1",
        error);
    if (status != BP_OK)
        return status;
    sqlite3_bind_int64(statement, 1, self->job);
    sqlite3_bind_text(statement, 2, self->fingerprint, -1, SQLITE_STATIC);
    status = bp_database_step_done(statement, error);
    sqlite3_finalize(statement);
    if (status != BP_OK)
        return status;
    json_t *data =
        json_pack("{s:s, s:s, s:s}", "level", "warning", "code", "numerics_changed", "message",
                  "this program or processor computes other bits than the one that the "
                  "job began with; it goes on, but need not end as an uninterrupted "
                  "run would");
    return bp_event_store_append(database, self->job, "log", data, bp_clock_now_us(), error);
}

static bp_status apply_renew(bp_write *write, sqlite3 *database, bp_error *error)
{
    renew_write *self = (renew_write *)write;
    uint64_t last = 0;
    bp_status status = bp_metric_store_last(&last, database, self->job, error);
    if (status != BP_OK)
        return status;
    const uint64_t doomed = last > self->keep ? last - self->keep : 0;
    self->again = doomed > TRUNCATE_POINTS;
    if (doomed > 0)
        status = bp_metric_store_truncate(database, self->job,
                                          self->again ? last - TRUNCATE_POINTS : self->keep, error);
    if (status == BP_OK)
        status = move_events(database, self, error);
    return status == BP_OK && !self->again ? mark_job(database, self, error) : status;
}

typedef struct first_write {
    bp_write write; /* first */
    int64_t job;
    char fingerprint[BP_FINGERPRINT_SIZE];
} first_write;

static bp_status apply_first(bp_write *write, sqlite3 *database, bp_error *error)
{
    const first_write *self = (const first_write *)write;
    sqlite3_stmt *statement = NULL;
    bp_status status = bp_database_prepare(&statement, database,
                                           "UPDATE jobs SET fingerprint = ?2 WHERE id = ?1", error);
    if (status != BP_OK)
        return status;
    sqlite3_bind_int64(statement, 1, self->job);
    sqlite3_bind_text(statement, 2, self->fingerprint, -1, SQLITE_STATIC);
    status = bp_database_step_done(statement, error);
    sqlite3_finalize(statement);
    return status;
}

static void first_written(bp_write *write, bp_status status, const bp_error *error)
{
    (void)status; /* the points that follow fail too, and say so */
    (void)error;
    free(write);
}

/* Says what the job is computed with, and makes room for other bits where that has changed. */
static bp_status settle_numerics(const bp_run_checkpoints *self, bp_error *error)
{
    const bp_checkpoint_setup *setup = &self->setup;
    char before[BP_FINGERPRINT_SIZE];
    bp_status status = read_fingerprint(before, setup, error);
    if (status != BP_OK || strcmp(before, setup->fingerprint) == 0)
        return status;
    if (!before[0]) {
        first_write *write = calloc(1, sizeof *write);
        if (!write)
            return bp_error_set(error, BP_NO_MEMORY, NULL, "no memory for a run");
        write->write =
            (bp_write){.apply = apply_first, .done = first_written, .waits_for_space = true};
        write->job = setup->job;
        strncat(write->fingerprint, setup->fingerprint, sizeof write->fingerprint - 1);
        bp_store_write(setup->store, &write->write);
        return BP_OK;
    }
    renew_write write = {.write = {.apply = apply_renew, .waits_for_space = true},
                         .job = setup->job,
                         .fingerprint = setup->fingerprint,
                         .keep = self->loaded.metric_seq,
                         .again = true};
    while (status == BP_OK && write.again)
        status = bp_store_write_wait(setup->store, &write.write, error);
    return status;
}

bp_status bp_run_checkpoints_open(bp_run_checkpoints **out, bool *out_resumed,
                                  const bp_checkpoint_setup *setup, bp_trainer *trainer,
                                  bp_error *error)
{
    bp_run_checkpoints *self = calloc(1, sizeof *self);
    if (!self)
        return bp_error_set(error, BP_NO_MEMORY, NULL, "no memory for checkpoints");
    self->setup = *setup;
    self->trainer = trainer;
    self->metric = NAN;
    bp_status status = bp_checkpoint_writer_create(&self->writer, setup, error);
    if (status == BP_OK)
        status = restore(self, error);
    if (status == BP_OK)
        status = settle_numerics(self, error);
    if (status != BP_OK) {
        bp_run_checkpoints_free(self);
        return status;
    }
    self->is_taken = self->loaded.id != 0;
    self->last_step = bp_trainer_position(trainer).step;
    if (self->is_taken)
        bp_job_log(setup->store, setup->job, BP_JOB_LOG_INFO, "resumed",
                   "resumed from checkpoint %llu at step %llu",
                   (unsigned long long)self->loaded.number, (unsigned long long)self->last_step);
    *out_resumed = self->is_taken;
    *out = self;
    return BP_OK;
}

bp_status bp_run_checkpoints_attach(bp_run_checkpoints *self, bp_metric_recorder *recorder,
                                    bp_error *error)
{
    self->recorder = recorder;
    if (!self->loaded.id)
        return BP_OK;
    const bp_status status =
        bp_metric_recorder_resume(recorder, self->loaded.metric_seq, self->loaded.summary, error);
    json_decref(self->loaded.document);
    self->loaded.document = NULL;
    return status;
}

/* ---- taking ---- */

void bp_run_checkpoints_judge(bp_run_checkpoints *self, double metric)
{
    self->metric = metric;
    self->metric_step = bp_trainer_position(self->trainer).step;
}

static bp_status take(bp_run_checkpoints *self, const char *cause, const bp_position *position,
                      const bp_progress *progress, bp_error *error)
{
    if (!bp_checkpoint_writer_wait(self->writer, self->deadline_ns))
        return BP_OK; /* out of time: the one under way is as good as gone too */
    /* The store applies writes in order: the points are there before the checkpoint is. */
    const bp_status status = bp_metric_recorder_send(self->recorder, progress, error);
    if (status != BP_OK)
        return status;
    const bp_checkpoint_request request = {
        .cause = cause,
        .epoch = position->epoch,
        .metric_seq = bp_metric_recorder_seq(self->recorder),
        .metric = self->metric_step == position->step ? self->metric : NAN,
        .state = bp_trainer_snapshot(self->trainer, bp_checkpoint_writer_snapshot(self->writer)),
        .summary = bp_metric_recorder_summary(self->recorder)};
    if (!request.summary)
        return bp_error_set(error, BP_NO_MEMORY, NULL, "no memory for a checkpoint");
    bp_checkpoint_writer_start(self->writer, &request);
    self->is_taken = true;
    self->last_step = position->step;
    self->last_ns = bp_clock_monotonic_ns();
    return BP_OK;
}

bp_status bp_run_checkpoints_tick(bp_run_checkpoints *self, const bp_progress *progress,
                                  uint64_t now_ns, bp_error *error)
{
    const bp_checkpoint_plan *plan = &self->setup.spec->checkpoint;
    const bp_position position = bp_trainer_position(self->trainer);
    if (!self->last_ns)
        self->last_ns = now_ns;
    if (plan->every_epochs > 0 && position.step % position.steps_per_epoch == 0 &&
        position.epoch % plan->every_epochs == 0)
        return take(self, "epochs", &position, progress, error);
    if (plan->every_steps > 0 && position.step % plan->every_steps == 0)
        return take(self, "steps", &position, progress, error);
    if (plan->every_seconds > 0 && (double)(now_ns - self->last_ns) * 1e-9 >= plan->every_seconds &&
        !bp_checkpoint_writer_is_busy(self->writer))
        return take(self, "time", &position, progress, error);
    return BP_OK;
}

bp_status bp_run_checkpoints_take(bp_run_checkpoints *self, const char *cause,
                                  const bp_progress *progress, bp_error *error)
{
    const bp_position position = bp_trainer_position(self->trainer);
    if (self->is_taken && self->last_step == position.step)
        return BP_OK;
    return take(self, cause, &position, progress, error);
}

void bp_run_checkpoints_hurry(bp_run_checkpoints *self, uint64_t deadline_ns)
{
    self->deadline_ns = deadline_ns;
}

void bp_run_checkpoints_free(bp_run_checkpoints *self)
{
    if (!self)
        return;
    if (self->writer && self->deadline_ns > 0 &&
        !bp_checkpoint_writer_wait(self->writer, self->deadline_ns))
        bp_checkpoint_writer_abandon(self->writer);
    bp_checkpoint_writer_free(self->writer);
    json_decref(self->loaded.document);
    free(self);
}
