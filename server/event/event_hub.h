/* Event streams of jobs: who reads along, and what wakes them.
 *
 * The hub's thread reads what a commit has added to a job somebody listens to, once, and writes it as one
 * immutable piece of text that all streams at the head of the job share. A stream that is further back
 * (new, or slow) reads the store itself, a bounded piece at a time, until it has caught up. The latest
 * pieces are kept up to a limit for all jobs together, and a stream holds one piece at most, so memory
 * is bounded whatever subscribers do; nobody waits for a stream.
 *
 * A stream belongs to one thread at a time. Under the hub's lock: the list of jobs, their heads and
 * pieces, and whether a stream sleeps. The lock is taken before those of sleep and wake. */
#ifndef BP_SERVER_EVENT_EVENT_HUB_H
#define BP_SERVER_EVENT_EVENT_HUB_H

#include <sys/types.h>

#include "server/event/event_feed.h"
#include "server/store/store.h"

typedef struct bp_event_hub bp_event_hub;
typedef struct bp_event_stream bp_event_stream;

enum { BP_EVENT_HEARTBEAT_MS = 15000 };

/* Starts the thread and listens to the store. A stream that has sent nothing for heartbeat_ms sends a
 * comment, so that a broken connection is noticed. */
BP_CHECK_RESULT bp_status bp_event_hub_create(bp_event_hub **out, bp_store *store,
                                              unsigned heartbeat_ms, bp_error *error);
/* After the last stream has been closed and before the store is. Joins the thread. Accepts NULL. */
void bp_event_hub_free(bp_event_hub *hub);

/* How a stream's owner is put to sleep and woken; both are called with the hub's lock held. */
typedef struct bp_event_sleeper {
    /* In bp_event_stream_read, when there is nothing to send. False: the owner must not sleep, and the
     * stream ends. */
    bool (*sleep)(void *context);
    /* Once for each sleep, on any thread: there may be something. */
    void (*wake)(void *context);
    void *context;
} bp_event_sleeper;

/* A stream of what comes after an event id (bp_event_position_id; 0: of everything). *out is NULL when
 * the job has finished and there is nothing more. BP_NOT_FOUND (job), BP_INVALID (id), BP_NO_MEMORY. A
 * thread with a reader. */
BP_CHECK_RESULT bp_status bp_event_stream_open(bp_event_stream **out, bp_event_hub *hub,
                                               int64_t job, uint64_t after_id,
                                               const bp_event_sleeper *sleeper, bp_error *error);

enum { BP_EVENT_STREAM_ASLEEP = 0, BP_EVENT_STREAM_ENDED = -1, BP_EVENT_STREAM_BROKEN = -2 };

/* Copies up to `size` bytes of text; > 0: how many. ASLEEP: the owner sleeps. ENDED: the job has finished
 * and everything has been sent, or the owner must not sleep. BROKEN: cannot be read on. A thread with a
 * reader. Takes a few milliseconds at most. */
ssize_t bp_event_stream_read(bp_event_stream *stream, char *bytes, size_t size);

/* Asleep or not; wake is not called any more when this returns. Accepts NULL. */
void bp_event_stream_close(bp_event_stream *stream);

#endif
