#include "server/store/metric_store.h"

#include <string.h>

#include "server/store/database.h"

const char *const bp_metric_names[BP_METRIC_COUNT] = {
#define METRIC_TEXT(name, text) text,
    BP_METRIC_LIST(METRIC_TEXT)
#undef METRIC_TEXT
};

/* bp_metric_names as JSON: which metric each bit of `present` stands for, kept with the job so that a
 * later list in another order still reads these rows. */
#define NAMES_TEXT(name, text) ",\"" text "\""
static const char names_json[] = "[" BP_METRIC_LIST(NAMES_TEXT) "]";

enum { VALUE_BYTES = 8 };

static void put_value(unsigned char *out, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    for (int i = 0; i < VALUE_BYTES; i++)
        out[i] = (unsigned char)(bits >> 8 * i);
}

static double get_value(const unsigned char *in)
{
    uint64_t bits = 0;
    for (int i = 0; i < VALUE_BYTES; i++)
        bits |= (uint64_t)in[i] << 8 * i;
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static bp_status name_metrics(sqlite3 *database, int64_t job, bp_error *error)
{
    /* The list begins with a comma after its bracket: the macro cannot know which entry is first. */
    char names[sizeof names_json];
    names[0] = '[';
    memcpy(names + 1, names_json + 2, sizeof names_json - 2);
    sqlite3_stmt *statement = NULL;
    const bp_status status = bp_database_prepare(
        &statement, database, "UPDATE jobs SET metric_names = ?2 WHERE id = ?1", error);
    if (status != BP_OK)
        return status;
    sqlite3_bind_int64(statement, 1, job);
    sqlite3_bind_text(statement, 2, names, -1, SQLITE_STATIC);
    const bp_status outcome = bp_database_step_done(statement, error);
    sqlite3_finalize(statement);
    return outcome;
}

bp_status bp_metric_store_append(sqlite3 *database, int64_t job, const bp_metric_point *points,
                                 size_t count, bp_error *error)
{
    bp_status status = BP_OK;
    if (count > 0 && points[0].seq == 1)
        status = name_metrics(database, job, error);
    sqlite3_stmt *statement = NULL;
    if (status == BP_OK)
        status = bp_database_prepare(
            &statement, database,
            "INSERT INTO metrics (job_id, seq, step, epoch, time, present, \"values\") "
            "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            error);
    for (size_t i = 0; i < count && status == BP_OK; i++) {
        const bp_metric_point *point = &points[i];
        unsigned char values[BP_METRIC_COUNT * VALUE_BYTES];
        int size = 0;
        for (unsigned j = 0; j < BP_METRIC_COUNT; j++)
            if (point->present >> j & 1) {
                put_value(values + size, point->values[j]);
                size += VALUE_BYTES;
            }
        sqlite3_bind_int64(statement, 1, job);
        sqlite3_bind_int64(statement, 2, (sqlite3_int64)point->seq);
        sqlite3_bind_int64(statement, 3, (sqlite3_int64)point->step);
        sqlite3_bind_int64(statement, 4, (sqlite3_int64)point->epoch);
        sqlite3_bind_int64(statement, 5, point->time_us);
        sqlite3_bind_int64(statement, 6, point->present);
        sqlite3_bind_blob(statement, 7, values, size, SQLITE_STATIC);
        status = bp_database_step_done(statement, error);
    }
    sqlite3_finalize(statement);
    return status;
}

static bp_status read_row(bp_metric_point *out, sqlite3_stmt *statement, bp_error *error)
{
    *out = (bp_metric_point){.seq = (uint64_t)sqlite3_column_int64(statement, 0),
                             .step = (uint64_t)sqlite3_column_int64(statement, 1),
                             .epoch = (uint64_t)sqlite3_column_int64(statement, 2),
                             .time_us = sqlite3_column_int64(statement, 3),
                             .present = (uint32_t)sqlite3_column_int64(statement, 4)};
    const unsigned char *values = sqlite3_column_blob(statement, 5);
    const int size = sqlite3_column_bytes(statement, 5);
    if (out->present >> BP_METRIC_COUNT != 0 ||
        size != VALUE_BYTES * __builtin_popcount(out->present) || (size > 0 && !values))
        return bp_error_set(error, BP_CORRUPT, NULL, "metric point %llu cannot be read",
                            (unsigned long long)out->seq);
    for (unsigned i = 0; i < BP_METRIC_COUNT; i++)
        if (out->present >> i & 1) {
            out->values[i] = get_value(values);
            values += VALUE_BYTES;
        }
    return BP_OK;
}

bp_status bp_metric_store_read(size_t *out_count, bp_metric_point *points, sqlite3 *database,
                               int64_t job, uint64_t after, size_t limit, bp_error *error)
{
    sqlite3_stmt *statement = NULL;
    bp_status status =
        bp_database_prepare(&statement, database,
                            "SELECT seq, step, epoch, time, present, \"values\" FROM metrics "
                            "WHERE job_id = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3",
                            error);
    if (status != BP_OK)
        return status;
    sqlite3_bind_int64(statement, 1, job);
    sqlite3_bind_int64(statement, 2, after > INT64_MAX ? INT64_MAX : (sqlite3_int64)after);
    sqlite3_bind_int64(statement, 3, (sqlite3_int64)limit);
    size_t count = 0;
    int code = SQLITE_DONE;
    while (status == BP_OK && count < limit && (code = sqlite3_step(statement)) == SQLITE_ROW)
        status = read_row(&points[count++], statement, error);
    if (status == BP_OK && code != SQLITE_DONE && code != SQLITE_ROW)
        status = bp_database_error(database, code, "reading metrics", error);
    sqlite3_finalize(statement);
    if (status == BP_OK)
        *out_count = count;
    return status;
}

bp_status bp_metric_store_last(uint64_t *out, sqlite3 *database, int64_t job, bp_error *error)
{
    sqlite3_stmt *statement = NULL;
    bp_status status = bp_database_prepare(
        &statement, database, "SELECT coalesce(max(seq), 0) FROM metrics WHERE job_id = ?1", error);
    if (status != BP_OK)
        return status;
    sqlite3_bind_int64(statement, 1, job);
    const int code = sqlite3_step(statement);
    if (code == SQLITE_ROW)
        *out = (uint64_t)sqlite3_column_int64(statement, 0);
    else
        status = bp_database_error(database, code, "reading metrics", error);
    sqlite3_finalize(statement);
    return status;
}
