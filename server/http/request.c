#include "server/http/request.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "server/http/problem.h"
#include "server/http/server_state.h"
#include "server/http/url_text.h"

enum { NESTING_LIMIT = 64 };

/* ---- life ---- */

bp_request *bp_request_create(bp_http *http, struct MHD_Connection *connection)
{
    bp_request *request = calloc(1, sizeof *request);
    if (!request)
        return NULL;
    request->references = 1;
    request->http = http;
    request->services = &http->services;
    request->connection = connection;
    bp_http_hold(http);
    return request;
}

void bp_request_hold(bp_request *request)
{
    atomic_fetch_add(&request->references, 1);
}

void bp_request_release(bp_request *request)
{
    if (atomic_fetch_sub(&request->references, 1) != 1)
        return;
    assert(!request->suspended);
    for (size_t i = 0; i < request->query_count; i++) {
        free(request->query[i].name);
        free(request->query[i].value);
    }
    if (request->response)
        MHD_destroy_response(request->response);
    json_decref(request->result_document);
    json_decref(request->json);
    if (request->work)
        request->work_free(request->work);
    free(request->instance);
    free(request->body);
    bp_http_let_go(request->http);
    free(request);
}

/* ---- parameters ---- */

const char *bp_request_query(const bp_request *request, const char *name)
{
    for (size_t i = 0; i < request->query_count; i++)
        if (strcmp(request->query[i].name, name) == 0)
            return request->query[i].value;
    return NULL;
}

bool bp_request_count(uint64_t *out, bp_request *request, const char *name, uint64_t minimum,
                      uint64_t maximum, uint64_t fallback)
{
    const char *text = bp_request_query(request, name);
    uint64_t value = fallback;
    if (text && (!bp_count_parse(&value, text) || value < minimum || value > maximum)) {
        bp_answer_problem(request, 400, "%s is a whole number from %" PRIu64 " to %" PRIu64, name,
                          minimum, maximum);
        return false;
    }
    *out = value;
    return true;
}

bool bp_request_flag(bool *out, bp_request *request, const char *name)
{
    const char *text = bp_request_query(request, name);
    bool yes = text && strcmp(text, "true") == 0;
    if (text && !yes && strcmp(text, "false") != 0) {
        bp_answer_problem(request, 400, "%s is true or false", name);
        return false;
    }
    *out = yes;
    return true;
}

uint64_t bp_request_number(const bp_request *request, size_t capture)
{
    uint64_t value = 0;
    bool valid = bp_count_parse(&value, request->capture[capture]);
    assert(valid);
    (void)valid;
    return value;
}

typedef struct json_extent {
    size_t nesting; /* deepest; Jansson recurses once for each level */
    size_t
        separators; /* commas: a bound on the values, each of which costs some 40 bytes when parsed */
} json_extent;

/* Of what stands outside strings. */
static json_extent measure(const char *text, size_t size)
{
    json_extent extent = {.nesting = 0};
    size_t depth = 0;
    bool in_string = false;
    for (size_t i = 0; i < size; i++) {
        char c = text[i];
        if (in_string) {
            if (c == '\\')
                i++;
            else if (c == '"')
                in_string = false;
        } else if (c == '"') {
            in_string = true;
        } else if (c == ',') {
            extent.separators++;
        } else if (c == '[' || c == '{') {
            if (++depth > extent.nesting)
                extent.nesting = depth;
        } else if ((c == ']' || c == '}') && depth > 0) {
            depth--;
        }
    }
    return extent;
}

bool bp_request_parse_json(bp_request *request, size_t value_limit)
{
    const json_extent extent = measure(request->body, request->body_size);
    if (extent.nesting > NESTING_LIMIT) {
        bp_answer_problem(request, 400, "the JSON is nested deeper than %d levels", NESTING_LIMIT);
        return false;
    }
    if (extent.separators > value_limit) {
        bp_answer_problem(request, 413, "the JSON has more than %zu values", value_limit);
        return false;
    }
    json_error_t error;
    request->json = json_loadb(request->body ? request->body : "", request->body_size,
                               JSON_REJECT_DUPLICATES, &error);
    free(request->body);
    request->body = NULL;
    if (request->json)
        return true;
    if (json_error_code(&error) == json_error_out_of_memory)
        bp_answer_no_memory(request);
    else
        bp_answer_problem(request, 400, "the body is not JSON: line %d, column %d: %s", error.line,
                          error.column, error.text);
    return false;
}

