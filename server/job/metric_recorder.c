#include "server/job/metric_recorder.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "schema/json/json_text.h"
#include "server/base/clock.h"
#include "server/store/job_store.h"

typedef struct point_group {
    bp_write write; /* first */
    bp_metric_recorder *recorder;
    bp_progress progress;
    char *summary; /* JSON; NULL: none */
    size_t count;
    bp_metric_point points[BP_POINT_GROUP_LIMIT];
} point_group;

struct bp_metric_recorder {
    bp_store *store;
    int64_t job;
    void (*committed)(void *context, int64_t job, uint64_t seq);
    void *context;

    uint64_t seq;         /* of the last point taken */
    uint64_t stored_last; /* points up to this one are compared */
    bp_metric_point latest, best;
    uint64_t sent_ns;

    /* Points of the earlier run, read ahead. */
    bp_metric_point *known;
    size_t known_count, known_next;

    point_group *filling, *sent; /* swapped at each sending */

    pthread_mutex_t mutex; /* guards the three below */
    pthread_cond_t answered;
    bool on_its_way;
    bp_status status;
    bp_error error;
};

/* ---- the group on the store thread ---- */

static bp_status apply_group(bp_write *write, sqlite3 *database, bp_error *error)
{
    const point_group *group = (const point_group *)write;
    const int64_t job = group->recorder->job;
    bp_status status = bp_metric_store_append(database, job, group->points, group->count, error);
    if (status == BP_OK)
        status = bp_job_store_progress(database, job, group->progress.epoch, group->progress.step,
                                       group->progress.steps, group->summary, error);
    return status;
}

static void group_done(bp_write *write, bp_status status, const bp_error *error)
{
    point_group *group = (point_group *)write;
    bp_metric_recorder *recorder = group->recorder;
    if (status == BP_OK && group->count > 0)
        recorder->committed(recorder->context, recorder->job, group->points[group->count - 1].seq);
    pthread_mutex_lock(&recorder->mutex);
    if (status != BP_OK && recorder->status == BP_OK) {
        recorder->status = status;
        recorder->error = *error;
    }
    recorder->on_its_way = false;
    pthread_cond_signal(&recorder->answered);
    pthread_mutex_unlock(&recorder->mutex);
}

/* ---- the trainer's side ---- */

bp_status bp_metric_recorder_create(bp_metric_recorder **out, bp_store *store, int64_t job,
                                    void (*committed)(void *context, int64_t job, uint64_t seq),
                                    void *context, bp_error *error)
{
    bp_metric_recorder *recorder = calloc(1, sizeof *recorder);
    if (!recorder)
        return bp_error_set(error, BP_NO_MEMORY, NULL, "no memory for metrics");
    pthread_mutex_init(&recorder->mutex, NULL);
    pthread_cond_init(&recorder->answered, NULL);
    recorder->store = store;
    recorder->job = job;
    recorder->committed = committed;
    recorder->context = context;
    recorder->filling = calloc(1, sizeof *recorder->filling);
    recorder->sent = calloc(1, sizeof *recorder->sent);
    bp_status status = BP_OK;
    if (!recorder->filling || !recorder->sent)
        status = bp_error_set(error, BP_NO_MEMORY, NULL, "no memory for metrics");
    sqlite3 *database = NULL;
    if (status == BP_OK)
        status = bp_store_reader(&database, store, error);
    if (status == BP_OK)
        status = bp_metric_store_last(&recorder->stored_last, database, job, error);
    if (status == BP_OK && recorder->stored_last > 0) {
        recorder->known = calloc(BP_POINT_GROUP_LIMIT, sizeof *recorder->known);
        if (!recorder->known)
            status = bp_error_set(error, BP_NO_MEMORY, NULL, "no memory for metrics");
    }
    if (status != BP_OK) {
        bp_metric_recorder_free(recorder);
        return status;
    }
    *out = recorder;
    return BP_OK;
}

/* Loss and learning rate down, accuracy up: the better of two values. */
static double better(bp_metric metric, double a, double b)
{
    const bool larger = metric == BP_METRIC_ACCURACY || metric == BP_METRIC_VALIDATION_ACCURACY;
    if (isnan(a))
        return b;
    if (isnan(b))
        return a;
    return (a > b) == larger ? a : b;
}

static void summarize(bp_metric_recorder *recorder, const bp_metric_point *point)
{
    static const bp_metric judged[] = {BP_METRIC_LOSS, BP_METRIC_ACCURACY,
                                       BP_METRIC_VALIDATION_LOSS, BP_METRIC_VALIDATION_ACCURACY};
    for (size_t i = 0; i < sizeof judged / sizeof *judged; i++) {
        const bp_metric metric = judged[i];
        if (!(point->present >> metric & 1))
            continue;
        double *best = &recorder->best.values[metric];
        *best = recorder->best.present >> metric & 1 ? better(metric, *best, point->values[metric])
                                                     : point->values[metric];
        recorder->best.present |= 1u << metric;
    }
    for (unsigned i = 0; i < BP_METRIC_COUNT; i++)
        if (point->present >> i & 1)
            recorder->latest.values[i] = point->values[i];
    recorder->latest.present |= point->present;
}

static bool same_bits(const bp_metric_point *a, const bp_metric_point *b)
{
    if (a->step != b->step || a->epoch != b->epoch || a->present != b->present)
        return false;
    for (unsigned i = 0; i < BP_METRIC_COUNT; i++)
        if (a->present >> i & 1 && memcmp(&a->values[i], &b->values[i], sizeof(double)) != 0)
            return false;
    return true;
}

