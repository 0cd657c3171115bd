#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "server/base/log.h"
#include "server/http/problem.h"
#include "server/http/server_state.h"
#include "server/http/url_text.h"

/* What is read and dropped of a refused body, so that the client gets to read the answer. */
enum { DISCARD_BYTES = 64 << 20, DISCARD_MS = 10000 };

/* ---- the header ---- */

static enum MHD_Result count_header(void *context, enum MHD_ValueKind kind, const char *name,
                                    const char *value)
{
    (void)kind;
    bp_headers_add(context, name, value);
    return MHD_YES;
}

/* Copies one query parameter, decoded. Stops at the first fault, which it answers. */
static enum MHD_Result take_query(void *context, enum MHD_ValueKind kind, const char *name,
                                  const char *value)
{
    (void)kind;
    bp_request *request = context;
    if (request->query_count == BP_QUERY_LIMIT) {
        bp_answer_problem(request, 400, "more than %d query parameters", BP_QUERY_LIMIT);
        return MHD_NO;
    }
    bp_query_value *item = &request->query[request->query_count];
    item->name = strdup(name);
    item->value = strdup(value ? value : "");
    request->query_count++;
    if (!item->name || !item->value) {
        bp_answer_no_memory(request);
        return MHD_NO;
    }
    size_t name_length = strlen(item->name), value_length = strlen(item->value);
    if (!bp_percent_decode(item->name, &name_length) ||
        !bp_percent_decode(item->value, &value_length)) {
        bp_answer_problem(request, 400, "a query parameter is not percent-encoded UTF-8");
        return MHD_NO;
    }
    return MHD_YES;
}

static void check_query(bp_request *request)
{
    MHD_get_connection_values(request->connection, MHD_GET_ARGUMENT_KIND, take_query, request);
    for (size_t i = 0; !request->response && i < request->query_count; i++) {
        const char *name = request->query[i].name;
        if (!bp_route_has_query(request->route, name)) {
            const char *known = request->route->query;
            bp_answer_problem(request, 400,
                              *known ? "unknown query parameter \"%.64s\"; known: %s"
                                     : "unknown query parameter \"%.64s\"; none is known here%s",
                              name, known);
        }
        for (size_t j = 0; !request->response && j < i; j++)
            if (strcmp(name, request->query[j].name) == 0)
                bp_answer_problem(request, 400, "query parameter \"%s\" is there twice", name);
    }
}

static void refuse(bp_request *request, bp_refusal refusal)
{
    bp_answer_problem(request, refusal.status, "%s", refusal.detail);
    request->close = request->close || refusal.close;
}

static void answer_no_method(bp_request *request, const bp_route_match *match, const char *method)
{
    char allowed[64] = "";
    for (unsigned i = 0; i < BP_METHOD_COUNT; i++) {
        if (!match->method_allowed[i])
            continue;
        size_t used = strlen(allowed);
        snprintf(allowed + used, sizeof allowed - used, "%s%s%s", used ? ", " : "",
                 bp_method_name((bp_method)i), i == BP_METHOD_GET ? ", HEAD" : "");
    }
    bp_answer_problem(request, 405, "%.16s is not a method of this path; allowed: %s", method,
                      allowed);
    bp_answer_header(request, "Allow", allowed);
}

/* Finds the route and answers where there is none. */
static void find_route(bp_request *request, const char *url, const char *method)
{
    size_t length = strlen(url);
    if (length >= sizeof request->path) {
        bp_answer_problem(request, 404, "the path is longer than any here");
        return;
    }
    memcpy(request->path, url, length + 1);
    bp_route_match match;
    switch (bp_route_find(&match, method, request->path)) {
    case BP_MATCH:
        request->route = match.route;
        request->capture_count = match.capture_count;
        memcpy(request->capture, match.capture, sizeof match.capture);
        return;
    case BP_MATCH_NO_PATH:
        bp_answer_problem(request, 404, "there is nothing at this path");
        return;
    case BP_MATCH_NO_METHOD:
        answer_no_method(request, &match, method);
        return;
    case BP_MATCH_BAD_NAME:
        bp_answer_problem(request, match.route->method == BP_METHOD_PUT ? 422 : 404,
                          "a name is " BP_NAME_RULE);
        return;
    case BP_MATCH_BAD_NUMBER:
        bp_answer_problem(request, 404, "ids and versions are whole numbers from 1");
        return;
    case BP_MATCH_BAD_PATH:
        bp_answer_problem(request, 400, "the path is not percent-encoded UTF-8");
        return;
    }
}

