#include "server/record/metric_recorder.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "schema/json/json_text.h"
#include "server/base/clock.h"
#include "server/base/log.h"
#include "server/store/event_store.h"
#include "server/store/job_store.h"
#include "server/store/rollup_store.h"

typedef struct log_line {
    struct log_line *next;
    uint64_t after_seq;
    int64_t now_us;
    json_t *data;
} log_line;

typedef struct point_group {
    bp_write write; /* first */
    bp_metric_recorder *recorder;
    bp_progress progress;
    char *summary;            /* JSON; NULL: none */
    bp_metric_page page;      /* of the recorder's sets */
    bp_metric_series rollups; /* that its points complete */
    log_line *first_line, **end_of_lines;
} point_group;

/* The latest value of a metric and, of those that say how good a network is, the best. */
typedef struct summary_entry {
    char *name;
    double latest, best;
    bool judged, larger_is_better;
} summary_entry;

struct bp_metric_recorder {
    bp_store *store;
    int64_t job;
    void (*committed)(void *context, int64_t job, uint64_t seq);
    void *context;

    uint64_t seq;         /* of the last point taken */
    uint64_t stored_last; /* points up to this one are compared */
    uint64_t sent_ns;

    /* Sets in use, those of the earlier run included. Immutable: the store thread reads them too. */
    bp_metric_set *sets;
    size_t summary_count, summary_room;
    summary_entry *summary;

    bp_metric_rollup rollup; /* of stored_last points and of those sent since */

    /* Points of the earlier run, read ahead. */
    bp_metric_page known;
    size_t known_next;

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
    bp_status status = bp_metric_store_append(database, job, &group->page, error);
    if (status == BP_OK)
        status = bp_rollup_store_append(database, job, &group->rollups, error);
    if (status == BP_OK)
        status = bp_job_store_progress(database, job, group->progress.epoch, group->progress.step,
                                       group->progress.steps, group->summary, error);
    for (log_line *line = group->first_line; line && status == BP_OK; line = line->next)
        status = bp_event_store_append_after(database, job, line->after_seq, "log",
                                             json_incref(line->data), line->now_us, error);
    return status;
}

static void drop_lines(point_group *group)
{
    while (group->first_line) {
        log_line *line = group->first_line;
        group->first_line = line->next;
        json_decref(line->data);
        free(line);
    }
    group->end_of_lines = &group->first_line;
}

static void group_done(bp_write *write, bp_status status, const bp_error *error)
{
    point_group *group = (point_group *)write;
    bp_metric_recorder *recorder = group->recorder;
    const bp_metric_page *page = &group->page;
    if (status == BP_OK && page->point_count > 0)
        recorder->committed(recorder->context, recorder->job,
                            page->points[page->point_count - 1].seq);
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
    if (recorder->filling)
        drop_lines(recorder->filling);
    if (recorder->sent)
        drop_lines(recorder->sent);
    sqlite3 *database = NULL;
    if (status == BP_OK)
        status = bp_store_reader(&database, store, error);
    if (status == BP_OK)
        status = bp_metric_store_last(&recorder->stored_last, database, job, error);
    if (status == BP_OK)
        status = bp_metric_store_read_sets(&recorder->sets, database, job, error);
    if (status == BP_OK)
        status = bp_rollup_store_resume(&recorder->rollup, &recorder->sets, database, job,
                                        recorder->stored_last, error);
    if (status != BP_OK) {
        bp_metric_recorder_free(recorder);
        return status;
    }
    *out = recorder;
    return BP_OK;
}

/* Accuracy up, loss down; nothing else is judged. */
static const struct {
    const char *name;
    bool larger_is_better;
} judged[] = {
    {"loss", false},
    {"accuracy", true},
    {"validation.loss", false},
    {"validation.accuracy", true},
    {"train.loss", false},
    {"train.accuracy", true},
    {"validation.entity_f1", true},
    {"validation.perplexity", false},
    {"validation.bits_per_character", false},
};

static double better(bool larger_is_better, double a, double b)
{
    if (isnan(a))
        return b;
    if (isnan(b))
        return a;
    return (a > b) == larger_is_better ? a : b;
}

/* The entry of a name, made where there is none. *from: where to look first, and after it the place
 * behind the entry: names come in one order, so the first look nearly always finds. */
