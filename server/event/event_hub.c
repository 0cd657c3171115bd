#include "server/event/event_hub.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "server/base/clock.h"
#include "server/base/log.h"
#include "server/base/thread.h"

enum {
    PIECES_BYTES = 8 << 20,     /* kept for all jobs */
    JOB_PIECES_BYTES = 1 << 20, /* for one */
    READ_AGAIN_MS = 1000        /* after a failed reading */
};

/* The first thing in every stream: when to come back after a break. */
static const char greeting[] = "retry: 1000\n\n";
static const char heartbeat[] = ": still here\n\n";

/* Text between two positions. Immutable. */
typedef struct piece {
    atomic_uint references;
    struct piece *next; /* of the job's; under the lock */
    bp_event_position begin, end;
    size_t size;
    char *bytes;
} piece;

/* A job that has streams. */
typedef struct event_topic {
    struct event_topic *next;
    int64_t job;
    bp_event_head head; /* what the pieces and the store's readers may go up to */
    bool dirty;         /* there may be more than head says */
    bool reading;       /* the thread is at it: not to be freed */
    uint64_t turn;      /* when it was last read; the longest ago comes first */
    size_t stream_count;
    bp_event_stream *streams;
    piece *oldest, *newest;
    size_t pieces_bytes;
} event_topic;

struct bp_event_stream {
    bp_event_hub *hub;
    event_topic *topic;
    bp_event_sleeper sleeper;
    bp_event_stream *previous, *next; /* under the lock, like the two below */
    bool asleep;
    uint64_t sent_ms; /* when something was last sent */

    /* The owner's. */
    bool greeted;
    bp_event_position position; /* behind `current`, or behind what was sent when there is none */
    piece *current;
    size_t sent; /* bytes of current */
};

struct bp_event_hub {
    bp_store *store;
    uint64_t heartbeat_ms;
    pthread_t thread;
    pthread_mutex_t mutex; /* guards all below */
    pthread_cond_t changed;
    bool stop;
    uint64_t turn;    /* of the last reading */
    uint64_t wait_ms; /* until when the thread sleeps */
    event_topic *topics;
    size_t topic_count;
};

static uint64_t now_ms(void)
{
    return bp_clock_monotonic_ns() / 1000000;
}

/* ---- pieces ---- */

static void let_go(piece *old)
{
    if (!old || atomic_fetch_sub(&old->references, 1) != 1)
        return;
    free(old->bytes);
    free(old);
}

/* What comes after `begin` up to `end` or to the size of a piece. *out NULL: nothing. In a transaction. */
static bp_status make_piece(piece **out, sqlite3 *database, int64_t job, bp_event_position begin,
                            bp_event_position end, bp_error *error)
{
    piece *made = calloc(1, sizeof *made);
    if (!made)
        return bp_error_set(error, BP_NO_MEMORY, NULL, "no memory for events");
    bp_json_writer text = {0};
    made->references = 1;
    made->begin = made->end = begin;
    const bp_status status = bp_event_feed_read(&text, &made->end, end, database, job, error);
    char *fitting = text.length > 0 ? realloc(text.bytes, text.length) : NULL;
    made->bytes = fitting ? fitting : text.bytes;
    made->size = text.length;
    *out = NULL;
    if (status == BP_OK && made->size > 0)
        *out = made;
    else
        let_go(made);
    return status;
}

/* ---- the hub's thread: all with the lock held unless said otherwise ---- */

static void drop_oldest(event_topic *topic)
{
    piece *old = topic->oldest;
    topic->oldest = old->next;
    if (!topic->oldest)
        topic->newest = NULL;
    topic->pieces_bytes -= old->size;
    let_go(old);
}

static void wake(bp_event_stream *stream)
{
    if (!stream->asleep)
        return;
    stream->asleep = false;
    stream->sleeper.wake(stream->sleeper.context);
}

/* What a job's pieces may have; the newest one is kept in any case. */
static size_t pieces_limit(const bp_event_hub *hub)
{
    const size_t share = PIECES_BYTES / hub->topic_count;
    return share < JOB_PIECES_BYTES ? share : JOB_PIECES_BYTES;
}

