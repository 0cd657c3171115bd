/* One request, from its header to its answer.
 *
 *   OPEN ──► BODY ──► RUN ──► ANSWERED
 *     │        │      │ ▲
 *     │        │      ▼ │ (a step awaits something and is woken)
 *     │        │    WAITING
 *     └────────┴──► DISCARD ──► ANSWERED     (refused; the body is read and dropped first)
 *
 * A handler is a step: it either answers (exactly one of the bp_answer functions) or calls
 * bp_request_await and hands the request to whoever calls bp_request_wake, any thread, once. The
 * next step then runs on the HTTP thread again.
 *
 * Counted: libmicrohttpd holds one reference until the request has ended, an awaited callback
 * another. A callback that comes when the client or the whole HTTP side has gone finds the request
 * there, and nothing happens. All waiting is under one mutex of the server, which is taken before any
 * of libmicrohttpd's. */
#ifndef BP_SERVER_HTTP_REQUEST_H
#define BP_SERVER_HTTP_REQUEST_H

#include <jansson.h>
#include <microhttpd.h>
#include <stdbool.h>

#include "schema/json/json_writer.h"
#include "server/http/answer_cache.h"
#include "server/http/connection_table.h"
#include "server/http/http.h"
#include "server/http/request_checks.h"
#include "server/http/route_table.h"

enum { BP_QUERY_LIMIT = 8 };

typedef void bp_request_step(bp_request *request);

typedef enum bp_request_phase {
    BP_REQUEST_BODY,
    BP_REQUEST_RUN,
    BP_REQUEST_DISCARD,
    BP_REQUEST_ANSWERED
} bp_request_phase;

typedef struct bp_query_value {
    char *name, *value; /* decoded; owned */
} bp_query_value;

/* Threads beside those of HTTP: each runs its requests one after another. */
typedef enum bp_helper_kind {
    BP_HELPER_ASIDE,   /* reading, writing out, predicting: some seconds at most */
    BP_HELPER_COMPUTE, /* looking into networks: what may take a minute */
    BP_HELPER_COUNT
} bp_helper_kind;

/* Work for a helper thread. */
typedef struct bp_aside {
    bp_message message; /* first */
    bp_request *request;
    bp_request_step *step;
    bool again; /* its step is to run once more, behind those of others */
} bp_aside;

struct bp_request {
    _Atomic unsigned references;
    bp_http *http; /* counted */
    const bp_services *services;
    struct MHD_Connection *connection; /* while libmicrohttpd holds its reference */
    bp_connection *record;             /* the same; may be NULL */

    const bp_route *route;    /* NULL: refused before it was known */
    char path[BP_PATH_LIMIT]; /* cut and decoded; captures point into it */
    char *instance;           /* path as sent */
    size_t capture_count;
    const char *capture[BP_CAPTURE_LIMIT];
    size_t query_count;
    bp_query_value query[BP_QUERY_LIMIT];
    bp_headers headers; /* values borrowed from the connection: HTTP thread only */
    bool is_v2;         /* faults as {"error": …} */
    bool is_head;

    bp_request_phase phase;
    uint64_t body_length;          /* announced; UINT64_MAX: chunked */
    uint64_t received;             /* bytes so far */
    int64_t started_ms, waited_ms; /* monotonic start; time that the daemon took */
    char *body;
    size_t body_size, body_room;

    /* The answer, until it is queued. */
    struct MHD_Response *response;
    unsigned status;
    size_t response_bytes;
    const char *answer_text; /* the body of response, when it is a problem */
    bool close;

    bool suspended_here; /* by the call of libmicrohttpd that is in progress */

    /* Under the server's mutex. */
    bool awaiting;  /* between await and wake */
    bool suspended; /* in the server's list, and in libmicrohttpd */
    bp_request *previous, *following;
    bool wake_at_stop; /* waits for news that may never come (metrics) rather than for a commit */

    bp_request_step *step; /* next */
    bp_aside aside;
    bool on_helper; /* it is, or has been, a helper's: its step may take its time */
    int socket;     /* while a helper works: libmicrohttpd leaves a suspended connection alone */
    int64_t looked_ms;
    bool given_up;

    /* What an awaited callback brought: written before wake, read after. */
    int64_t result_id;
    bp_status result_status;
    bp_error result_error;
    json_t *result_document;
    bool result_created;

    bp_upload *upload; /* HTTP thread only, like upload_open: neither ended nor aborted */
    bool upload_open;
    /* Under the server's mutex: its result is there; room was called since it was last found full. */
    bool upload_done, upload_room;