static summary_entry *entry_of(bp_metric_recorder *recorder, const char *name, size_t *from)
{
    for (size_t i = 0; i < recorder->summary_count; i++) {
        const size_t at = (*from + i) % recorder->summary_count;
        if (strcmp(recorder->summary[at].name, name) == 0) {
            *from = at + 1;
            return &recorder->summary[at];
        }
    }
    if (recorder->summary_count == recorder->summary_room) {
        const size_t room = recorder->summary_room ? 2 * recorder->summary_room : 16;
        summary_entry *larger = reallocarray(recorder->summary, room, sizeof *larger);
        if (!larger)
            return NULL;
        recorder->summary = larger;
        recorder->summary_room = room;
    }
    char *copy = strdup(name);
    if (!copy)
        return NULL;
    summary_entry *entry = &recorder->summary[recorder->summary_count++];
    *entry = (summary_entry){.name = copy, .latest = NAN, .best = NAN};
    for (size_t i = 0; i < sizeof judged / sizeof *judged; i++)
        if (strcmp(judged[i].name, name) == 0) {
            entry->judged = true;
            entry->larger_is_better = judged[i].larger_is_better;
        }
    *from = recorder->summary_count;
    return entry;
}

static bp_status summarize(bp_metric_recorder *recorder, const bp_measured *measured,
                           bp_error *error)
{
    size_t from = 0;
    for (size_t i = 0; i < measured->count; i++) {
        summary_entry *entry = entry_of(recorder, measured->names[i], &from);
        if (!entry)
            return bp_error_set(error, BP_NO_MEMORY, NULL, "no memory for metrics");
        entry->latest = measured->values[i];
        if (entry->judged)
            entry->best = better(entry->larger_is_better, entry->best, measured->values[i]);
    }
    return BP_OK;
}

static bp_status compare_with_stored(bp_metric_recorder *recorder, const bp_metric_point *point,
                                     const double *values, bp_error *error)
{
    if (recorder->known_next == recorder->known.point_count) {
        bp_metric_page_done(&recorder->known);
        sqlite3 *database = NULL;
        bp_status status = bp_store_reader(&database, recorder->store, error);
        if (status == BP_OK)
            status = bp_metric_store_read(&recorder->known, database, recorder->job, point->seq - 1,
                                          BP_POINT_GROUP_LIMIT, error);
        if (status != BP_OK)
            return status;
        recorder->known_next = 0;
        if (recorder->known.point_count == 0)
            return bp_error_set(error, BP_CORRUPT, NULL, "stored metric points are missing");
    }
    const bp_metric_point *known = &recorder->known.points[recorder->known_next++];
    if (known->seq != point->seq || known->step != point->step || known->epoch != point->epoch ||
        known->set->id != point->set->id ||
        memcmp(bp_metric_page_values(&recorder->known, known), values,
               point->set->count * sizeof *values) != 0)
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
    group->write = (bp_write){.apply = apply_group, .done = group_done, .waits_for_space = true};
    group->recorder = recorder;
    group->progress = *progress;
    free(group->summary);
    group->summary = text;
    recorder->filling = recorder->sent;
    bp_metric_page_clear(&recorder->filling->page);
    drop_lines(recorder->filling);
    bp_metric_series_clear(&recorder->filling->rollups);
    recorder->sent = group;
    recorder->on_its_way = true; /* no group is: nobody else looks */
    recorder->sent_ns = bp_clock_monotonic_ns();
    bp_store_write(recorder->store, &group->write);
    return BP_OK;
}

bp_status bp_metric_recorder_add(bp_metric_recorder *recorder, const bp_measured *measured,
                                 bp_error *error)
{
    bp_metric_point point = {
        .seq = recorder->seq + 1, .step = measured->step, .epoch = measured->epoch};
    bp_status status =
        bp_metric_set_of(&point.set, &recorder->sets, measured->names, measured->count, error);
    if (status == BP_OK)
        status = summarize(recorder, measured, error);
    if (status != BP_OK)
        return status;
    recorder->seq = point.seq;
    if (point.seq <= recorder->stored_last)
        return compare_with_stored(recorder, &point, measured->values, error);
    if (recorder->filling->page.point_count == BP_POINT_GROUP_LIMIT) {
        const bp_progress progress = {.epoch = measured->epoch,
                                      .step = measured->step,
                                      .steps = recorder->sent->progress.steps};
        status = send_group(recorder, &progress, error);
        if (status != BP_OK)
            return status;
    }
    point.time_us = bp_clock_now_us();
    double *values = NULL;
    status = bp_metric_page_add(&values, &recorder->filling->page, &point, error);
    if (status == BP_OK && measured->count > 0)
        memcpy(values, measured->values, measured->count * sizeof *values);
    if (status == BP_OK) {
        const bp_metric_page *page = &recorder->filling->page;
        const bp_metric_span span = bp_metric_span_of(page, &page->points[page->point_count - 1]);
        status = bp_metric_rollup_add(&recorder->rollup, &recorder->filling->rollups,
                                      &recorder->sets, &span, error);
    }
    return status;
}