static void publish(const bp_event_hub *hub, event_topic *topic, piece *made,
                    const bp_event_head *head)
{
    if (made) {
        while (topic->oldest && topic->pieces_bytes + made->size > pieces_limit(hub))
            drop_oldest(topic);
        if (topic->newest)
            topic->newest->next = made;
        else
            topic->oldest = made;
        topic->newest = made;
        topic->pieces_bytes += made->size;
        topic->head.position = made->end;
    }
    const bool caught_up = bp_event_position_equal(topic->head.position, head->position);
    topic->head.finished = head->finished && caught_up;
    if (made && !caught_up)
        topic->dirty = true;
    if (made || topic->head.finished)
        for (bp_event_stream *stream = topic->streams; stream; stream = stream->next)
            wake(stream);
}

/* Without the lock. */
static bp_status read_more(piece **out, bp_event_head *out_head, bp_store *store, int64_t job,
                           bp_event_position begin, bp_error *error)
{
    sqlite3 *database = NULL;
    bp_status status = bp_store_begin_reading(&database, store, error);
    if (status != BP_OK)
        return status;
    status = bp_event_feed_head(out_head, database, job, error);
    /* Points that are about to be computed anew have gone: the next event comes before them. */
    if (status == BP_OK && out_head->position.event == begin.event &&
        out_head->position.seq < begin.seq)
        out_head->position = begin;
    if (status == BP_OK && !bp_event_position_equal(out_head->position, begin))
        status = make_piece(out, database, job, begin, out_head->position, error);
    bp_store_end_reading(database);
    return status;
}

static void free_topic(bp_event_hub *hub, event_topic *old)
{
    event_topic **link = &hub->topics;
    while (*link != old)
        link = &(*link)->next;
    *link = old->next;
    hub->topic_count--;
    while (old->oldest)
        drop_oldest(old);
    free(old);
}

/* False: the reading failed. */
static bool refresh(bp_event_hub *hub, event_topic *topic)
{
    piece *made = NULL;
    bp_event_head head;
    bp_error error = {.status = BP_OK};
    const bp_event_position begin = topic->head.position;
    topic->dirty = false;
    topic->reading = true;
    topic->turn = ++hub->turn;
    pthread_mutex_unlock(&hub->mutex);
    const bp_status status = read_more(&made, &head, hub->store, topic->job, begin, &error);
    pthread_mutex_lock(&hub->mutex);
    topic->reading = false;
    bool fine = status == BP_OK;
    if (fine) {
        publish(hub, topic, made, &head);
    } else if (status == BP_NOT_FOUND) {
        /* Deleted: nothing more comes. */
        topic->head.finished = fine = true;
        for (bp_event_stream *stream = topic->streams; stream; stream = stream->next)
            wake(stream);
    } else {
        bp_log_error(BP_LOG_WARNING, "events cannot be read", &error);
        topic->dirty = true;
    }
    if (topic->stream_count == 0)
        free_topic(hub, topic);
    return fine;
}

/* Wakes streams that have been silent for long; returns when the next one will have been. */
static uint64_t wake_silent(bp_event_hub *hub, uint64_t now)
{
    uint64_t next = UINT64_MAX;
    for (event_topic *topic = hub->topics; topic; topic = topic->next)
        for (bp_event_stream *stream = topic->streams; stream; stream = stream->next) {
            if (!stream->asleep)
                continue;
            const uint64_t due = stream->sent_ms + hub->heartbeat_ms;
            if (due <= now)
                wake(stream);
            else if (due < next)
                next = due;
        }
    return next;
}

static event_topic *first_dirty(const bp_event_hub *hub)
{
    event_topic *first = NULL;
    for (event_topic *at = hub->topics; at; at = at->next)
        if (at->dirty && (!first || at->turn < first->turn))
            first = at;
    return first;
}

static void wait_until(bp_event_hub *hub, uint64_t until_ms)
{
    hub->wait_ms = until_ms;
    if (until_ms == UINT64_MAX) {
        pthread_cond_wait(&hub->changed, &hub->mutex);
        return;
    }
    const struct timespec until = {.tv_sec = (time_t)(until_ms / 1000),
                                   .tv_nsec = (long)(until_ms % 1000 * 1000000)};
    pthread_cond_timedwait(&hub->changed, &hub->mutex, &until);
}

static void *hub_body(void *argument)
{
    bp_event_hub *hub = argument;
    uint64_t read_again_ms = 0; /* not before */
    pthread_mutex_lock(&hub->mutex);
    while (!hub->stop) {
        const uint64_t now = now_ms();
        event_topic *topic = now >= read_again_ms ? first_dirty(hub) : NULL;
        if (topic) {
            if (!refresh(hub, topic))
                read_again_ms = now_ms() + READ_AGAIN_MS;
            continue;
        }
        uint64_t until = wake_silent(hub, now);
        if (now < read_again_ms && read_again_ms < until)
            until = read_again_ms;
        wait_until(hub, until);
    }
    pthread_mutex_unlock(&hub->mutex);
    return NULL;
}

