/* The state of the HTTP side that requests share. Private to server/http. */
#ifndef BP_SERVER_HTTP_SERVER_STATE_H
#define BP_SERVER_HTTP_SERVER_STATE_H

#include <pthread.h>

#include "server/base/mailbox.h"
#include "server/http/answer_cache.h"
#include "server/http/request.h"

/* A text that is the same as long as the daemon lives. */
typedef struct bp_static_text {
    const char *bytes;
    size_t size;
    char etag[BP_SHA256_TEXT_SIZE + 2]; /* quoted */
} bp_static_text;

/* A thread that runs steps of requests, one after another. */
typedef struct bp_helper {
    bp_mailbox *box;
    pthread_t thread;
    bool started;
} bp_helper;

struct bp_http {
    _Atomic unsigned references; /* bp_http_start's caller, and one for each request */

    /* Never changed after start. */
    bp_http_options options;
    bp_services services;
    bp_host_rule host_rule;
    uint16_t port;
    int64_t started_ms; /* monotonic */
    bp_static_text catalog, openapi;
    struct MHD_Daemon *daemon;
    bp_connection_table *connections;
    bp_answer_cache *pages; /* of metric points */
    bp_helper helpers[BP_HELPER_COUNT];
    int listener;

    pthread_mutex_t mutex; /* guards all below, and the waiting state of requests */
    pthread_cond_t idle;   /* active_count fell to 0 */
    size_t active_count;   /* requests that libmicrohttpd has not ended */
    bp_request *suspended;
    bool stopping; /* no new requests; waits for news end */
    bool forced;   /* all waits end */
};

void bp_http_hold(bp_http *http);
void bp_http_let_go(bp_http *http);

/* libmicrohttpd's callbacks: request_life.c. */
enum MHD_Result bp_request_handle(void *http, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *upload_data,
                                  size_t *upload_size, void **context);
void bp_request_ended(void *http, struct MHD_Connection *connection, void **context,
                      enum MHD_RequestTerminationCode code);

/* With the mutex held: takes a request out of the list of suspended ones and lets it go on. */
void bp_request_resume_locked(bp_request *request);

/* Feeds an upload, or ends it (upload_open false) when it is known to fail. MHD_NO closes the
 * connection. upload_handlers.c */
enum MHD_Result bp_upload_receive(bp_request *request, const char *bytes, size_t *size);
/* Answers when the outcome is there. */
bool bp_upload_answer_if_done(bp_request *request);
/* The body has ended: waits for the outcome and answers. */
void bp_upload_finish(bp_request *request);
/* With the mutex held, from the HTTP thread: suspends until somebody resumes. */
void bp_request_suspend_locked(bp_request *request);

#endif
