/* The HTTP side of the daemon: libmicrohttpd with an epoll pool behind a route table.
 *
 * Start: bp_http_start. Stop: bp_http_stop_intake (main thread; jobs and store still answer), then stop
 * the jobs, then bp_http_stop, and only then close models, data sets and store. */
#ifndef BP_SERVER_HTTP_HTTP_H
#define BP_SERVER_HTTP_HTTP_H

#include <stdint.h>

#include "core/kernel/kernels.h"
#include "server/backup/backups.h"
#include "server/dataset/datasets.h"
#include "server/event/event_hub.h"
#include "server/job/jobs.h"
#include "server/model/models.h"
#include "server/store/store.h"

typedef struct bp_http_options {
    const char *address; /* numeric IPv4 or IPv6 (brackets allowed), or "localhost" */
    uint16_t port;       /* 0: a free one */
    size_t thread_count; /* at least 1 */
    /* Open connections that are served; a further one gets 503 with Retry-After. */
    size_t connection_limit;
    size_t json_body_bytes;    /* of a JSON body other than a prediction's */
    size_t predict_body_bytes; /* of a prediction's */
    size_t predict_rows;       /* of one prediction */
    uint64_t upload_bytes;     /* of an upload as sent; decoded bytes are the data sets' limit */
    /* A request without its headers, or a body or an answer that does not move on, is given up after
     * this. Waiting for metrics and the time that the daemon itself takes come on top. */
    unsigned deadline_ms;
    /* An upload may take deadline_ms plus its bytes at this rate. */
    uint64_t upload_bytes_per_second;
} bp_http_options;

/* What an option is where nobody says otherwise: loopback, port 8470. */
bp_http_options bp_http_options_default(void);

/* What the handlers work with. Borrowed until bp_http_stop has returned; parts that are NULL make
 * their routes answer 503. */
typedef struct bp_services {
    bp_store *store;
    bp_datasets *datasets;
    bp_jobs *jobs;
    bp_event_hub *events;
    bp_models *models;
    bp_backups *backups;
    bp_job_limits job_limits;
    bp_dataset_limits dataset_limits;
    bp_isa isa;
    size_t worker_count;
    const char *version; /* "0.1.0" */
} bp_services;

typedef struct bp_http bp_http;

/* Binds, listens and starts the threads; answers when it returns. Raises RLIMIT_NOFILE where the
 * connection limit needs it. BP_INVALID (address), BP_CONFLICT (address in use), BP_INPUT_OUTPUT,
 * BP_NO_MEMORY. */
BP_CHECK_RESULT bp_status bp_http_start(bp_http **out, const bp_http_options *options,
                                        const bp_services *services, bp_error *error);

/* The port in use. */
uint16_t bp_http_port(const bp_http *http);

/* No new connections and no new requests (503); whoever waits for metrics is answered with what there
 * is. Requests that wait for a commit go on waiting. Main thread. */
void bp_http_stop_intake(bp_http *http);

/* Lets answers in progress end (a few seconds at most), then closes all connections, joins all threads
 * and frees. Callbacks of requests that are still on their way may come later: they touch nothing
 * that has gone. Not on an HTTP thread. Accepts NULL. */
void bp_http_stop(bp_http *http);

#endif
