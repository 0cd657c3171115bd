#include "server/store/rollup_store.h"

#include <stdlib.h>

#include "server/store/database.h"
#include "server/store/metric_store.h"

/* ---- writing ---- */

static int level_of(const bp_metric_span *span)
{
    int level = 1;
    while (bp_rollup_width(level) < span->seq - span->first_seq + 1)
        level++;
    return level;
}

/* buffer: room for 3·set->count values. */
static bp_status write_rollup(sqlite3_stmt *statement, int64_t job, const bp_metric_span *span,
                              unsigned char *buffer, bp_error *error)
{
    const size_t count = span->set->count;
    const int level = level_of(span);
    bp_metric_values_pack(buffer, span->minima, count);
    bp_metric_values_pack(buffer + count * BP_METRIC_VALUE_BYTES, span->maxima, count);
    bp_metric_values_pack(buffer + 2 * count * BP_METRIC_VALUE_BYTES, span->latest, count);
    sqlite3_bind_int64(statement, 1, job);
    sqlite3_bind_int(statement, 2, level);
    sqlite3_bind_int64(statement, 3, (sqlite3_int64)(span->seq / bp_rollup_width(level)) - 1);
    sqlite3_bind_int64(statement, 4, (sqlite3_int64)span->step);
    sqlite3_bind_int64(statement, 5, (sqlite3_int64)span->epoch);
    sqlite3_bind_int64(statement, 6, span->time_us);
    sqlite3_bind_int64(statement, 7, span->set->id);
    sqlite3_bind_blob64(statement, 8, buffer, 3 * count * BP_METRIC_VALUE_BYTES, SQLITE_STATIC);
    return bp_database_step_done(statement, error);
}

