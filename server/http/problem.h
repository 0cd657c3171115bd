/* Errors as clients see them: application/problem+json (RFC 9457), under /v2 {"error": "…"}. */
#ifndef BP_SERVER_HTTP_PROBLEM_H
#define BP_SERVER_HTTP_PROBLEM_H

#include "schema/json/faults.h"
#include "server/http/request.h"

/* HTTP status, last part of the type URI, title. `type` is "/problems/<slug>": relative to the
 * daemon, and described in docs/PROBLEMS.md. */
#define BP_PROBLEM_LIST(X)                                                                         \
    X(400, "bad-request", "Bad request")                                                           \
    X(403, "forbidden", "Forbidden")                                                               \
    X(404, "not-found", "Not found")                                                               \
    X(405, "method-not-allowed", "Method not allowed")                                             \
    X(409, "conflict", "Conflict")                                                                 \
    X(412, "precondition-failed", "Precondition failed")                                           \
    X(413, "too-large", "Content too large")                                                       \
    X(415, "unsupported-media-type", "Unsupported media type")                                     \
    X(421, "misdirected-request", "Misdirected request")                                           \
    X(422, "validation", "Content is not valid")                                                   \
    X(500, "internal", "Internal error")                                                           \
    X(501, "not-implemented", "Not implemented")                                                   \
    X(503, "unavailable", "Temporarily unavailable")                                               \
    X(507, "storage-full", "Insufficient storage")

/* The status for an error of the house: what a client may read out of it depends on this table alone. */
unsigned bp_problem_status(bp_status status);
const char *bp_problem_slug(unsigned status);
const char *bp_problem_title(unsigned status);

/* Answers with one sentence. */
void bp_answer_problem(bp_request *request, unsigned status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Answers with an error; its place, where it has one, goes into errors. */
void bp_answer_error(bp_request *request, const bp_error *error);
/* The same under another status (an upload's BP_CORRUPT is the client's, a model's is ours). */
void bp_answer_error_as(bp_request *request, unsigned status, const bp_error *error);
/* 200 with document, which it takes, or the error: what a reading call brought. */
void bp_answer_read(bp_request *request, bp_status status, json_t *document, const bp_error *error);
/* All faults of a document: 409 when each is a conflict, else 422. */
void bp_answer_faults(bp_request *request, const bp_faults *faults);
/* No memory, with nothing allocated for it: 503. */
void bp_answer_no_memory(bp_request *request);

#endif
