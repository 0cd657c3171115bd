#include "server/job/trainer_thread.h"

#include <assert.h>
#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "schema/json/json_text.h"
#include "server/base/clock.h"
#include "server/base/log.h"
#include "server/base/thread.h"
#include "server/base/thread_pool.h"
#include "server/job/metric_recorder.h"
#include "server/job/stored_spec.h"

/* Progress is published this often; a person does not read faster. */
enum { PUBLISH_INTERVAL_MS = 200, MEASURED_LIMIT = 6 };

struct bp_run {
    const bp_run_services *services;
    int64_t job;
    atomic_bool stop;
    pthread_t thread;
    bp_run_outcome outcome; /* the thread's until it is joined */

    /* The thread's alone. */
    bp_job_spec *spec;
    bp_job_data data;
    bp_thread_pool *pool;
    bp_trainer *trainer;
    bp_metric_recorder *recorder;
    bp_progress progress;
    uint64_t begun_ns;     /* of the first step */
    uint64_t published_ns; /* of the last publication */
    uint64_t rows_since_published;
    /* The point in the making. */
    size_t measured_count;
    const char *measured_name[MEASURED_LIMIT];
    double measured_value[MEASURED_LIMIT];
};

static bool is_stopped(void *context)
{
    return atomic_load_explicit(&((bp_run *)context)->stop, memory_order_relaxed);
}

static bp_status prepare_run(bp_run *run, bp_error *error)
{
    const bp_run_services *services = run->services;
    bp_status status = bp_stored_spec_load(&run->spec, services->store, services->datasets,
                                           run->job, &services->limits, services->isa, error);
    if (status == BP_OK)
        status =
            bp_job_data_load(&run->data, services->datasets, run->spec, is_stopped, run, error);
    if (status == BP_OK)
        status = bp_job_balance_classes(run->spec, run->data.training.label,
                                        run->data.training.row_count, error);
    bp_parallel parallel, *threads = NULL;
    if (status == BP_OK && run->spec->threads > 1) {
        status = bp_thread_pool_create(&run->pool, run->spec->threads, BP_NICE_TRAINER, error);
        if (status == BP_OK) {
            parallel = bp_thread_pool_parallel(run->pool);
            threads = &parallel;
        }
    }
    if (status == BP_OK)
        status = bp_trainer_create(&run->trainer, &run->spec->training, &run->data.training,
                                   threads, error);
    if (status == BP_OK)
        status = bp_metric_recorder_create(&run->recorder, services->store, run->job,
                                           services->committed, services->context, error);
    return status;
}

/* ---- progress ---- */

static void publish(bp_run *run, uint64_t now_ns)
{
    const double seconds = (double)(now_ns - run->published_ns) * 1e-9;
    if (seconds > 0 && run->rows_since_published > 0) {
        const double rate = (double)run->rows_since_published / seconds;
        double *shown = &run->progress.samples_per_second;
        *shown = isnan(*shown) ? rate : *shown + 0.3 * (rate - *shown);
    }
    if (run->progress.step > 0)
        run->progress.seconds_left = (double)(now_ns - run->begun_ns) * 1e-9 /
                                     (double)run->progress.step *
                                     (double)(run->progress.steps - run->progress.step);
    run->rows_since_published = 0;
    run->published_ns = now_ns;
    bp_progress_board_set(run->services->board, run->job, &run->progress);
}

/* ---- steps ---- */

/* A step has a point when it is the first, the last, a multiple of metrics.every_steps, or, where there
 * is a validation part, the last of its epoch: validation goes into the point of that step. */
static bool point_is_due(const bp_run *run, const bp_position *before)
{
    const uint64_t step = before->step + 1, every = run->spec->metrics_every_steps;
    return step == 1 || step == before->step_limit || (every > 0 && step % every == 0);
}

static bool ends_epoch(const bp_position *before)
{
    return (before->step + 1) % before->steps_per_epoch == 0;
}

static void put(bp_run *run, const char *name, double value)
{
    assert(run->measured_count < MEASURED_LIMIT);
    run->measured_name[run->measured_count] = name;
    run->measured_value[run->measured_count++] = value;
}