static bool service_missing(const bp_request *request)
{
    switch (request->route->needs) {
    case BP_NEEDS_NOTHING:
        return false;
    case BP_NEEDS_DATASETS:
        return !request->services->datasets;
    case BP_NEEDS_JOBS:
        return !request->services->jobs || !request->services->datasets;
    case BP_NEEDS_EVENTS:
        return !request->services->events;
    case BP_NEEDS_MODELS:
        return !request->services->models;
    case BP_NEEDS_BACKUPS:
        return !request->services->backups;
    }
    return true;
}

static uint64_t body_limit(const bp_request *request)
{
    const bp_http_options *options = &request->http->options;
    if (request->route && request->route->body == BP_BODY_UPLOAD)
        return options->upload_bytes;
    if (request->route && request->route->body == BP_BODY_PREDICTION)
        return options->predict_body_bytes;
    return options->json_body_bytes;
}

static void answer_too_large(bp_request *request)
{
    bp_answer_problem(request, 413, "the body is larger than %" PRIu64 " bytes",
                      body_limit(request));
}

/* Every check of the header, in the order of what a stranger may learn. Answers the first fault. */
static void check(bp_request *request, const char *url, const char *method, const char *version)
{
    bp_http *http = request->http;
    bp_refusal refusal = bp_check_framing(&request->body_length, &request->headers);
    if (!refusal.status)
        refusal =
            bp_check_host(&request->headers, &http->host_rule, strcmp(version, "HTTP/1.0") == 0);
    if (!refusal.status && strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0)
        refusal = bp_check_origin(&request->headers);
    if (refusal.status) {
        refuse(request, refusal);
        return;
    }
    if (!bp_connection_take_place(http->connections, request->record)) {
        bp_answer_problem(request, 503, "too many connections");
        request->close = true;
        return;
    }
    find_route(request, url, method);
    if (request->response)
        return;
    bool live = strcmp(request->route->pattern, "/v2/health/live") == 0;
    if (!live && bp_request_stopping(request)) {
        bp_answer_problem(request, 503, "the daemon is stopping");
        request->close = true;
        return;
    }
    if (service_missing(request)) {
        bp_answer_problem(request, 503, "this part of the daemon is not running");
        return;
    }
    check_query(request);
    if (request->response)
        return;
    bp_body_kind body = request->route->body;
    if ((body == BP_BODY_JSON || body == BP_BODY_PREDICTION) &&
        !bp_is_json_type(request->headers.content_type.value))
        bp_answer_problem(request, 415, "the body's Content-Type is application/json");
    else if (request->body_length != UINT64_MAX && request->body_length > body_limit(request))
        answer_too_large(request);
}

/* ---- answers ---- */

/* Time for `bytes` more to go through. */
static void allow(bp_request *request, uint64_t bytes)
{
    const bp_http_options *options = &request->http->options;
    bp_connection_allow(request->record,
                        (int64_t)options->deadline_ms +
                            (int64_t)(bytes / (options->upload_bytes_per_second / 1000 + 1)));
}