static bp_status compare_with_stored(bp_metric_recorder *recorder, const bp_metric_point *point,
                                     bp_error *error)
{
    if (recorder->known_next == recorder->known_count) {
        sqlite3 *database = NULL;
        bp_status status = bp_store_reader(&database, recorder->store, error);
        if (status == BP_OK)
            status =
                bp_metric_store_read(&recorder->known_count, recorder->known, database,
                                     recorder->job, point->seq - 1, BP_POINT_GROUP_LIMIT, error);
        if (status != BP_OK)
            return status;
        recorder->known_next = 0;
        if (recorder->known_count == 0)
            return bp_error_set(error, BP_CORRUPT, NULL, "stored metric points are missing");
    }
    const bp_metric_point *known = &recorder->known[recorder->known_next++];
    if (known->seq != point->seq || !same_bits(known, point))
        return bp_error_set(
            error, BP_CONFLICT, NULL,
            "the metric point at step %llu differs from the one that an earlier run "
            "of this job stored",
            (unsigned long long)point->step);
    return BP_OK;
}

static bp_status wait_for_group(bp_metric_recorder *recorder, bp_error *error)
{
    pthread_mutex_lock(&recorder->mutex);
    while (recorder->on_its_way)
        pthread_cond_wait(&recorder->answered, &recorder->mutex);
    const bp_status status = recorder->status;
    if (status != BP_OK && error && error->status == BP_OK)
        *error = recorder->error;
    pthread_mutex_unlock(&recorder->mutex);
    return status;
}

static bp_status send_group(bp_metric_recorder *recorder, const bp_progress *progress,
                            bp_error *error)
{
    const bp_status status = wait_for_group(recorder, error);
    if (status != BP_OK)
        return status;
    json_t *summary = bp_metric_recorder_summary(recorder);
    char *text = summary ? bp_json_text(summary, NULL) : NULL;
    json_decref(summary);
    if (!text)
        return bp_error_set(error, BP_NO_MEMORY, NULL, "no memory for metrics");
    point_group *group = recorder->filling;
    group->write = (bp_write){.apply = apply_group, .done = group_done};
    group->recorder = recorder;
    group->progress = *progress;
    free(group->summary);
    group->summary = text;
    recorder->filling = recorder->sent;
    recorder->filling->count = 0;
    recorder->sent = group;
    recorder->on_its_way = true; /* no group is: nobody else looks */
    recorder->sent_ns = bp_clock_monotonic_ns();
    bp_store_write(recorder->store, &group->write);
    return BP_OK;
}

bp_status bp_metric_recorder_add(bp_metric_recorder *recorder, const bp_metric_point *point,
                                 bp_error *error)
{
    bp_metric_point taken = *point;
    taken.seq = ++recorder->seq;
    summarize(recorder, &taken);
    if (taken.seq <= recorder->stored_last)
        return compare_with_stored(recorder, &taken, error);
    point_group *group = recorder->filling;
    if (group->count == BP_POINT_GROUP_LIMIT) {
        const bp_progress progress = {
            .epoch = point->epoch, .step = point->step, .steps = recorder->sent->progress.steps};
        const bp_status status = send_group(recorder, &progress, error);
        if (status != BP_OK)
            return status;
        group = recorder->filling;
    }
    taken.time_us = bp_clock_now_us();
    group->points[group->count++] = taken;
    return BP_OK;
}

bp_status bp_metric_recorder_tick(bp_metric_recorder *recorder, const bp_progress *progress,
                                  uint64_t now_ns, bp_error *error)
{
    if (recorder->filling->count == 0 ||
        now_ns - recorder->sent_ns < (uint64_t)BP_POINT_INTERVAL_MS * 1000000)
        return BP_OK;
    pthread_mutex_lock(&recorder->mutex);
    const bool busy = recorder->on_its_way;
    pthread_mutex_unlock(&recorder->mutex);
    return busy ? BP_OK : send_group(recorder, progress, error);
}

bp_status bp_metric_recorder_flush(bp_metric_recorder *recorder, const bp_progress *progress,
                                   bp_error *error)
{
    bp_status status = send_group(recorder, progress, error);
    if (status == BP_OK)
        status = wait_for_group(recorder, error);
    return status;
}

static json_t *values_json(const bp_metric_point *point)
{
    json_t *values = json_object();
    for (unsigned i = 0; i < BP_METRIC_COUNT; i++)
        if (point->present >> i & 1 &&
            json_object_set_new(values, bp_metric_names[i], bp_json_real(point->values[i])) != 0) {
            json_decref(values);
            return NULL;
        }
    return values;
}

json_t *bp_metric_recorder_summary(const bp_metric_recorder *recorder)
{
    json_t *summary = json_object();
    if (json_object_set_new(summary, "latest", values_json(&recorder->latest)) != 0 ||
        json_object_set_new(summary, "best", values_json(&recorder->best)) != 0) {
        json_decref(summary);
        return NULL;
    }
    return summary;
}

void bp_metric_recorder_free(bp_metric_recorder *recorder)
{
    if (!recorder)
        return;
    (void)!wait_for_group(recorder, NULL);
    pthread_cond_destroy(&recorder->answered);
    pthread_mutex_destroy(&recorder->mutex);
    if (recorder->filling)
        free(recorder->filling->summary);
    if (recorder->sent)
        free(recorder->sent->summary);
    free(recorder->filling);
    free(recorder->sent);
    free(recorder->known);
    free(recorder);
}