static bp_status record_point(bp_run *run, const bp_step_report *report, bool measured,
                              bool validate, bp_error *error)
{
    run->measured_count = 0;
    put(run, "loss", report->loss);
    if (measured && run->spec->task == BP_TASK_CLASSIFICATION)
        put(run, "accuracy", report->accuracy);
    put(run, "learning_rate", report->learning_rate);
    if (measured)
        put(run, "gradient_norm", report->gradient_norm);
    if (validate) {
        const bp_evaluation evaluation = bp_trainer_evaluate(run->trainer, &run->data.validation);
        put(run, "validation.loss", evaluation.loss);
        if (run->spec->task == BP_TASK_CLASSIFICATION)
            put(run, "validation.accuracy", evaluation.accuracy);
    }
    const bp_measured point = {.step = run->progress.step,
                               .epoch = run->progress.epoch,
                               .count = run->measured_count,
                               .names = run->measured_name,
                               .values = run->measured_value};
    return bp_metric_recorder_add(run->recorder, &point, error);
}

/* One update and what belongs to it. BP_NOT_FINITE: diverged. */
static bp_status take_step(bp_run *run, bp_error *error)
{
    const bp_position before = bp_trainer_position(run->trainer);
    const bool validate = run->data.validation.row_count > 0 && ends_epoch(&before);
    const bool due = point_is_due(run, &before) || validate;
    bp_step_report report;
    bp_trainer_step(run->trainer, due, &report);
    run->progress.step = before.step + 1;
    run->progress.epoch = before.epoch + 1;
    run->rows_since_published += report.rows;
    /* The step that diverged is the history's last point, whether or not one was due. */
    bp_status status = BP_OK;
    if (due || !report.finite)
        status = record_point(run, &report, due, validate && report.finite, error);
    if (status == BP_OK && !report.finite)
        status = bp_error_set(error, BP_NOT_FINITE, NULL, "diverged");
    const uint64_t now_ns = bp_clock_monotonic_ns();
    if (now_ns - run->published_ns >= (uint64_t)PUBLISH_INTERVAL_MS * 1000000)
        publish(run, now_ns);
    if (status == BP_OK)
        status = bp_metric_recorder_tick(run->recorder, &run->progress, now_ns, error);
    return status;
}

static bp_status take_all_steps(bp_run *run, bp_error *error)
{
    run->progress.steps = bp_trainer_position(run->trainer).step_limit;
    run->begun_ns = run->published_ns = bp_clock_monotonic_ns();
    publish(run, run->begun_ns);
    bp_status status = BP_OK;
    while (status == BP_OK && !bp_trainer_finished(run->trainer)) {
        if (is_stopped(run))
            status = bp_error_set(error, BP_CANCELLED, NULL, "stopped");
        else
            status = take_step(run, error);
    }
    run->progress.seconds_left = 0;
    /* Whatever ended the run: its points belong to the history. */
    if (status == BP_OK || status == BP_NOT_FINITE || status == BP_CANCELLED) {
        bp_error flush_error = {.status = BP_OK};
        const bp_status flushed =
            bp_metric_recorder_flush(run->recorder, &run->progress, &flush_error);
        if (status == BP_OK && flushed != BP_OK)
            status = bp_error_set(error, flushed, flush_error.where, "%s", flush_error.message);
    }
    return status;
}

/* ---- the end ---- */

static bp_status add_evaluation(bp_run *run, json_t *metrics, const char *part,
                                const bp_examples *examples, bp_error *error)
{
    if (examples->row_count == 0)
        return BP_OK;
    const bp_evaluation evaluation = bp_trainer_evaluate(run->trainer, examples);
    if (!isfinite(evaluation.loss) && examples == &run->data.training)
        return bp_error_set(error, BP_NOT_FINITE, NULL, "diverged");
    json_t *values = json_object();
    int failed = json_object_set_new(values, "loss", bp_json_real(evaluation.loss));
    if (run->spec->task == BP_TASK_CLASSIFICATION)
        failed |= json_object_set_new(values, "accuracy", bp_json_real(evaluation.accuracy));
    failed |= json_object_set_new(values, "rows", json_integer((json_int_t)evaluation.rows));
    failed |= json_object_set_new(metrics, part, values);
    return failed ? bp_error_set(error, BP_NO_MEMORY, NULL, "no memory for metrics") : BP_OK;
}