static enum MHD_Result queue_answer(bp_request *request)
{
    if (!request->response)
        return MHD_NO; /* no memory even for that */
    if (request->status >= 500 && request->status != 503)
        bp_log(BP_LOG_WARNING, "request failed", "status=%u answer=\"%.400s\"", request->status,
               request->answer_text ? request->answer_text : "");
    if (request->close || bp_request_stopping(request))
        bp_answer_header(request, "Connection", "close");
    allow(request, request->response_bytes);
    request->phase = BP_REQUEST_ANSWERED;
    enum MHD_Result result =
        MHD_queue_response(request->connection, request->status, request->response);
    MHD_destroy_response(request->response);
    request->response = NULL;
    return result;
}

/* libmicrohttpd takes no answer while a body is coming; what is there goes to the socket by hand, and
 * the connection is closed. */
static enum MHD_Result answer_by_hand(bp_request *request)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(request->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    const char *body = request->answer_text;
    char text[2048];
    int size = snprintf(text, sizeof text,
                        "HTTP/1.1 %u %s\r\nContent-Type: application/problem+json\r\n"
                        "Content-Length: %zu\r\nConnection: close\r\n\r\n%s",
                        request->status, bp_problem_title(request->status), body ? strlen(body) : 0,
                        body ? body : "");
    if (info && size > 0 && (size_t)size < sizeof text)
        (void)!send(info->connect_fd, text, (size_t)size, MSG_NOSIGNAL | MSG_DONTWAIT);
    return MHD_NO;
}

/* ---- the body ---- */

static enum MHD_Result start_discarding(bp_request *request)
{
    request->phase = BP_REQUEST_DISCARD;
    request->close = true;
    request->received = 0;
    free(request->body);
    request->body = NULL;
    if (request->upload_open)
        bp_upload_abort(request->upload);
    request->upload_open = false;
    bp_connection_allow(request->record, DISCARD_MS);
    return MHD_YES;
}

/* The header has been read: refuse at once, refuse after the body, or go on. */
static enum MHD_Result begin(bp_request *request, const char *url, const char *method,
                             const char *version)
{
    check(request, url, method, version);
    bool has_body = request->body_length > 0;
    if (!request->response && request->route->body == BP_BODY_UPLOAD)
        request->route->handle(request);
    if (!request->response)
        return MHD_YES;
    if (!has_body && !request->close)
        return MHD_YES; /* the next call answers, and the connection lives on */
    bool waits = request->headers.expect.count > 0;
    bool endless = request->body_length != UINT64_MAX && request->body_length > DISCARD_BYTES;
    if (!has_body || request->close || waits || endless) {
        request->close = true;
        return queue_answer(request);
    }
    return start_discarding(request);
}

/* Appends to the body in memory. */
static enum MHD_Result keep(bp_request *request, const char *bytes, size_t *size)
{
    uint64_t limit = body_limit(request);
    if (request->received + *size > limit) {
        answer_too_large(request);
        *size = 0;
        return start_discarding(request);
    }
    request->received += *size;
    if (request->route->body == BP_BODY_NONE) {
        *size = 0;
        return MHD_YES;
    }
    size_t needed = request->body_size + *size;
    if (needed > request->body_room) {
        /* All of an announced length at once when it is small, otherwise as it comes. */
        size_t room = request->body_room ? request->body_room * 2 : 4096;
        if (request->body_length != UINT64_MAX && request->body_length <= 1 << 20)
            room = (size_t)request->body_length;
        if (room < needed)
            room = needed;
        char *larger = realloc(request->body, room);
        if (!larger) {
            bp_answer_no_memory(request);
            *size = 0;
            return start_discarding(request);
        }
        request->body = larger;
        request->body_room = room;
    }
    memcpy(request->body + request->body_size, bytes, *size);
    request->body_size += *size;
    *size = 0;
    return MHD_YES;
}

static enum MHD_Result discard(bp_request *request, size_t *size)
{
    request->received += *size;
    *size = 0;
    if (request->received <= DISCARD_BYTES)
        return MHD_YES;
    /* A failed upload may still be on its way to its answer; by now it is not. */
    return request->response || bp_upload_answer_if_done(request) ? answer_by_hand(request)
                                                                  : MHD_NO;
}