void bp_metric_recorder_log(bp_metric_recorder *recorder, bp_job_log_level level, const char *code,
                            const char *format, ...)
{
    /* The run that stored the point has stored what was said behind it, in the same transaction. */
    if (recorder->stored_last > 0 && recorder->seq <= recorder->stored_last)
        return;
    log_line *line = calloc(1, sizeof *line);
    va_list values;
    va_start(values, format);
    json_t *data = bp_job_log_json(level, code, format, values);
    va_end(values);
    if (!line || !data) {
        bp_log(BP_LOG_WARNING, "no memory for a job's log line", "job=%lld code=%s",
               (long long)recorder->job, code);
        free(line);
        json_decref(data);
        return;
    }
    *line = (log_line){.after_seq = recorder->seq, .now_us = bp_clock_now_us(), .data = data};
    *recorder->filling->end_of_lines = line;
    recorder->filling->end_of_lines = &line->next;
}

bp_status bp_metric_recorder_tick(bp_metric_recorder *recorder, const bp_progress *progress,
                                  uint64_t now_ns, bp_error *error)
{
    if ((recorder->filling->page.point_count == 0 && !recorder->filling->first_line) ||
        now_ns - recorder->sent_ns < (uint64_t)BP_POINT_INTERVAL_MS * 1000000)
        return BP_OK;
    pthread_mutex_lock(&recorder->mutex);
    const bool busy = recorder->on_its_way;
    pthread_mutex_unlock(&recorder->mutex);
    return busy ? BP_OK : send_group(recorder, progress, error);
}

bp_status bp_metric_recorder_resume(bp_metric_recorder *recorder, uint64_t seq,
                                    const json_t *summary, bp_error *error)
{
    const json_t *latest = json_object_get(summary, "latest");
    const json_t *best = json_object_get(summary, "best");
    const char *name;
    json_t *value;
    size_t from = 0;
    if (!json_is_object(latest) || !json_is_object(best) || seq > recorder->stored_last)
        return bp_error_set(error, BP_CORRUPT, NULL, "the metrics of a checkpoint cannot be read");
    json_object_foreach(bp_json_mutable(latest), name, value)
    {
        summary_entry *entry = entry_of(recorder, name, &from);
        if (!entry)
            return bp_error_set(error, BP_NO_MEMORY, NULL, "no memory for metrics");
        if (!bp_json_read_number(&entry->latest, value) ||
            (entry->judged && !bp_json_read_number(&entry->best, json_object_get(best, name))))
            return bp_error_set(error, BP_CORRUPT, NULL,
                                "the metrics of a checkpoint cannot be read");
    }
    recorder->seq = seq;
    return BP_OK;
}

uint64_t bp_metric_recorder_seq(const bp_metric_recorder *recorder)
{
    return recorder->seq;
}

bp_status bp_metric_recorder_send(bp_metric_recorder *recorder, const bp_progress *progress,
                                  bp_error *error)
{
    const point_group *filling = recorder->filling;
    return filling->page.point_count > 0 || filling->first_line
               ? send_group(recorder, progress, error)
               : BP_OK;
}

bp_status bp_metric_recorder_flush(bp_metric_recorder *recorder, const bp_progress *progress,
                                   bp_error *error)
{
    bp_status status = send_group(recorder, progress, error);
    if (status == BP_OK)
        status = wait_for_group(recorder, error);
    return status;
}

json_t *bp_metric_recorder_summary(const bp_metric_recorder *recorder)
{
    json_t *summary = json_object(), *latest = json_object(), *best = json_object();
    int failed = 0;
    for (size_t i = 0; i < recorder->summary_count; i++) {
        const summary_entry *entry = &recorder->summary[i];
        failed |= json_object_set_new(latest, entry->name, bp_json_real(entry->latest));
        if (entry->judged)
            failed |= json_object_set_new(best, entry->name, bp_json_real(entry->best));
    }
    failed |= json_object_set_new(summary, "latest", latest);
    failed |= json_object_set_new(summary, "best", best);
    if (failed) {
        json_decref(summary);
        return NULL;
    }
    return summary;
}

static void free_group(point_group *group)
{
    if (!group)
        return;
    free(group->summary);
    drop_lines(group);
    bp_metric_page_done(&group->page);
    bp_metric_series_done(&group->rollups);
    free(group);
}

void bp_metric_recorder_free(bp_metric_recorder *recorder)
{
    if (!recorder)
        return;
    (void)!wait_for_group(recorder, NULL);
    pthread_cond_destroy(&recorder->answered);
    pthread_mutex_destroy(&recorder->mutex);
    free_group(recorder->filling);
    free_group(recorder->sent);
    bp_metric_page_done(&recorder->known);
    bp_metric_rollup_done(&recorder->rollup);
    bp_metric_sets_free(recorder->sets);
    for (size_t i = 0; i < recorder->summary_count; i++)
        free(recorder->summary[i].name);
    free(recorder->summary);
    free(recorder);
}
