#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "schema/json/json_text.h"
#include "server/base/sha256.h"
#include "server/http/handlers.h"
#include "server/http/job_answer.h"
#include "server/http/metrics_csv.h"
#include "server/http/problem.h"
#include "server/http/server_state.h"
#include "server/http/url_text.h"
#include "server/job/metrics_read.h"
#include "server/job/spec_lookup.h"

/* A corpus of at most so many bytes is read where other short work is done; a larger one, of seconds, where
 * computations are. */
enum { QUICK_BYTES = 8 * 1024 * 1024 };

enum { LIST_DEFAULT = 100, LIST_LIMIT = 10000, POINTS_DEFAULT = 1000, WAIT_LIMIT_MS = 60000 };

/* ---- submitting ---- */

static void answer_submitted(bp_request *request)
{
    if (request->result_status != BP_OK) {
        bp_answer_error(request, &request->result_error);
        return;
    }
    /* Not found: it was submitted with this key before, and deleted since. */
    if (!bp_answer_job(request, 201, request->result_id))
        return;
    char location[64];
    snprintf(location, sizeof location, "/api/v1/jobs/%lld", (long long)request->result_id);
    bp_answer_header(request, "Location", location);
}

/* "POST /api/v1/jobs" */
static void name_route(char *out, size_t size, const bp_request *request)
{
    snprintf(out, size, "%s %s", bp_method_name(request->route->method), request->route->pattern);
}

/* True: this was submitted before, or that cannot be found out, and is answered. */
static bool answer_repeated(bp_request *request)
{
    const char *key = request->headers.idempotency_key.value;
    if (!key)
        return false;
    char route[128];
    name_route(route, sizeof route, request);
    int64_t id = 0;
    bp_error error = {.status = BP_OK};
    bp_status status = bp_jobs_find_submitted(&id, request->services->jobs, key, route,
                                              request->body_sha256, &error);
    if (status == BP_OK && id == 0)
        return false;
    bp_request_outcome(request, id, status, &error);
    answer_submitted(request);
    return true;
}

/* Takes what it is given. */
static void submit(bp_request *request, bp_job_spec *spec, json_t *resolved, json_t *warnings,
                   uint64_t memory_bytes)
{
    const char *key = request->headers.idempotency_key.value;
    bp_job_submission *submission = calloc(1, sizeof *submission);
    if (!submission) {
        bp_job_spec_free(spec);
        json_decref(resolved);
        json_decref(warnings);
        bp_answer_no_memory(request);
        return;
    }
    submission->spec = spec;
    submission->resolved = resolved;
    submission->warnings = warnings;
    submission->memory_bytes = memory_bytes;
    if (key) {
        snprintf(submission->idempotency_key, sizeof submission->idempotency_key, "%s", key);
        name_route(submission->idempotency_route, sizeof submission->idempotency_route, request);
        memcpy(submission->body_sha256, request->body_sha256, BP_SHA256_TEXT_SIZE);
    }
    bp_request_await(request, answer_submitted, false);
    bp_jobs_submit(request->services->jobs, submission, bp_request_reply, request);
}

/* False: answered with 400. */
static bool key_is_valid(bp_request *request)
{
    const bp_header *key = &request->headers.idempotency_key;
    if (!key->count)
        return true;
    size_t length = strlen(key->value);
    bool printable = true;
    for (size_t i = 0; i < length; i++)
        printable = printable && key->value[i] >= 0x20 && key->value[i] < 0x7f;
    if (key->count == 1 && length > 0 && length <= 255 && printable)
        return true;
    bp_answer_problem(request, 400, "Idempotency-Key is one header of 1 to 255 ASCII characters");
    return false;
}

static bool is_given_up(void *context)
{
    return bp_request_is_given_up(context);
}

static void read_and_submit(bp_request *request);

/* Resolves a parsed body; answers or submits. Corpora are read on a helper alone, and jobs are submitted on the
 * HTTP thread alone, which then finds what the helper has read. */
