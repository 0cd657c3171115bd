/* The route table: routes.def as records, and how a path finds its record. */
#ifndef BP_SERVER_HTTP_ROUTE_TABLE_H
#define BP_SERVER_HTTP_ROUTE_TABLE_H

#include <stdbool.h>
#include <stddef.h>

typedef struct bp_request bp_request;

typedef enum bp_method {
    BP_METHOD_GET,
    BP_METHOD_PUT,
    BP_METHOD_POST,
    BP_METHOD_PATCH,
    BP_METHOD_DELETE
} bp_method;
enum { BP_METHOD_COUNT = 5 };

/* What a token must be allowed, from least to most. */
typedef enum bp_scope { BP_SCOPE_READ, BP_SCOPE_PREDICT, BP_SCOPE_TRAIN, BP_SCOPE_ADMIN } bp_scope;

typedef enum bp_body_kind {
    BP_BODY_NONE,       /* what comes is read and dropped */
    BP_BODY_JSON,       /* application/json, held in memory up to a limit */
    BP_BODY_PREDICTION, /* the same with a larger limit */
    BP_BODY_UPLOAD      /* streamed to the ingest thread */
} bp_body_kind;

typedef enum bp_route_needs {
    BP_NEEDS_NOTHING,
    BP_NEEDS_DATASETS,
    BP_NEEDS_JOBS,
    BP_NEEDS_EVENTS,
    BP_NEEDS_MODELS,
    BP_NEEDS_BACKUPS
} bp_route_needs;

typedef struct bp_route {
    bp_method method;
    const char *pattern;
    bp_scope scope;
    bp_body_kind body;
    bp_route_needs needs;
    /* On an HTTP thread, after the body, or for an upload before it. Answers, or awaits and then
     * answers: request.h. */
    void (*handle)(bp_request *request);
    const char *query; /* names of its parameters, comma-separated */
} bp_route;

enum { BP_CAPTURE_LIMIT = 2, BP_PATH_LIMIT = 2048 };

typedef enum bp_match_kind {
    BP_MATCH,
    BP_MATCH_NO_PATH,    /* 404 */
    BP_MATCH_NO_METHOD,  /* the path has other methods: 405 */
    BP_MATCH_BAD_NAME,   /* 404, or 422 where it would be made */
    BP_MATCH_BAD_NUMBER, /* 404 */
    BP_MATCH_BAD_PATH    /* a broken escape: 400 */
} bp_match_kind;

typedef struct bp_route_match {
    const bp_route *route;                /* BP_MATCH, BP_MATCH_BAD_NAME, BP_MATCH_BAD_NUMBER */
    bool method_allowed[BP_METHOD_COUNT]; /* BP_MATCH_NO_METHOD */
    size_t capture_count;
    const char *capture[BP_CAPTURE_LIMIT]; /* decoded, into path; in path order */
} bp_route_match;

size_t bp_route_count(void);
const bp_route *bp_route_at(size_t index);

/* "GET" … */
const char *bp_method_name(bp_method method);

/* Finds the record of a raw path (without query). method: as sent; HEAD is GET. path is cut into
 * segments and decoded in place; captures point into it. */
bp_match_kind bp_route_find(bp_route_match *out, const char *method, char *path);

/* Is name one of the route's query parameters? */
bool bp_route_has_query(const bp_route *route, const char *name);

#endif