static bp_status conclude(bp_run *run, bp_error *error)
{
    bp_trainer_set_stop(run->trainer, is_stopped, run);
    json_t *metrics = bp_metric_recorder_summary(run->recorder);
    bp_status status =
        metrics ? BP_OK : bp_error_set(error, BP_NO_MEMORY, NULL, "no memory for metrics");
    if (status == BP_OK)
        status = add_evaluation(run, metrics, "train", &run->data.training, error);
    if (status == BP_OK)
        status = add_evaluation(run, metrics, "validation", &run->data.validation, error);
    if (status == BP_OK)
        status = add_evaluation(run, metrics, "test", &run->data.test, error);
    if (status == BP_OK && bp_trainer_interrupted(run->trainer))
        status = bp_error_set(error, BP_CANCELLED, NULL, "stopped");
    if (status == BP_OK)
        status =
            bp_job_result_create(&run->outcome.result, run->spec, run->job, &run->data,
                                 bp_trainer_network(run->trainer), metrics, &run->progress, error);
    json_decref(metrics);
    return status;
}

static void describe_end(bp_run *run, bp_status status, const bp_error *error)
{
    bp_run_outcome *outcome = &run->outcome;
    outcome->end = status == BP_OK          ? BP_RUN_SUCCEEDED
                   : status == BP_CANCELLED ? BP_RUN_STOPPED
                                            : BP_RUN_FAILED;
    if (outcome->end != BP_RUN_FAILED)
        return;
    bp_log(BP_LOG_WARNING, "training failed", "job=%lld status=\"%s\" where=\"%s\" error=\"%s\"",
           (long long)run->job, bp_status_text(status), error->where, error->message);
    if (status == BP_NOT_FINITE && run->trainer)
        snprintf(outcome->reason, sizeof outcome->reason, "diverged");
    else if (status == BP_CONFLICT && run->recorder)
        snprintf(outcome->reason, sizeof outcome->reason, "not_reproducible");
    else if (error->where[0])
        snprintf(outcome->reason, sizeof outcome->reason, "%.200s: %.300s", error->where,
                 error->message);
    else
        snprintf(outcome->reason, sizeof outcome->reason, "%s", error->message);
}

static void *run_body(void *argument)
{
    bp_run *run = argument;
    bp_thread_set_nice(BP_NICE_TRAINER);
    bp_kernels_thread_start();
    bp_error error = {.status = BP_OK};
    bp_status status = prepare_run(run, &error);
    if (status == BP_OK)
        status = take_all_steps(run, &error);
    if (status == BP_OK)
        status = conclude(run, &error);
    describe_end(run, status, &error);
    bp_metric_recorder_free(run->recorder);
    bp_trainer_free(run->trainer);
    bp_thread_pool_free(run->pool);
    if (run->data.owned)
        bp_job_data_done(&run->data);
    bp_job_spec_free(run->spec);
    run->services->ended(run->services->context, run->job);
    return NULL;
}

bp_status bp_run_start(bp_run **out, const bp_run_services *services, int64_t job, bp_error *error)
{
    bp_run *run = calloc(1, sizeof *run);
    if (!run)
        return bp_error_set(error, BP_NO_MEMORY, NULL, "no memory for a trainer");
    run->services = services;
    run->job = job;
    run->progress.samples_per_second = run->progress.seconds_left = NAN;
    const bp_status status = bp_thread_start(&run->thread, "trainer", run_body, run, error);
    if (status != BP_OK) {
        free(run);
        return status;
    }
    *out = run;
    return BP_OK;
}

void bp_run_stop(bp_run *run)
{
    atomic_store_explicit(&run->stop, true, memory_order_relaxed);
}

void bp_run_join(bp_run *run, bp_run_outcome *out)
{
    pthread_join(run->thread, NULL);
    *out = run->outcome;
    free(run);
}
