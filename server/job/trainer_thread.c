#include "server/job/trainer_thread.h"

#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "server/base/clock.h"
#include "server/base/log.h"
#include "server/base/thread.h"
#include "server/base/thread_pool.h"
#include "server/checkpoint/run_checkpoints.h"
#include "server/job/gradient_gate.h"
#include "server/job/part_evaluation.h"
#include "server/job/stored_spec.h"
#include "server/job/verification.h"
#include "server/model/weights_copy.h"
#include "server/record/metric_recorder.h"
#include "server/record/point_draft.h"

/* Progress is published this often; a person does not read faster. */
enum { PUBLISH_INTERVAL_MS = 200 };

/* How long an evaluation at the end of an epoch may go on when the run is to stop and be kept: broken off,
 * it leaves nothing to take a checkpoint of. */
enum { EVALUATION_GRACE_MS = 3000 };

/* How long after its order a run may still write a checkpoint when the daemon stops, which is to be over
 * within ten seconds. */
enum { CHECKPOINT_GRACE_MS = 7000 };

/* No stop, or 1 + bp_run_stop_kind. */
enum { STOP_NOT };

struct bp_run {
    const bp_run_services *services;
    int64_t job;
    atomic_int stop;       /* STOP_NOT, or 1 + bp_run_stop_kind */
    atomic_ullong stop_ns; /* when it was said */
    pthread_t thread;
    bp_run_outcome outcome; /* the thread's until it is joined */

    /* The thread's alone. */
    bp_job_spec *spec;
    bp_job_data data;
    bp_thread_pool *pool;
    bp_trainer *trainer;
    bp_part_evaluation *evaluation;
    bp_run_checkpoints *checkpoints;
    bool resumed; /* from a checkpoint, at begun_step */
    bp_metric_recorder *recorder;
    bp_progress progress;
    uint64_t begun_step;   /* finished ones then */
    uint64_t begun_ns;     /* of the first step */
    uint64_t published_ns; /* of the last publication */
    uint64_t rows_since_published;
    bool gate_failed;
    bp_point_draft *draft; /* the point in the making */
};

static bool is_stopped(void *context)
{
    return atomic_load_explicit(&((bp_run *)context)->stop, memory_order_relaxed) != STOP_NOT;
}

static bool is_to_be_kept(const bp_run *run)
{
    return atomic_load_explicit(&run->stop, memory_order_relaxed) > 1 + BP_STOP_CANCEL;
}

/* For evaluations. */
static bool is_out_of_time(void *context)
{
    const bp_run *run = context;
    if (!is_stopped(context) || !is_to_be_kept(run))
        return is_stopped(context);
    const uint64_t since = atomic_load_explicit(&run->stop_ns, memory_order_relaxed);
    return bp_clock_monotonic_ns() - since > (uint64_t)EVALUATION_GRACE_MS * 1000000;
}

/* Weights to begin with, where the run does not go on from a checkpoint. */
static bp_status take_first_weights(bp_run *run, bp_error *error)
{
    if (run->resumed)
        return BP_OK;
    bp_network *network = bp_trainer_network(run->trainer);
    const bp_run_services *services = run->services;
    const bp_status status =
        bp_weights_copy_initial(network, services->store, run->spec, services->isa, error);
    return status == BP_OK ? bp_weights_take_vectors(network, services->datasets, run->spec,
                                                     is_stopped, run, error)
                           : status;
}