static void resolve_and_submit(bp_request *request, bool validate_only, bool on_helper)
{
    bp_spec_lookup state = {.datasets = request->services->datasets,
                            .store = request->services->store,
                            .reads_nothing = !on_helper,
                            .cancelled = is_given_up,
                            .context = request};
    const bp_dataset_lookup by_name = bp_spec_lookup_of(&state);
    bp_job_spec *spec = NULL;
    json_t *resolved = NULL, *warnings = NULL;
    bp_job_size size;
    bp_faults faults = {.count = 0};
    bp_status status =
        bp_job_resolve(&spec, &resolved, &warnings, &size, &faults, request->json, &by_name,
                       &request->services->job_limits, request->services->isa);
    if (state.must_read && state.read_bytes <= QUICK_BYTES)
        bp_request_run_aside(request, read_and_submit);
    else if (state.must_read)
        bp_request_run_computing(request, read_and_submit);
    else if (state.error.status == BP_CANCELLED)
        bp_answer_problem(request, 503, "given up: the daemon is stopping or the client has gone");
    else if (state.error.status != BP_OK)
        bp_answer_error(request, &state.error);
    else if (status != BP_OK)
        bp_answer_faults(request, &faults);
    else if (validate_only)
        bp_answer_json(request, 200, bp_job_validation_json(spec, resolved, warnings, &size));
    else if (on_helper)
        request->step = bp_handle_job_submit;
    else {
        submit(request, spec, resolved, warnings, size.total_bytes);
        spec = NULL;
        resolved = warnings = NULL;
    }
    bp_job_spec_free(spec);
    json_decref(resolved);
    json_decref(warnings);
    bp_faults_done(&faults);
    bp_spec_lookup_done(&state);
}

static void read_and_submit(bp_request *request)
{
    bool validate_only;
    if (bp_request_flag(&validate_only, request, "validate_only"))
        resolve_and_submit(request, validate_only, true);
}

void bp_handle_job_submit(bp_request *request)
{
    bool validate_only;
    if (!bp_request_flag(&validate_only, request, "validate_only") || !key_is_valid(request))
        return;
    if (!request->json)
        bp_sha256_text(request->body_sha256, request->body, request->body_size);
    if (!validate_only && answer_repeated(request))
        return;
    if (request->json || bp_request_parse_json(request, SIZE_MAX))
        resolve_and_submit(request, validate_only, false);
}

/* ---- reading ---- */

static bool state_is_known(const char *state)
{
#define BP_STATE_MATCH(name, text, finished)                                                       \
    if (strcmp(state, text) == 0)                                                                  \
        return true;
    BP_JOB_STATE_LIST(BP_STATE_MATCH)
#undef BP_STATE_MATCH
    return false;
}

void bp_handle_job_list(bp_request *request)
{
    uint64_t limit, after;
    if (!bp_request_count(&limit, request, "limit", 1, LIST_LIMIT, LIST_DEFAULT) ||
        !bp_request_count(&after, request, "after", 0, (uint64_t)BP_JSON_INTEGER_MAXIMUM, 0))
        return;
    bp_jobs_filter filter = {.state = bp_request_query(request, "state"),
                             .name = bp_request_query(request, "name"),
                             .after = (int64_t)after,
                             .limit = limit};
    if (filter.state && !state_is_known(filter.state)) {
#define BP_STATE_NAME(name, text, finished) " " text
        bp_answer_problem(request, 400, "state is one of" BP_JOB_STATE_LIST(BP_STATE_NAME));
#undef BP_STATE_NAME
        return;
    }
    bp_json_writer list = {0};
    bp_error error = {.status = BP_OK};
    if (bp_jobs_put_list(&list, request->services->jobs, &filter, &error) == BP_OK)
        bp_answer_text(request, 200, &list, "application/json");
    else
        bp_answer_error(request, &error);
    free(list.bytes);
}

void bp_handle_job(bp_request *request)
{
    (void)bp_answer_job(request, 200, (int64_t)bp_request_number(request, 0));
}

/* ---- metrics ---- */

typedef struct metrics_query {
    uint64_t after, limit, wait_ms;
    uint64_t most; /* 0: points themselves */
} metrics_query;

