#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "server/base/log.h"
#include "server/base/thread.h"
#include "server/http/documents.h"
#include "server/http/http.h"
#include "server/http/listener.h"
#include "server/http/problem.h"
#include "server/http/server_state.h"

enum {
    CONNECTION_MEMORY_BYTES = 64 << 10, /* header and one piece of a body */
    THREAD_STACK_BYTES = 1 << 20,
    ASIDE_CAPACITY = 64,
    DRAIN_MS = 2000, /* for answers in progress when stopping */
    FORCED_MS = 1000 /* for those that had to be woken */
};

bp_http_options bp_http_options_default(void)
{
    return (bp_http_options){
        .address = "127.0.0.1",
        .port = 8470,
        .thread_count = 2,
        .connection_limit = 2000,
        .json_body_bytes = 1 << 20,
        .predict_body_bytes = 64 << 20,
        .predict_rows = 10000,
        .upload_bytes = UINT64_C(64) << 30,
        .deadline_ms = 30000,
        .upload_bytes_per_second = 16 << 10,
    };
}

void bp_http_hold(bp_http *http)
{
    atomic_fetch_add(&http->references, 1);
}

void bp_http_let_go(bp_http *http)
{
    if (atomic_fetch_sub(&http->references, 1) != 1)
        return;
    pthread_cond_destroy(&http->idle);
    pthread_mutex_destroy(&http->mutex);
    bp_documents_done(http);
    bp_answer_cache_free(http->pages);
    free(http);
}

/* ---- libmicrohttpd's other callbacks ---- */

/* Paths and parameters are decoded here, segment by segment; %2F is not a slash. */
static size_t leave_encoded(void *context, struct MHD_Connection *connection, char *text)
{
    (void)context;
    (void)connection;
    return strlen(text);
}

/* Twice the limit of connections gets an answer (503 above the limit); beyond that, none. */
static enum MHD_Result admit(void *context, const struct sockaddr *address, socklen_t size)
{
    (void)address;
    (void)size;
    const bp_http *http = context;
    return bp_connection_count(http->connections) < 2 * http->options.connection_limit ? MHD_YES
                                                                                       : MHD_NO;
}

static void connection_changed(void *context, struct MHD_Connection *connection,
                               void **socket_context, enum MHD_ConnectionNotificationCode code)
{
    bp_http *http = context;
    if (code == MHD_CONNECTION_NOTIFY_CLOSED) {
        bp_connection_closed(http->connections, *socket_context);
        *socket_context = NULL;
        return;
    }
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    if (!info)
        return;
    *socket_context = bp_connection_opened(http->connections, info->connect_fd);
    if (!*socket_context)
        shutdown(info->connect_fd, SHUT_RDWR);
}

/* ---- the helper threads ---- */

/* One turn of what a request wants. False: it wants another. */
static bool take_turn(bp_aside *aside)
{
    bp_request *request = aside->request;
    aside->again = false;
    if (bp_request_stopping(request))
        bp_answer_problem(request, 503, "the daemon is stopping");
    else
        aside->step(request);
    if (aside->again)
        return false;
    bp_request_wake(request);
    return true;
}

/* In rounds: a turn for each that goes on, then for each that has come. */
static void *help(void *argument)
{
    const bp_helper *helper = argument;
    bp_message *round = NULL;
    bp_kernels_thread_start();
    for (;;) {
        bp_message *kept = NULL, **end = &kept;
        bp_message *come = bp_mailbox_receive_all(helper->box, round ? 0 : -1);
        if (!round && !come)
            return NULL;
        bp_message **last = &round;
        while (*last)
            last = &(*last)->next;
        *last = come;
        for (bp_message *next; round; round = next) {
            next = round->next;
            if (!take_turn((bp_aside *)round)) {
                round->next = NULL;
                *end = round;
                end = &round->next;
            }
        }
        round = kept;
    }
}

static bp_status start_helpers(bp_http *http, bp_error *error)
{
    static const char *const names[BP_HELPER_COUNT] = {"http-helper", "http-compute"};
    bp_status status = BP_OK;
    for (size_t i = 0; i < BP_HELPER_COUNT && status == BP_OK; i++) {
        bp_helper *helper = &http->helpers[i];
        status = bp_mailbox_create(&helper->box, ASIDE_CAPACITY, NULL, NULL, error);
        if (status == BP_OK)
            status = bp_thread_start(&helper->thread, names[i], help, helper, error);
        helper->started = status == BP_OK;
    }
    return status;
}

/* Returns when they have done what waits. */
static void stop_helpers(bp_http *http)
{
    for (size_t i = 0; i < BP_HELPER_COUNT; i++) {
        bp_helper *helper = &http->helpers[i];
        if (!helper->box)
            continue;
        bp_mailbox_close(helper->box);
        if (helper->started)
            pthread_join(helper->thread, NULL);
        bp_mailbox_free(helper->box);
    }
}

/* ---- start ---- */