/* On the store thread. */
static void job_changed(void *context, int64_t job)
{
    bp_event_hub *hub = context;
    bool any = false;
    pthread_mutex_lock(&hub->mutex);
    for (event_topic *topic = hub->topics; topic; topic = topic->next)
        if (topic->job == job || job == 0)
            topic->dirty = any = true;
    if (any)
        pthread_cond_signal(&hub->changed);
    pthread_mutex_unlock(&hub->mutex);
}

bp_status bp_event_hub_create(bp_event_hub **out, bp_store *store, unsigned heartbeat_ms,
                              bp_error *error)
{
    bp_event_hub *hub = calloc(1, sizeof *hub);
    if (!hub)
        return bp_error_set(error, BP_NO_MEMORY, NULL, "no memory for event streams");
    hub->store = store;
    hub->heartbeat_ms = heartbeat_ms;
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&hub->mutex, NULL);
    pthread_cond_init(&hub->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    const bp_status status = bp_thread_start(&hub->thread, "events", hub_body, hub, error);
    if (status != BP_OK) {
        pthread_cond_destroy(&hub->changed);
        pthread_mutex_destroy(&hub->mutex);
        free(hub);
        return status;
    }
    bp_store_listen(store, job_changed, hub);
    *out = hub;
    return BP_OK;
}

void bp_event_hub_free(bp_event_hub *hub)
{
    if (!hub)
        return;
    bp_store_listen(hub->store, NULL, NULL);
    pthread_mutex_lock(&hub->mutex);
    hub->stop = true;
    pthread_cond_signal(&hub->changed);
    pthread_mutex_unlock(&hub->mutex);
    pthread_join(hub->thread, NULL);
    assert(!hub->topics);
    pthread_cond_destroy(&hub->changed);
    pthread_mutex_destroy(&hub->mutex);
    free(hub);
}

/* ---- streams ---- */

/* The job's topic, made at `head` where there is none. NULL: no memory. */
static event_topic *topic_of(bp_event_hub *hub, int64_t job, const bp_event_head *head)
{
    for (event_topic *topic = hub->topics; topic; topic = topic->next)
        if (topic->job == job)
            return topic;
    event_topic *made = calloc(1, sizeof *made);
    if (!made)
        return NULL;
    made->job = job;
    made->head = *head;
    /* What was committed since the head was read has found no topic to mark. */
    made->dirty = true;
    made->next = hub->topics;
    hub->topics = made;
    hub->topic_count++;
    pthread_cond_signal(&hub->changed);
    return made;
}

bp_status bp_event_stream_open(bp_event_stream **out, bp_event_hub *hub, int64_t job,
                               uint64_t after_id, const bp_event_sleeper *sleeper, bp_error *error)
{
    const bp_event_position position = bp_event_position_of(after_id);
    bp_event_head head;
    sqlite3 *database = NULL;
    bp_status status = bp_store_begin_reading(&database, hub->store, error);
    if (status != BP_OK)
        return status;
    status = bp_event_feed_head(&head, database, job, error);
    if (status == BP_OK)
        status = bp_event_feed_check(database, job, &head, position, error);
    bp_store_end_reading(database);
    if (status != BP_OK)
        return status;
    *out = NULL;
    if (head.finished && bp_event_position_equal(head.position, position))
        return BP_OK;
    bp_event_stream *stream = calloc(1, sizeof *stream);
    if (!stream)
        return bp_error_set(error, BP_NO_MEMORY, NULL, "no memory for an event stream");
    stream->hub = hub;
    stream->sleeper = *sleeper;
    stream->position = position;
    stream->sent_ms = now_ms();
    pthread_mutex_lock(&hub->mutex);
    stream->topic = topic_of(hub, job, &head);
    if (stream->topic) {
        stream->topic->stream_count++;
        stream->next = stream->topic->streams;
        if (stream->next)
            stream->next->previous = stream;
        stream->topic->streams = stream;
    }
    pthread_mutex_unlock(&hub->mutex);
    if (!stream->topic) {
        free(stream);
        return bp_error_set(error, BP_NO_MEMORY, NULL, "no memory for an event stream");
    }
    *out = stream;
    return BP_OK;
}