static bool read_metrics_query(metrics_query *out, bp_request *request)
{
    const char *wait = bp_request_query(request, "wait");
    const bool summed_up = bp_request_query(request, "max_points") != NULL;
    out->wait_ms = out->most = 0;
    if (summed_up && (wait || bp_request_query(request, "limit"))) {
        bp_answer_problem(request, 400, "max_points does not go with limit or wait");
        return false;
    }
    if (summed_up &&
        !bp_request_count(&out->most, request, "max_points", 1, LIST_LIMIT, LIST_LIMIT))
        return false;
    if (!bp_request_count(&out->after, request, "after", 0, (uint64_t)BP_JSON_INTEGER_MAXIMUM, 0) ||
        !bp_request_count(&out->limit, request, "limit", 1, LIST_LIMIT, POINTS_DEFAULT))
        return false;
    if (wait && (!bp_seconds_parse(&out->wait_ms, wait) || out->wait_ms > WAIT_LIMIT_MS)) {
        bp_answer_problem(request, 400, "wait is a number of seconds from 0 to 60");
        return false;
    }
    return true;
}

static void notify(void *context)
{
    bp_request_wake(context);
}

static bool wants_csv(const bp_request *request)
{
    const char *accept = request->headers.accept.value;
    return accept && strstr(accept, "text/csv") && !strstr(accept, "application/json");
}

static void answer_csv(bp_request *request, const bp_metrics_view *view)
{
    bp_json_writer text = {0};
    bp_metrics_put_csv(&text, view);
    if (text.failed) {
        free(text.bytes);
        text.bytes = NULL;
    }
    bp_answer_bytes(request, 200, text.bytes, text.length, "text/csv; charset=utf-8");
}

/* NULL: no memory. */
static bp_shared_text *page_of(const bp_metrics_view *view)
{
    bp_json_writer text = {0};
    bp_metrics_put_json(&text, view);
    if (!text.failed)
        return bp_shared_text_create(text.bytes, text.length);
    free(text.bytes);
    return NULL;
}

static bp_page_key key_of(int64_t id, const metrics_query *query, const bp_metrics_head *head)
{
    bp_page_key key;
    memset(&key, 0, sizeof key);
    const uint64_t end = query->after + query->limit;
    key.job = id;
    key.after = query->after;
    key.limit = query->limit;
    key.last = head->last < end ? head->last : end; /* what comes later is on another page */
    key.complete = head->finished && head->last <= end;
    memcpy(key.fingerprint, head->fingerprint, sizeof head->fingerprint);
    return key;
}

static void answer_waited(bp_request *request);

/* May the request wait, and has it nothing to tell? Then it waits. */
static bool wait_for_points(bp_request *request, int64_t id, const metrics_query *query,
                            const bp_metrics_head *head)
{
    if (query->wait_ms == 0 || head->last > query->after || head->finished ||
        bp_request_stopping(request))
        return false;
    bp_request_await(request, answer_waited, true);
    bp_jobs_watch(request->services->jobs, id, query->after, query->wait_ms, notify, request);
    return true;
}

/* may_wait: nothing new leads to waiting instead of an empty answer. */
static void answer_metrics(bp_request *request, bool may_wait)
{
    metrics_query query;
    if (!read_metrics_query(&query, request))
        return;
    const int64_t id = (int64_t)bp_request_number(request, 0);
    const bool csv = wants_csv(request), shared = !csv && query.most == 0;
    bp_metrics_view view = {0};
    bp_error error = {.status = BP_OK};
    bp_jobs *jobs = request->services->jobs;
    bp_answer_cache *pages = request->http->pages;
    bp_status status = bp_metrics_read_head(&view.head, jobs, id, &error);
    if (status == BP_OK && may_wait && wait_for_points(request, id, &query, &view.head))
        return;
    bp_page_key key = key_of(id, &query, &view.head);
    bp_shared_text *page = status == BP_OK && shared ? bp_answer_cache_find(pages, &key) : NULL;
    if (status == BP_OK && !page)
        status = query.most > 0
                     ? bp_metrics_read_spans(&view, jobs, id, query.after, query.most, &error)
                     : bp_metrics_read_points(&view, jobs, id, query.after, query.limit, &error);
    if (status != BP_OK) {
        bp_answer_error(request, &error);
    } else if (csv) {
        answer_csv(request, &view);
    } else if (page) {
        bp_answer_shared(request, 200, page, "application/json");
    } else {
        page = page_of(&view);
        key = key_of(id, &query, &view.head); /* there may be more by now */
        if (page && shared)
            bp_answer_cache_add(pages, &key, page);
        bp_answer_shared(request, 200, page, "application/json");
    }
    bp_metrics_view_done(&view);
}

static void answer_waited(bp_request *request)
{
    answer_metrics(request, false);
}

void bp_handle_job_metrics(bp_request *request)
{
    answer_metrics(request, true);
}