static enum MHD_Result upload(bp_request *request, const char *bytes, size_t *size)
{
    if (request->received + *size > request->http->options.upload_bytes) {
        answer_too_large(request);
    } else {
        size_t offered = *size;
        enum MHD_Result result = bp_upload_receive(request, bytes, size);
        request->received += offered - *size;
        int64_t spent = bp_connection_now_ms() - request->started_ms - request->waited_ms;
        if (!request->suspended_here)
            bp_connection_allow(
                request->record,
                (int64_t)request->http->options.deadline_ms - spent +
                    (int64_t)(request->received /
                              (request->http->options.upload_bytes_per_second / 1000 + 1)));
        if (request->upload_open)
            return result;
    }
    *size = 0;
    return start_discarding(request);
}

/* ---- running ---- */

/* After a resumption: is what was awaited there? If not, answers or suspends again. */
static bool may_go_on(bp_request *request)
{
    bp_http *http = request->http;
    bool go = true, forced = false;
    pthread_mutex_lock(&http->mutex);
    if (request->awaiting && !(request->wake_at_stop && http->stopping)) {
        forced = http->forced;
        go = false;
        if (!forced)
            bp_request_suspend_locked(request);
    }
    pthread_mutex_unlock(&http->mutex);
    if (forced) {
        bp_answer_problem(request, 503, "the daemon is stopping");
        request->close = true;
    }
    return go;
}

static enum MHD_Result run(bp_request *request)
{
    if (request->phase != BP_REQUEST_RUN) {
        request->phase = BP_REQUEST_RUN;
        if (!request->response)
            request->step =
                request->route->body == BP_BODY_UPLOAD ? bp_upload_finish : request->route->handle;
    }
    /* While something is awaited, response is not this thread's to look at. */
    while (!request->suspended_here && may_go_on(request) && !request->response && request->step) {
        bp_request_step *step = request->step;
        request->step = NULL;
        step(request);
    }
    return request->suspended_here ? MHD_YES : queue_answer(request);
}

enum MHD_Result bp_request_handle(void *http, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *upload_data,
                                  size_t *upload_size, void **context)
{
    bp_request *request = *context;
    if (request)
        request->suspended_here = false;
    if (!request) {
        request = bp_request_create(http, connection);
        if (!request)
            return MHD_NO;
        *context = request;
        pthread_mutex_lock(&request->http->mutex);
        request->http->active_count++;
        pthread_mutex_unlock(&request->http->mutex);
        const union MHD_ConnectionInfo *info =
            MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
        request->record = info ? info->socket_context : NULL;
        request->started_ms = bp_connection_now_ms();
        request->is_head = strcmp(method, "HEAD") == 0;
        request->is_v2 = strncmp(url, "/v2/", 4) == 0;
        request->instance = strdup(url);
        if (request->instance)
            bp_text_repair(request->instance);
        MHD_get_connection_values(connection, MHD_HEADER_KIND, count_header, &request->headers);
        allow(request, 0);
        return begin(request, url, method, version);
    }
    if (*upload_size == 0)
        return run(request);
    if (request->phase == BP_REQUEST_DISCARD)
        return discard(request, upload_size);
    if (request->route->body == BP_BODY_UPLOAD)
        return upload(request, upload_data, upload_size);
    return keep(request, upload_data, upload_size);
}

void bp_request_ended(void *context, struct MHD_Connection *connection, void **request_context,
                      enum MHD_RequestTerminationCode code)
{
    (void)connection;
    (void)code;
    bp_http *http = context;
    bp_request *request = *request_context;
    if (!request)
        return;
    *request_context = NULL;
    if (request->upload_open)
        bp_upload_abort(request->upload);
    request->upload_open = false;
    bp_connection_allow(request->record, http->options.deadline_ms);
    request->connection = NULL;
    pthread_mutex_lock(&http->mutex);
    if (--http->active_count == 0)
        pthread_cond_broadcast(&http->idle);
    pthread_mutex_unlock(&http->mutex);
    bp_request_release(request);
}
