/* Those who wait for news of a job: points beyond a seq, its end, or a time. Main thread only. */
#ifndef BP_SERVER_JOB_WATCHERS_H
#define BP_SERVER_JOB_WATCHERS_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "core/base/error.h"

typedef struct bp_watchers bp_watchers;

typedef struct bp_watch {
    int64_t job;
    uint64_t after;       /* seq */
    uint64_t deadline_ms; /* of uv_now */
    void (*notify)(void *context);
    void *context;
} bp_watch;

BP_CHECK_RESULT bp_status bp_watchers_create(bp_watchers **out, uv_loop_t *loop, bp_error *error);
/* Calls notify at once when there is no memory. */
void bp_watchers_add(bp_watchers *watchers, const bp_watch *watch);
/* Notifies those who wait for points of `job` before seq. finished: all who wait for the job. */
void bp_watchers_wake(bp_watchers *watchers, int64_t job, uint64_t seq, bool finished);
void bp_watchers_wake_all(bp_watchers *watchers);
/* Closes the timer; freed once the loop has run. Nobody waits any more (asserted). Accepts NULL. */
void bp_watchers_free(bp_watchers *watchers);

#endif
