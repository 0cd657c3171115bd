#include "server/record/job_log.h"

#include <stdio.h>
#include <stdlib.h>

#include "server/base/clock.h"
#include "server/base/log.h"
#include "server/store/event_store.h"

enum { MESSAGE_BYTES = 512 };

typedef struct log_write {
    bp_write write; /* first */
    int64_t job, now_us;
    json_t *data;
} log_write;

json_t *bp_job_log_json(bp_job_log_level level, const char *code, const char *format,
                        va_list values)
{
    char message[MESSAGE_BYTES];
    (void)vsnprintf(message, sizeof message, format, values);
    json_t *json = json_object(), *text = json_string(message);
    int failed = json_object_set_new(json, "level",
                                     json_string(level == BP_JOB_LOG_WARNING ? "warning" : "info"));
    failed |= json_object_set_new(json, "code", json_string(code));
    /* A name cut in the middle of a character is no UTF-8. */
    failed |= json_object_set_new(json, "message", text ? text : json_string(code));
    if (failed) {
        json_decref(json);
        return NULL;
    }
    return json;
}

static bp_status apply_log(bp_write *write, sqlite3 *database, bp_error *error)
{
    const log_write *self = (const log_write *)write;
    return bp_event_store_append(database, self->job, "log", json_incref(self->data), self->now_us,
                                 error);
}

static void log_written(bp_write *write, bp_status status, const bp_error *error)
{
    log_write *self = (log_write *)write;
    if (status != BP_OK)
        bp_log_error(BP_LOG_WARNING, "a job's log line is lost", error);
    json_decref(self->data);
    free(self);
}

void bp_job_log(bp_store *store, int64_t job, bp_job_log_level level, const char *code,
                const char *format, ...)
{
    log_write *self = calloc(1, sizeof *self);
    va_list values;
    va_start(values, format);
    json_t *data = bp_job_log_json(level, code, format, values);
    va_end(values);
    if (!self || !data) {
        bp_log(BP_LOG_WARNING, "no memory for a job's log line", "job=%lld code=%s", (long long)job,
               code);
        free(self);
        json_decref(data);
        return;
    }
    *self = (log_write){.write = {.apply = apply_log, .done = log_written, .waits_for_space = true},
                        .job = job,
                        .now_us = bp_clock_now_us(),
                        .data = data};
    bp_store_write(store, &self->write);
}