static bp_status prepare_run(bp_run *run, bp_error *error)
{
    const bp_run_services *services = run->services;
    bp_status status =
        bp_stored_spec_load(&run->spec, services->store, services->datasets, run->job,
                            &services->limits, services->isa, is_stopped, run, error);
    if (status == BP_OK)
        status =
            bp_job_data_load(&run->data, services->datasets, run->spec, is_stopped, run, error);
    if (status == BP_OK)
        status = bp_job_balance_classes(run->spec, bp_job_data_labels(&run->data),
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
        bp_trainer_set_stop(run->trainer, is_out_of_time, run);
    if (status == BP_OK)
        status =
            bp_part_evaluation_create(&run->evaluation, run->spec, &run->data, run->trainer, error);
    if (status == BP_OK) {
        const bp_checkpoint_setup setup = {.store = services->store,
                                           .job = run->job,
                                           .spec = run->spec,
                                           .data = &run->data,
                                           .trainer = run->trainer,
                                           .fingerprint = services->fingerprint};
        status =
            bp_run_checkpoints_open(&run->checkpoints, &run->resumed, &setup, run->trainer, error);
    }
    if (status == BP_OK)
        status = take_first_weights(run, error);
    if (status == BP_OK)
        status = bp_point_draft_create(&run->draft, run->spec->layer_count, error);
    if (status == BP_OK)
        status = bp_metric_recorder_create(&run->recorder, services->store, run->job,
                                           services->committed, services->context, error);
    if (status == BP_OK)
        status = bp_run_checkpoints_attach(run->checkpoints, run->recorder, error);
    return status;
}

static bp_status pass_gate(bp_run *run, bp_error *error)
{
    bool pass = false;
    const bp_gradient_gate gate = {.store = run->services->store,
                                   .job = run->job,
                                   .spec = run->spec,
                                   .examples = &run->data.training,
                                   .weights = bp_trainer_network(run->trainer),
                                   .cancelled = is_stopped,
                                   .context = run};
    const bp_status status = bp_gradient_gate_try(&pass, &gate, error);
    if (status == BP_OK)
        bp_job_log(gate.store, run->job, pass ? BP_JOB_LOG_INFO : BP_JOB_LOG_WARNING,
                   "gradient_check", "the gradient check has %s", pass ? "passed" : "failed");
    if (status != BP_OK || pass)
        return status;
    run->gate_failed = true;
    return bp_error_set(error, BP_INVALID, NULL, "the gradient check failed");
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
    if (run->progress.step > run->begun_step)
        run->progress.seconds_left = (double)(now_ns - run->begun_ns) * 1e-9 /
                                     (double)(run->progress.step - run->begun_step) *
                                     (double)(run->progress.steps - run->progress.step);
    run->rows_since_published = 0;
    run->published_ns = now_ns;
    bp_progress_board_set(run->services->board, run->job, &run->progress);
}

/* ---- steps ---- */

/* A step has a point when it is the first, the last, a multiple of metrics.every_steps, or the last of an
 * epoch after which something is evaluated (a validation part, or what early stopping or the schedule
 * watches): that goes into the point of that step. */
static bool point_is_due(const bp_run *run, const bp_position *before)
{
    const uint64_t step = before->step + 1, every = run->spec->metrics_every_steps;
    return step == 1 || step == before->step_limit || (every > 0 && step % every == 0);
}

static bool ends_epoch(const bp_position *before)
{
    return (before->step + 1) % before->steps_per_epoch == 0;
}

static bool has_accuracy(const bp_run *run)
{
    return run->spec->task != BP_TASK_REGRESSION;
}

/* What the step itself tells. */
static void draft_step(bp_run *run, const bp_step_report *report, bool measured)
{
    bp_point_draft *draft = run->draft;
    bp_point_draft_put(draft, "loss", report->loss);
    if (measured && has_accuracy(run))
        bp_point_draft_put(draft, "accuracy", report->accuracy);
    bp_point_draft_put(draft, "learning_rate", report->learning_rate);
    if (!measured)
        return;
    bp_point_draft_put(draft, "gradient_norm", report->gradient_norm);
    if (run->spec->training.regularizer_count > 0)
        bp_point_draft_put(draft, "penalty", report->penalty);
    const bp_diagnosis *diagnosis = bp_trainer_diagnosis(run->trainer);
    for (size_t layer = 0; layer < run->spec->layer_count; layer++)
        bp_point_draft_put_layer(draft, layer, &diagnosis[layer]);
}

static bool watches_training(const bp_run *run)
{
    return bp_trainer_watches(run->trainer, BP_WATCHED_TRAIN_LOSS) ||
           bp_trainer_watches(run->trainer, BP_WATCHED_TRAIN_ACCURACY);
}

static bool watches_anything(const bp_run *run)
{
    for (int watched = 0; watched < BP_WATCHED_COUNT; watched++)
        if (bp_trainer_watches(run->trainer, (bp_watched)watched))
            return true;
    return false;
}

/* Puts a metric of a part into the point and among what is watched; there is none where it is NaN for
 * want of such a metric. */
static void draft_metric(bp_run *run, bp_epoch_metrics *metrics, bp_watched watched, double value)
{
    bp_point_draft_put(run->draft, bp_watched_names[watched], value);
    metrics->value[watched] = value;
}

static bp_status evaluate_training(bp_run *run, bp_epoch_metrics *metrics, bp_error *error)
{
    bp_part_metrics part;
    const bp_status status = bp_part_evaluate(&part, run->evaluation, BP_PART_TRAIN, error);
    if (status != BP_OK)
        return status;
    draft_metric(run, metrics, BP_WATCHED_TRAIN_LOSS, part.loss);
    if (has_accuracy(run))
        draft_metric(run, metrics, BP_WATCHED_TRAIN_ACCURACY, part.accuracy);
    return BP_OK;
}

static bp_status evaluate_validation(bp_run *run, bp_epoch_metrics *metrics, bp_error *error)
{
    bp_part_metrics part;
    const bp_status status = bp_part_evaluate(&part, run->evaluation, BP_PART_VALIDATION, error);
    if (status != BP_OK)
        return status;
    draft_metric(run, metrics, BP_WATCHED_VALIDATION_LOSS, part.loss);
    if (has_accuracy(run))
        draft_metric(run, metrics, BP_WATCHED_VALIDATION_ACCURACY, part.accuracy);
    if (run->spec->task == BP_TASK_LANGUAGE_MODEL) {
        bp_point_draft_put(run->draft, "validation.perplexity", part.perplexity);
        if (run->spec->corpus.rule.unit == BP_UNIT_CHARACTER)
            bp_point_draft_put(run->draft, "validation.bits_per_character",
                               part.bits_per_character);
    }
    if (!isnan(part.entity_f1))
        draft_metric(run, metrics, BP_WATCHED_VALIDATION_ENTITY_F1, part.entity_f1);
    return BP_OK;
}

/* Evaluates what is shown or watched, puts it into the point, and lets the trainer see it. */
static bp_status end_epoch(bp_epoch_verdict *out, bp_run *run, bp_error *error)
{
    bp_epoch_metrics metrics;
    bp_status status = BP_OK;
    for (int watched = 0; watched < BP_WATCHED_COUNT; watched++)
        metrics.value[watched] = NAN;
    if (watches_training(run))
        status = evaluate_training(run, &metrics, error);
    if (status == BP_OK && run->data.validation.row_count > 0)
        status = evaluate_validation(run, &metrics, error);
    if (status != BP_OK)
        return status;
    if (watches_anything(run))
        *out = bp_trainer_epoch_end(run->trainer, &metrics);
    if (run->spec->checkpoint.is_judged)
        bp_run_checkpoints_judge(run->checkpoints, metrics.value[run->spec->checkpoint.metric]);
    return BP_OK;
}

/* What the point that was just recorded gave reason to do. */
static void log_step(bp_run *run, const bp_epoch_verdict *verdict, bool finite)
{
    const unsigned long long step = run->progress.step, epoch = run->progress.epoch;
    if (!finite)
        bp_metric_recorder_log(run->recorder, BP_JOB_LOG_WARNING, "diverged",
                               "the loss or a gradient of step %llu is not finite", step);
    if (verdict->rate_reduced)
        bp_metric_recorder_log(run->recorder, BP_JOB_LOG_INFO, "rate_reduced",
                               "the learning rate is reduced after epoch %llu: what the schedule "
                               "watches has stopped getting better",
                               epoch);
    if (verdict->stop)
        bp_metric_recorder_log(run->recorder, BP_JOB_LOG_INFO, "early_stopping",
                               "training stops after epoch %llu: what early stopping watches has "
                               "stopped getting better",
                               epoch);
}

/* One update and what belongs to it. BP_NOT_FINITE: diverged. */
static bp_status take_step(bp_run *run, bp_error *error)
{
    const bp_position before = bp_trainer_position(run->trainer);
    const bool evaluates =
        ends_epoch(&before) && (run->data.validation.row_count > 0 || watches_anything(run));
    const bool due = point_is_due(run, &before) || evaluates;
    bp_step_report report;
    bp_status status = bp_trainer_step(&report, run->trainer, due, error);
    if (status != BP_OK)
        return status;
    run->progress.step = before.step + 1;
    run->progress.epoch = before.epoch + 1;
    run->rows_since_published += report.rows;
    /* The step that diverged is the history's last point, whether or not one was due. */
    if (due || !report.finite) {
        bp_epoch_verdict verdict = {.stop = false};
        bp_point_draft_begin(run->draft);
        draft_step(run, &report, due);
        if (evaluates && report.finite)
            status = end_epoch(&verdict, run, error);
        const bp_measured point =
            bp_point_draft_measured(run->draft, run->progress.step, run->progress.epoch);
        if (status == BP_OK && bp_trainer_interrupted(run->trainer))
            status = bp_error_set(error, BP_CANCELLED, NULL, "stopped");
        else if (status == BP_OK)
            status = bp_metric_recorder_add(run->recorder, &point, error);
        if (status == BP_OK)
            log_step(run, &verdict, report.finite);
    }
    if (status == BP_OK && !report.finite)
        status = bp_error_set(error, BP_NOT_FINITE, NULL, "diverged");
    const uint64_t now_ns = bp_clock_monotonic_ns();
    if (now_ns - run->published_ns >= (uint64_t)PUBLISH_INTERVAL_MS * 1000000)
        publish(run, now_ns);
    if (status == BP_OK)
        status = bp_run_checkpoints_tick(run->checkpoints, &run->progress, now_ns, error);
    if (status == BP_OK)
        status = bp_metric_recorder_tick(run->recorder, &run->progress, now_ns, error);
    return status;
}

static void hurry_if_stopping(bp_run *run)
{
    if (atomic_load_explicit(&run->stop, memory_order_relaxed) != 1 + BP_STOP_DAEMON)
        return;
    const uint64_t since = atomic_load_explicit(&run->stop_ns, memory_order_relaxed);
    bp_run_checkpoints_hurry(run->checkpoints, since + (uint64_t)CHECKPOINT_GRACE_MS * 1000000);
}

/* The last one is written, or given up for want of time; its memory is free. */
static void end_checkpoints(bp_run *run)
{
    if (run->checkpoints)
        hurry_if_stopping(run);
    bp_run_checkpoints_free(run->checkpoints);
    run->checkpoints = NULL;
}

/* BP_CANCELLED, after a checkpoint to go on from where one is wanted. */
static bp_status stop_here(bp_run *run, bp_error *error)
{
    const bool pauses = atomic_load_explicit(&run->stop, memory_order_relaxed) == 1 + BP_STOP_PAUSE;
    bp_status status = BP_OK;
    hurry_if_stopping(run);
    if (is_to_be_kept(run) && run->progress.step > run->begun_step)
        status = bp_run_checkpoints_take(run->checkpoints, pauses ? "paused" : "stopped",
                                         &run->progress, error);
    return status == BP_OK ? bp_error_set(error, BP_CANCELLED, NULL, "stopped") : status;
}

static size_t parameter_count(const bp_network *network)
{
    size_t count = 0;
    for (size_t i = 0; i < bp_network_tensor_count(network); i++)
        count += bp_network_tensor(network, i).element_count;
    return count;
}

/* What a training's row_count counts. */
static const char *row_noun(const bp_job_spec *spec)
{
    if (!bp_task_is_of_corpus(spec->task))
        return "rows";
    if (bp_loss_of(spec->training.network.loss.member)->paired)
        return "pairs of windows";
    return spec->corpus.rule.unit == BP_UNIT_CHARACTER ? "characters" : "words";
}

static bp_status take_all_steps(bp_run *run, bp_error *error)
{
    const bp_position begun = bp_trainer_position(run->trainer);
    run->begun_step = run->progress.step = begun.step;
    run->progress.epoch = begun.step > 0 ? (begun.step - 1) / begun.steps_per_epoch + 1 : 0;
    run->progress.steps = begun.step_limit;
    run->begun_ns = run->published_ns = bp_clock_monotonic_ns();
    publish(run, run->begun_ns);
    if (!run->resumed)
        bp_job_log(run->services->store, run->job, BP_JOB_LOG_INFO, "begun",
                   "training begins: %zu %s, %zu parameters, %zu threads, %llu steps",
                   run->data.training.row_count, row_noun(run->spec),
                   parameter_count(bp_trainer_network(run->trainer)), run->spec->threads,
                   (unsigned long long)begun.step_limit);
    bp_status status = BP_OK;
    while (status == BP_OK && !bp_trainer_finished(run->trainer)) {
        if (is_stopped(run))
            status = stop_here(run, error);
        else
            status = take_step(run, error);
    }
    if (status == BP_OK)
        status = bp_run_checkpoints_take(run->checkpoints, "end", &run->progress, error);
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

static bp_status conclude(bp_run *run, bp_error *error)
{
    (void)bp_trainer_restore_best(run->trainer); /* false: none are kept, the last ones it is */
    json_t *metrics = bp_metric_recorder_summary(run->recorder);
    bp_status status =
        metrics ? BP_OK : bp_error_set(error, BP_NO_MEMORY, NULL, "no memory for metrics");
    if (status == BP_OK)
        status = bp_parts_evaluate_full(metrics, run->evaluation, error);
    /* The last checkpoint is written, and its snapshot goes before the result, a copy of the weights, comes:
     * the memory that a job needs holds one of them. */
    end_checkpoints(run);
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
    if (outcome->end == BP_RUN_SUCCEEDED &&
        bp_trainer_watch_state(run->trainer).early_stopping.stopped)
        snprintf(outcome->reason, sizeof outcome->reason, "early_stopping");
    if (outcome->end != BP_RUN_FAILED)
        return;
    bp_log(BP_LOG_WARNING, "training failed", "job=%lld status=\"%s\" where=\"%s\" error=\"%s\"",
           (long long)run->job, bp_status_text(status), error->where, error->message);
    if (run->gate_failed)
        snprintf(outcome->reason, sizeof outcome->reason, "gradient_check");
    else if (status == BP_NOT_FINITE && run->trainer)
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
    if (status == BP_OK && run->spec->gradient_check && !run->resumed)
        status = pass_gate(run, &error);
    if (status == BP_OK)
        status = take_all_steps(run, &error);
    if (status == BP_OK)
        status = conclude(run, &error);
    if (status == BP_OK)
        status = bp_verification_compare(run->services->store, run->job, is_stopped, run, &error);
    describe_end(run, status, &error);
    end_checkpoints(run);
    bp_metric_recorder_free(run->recorder);
    bp_point_draft_free(run->draft);
    bp_part_evaluation_free(run->evaluation);
    bp_trainer_free(run->trainer);
    bp_thread_pool_free(run->pool);
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

void bp_run_stop(bp_run *run, bp_run_stop_kind kind)
{
    int before = STOP_NOT;
    atomic_store_explicit(&run->stop_ns, bp_clock_monotonic_ns(), memory_order_relaxed);
    if (kind == BP_STOP_CANCEL)
        atomic_store_explicit(&run->stop, 1 + BP_STOP_CANCEL, memory_order_relaxed);
    else
        (void)atomic_compare_exchange_strong_explicit(&run->stop, &before, 1 + (int)kind,
                                                      memory_order_relaxed, memory_order_relaxed);
}

void bp_run_join(bp_run *run, bp_run_outcome *out)
{
    pthread_join(run->thread, NULL);
    *out = run->outcome;
    free(run);
}
