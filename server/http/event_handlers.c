/* GET /api/v1/jobs/{id}/events: a request whose answer goes on as long as the job. While there is nothing to
 * send, its connection is suspended like that of a request that waits, and the hub wakes it. */
#include <stdlib.h>

#include "server/http/handlers.h"
#include "server/http/problem.h"
#include "server/http/server_state.h"
#include "server/http/url_text.h"

#define EVENT_TYPE "text/event-stream"

enum { BLOCK_BYTES = 16 << 10 };

typedef struct event_answer {
    bp_request *request; /* counted */
    bp_event_stream *stream;
} event_answer;

/* Within the content reader, on the connection's thread. */
static bool sleep_request(void *context)
{
    bp_request *request = context;
    bp_http *http = request->http;
    pthread_mutex_lock(&http->mutex);
    const bool stay = !http->stopping;
    if (stay) {
        request->wake_at_stop = true;
        bp_request_suspend_locked(request);
    }
    pthread_mutex_unlock(&http->mutex);
    return stay;
}

static void wake_request(void *context)
{
    bp_request *request = context;
    pthread_mutex_lock(&request->http->mutex);
    bp_request_resume_locked(request);
    pthread_mutex_unlock(&request->http->mutex);
}

static ssize_t read_events(void *context, uint64_t position, char *buffer, size_t size)
{
    (void)position;
    event_answer *answer = context;
    bp_request *request = answer->request;
    /* Whoever does not take what there is in this time is given up; it may come back with the last id. */
    bp_connection_allow(request->record, (int64_t)request->http->options.deadline_ms);
    /* The daemon stops: the next one goes on. */
    if (bp_request_stopping(request))
        return MHD_CONTENT_READER_END_OF_STREAM;
    const ssize_t count = bp_event_stream_read(answer->stream, buffer, size);
    if (count == BP_EVENT_STREAM_ENDED)
        return MHD_CONTENT_READER_END_OF_STREAM;
    return count == BP_EVENT_STREAM_BROKEN ? MHD_CONTENT_READER_END_WITH_ERROR : count;
}

static void close_answer(void *context)
{
    event_answer *answer = context;
    bp_event_stream_close(answer->stream);
    bp_request_release(answer->request);
    free(answer);
}

/* False: answered with 400. */
static bool read_last_id(uint64_t *out, bp_request *request)
{
    const bp_header *header = &request->headers.last_event_id;
    const char *query = bp_request_query(request, "last_event_id");
    const char *text = header->count > 0 ? header->value : query;
    *out = 0;
    /* A client that has received nothing yet may send an empty one. */
    if (!text || !*text)
        return true;
    if (header->count <= 1 && bp_count_parse(out, text))
        return true;
    bp_answer_problem(request, 400, "Last-Event-ID is one id of this stream");
    return false;
}

void bp_handle_job_events(bp_request *request)
{
    uint64_t last_id;
    if (!read_last_id(&last_id, request))
        return;
    event_answer *answer = calloc(1, sizeof *answer);
    if (!answer) {
        bp_answer_no_memory(request);
        return;
    }
    const bp_event_sleeper sleeper = {
        .sleep = sleep_request, .wake = wake_request, .context = request};
    bp_error error = {.status = BP_OK};
    const bp_status status =
        bp_event_stream_open(&answer->stream, request->services->events,
                             (int64_t)bp_request_number(request, 0), last_id, &sleeper, &error);
    if (status != BP_OK || !answer->stream) {
        free(answer);
        if (status == BP_INVALID)
            bp_answer_error_as(request, 400, &error);
        else if (status != BP_OK)
            bp_answer_error(request, &error);
        else
            bp_answer_empty(request, 204);
        return;
    }
    if (request->is_head) {
        bp_event_stream_close(answer->stream);
        free(answer);
        bp_answer_empty(request, 200);
        bp_answer_header(request, "Content-Type", EVENT_TYPE);
        return;
    }
    bp_request_hold(request);
    answer->request = request;
    bp_answer_stream(request, EVENT_TYPE, BLOCK_BYTES, read_events, answer, close_answer);
}
