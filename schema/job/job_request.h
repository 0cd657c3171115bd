/* Bodies of the requests that look into a network: a job specification with a few members beside it. */
#ifndef BP_SCHEMA_JOB_JOB_REQUEST_H
#define BP_SCHEMA_JOB_JOB_REQUEST_H

#include <jansson.h>

#include "core/check/gradient_check.h"
#include "schema/json/faults.h"

enum {
    BP_CHECK_MAX_ELEMENTS = 1000, /* of a tensor, where the body says nothing */
    BP_BACKPROPAGATE_ROW_LIMIT = 16
};

/* POST /api/v1/gradient-check: a job specification plus "epsilon", "max_elements" and "method". */
typedef struct bp_check_request {
    bp_difference difference; /* "central" (default) or "forward" */
    double epsilon;           /* 1e-5 where absent */
    size_t max_elements;      /* of a tensor */
} bp_check_request;

/* Reads the three; *out_job is what is left of the body, for bp_job_resolve with the same faults, so that
 * all faults come at once: the caller resolves whether or not there are faults yet, and owns
 * *out_job. NULL only when memory ran out, which faults then says. Any thread. */
void bp_check_request_read(bp_check_request *out, json_t **out_job, bp_faults *faults,
                           const json_t *body);

/* "central", "forward", "fourth_order": for documents. */
const char *bp_difference_name(bp_difference difference);

/* POST /api/v1/backpropagate: what to show, and a job specification or "model" with "version". */
typedef struct bp_backpropagate_request {
    const char *model; /* borrowed from the body; NULL: a job */
    uint64_t version;  /* 0: the newest */
    json_t *job;       /* a new reference to the specification; NULL: a model */
    /* Borrowed; those that are not given are NULL. rows: an array of the right length, for
     * bp_example_rows_parse; the others for bp_example_tokens_parse. */
    const json_t *rows, *text, *sentences, *tags, *windows, *corrupted;
} bp_backpropagate_request;

/* As bp_check_request_read. */
void bp_backpropagate_request_read(bp_backpropagate_request *out, bp_faults *faults,
                                   const json_t *body);

#endif
