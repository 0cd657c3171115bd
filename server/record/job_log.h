/* Log lines of a job: events of type "log", which its event stream shows. */
#ifndef BP_SERVER_RECORD_JOB_LOG_H
#define BP_SERVER_RECORD_JOB_LOG_H

#include <jansson.h>
#include <stdarg.h>

#include "server/store/store.h"

typedef enum bp_job_log_level { BP_JOB_LOG_INFO, BP_JOB_LOG_WARNING } bp_job_log_level;

/* Sends the store {"level", "code", "message"}, to be appended behind the metric points that are stored by
 * then. code: what happened, for programs ("resumed"); static. Does not wait for the commit; a line that
 * finds no memory or no space is given up with a word in the daemon's log. Any thread but the store's.
 * What belongs to a certain point is said through bp_metric_recorder_log instead. */
void bp_job_log(bp_store *store, int64_t job, bp_job_log_level level, const char *code,
                const char *format, ...) __attribute__((format(printf, 5, 6)));

/* The event's object; cut off at some 500 bytes. A new reference; NULL: no memory. */
json_t *bp_job_log_json(bp_job_log_level level, const char *code, const char *format,
                        va_list values) __attribute__((format(printf, 3, 0)));

#endif