/* ---- waiting ---- */

void bp_request_await(bp_request *request, bp_request_step *next, bool stoppable)
{
    bp_request_hold(request);
    request->step = next;
    pthread_mutex_lock(&request->http->mutex);
    request->awaiting = true;
    request->wake_at_stop = stoppable;
    pthread_mutex_unlock(&request->http->mutex);
}

void bp_request_suspend_locked(bp_request *request)
{
    bp_http *http = request->http;
    assert(!request->suspended);
    bp_connection_allow_forever(request->record);
    request->waited_ms -= bp_connection_now_ms();
    request->suspended = true;
    request->suspended_here = true;
    request->previous = NULL;
    request->following = http->suspended;
    if (http->suspended)
        http->suspended->previous = request;
    http->suspended = request;
    MHD_suspend_connection(request->connection);
}

void bp_request_resume_locked(bp_request *request)
{
    bp_http *http = request->http;
    if (!request->suspended)
        return;
    request->suspended = false;
    if (request->previous)
        request->previous->following = request->following;
    else
        http->suspended = request->following;
    if (request->following)
        request->following->previous = request->previous;
    request->waited_ms += bp_connection_now_ms();
    MHD_resume_connection(request->connection);
}

void bp_request_wake(bp_request *request)
{
    bp_http *http = request->http;
    pthread_mutex_lock(&http->mutex);
    request->awaiting = false;
    bp_request_resume_locked(request);
    pthread_mutex_unlock(&http->mutex);
    bp_request_release(request);
}

static void run_on(bp_request *request, bp_helper_kind kind, bp_request_step *step)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(request->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    request->socket = info ? info->connect_fd : -1;
    request->on_helper = true;
    bp_request_await(request, NULL, false);
    request->aside.request = request;
    request->aside.step = step;
    if (bp_mailbox_try_send(request->http->helpers[kind].box, &request->aside.message))
        return;
    bp_request_wake(request);
    bp_answer_problem(request, 503, "too much work is waiting; try again");
}

void bp_request_run_aside(bp_request *request, bp_request_step *step)
{
    run_on(request, BP_HELPER_ASIDE, step);
}

void bp_request_run_computing(bp_request *request, bp_request_step *step)
{
    run_on(request, BP_HELPER_COMPUTE, step);
}

void bp_request_run_again(bp_request *request)
{
    assert(request->on_helper);
    request->aside.again = true;
}

bool bp_request_stream_aside(bp_request *request, bp_request_step *step)
{
    bp_http *http = request->http;
    pthread_mutex_lock(&http->mutex);
    const bool stay = !http->stopping;
    if (stay) {
        /* Only the helper may wake it: until then the work is the helper's. */
        request->wake_at_stop = false;
        bp_request_suspend_locked(request);
    }
    pthread_mutex_unlock(&http->mutex);
    if (!stay)
        return false;
    bp_request_hold(request);
    request->aside.step = step;
    if (bp_mailbox_try_send(http->helpers[BP_HELPER_ASIDE].box, &request->aside.message))
        return true;
    bp_request_wake(request);
    return false;
}

bool bp_request_is_given_up(bp_request *request)
{
    const int64_t now_ms = bp_connection_now_ms();
    if (request->given_up || now_ms - request->looked_ms < 100)
        return request->given_up;
    request->looked_ms = now_ms;
    char byte;
    const ssize_t got =
        request->socket >= 0 ? recv(request->socket, &byte, 1, MSG_PEEK | MSG_DONTWAIT) : 1;
    const bool closed =
        got == 0 || (got < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR);
    request->given_up = closed || bp_request_stopping(request);
    return request->given_up;
}

void bp_request_outcome(bp_request *request, int64_t id, bp_status status, const bp_error *error)
{
    request->result_id = id;
    request->result_status = status;
    if (error)
        request->result_error = *error;
    request->result_error.status = status;
}

void bp_request_reply(void *context, int64_t id, bp_status status, const bp_error *error)
{
    bp_request_outcome(context, id, status, error);
    bp_request_wake(context);
}

bool bp_request_stopping(const bp_request *request)
{
    pthread_mutex_lock(&request->http->mutex);
    bool stopping = request->http->stopping;
    pthread_mutex_unlock(&request->http->mutex);
    return stopping;
}