    json_t *json; /* a handler's own, freed with the request */
    void *work;   /* the same, by work_free; NULL: none */
    void (*work_free)(void *work);
    char body_sha256[BP_SHA256_TEXT_SIZE]; /* a handler's own: of what json was parsed from */
};

/* ---- parameters ---- */

/* Value of a query parameter, or NULL. */
const char *bp_request_query(const bp_request *request, const char *name);
/* Reads a whole number in [minimum, maximum], `fallback` when absent. False: answered with 400. */
BP_CHECK_RESULT bool bp_request_count(uint64_t *out, bp_request *request, const char *name,
                                      uint64_t minimum, uint64_t maximum, uint64_t fallback);
/* "true" and "false". */
BP_CHECK_RESULT bool bp_request_flag(bool *out, bp_request *request, const char *name);
/* A captured number; route_table has checked it. */
uint64_t bp_request_number(const bp_request *request, size_t capture);
/* Parses the body into request->json. value_limit: most values, so that parsing cannot take many times
 * the body's memory; SIZE_MAX: the body's own limit will do. False: answered with 400 or 413. */
BP_CHECK_RESULT bool bp_request_parse_json(bp_request *request, size_t value_limit);

/* ---- waiting ---- */

/* Before the call that will lead to bp_request_wake: takes a reference for it. stoppable: the wait is
 * for news, and ends when the daemon stops. */
void bp_request_await(bp_request *request, bp_request_step *next, bool stoppable);
/* Once for each await, any thread; gives up its reference. */
void bp_request_wake(bp_request *request);
/* Runs step on the helper thread, for work of more than a few milliseconds; step must answer, or set the
 * request's step, which the HTTP thread then runs. */
void bp_request_run_aside(bp_request *request, bp_request_step *step);
/* The same on the thread for long computations, in which step asks bp_request_is_given_up now and then. */
void bp_request_run_computing(bp_request *request, bp_request_step *step);
/* For a step that a helper runs, in place of an answer: it is run again after those of other requests that
 * wait for the helper. So work of any length leaves room for others, if each turn of it is short. */
void bp_request_run_again(bp_request *request);
/* Within the content reader of a stream, on the connection's thread, when there is nothing to send: a helper
 * runs step, whose turn is short, and the reader is called again after it. False: no helper has room, or
 * the daemon stops, and nothing has been done. */
BP_CHECK_RESULT bool bp_request_stream_aside(bp_request *request, bp_request_step *step);
/* Whether nobody wants the answer any more: the client has closed its side, or the daemon stops. For
 * the step that a helper runs; looks some ten times a second at most. */
bool bp_request_is_given_up(bp_request *request);
/* Keeps an outcome as if it had been awaited. */
void bp_request_outcome(bp_request *request, int64_t id, bp_status status, const bp_error *error);
/* bp_job_reply: keeps the outcome and wakes. */
void bp_request_reply(void *context, int64_t id, bp_status status, const bp_error *error);
/* Did the daemon stop while this waited? */
bool bp_request_stopping(const bp_request *request);

/* ---- answers: any thread ---- */

/* Takes body (malloc) and ownership of it; NULL stands for "no memory". */
void bp_answer_bytes(bp_request *request, unsigned status, void *body, size_t size,
                     const char *type);
/* Takes a reference of text; NULL stands for "no memory". */
void bp_answer_shared(bp_request *request, unsigned status, bp_shared_text *text, const char *type);
/* Takes document; NULL stands for "no memory". */
void bp_answer_json(bp_request *request, unsigned status, json_t *document);
/* Takes what has been written, JSON or of another type; a writer that failed stands for "no memory". */
void bp_answer_text(bp_request *request, unsigned status, bp_json_writer *text, const char *type);
/* bytes of static lifetime or that live as long as the server; etag with its quotes. 304 when the
 * client has it. HTTP thread only. */
void bp_answer_static(bp_request *request, const char *bytes, size_t size, const char *type,
                      const char *etag);
/* 200 with a body of unknown length that `read` brings piece by piece, on the connection's thread. release is
 * called once with context, at the latest when the connection closes. HTTP thread only.
 * Not for HEAD: libmicrohttpd 0.9.75 ends even that answer with a last chunk. */
void bp_answer_stream(bp_request *request, const char *type, size_t block_bytes,
                      MHD_ContentReaderCallback read, void *context,
                      MHD_ContentReaderFreeCallback release);
void bp_answer_empty(bp_request *request, unsigned status);
/* Adds a header to the answer that was just made. */
void bp_answer_header(bp_request *request, const char *name, const char *value);

/* ---- life ---- */

bp_request *bp_request_create(bp_http *http, struct MHD_Connection *connection);
void bp_request_hold(bp_request *request);
void bp_request_release(bp_request *request);

#endif