bp_status bp_rollup_store_append(sqlite3 *database, int64_t job, const bp_metric_series *rollups,
                                 bp_error *error)
{
    if (rollups->count == 0)
        return BP_OK;
    size_t most = 1;
    for (size_t i = 0; i < rollups->count; i++)
        if (rollups->entries[i].set->count > most)
            most = rollups->entries[i].set->count;
    unsigned char *buffer = calloc(most, 3 * BP_METRIC_VALUE_BYTES);
    if (!buffer)
        return bp_error_set(error, BP_NO_MEMORY, NULL, "no memory for metrics");
    sqlite3_stmt *statement = NULL;
    bp_status status = bp_database_prepare(
        &statement, database,
        "INSERT INTO metric_rollups (job_id, level, bucket, step, epoch, time, set_id, \"values\") "
        "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        error);
    bp_metric_sets_written written = {.count = 0};
    for (size_t i = 0; i < rollups->count && status == BP_OK; i++) {
        const bp_metric_span span = bp_metric_series_at(rollups, i);
        status = bp_metric_store_need_set(&written, database, job, span.set, error);
        if (status == BP_OK)
            status = write_rollup(statement, job, &span, buffer, error);
    }
    sqlite3_finalize(statement);
    free(buffer);
    return status;
}

/* ---- reading ---- */

/* Where spans go as they are read, in order: merged into buckets of a series that end at the multiples
 * of `width`. */
typedef struct span_reader {
    sqlite3 *database;
    int64_t job;
    bp_metric_set **sets;
    bp_metric_series *series;
    uint64_t width;
    double *buffer; /* of the row being read */
    size_t buffer_room;
} span_reader;

static bp_status take_span(span_reader *reader, const bp_metric_span *span, bp_error *error)
{
    const size_t count = reader->series->count;
    if (count > 0 && (reader->series->entries[count - 1].seq - 1) / reader->width ==
                         (span->seq - 1) / reader->width)
        return bp_metric_series_merge(reader->series, reader->sets, span, error);
    return bp_metric_series_add(reader->series, span, error);
}

static bp_status read_values(const double **out, span_reader *reader, sqlite3_stmt *row, int column,
                             size_t count, bp_error *error)
{
    const unsigned char *bytes = sqlite3_column_blob(row, column);
    const size_t size = (size_t)sqlite3_column_bytes(row, column);
    if (size != count * BP_METRIC_VALUE_BYTES || (size > 0 && !bytes))
        return bp_error_set(error, BP_CORRUPT, NULL, "metrics cannot be read");
    if (count > reader->buffer_room) {
        double *larger = reallocarray(reader->buffer, count, sizeof *larger);
        if (!larger)
            return bp_error_set(error, BP_NO_MEMORY, NULL, "no memory for metrics");
        reader->buffer = larger;
        reader->buffer_room = count;
    }
    bp_metric_values_unpack(reader->buffer, bytes, count);
    *out = reader->buffer;
    return BP_OK;
}

/* A row of metrics (level 0) or of metric_rollups: seq or bucket, step, epoch, time, set_id, values. */
static bp_status read_span(bp_metric_span *out, span_reader *reader, sqlite3_stmt *row, int level,
                           bp_error *error)
{
    const bp_metric_set *set = bp_metric_set_with_id(*reader->sets, sqlite3_column_int64(row, 4));
    if (!set)
        return bp_error_set(error, BP_CORRUPT, NULL, "the names of metrics are missing");
    const size_t parts = level == 0 ? 1 : 3;
    const double *values = NULL;
    const bp_status status = read_values(&values, reader, row, 5, parts * set->count, error);
    if (status != BP_OK)
        return status;
    const uint64_t number = (uint64_t)sqlite3_column_int64(row, 0);
    *out = (bp_metric_span){
        .first_seq = level == 0 ? number : number * bp_rollup_width(level) + 1,
        .seq = level == 0 ? number : (number + 1) * bp_rollup_width(level),
        .step = (uint64_t)sqlite3_column_int64(row, 1),
        .epoch = (uint64_t)sqlite3_column_int64(row, 2),
        .time_us = sqlite3_column_int64(row, 3),
        .set = set,
        .minima = values,
        .maxima = level == 0 ? values : values + set->count,
        .latest = level == 0 ? values : values + 2 * set->count,
    };
    return BP_OK;
}

static bp_status open_rows(sqlite3_stmt **out, span_reader *reader, int level, uint64_t from,
                           uint64_t to, bp_error *error)
{
    static const char *const points = "SELECT seq, step, epoch, time, set_id, \"values\" "
                                      "FROM metrics WHERE job_id = ?1 AND seq > ?2 AND seq <= ?3 "
                                      "ORDER BY seq";
    static const char *const rollups =
        "SELECT bucket, step, epoch, time, set_id, \"values\" FROM metric_rollups "
        "WHERE job_id = ?1 AND level = ?4 AND bucket >= ?2 AND bucket < ?3 ORDER BY bucket";
    const bp_status status =
        bp_database_prepare(out, reader->database, level == 0 ? points : rollups, error);
    if (status != BP_OK)
        return status;
    const uint64_t width = bp_rollup_width(level);
    sqlite3_bind_int64(*out, 1, reader->job);
    sqlite3_bind_int64(*out, 2, (sqlite3_int64)(from / width));
    sqlite3_bind_int64(*out, 3, (sqlite3_int64)(to / width));
    if (level > 0)
        sqlite3_bind_int64(*out, 4, level);
    return BP_OK;
}

static bp_status read_below(span_reader *reader, int level, uint64_t from, uint64_t to,
                            bp_error *error);

/* Reads first < seq ≤ end, both multiples of the width: by rows of `level`, by those below where one is
 * missing. */
static bp_status read_level(span_reader *reader, int level, uint64_t first, uint64_t end,
                            bp_error *error)
{
    sqlite3_stmt *rows = NULL;
    bp_status status = open_rows(&rows, reader, level, first, end, error);
    if (status != BP_OK)
        return status;
    uint64_t covered = first;
    int code = SQLITE_DONE;
    while (status == BP_OK && (code = sqlite3_step(rows)) == SQLITE_ROW) {
        bp_metric_span span;
        status = read_span(&span, reader, rows, level, error);
        if (status == BP_OK && span.first_seq > covered + 1) {
            status = read_below(reader, level, covered, span.first_seq - 1, error);
            if (status == BP_OK) /* again: the buffer was used */
                status = read_span(&span, reader, rows, level, error);
        }
        if (status == BP_OK)
            status = take_span(reader, &span, error);
        if (status == BP_OK)
            covered = span.seq;
    }
    if (status == BP_OK && code != SQLITE_DONE)
        status = bp_database_error(reader->database, code, "reading metrics", error);
    sqlite3_finalize(rows);
    return status == BP_OK ? read_below(reader, level, covered, end, error) : status;
}

/* Reads from < seq ≤ to by rows of `level` and, at the ends, of those below. */
static bp_status read_spans(span_reader *reader, int level, uint64_t from, uint64_t to,
                            bp_error *error)
{
    const uint64_t width = bp_rollup_width(level);
    const uint64_t first = (from + width - 1) / width * width, end = to / width * width;
    if (first >= end)
        return read_below(reader, level, from, to, error);
    bp_status status = read_below(reader, level, from, first, error);
    if (status == BP_OK)
        status = read_level(reader, level, first, end, error);
    if (status == BP_OK)
        status = read_below(reader, level, end, to, error);
    return status;
}

static bp_status read_below(span_reader *reader, int level, uint64_t from, uint64_t to,
                            bp_error *error)
{
    if (from >= to)
        return BP_OK;
    if (level == 0)
        return bp_error_set(error, BP_CORRUPT, NULL, "metric point %llu is missing",
                            (unsigned long long)from + 1);
    return read_spans(reader, level - 1, from, to, error);
}

bp_status bp_rollup_store_resume(bp_metric_rollup *rollup, bp_metric_set **sets, sqlite3 *database,
                                 int64_t job, uint64_t seq, bp_error *error)
{
    span_reader reader = {.database = database, .job = job, .sets = sets};
    bp_status status = BP_OK;
    for (int level = 1; status == BP_OK && level <= BP_ROLLUP_LEVELS; level++) {
        const uint64_t width = bp_rollup_width(level), part = bp_rollup_width(level - 1);
        reader.series = &rollup->begun[level - 1];
        reader.width = width;
        status = read_below(&reader, level, seq / width * width, seq / part * part, error);
    }
    free(reader.buffer);
    return status;
}

/* The smallest power of eight times 1 to 7 with which `limit` buckets are enough for after < seq ≤ last.
 * *out_level: of the power. */
static uint64_t choose_width(int *out_level, uint64_t after, uint64_t last, size_t limit)
{
    int level = 0;
    uint64_t times = 1, width = 1;
    while ((last - 1) / width - after / width >= limit) {
        if (++times == BP_ROLLUP_FACTOR) {
            level++;
            times = 1;
        }
        width = times * bp_rollup_width(level);
    }
    *out_level = level;
    return width;
}

bp_status bp_rollup_store_read(bp_metric_series *series, sqlite3 *database, int64_t job,
                               uint64_t after, uint64_t last, size_t limit, bp_error *error)
{
    if (after >= last)
        return BP_OK;
    const bp_status status = bp_metric_store_read_sets(&series->sets, database, job, error);
    if (status != BP_OK)
        return status;
    int level = 0;
    span_reader reader = {
        .database = database, .job = job, .sets = &series->sets, .series = series};
    reader.width = choose_width(&level, after, last, limit);
    const bp_status read = read_spans(&reader, level, after, last, error);
    free(reader.buffer);
    return read;
}
