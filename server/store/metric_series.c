#include "server/store/metric_series.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/checked.h"

static bp_status no_memory(bp_error *error)
{
    return bp_error_set(error, BP_NO_MEMORY, NULL, "no memory for metrics");
}

/* Values of one more, or of a wider, span: up to `wanted` in all. */
static bp_status make_value_room(bp_metric_series *series, size_t wanted, bp_error *error)
{
    if (wanted <= series->value_room)
        return BP_OK;
    size_t room = series->value_room ? series->value_room : 64;
    while (room < wanted)
        if (!bp_checked_multiply(&room, room, 2))
            return no_memory(error);
    double *values = reallocarray(series->values, room, sizeof *values);
    if (!values)
        return no_memory(error);
    series->values = values;
    series->value_room = room;
    return BP_OK;
}

bp_status bp_metric_series_add(bp_metric_series *series, const bp_metric_span *span,
                               bp_error *error)
{
    if (series->count == series->room) {
        const size_t room = series->room ? 2 * series->room : 8;
        bp_metric_entry *entries = reallocarray(series->entries, room, sizeof *entries);
        if (!entries)
            return no_memory(error);
        series->entries = entries;
        series->room = room;
    }
    const size_t count = span->set->count;
    const bp_status status = make_value_room(series, series->value_count + 3 * count, error);
    if (status != BP_OK)
        return status;
    double *values = series->values + series->value_count;
    if (count > 0) {
        memcpy(values, span->minima, count * sizeof *values);
        memcpy(values + count, span->maxima, count * sizeof *values);
        memcpy(values + 2 * count, span->latest, count * sizeof *values);
    }
    series->entries[series->count++] = (bp_metric_entry){.first_seq = span->first_seq,
                                                         .seq = span->seq,
                                                         .step = span->step,
                                                         .epoch = span->epoch,
                                                         .time_us = span->time_us,
                                                         .set = span->set,
                                                         .first_value = series->value_count};
    series->value_count += 3 * count;
    return BP_OK;
}

/* ---- merging ---- */

static double smaller(double a, double b)
{
    return b < a || isnan(a) ? b : a;
}

static double larger(double a, double b)
{
    return b > a || isnan(a) ? b : a;
}

/* Where a name stands in a set; set->count: nowhere. guess: looked at first. */
static size_t index_of(const bp_metric_set *set, const char *name, size_t guess)
{
    for (size_t i = 0; i < set->count; i++) {
        const size_t at = (guess + i) % set->count;
        if (strcmp(set->names[at], name) == 0)
            return at;
    }
    return set->count;
}

/* The names of a, then those that only b has. */
static bp_status join_sets(const bp_metric_set **out, bp_metric_set **sets, const bp_metric_set *a,
                           const bp_metric_set *b, bp_error *error)
{
    const char **names = calloc(a->count + b->count + 1, sizeof *names);
    if (!names)
        return no_memory(error);
    size_t count = 0;
    while (count < a->count) {
        names[count] = a->names[count];
        count++;
    }
    for (size_t i = 0; i < b->count; i++)
        if (index_of(a, b->names[i], i) == a->count)
            names[count++] = b->names[i];
    bp_status status = BP_OK;
    if (count == a->count)
        *out = a;
    else
        status = bp_metric_set_of(out, sets, names, count, error);
    free(names);
    return status;
}

/* Lays the last span out for more names, which come behind its own; theirs are NaN. */
static bp_status widen_last(bp_metric_series *series, const bp_metric_set *set, bp_error *error)
{
    bp_metric_entry *entry = &series->entries[series->count - 1];
    const size_t old = entry->set->count, new = set->count;
    const bp_status status = make_value_room(series, entry->first_value + 3 * new, error);
    if (status != BP_OK)
        return status;
    double *values = series->values + entry->first_value;
    for (size_t part = 3; part-- > 0;) {
        memmove(values + part * new, values + part * old, old * sizeof *values);
        for (size_t i = old; i < new; i++)
            values[part * new + i] = NAN;
    }
    entry->set = set;
    series->value_count = entry->first_value + 3 * new;
    return BP_OK;
}

static void merge_values(double *values, size_t width, size_t at, const bp_metric_span *span,
                         size_t from)
{
    values[at] = smaller(values[at], span->minima[from]);
    values[width + at] = larger(values[width + at], span->maxima[from]);
    values[2 * width + at] = span->latest[from];
}

bp_status bp_metric_series_merge(bp_metric_series *series, bp_metric_set **sets,
                                 const bp_metric_span *span, bp_error *error)
{
    bp_metric_entry *entry = &series->entries[series->count - 1];
    const bp_metric_set *joined = entry->set;
    if (span->set != joined) {
        bp_status status = join_sets(&joined, sets, entry->set, span->set, error);
        if (status == BP_OK && joined != entry->set)
            status = widen_last(series, joined, error);
        if (status != BP_OK)
            return status;
    }
    double *values = series->values + entry->first_value;
    size_t at = 0;
    for (size_t i = 0; i < span->set->count; i++) {
        at = span->set == joined ? i : index_of(joined, span->set->names[i], at);
        merge_values(values, joined->count, at, span, i);
        at++;
    }
    entry->seq = span->seq;
    entry->step = span->step;
    entry->epoch = span->epoch;
    entry->time_us = span->time_us;
    return BP_OK;
}

/* ---- views ---- */

bp_metric_span bp_metric_series_at(const bp_metric_series *series, size_t index)
{
    const bp_metric_entry *entry = &series->entries[index];
    const double *values = series->values + entry->first_value;
    const size_t count = entry->set->count;
    return (bp_metric_span){.first_seq = entry->first_seq,
                            .seq = entry->seq,
                            .step = entry->step,
                            .epoch = entry->epoch,
                            .time_us = entry->time_us,
                            .set = entry->set,
                            .minima = values,
                            .maxima = values + count,
                            .latest = values + 2 * count};
}

bp_metric_span bp_metric_span_of(const bp_metric_page *page, const bp_metric_point *point)
{
    const double *values = bp_metric_page_values(page, point);
    return (bp_metric_span){.first_seq = point->seq,
                            .seq = point->seq,
                            .step = point->step,
                            .epoch = point->epoch,
                            .time_us = point->time_us,
                            .set = point->set,
                            .minima = values,
                            .maxima = values,
                            .latest = values};
}

void bp_metric_series_clear(bp_metric_series *series)
{
    series->count = series->value_count = 0;
}

void bp_metric_series_done(bp_metric_series *series)
{
    bp_metric_sets_free(series->sets);
    free(series->entries);
    free(series->values);
    *series = (bp_metric_series){0};
}
