/* A job's events in the database: changes of its state, checkpoints, log lines. Each has its place among
 * the metric points: after those that are stored when it is appended. */
#ifndef BP_SERVER_STORE_EVENT_STORE_H
#define BP_SERVER_STORE_EVENT_STORE_H

#include <jansson.h>
#include <sqlite3.h>
#include <stdint.h>

#include "core/base/error.h"

/* type: "state", "checkpoint" or "log". data: the event's object, stolen, NULL counts as no memory. In the
 * transaction of a write. A job with two million events gets no more but those of its state. */
BP_CHECK_RESULT bp_status bp_event_store_append(sqlite3 *database, int64_t job, const char *type,
                                                json_t *data, int64_t now_us, bp_error *error);

/* The same behind point after_seq. No earlier transaction has stored a later point, or readers who are
 * past it would miss the event. */
BP_CHECK_RESULT bp_status bp_event_store_append_after(sqlite3 *database, int64_t job,
                                                      uint64_t after_seq, const char *type,
                                                      json_t *data, int64_t now_us,
                                                      bp_error *error);

#endif
