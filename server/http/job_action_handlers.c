#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "schema/job/job_change.h"
#include "server/http/handlers.h"
#include "server/http/job_answer.h"
#include "server/http/problem.h"

bool bp_answer_job(bp_request *request, unsigned status, int64_t id)
{
    bp_json_writer document = {0};
    int64_t revision = 0;
    bp_error error = {.status = BP_OK};
    if (bp_jobs_put_document(&document, &revision, request->services->jobs, id, &error) != BP_OK) {
        free(document.bytes);
        bp_answer_error(request, &error);
        return false;
    }
    bp_answer_text(request, status, &document, "application/json");
    char etag[32];
    snprintf(etag, sizeof etag, "\"%lld\"", (long long)revision);
    if (request->status == status)
        bp_answer_header(request, "ETag", etag);
    return true;
}

static int64_t job_of(const bp_request *request)
{
    return (int64_t)bp_request_number(request, 0);
}

/* ---- actions ---- */

static void answer_accepted(bp_request *request)
{
    if (request->result_status == BP_OK)
        (void)bp_answer_job(request, 202, job_of(request));
    else
        bp_answer_error(request, &request->result_error);
}

static void act(bp_request *request, bp_job_action action)
{
    bp_request_await(request, answer_accepted, false);
    bp_jobs_act(request->services->jobs, job_of(request), action, bp_request_reply, request);
}

void bp_handle_job_pause(bp_request *request)
{
    act(request, BP_JOB_PAUSE);
}

void bp_handle_job_resume(bp_request *request)
{
    act(request, BP_JOB_RESUME);
}

void bp_handle_job_cancel(bp_request *request)
{
    act(request, BP_JOB_CANCEL);
}

void bp_handle_job_retry(bp_request *request)
{
    act(request, BP_JOB_RETRY);
}

void bp_handle_job_verify(bp_request *request)
{
    bp_request_await(request, answer_accepted, false);
    bp_jobs_verify(request->services->jobs, job_of(request), bp_request_reply, request);
}

/* ---- changing and deleting ---- */

/* False: answered with 400. */
static bool read_condition(bp_if_match *out, bp_request *request)
{
    const bp_header *header = &request->headers.if_match;
    *out = (bp_if_match){.given = header->count > 0};
    if (!out->given)
        return true;
    out->any = header->count == 1 && strcmp(header->value, "*") == 0;
    if (out->any || bp_if_match_parse(&out->count, out->revisions,
                                      sizeof out->revisions / sizeof *out->revisions, header))
        return true;
    bp_answer_problem(request, 400, "If-Match is * or a list of entity tags, as \"3\"");
    return false;
}

static void answer_changed(bp_request *request)
{
    if (request->result_status == BP_OK)
        (void)bp_answer_job(request, 200, job_of(request));
    else
        bp_answer_error(request, &request->result_error);
}

void bp_handle_job_change(bp_request *request)
{
    bp_if_match condition;
    bp_job_change change;
    bp_faults faults = {.count = 0};
    if (!read_condition(&condition, request) || !bp_request_parse_json(request, SIZE_MAX))
        return;
    if (bp_job_change_read(&change, &faults, request->json) == BP_OK) {
        bp_request_await(request, answer_changed, false);
        bp_jobs_set_priority(request->services->jobs, job_of(request), change.priority, &condition,
                             bp_request_reply, request);
    } else {
        bp_answer_faults(request, &faults);
    }
    bp_faults_done(&faults);
}

static void answer_deleted(bp_request *request)
{
    if (request->result_status == BP_OK)
        bp_answer_empty(request, 204);
    else
        bp_answer_error(request, &request->result_error);
}

void bp_handle_job_delete(bp_request *request)
{
    bp_if_match condition;
    if (!read_condition(&condition, request))
        return;
    bp_request_await(request, answer_deleted, false);
    bp_jobs_delete(request->services->jobs, job_of(request), &condition, bp_request_reply, request);
}