static ssize_t send_text(bp_event_stream *stream, char *bytes, size_t size, const char *text)
{
    const size_t length = strlen(text);
    if (length > size) /* libmicrohttpd's buffers are kilobytes */
        return BP_EVENT_STREAM_BROKEN;
    memcpy(bytes, text, length);
    pthread_mutex_lock(&stream->hub->mutex);
    stream->sent_ms = now_ms();
    pthread_mutex_unlock(&stream->hub->mutex);
    return (ssize_t)length;
}

/* What to do at the end of a piece. */
typedef enum next_step { TAKE_PIECE, READ_STORE, SLEEP, SEND_HEARTBEAT, END } next_step;

/* With the lock held. TAKE_PIECE: it is in stream->current. */
static next_step choose(bp_event_stream *stream)
{
    const event_topic *topic = stream->topic;
    for (piece *at = topic->oldest; at; at = at->next)
        if (bp_event_position_equal(at->begin, stream->position)) {
            atomic_fetch_add(&at->references, 1);
            stream->current = at;
            return TAKE_PIECE;
        }
    const bool at_head = bp_event_position_equal(topic->head.position, stream->position);
    /* A head that is behind: this stream began after a commit that the hub has yet to read. */
    const bool before_head = stream->position.event < topic->head.position.event ||
                             (stream->position.event == topic->head.position.event &&
                              stream->position.seq < topic->head.position.seq);
    if (before_head && !at_head)
        return READ_STORE;
    /* A job that is tried again is not finished any more. */
    if (topic->head.finished && !topic->dirty && !topic->reading)
        return END;
    return now_ms() >= stream->sent_ms + stream->hub->heartbeat_ms ? SEND_HEARTBEAT : SLEEP;
}

ssize_t bp_event_stream_read(bp_event_stream *stream, char *bytes, size_t size)
{
    bp_event_hub *hub = stream->hub;
    if (!stream->greeted) {
        stream->greeted = true;
        return send_text(stream, bytes, size, greeting);
    }
    if (!stream->current) {
        pthread_mutex_lock(&hub->mutex);
        next_step next = choose(stream);
        const bp_event_position head = stream->topic->head.position;
        if (next == SLEEP) {
            stream->asleep = stream->sleeper.sleep(stream->sleeper.context);
            if (!stream->asleep)
                next = END;
            else if (stream->sent_ms + stream->hub->heartbeat_ms < hub->wait_ms)
                pthread_cond_signal(&hub->changed);
        }
        pthread_mutex_unlock(&hub->mutex);
        if (next == SLEEP)
            return BP_EVENT_STREAM_ASLEEP;
        if (next == END)
            return BP_EVENT_STREAM_ENDED;
        if (next == SEND_HEARTBEAT)
            return send_text(stream, bytes, size, heartbeat);
        if (next == READ_STORE) {
            bp_error error = {.status = BP_OK};
            sqlite3 *database = NULL;
            bp_status status = bp_store_begin_reading(&database, hub->store, &error);
            if (status == BP_OK) {
                status = make_piece(&stream->current, database, stream->topic->job,
                                    stream->position, head, &error);
                bp_store_end_reading(database);
            }
            if (status != BP_OK || !stream->current)
                return BP_EVENT_STREAM_BROKEN;
        }
        stream->position = stream->current->end;
        stream->sent = 0;
    }
    const size_t left = stream->current->size - stream->sent;
    const size_t count = left < size ? left : size;
    memcpy(bytes, stream->current->bytes + stream->sent, count);
    stream->sent += count;
    if (count == left) {
        let_go(stream->current);
        stream->current = NULL;
    }
    pthread_mutex_lock(&hub->mutex);
    stream->sent_ms = now_ms();
    pthread_mutex_unlock(&hub->mutex);
    return (ssize_t)count;
}

void bp_event_stream_close(bp_event_stream *stream)
{
    if (!stream)
        return;
    bp_event_hub *hub = stream->hub;
    event_topic *topic = stream->topic;
    pthread_mutex_lock(&hub->mutex);
    if (stream->previous)
        stream->previous->next = stream->next;
    else
        topic->streams = stream->next;
    if (stream->next)
        stream->next->previous = stream->previous;
    if (--topic->stream_count == 0 && !topic->reading)
        free_topic(hub, topic);
    pthread_mutex_unlock(&hub->mutex);
    let_go(stream->current);
    free(stream);
}