static struct MHD_Daemon *start_daemon(bp_http *http)
{
    const bp_http_options *options = &http->options;
    /* libmicrohttpd gives each thread an equal share of its limit, yet connections do not spread evenly:
     * each share is made large enough for all of them. */
    uint64_t limit = (2 * (uint64_t)options->connection_limit + 16) * options->thread_count;
    if (limit > UINT32_MAX / 2)
        limit = UINT32_MAX / 2;
    return MHD_start_daemon(
        MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_ITC | MHD_ALLOW_SUSPEND_RESUME, http->port, admit,
        http, bp_request_handle, http, MHD_OPTION_LISTEN_SOCKET, http->listener,
        MHD_OPTION_THREAD_POOL_SIZE, (unsigned)options->thread_count, MHD_OPTION_THREAD_STACK_SIZE,
        (size_t)THREAD_STACK_BYTES, MHD_OPTION_CONNECTION_LIMIT, (unsigned)limit,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_MEMORY_BYTES,
        MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_UNESCAPE_CALLBACK, leave_encoded, NULL,
        MHD_OPTION_NOTIFY_CONNECTION, connection_changed, http, MHD_OPTION_NOTIFY_COMPLETED,
        bp_request_ended, http, MHD_OPTION_END);
}

bp_status bp_http_start(bp_http **out, const bp_http_options *options, const bp_services *services,
                        bp_error *error)
{
    bp_http *http = calloc(1, sizeof *http);
    if (!http)
        return bp_error_set(error, BP_NO_MEMORY, NULL, "no memory for the HTTP server");
    http->references = 1;
    http->listener = -1;
    http->options = *options;
    if (http->options.thread_count < 2)
        http->options.thread_count = 2; /* libmicrohttpd has no pool of one */
    http->services = *services;
    http->started_ms = bp_connection_now_ms();
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&http->mutex, NULL);
    pthread_cond_init(&http->idle, &monotonic);
    pthread_condattr_destroy(&monotonic);
    json_object_seed(0);

    bp_status status = bp_documents_create(http, error);
    if (status == BP_OK)
        status = bp_answer_cache_create(&http->pages, error);
    if (status == BP_OK)
        status = bp_listener_open(&http->listener, &http->port, &http->host_rule, options->address,
                                  options->port, error);
    if (status == BP_OK)
        status = bp_connection_table_create(&http->connections, options->connection_limit,
                                            options->deadline_ms, error);
    if (status == BP_OK)
        status = start_helpers(http, error);
    if (status == BP_OK) {
        bp_listener_raise_files(2 * (uint64_t)options->connection_limit + 256);
        /* Its threads inherit the mask: signals are the main thread's. */
        sigset_t all, before;
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before);
        http->daemon = start_daemon(http);
        int reason = errno;
        pthread_sigmask(SIG_SETMASK, &before, NULL);
        if (!http->daemon)
            status = bp_error_set(error, BP_INPUT_OUTPUT, "listen", "cannot start serving: %s",
                                  strerror(reason));
    }
    if (status == BP_OK) {
        *out = http;
        return BP_OK;
    }
    stop_helpers(http);
    bp_connection_table_free(http->connections);
    if (http->listener >= 0)
        close(http->listener);
    bp_http_let_go(http);
    return status;
}

uint16_t bp_http_port(const bp_http *http)
{
    return http->port;
}

/* ---- stop ---- */

void bp_http_stop_intake(bp_http *http)
{
    /* Its threads may look at the socket for a little longer, so it is shut, and closed at the end. */
    (void)MHD_quiesce_daemon(http->daemon);
    shutdown(http->listener, SHUT_RDWR);
    pthread_mutex_lock(&http->mutex);
    http->stopping = true;
    for (bp_request *at = http->suspended, *next; at; at = next) {
        next = at->following;
        if (at->wake_at_stop)
            bp_request_resume_locked(at);
    }
    pthread_mutex_unlock(&http->mutex);
}

/* Waits until libmicrohttpd has no request in hand, or for timeout_ms. With the mutex held. */
static void drain(bp_http *http, int64_t timeout_ms)
{
    int64_t until_ms = bp_connection_now_ms() + timeout_ms;
    struct timespec until = {.tv_sec = until_ms / 1000, .tv_nsec = until_ms % 1000 * 1000000};
    while (http->active_count > 0)
        if (pthread_cond_timedwait(&http->idle, &http->mutex, &until) != 0)
            return;
}

void bp_http_stop(bp_http *http)
{
    if (!http)
        return;
    pthread_mutex_lock(&http->mutex);
    bool stopping = http->stopping;
    pthread_mutex_unlock(&http->mutex);
    if (!stopping)
        bp_http_stop_intake(http);
    pthread_mutex_lock(&http->mutex);
    drain(http, DRAIN_MS);
    pthread_mutex_unlock(&http->mutex);
    /* The helpers first: from then on nobody but HTTP threads writes an answer. */
    stop_helpers(http);

    pthread_mutex_lock(&http->mutex);
    http->forced = true;
    size_t cut_off = http->active_count;
    while (http->suspended)
        bp_request_resume_locked(http->suspended);
    drain(http, FORCED_MS);
    pthread_mutex_unlock(&http->mutex);
    if (cut_off > 0)
        bp_log(BP_LOG_WARNING, "requests cut off", "count=%zu", cut_off);
    MHD_stop_daemon(http->daemon);
    close(http->listener);
    bp_connection_table_free(http->connections);
    bp_http_let_go(http);
}
