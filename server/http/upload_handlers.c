#include <stdio.h>
#include <string.h>

#include "server/http/handlers.h"
#include "server/http/problem.h"
#include "server/http/server_state.h"

/* ---- called on the ingest thread ---- */

static void room(void *context)
{
    bp_request *request = context;
    pthread_mutex_lock(&request->http->mutex);
    request->upload_room = true;
    bp_request_resume_locked(request);
    pthread_mutex_unlock(&request->http->mutex);
}

static void done(void *context, bp_upload_result *result)
{
    bp_request *request = context;
    request->result_status = result->status;
    request->result_error = result->error;
    request->result_created = result->created;
    request->result_document = result->document;
    pthread_mutex_lock(&request->http->mutex);
    request->upload_done = true;
    bp_request_resume_locked(request);
    pthread_mutex_unlock(&request->http->mutex);
    bp_request_release(request);
}

/* ---- called on the HTTP thread ---- */

static void begin(bp_request *request, const char *column, bool table_formats)
{
    static const struct {
        const char *name;
        bp_dataset_format format;
        bool whole; /* makes a data set, not merely a column */
    } formats[] = {{"csv", BP_FORMAT_CSV, true},     {"idx", BP_FORMAT_IDX, false},
                   {"npy", BP_FORMAT_NPY, false},    {"text", BP_FORMAT_TEXT, true},
                   {"conll", BP_FORMAT_CONLL, true}, {"vectors", BP_FORMAT_VECTORS, true}};
    bp_dataset_format format = BP_FORMAT_AUTO;
    const char *name = bp_request_query(request, "format");
    for (size_t i = 0; name && i < sizeof formats / sizeof formats[0]; i++)
        if (strcmp(name, formats[i].name) == 0 && (table_formats || !formats[i].whole))
            format = formats[i].format;
    if (name && format == BP_FORMAT_AUTO) {
        bp_answer_problem(request, 400, "format \"%.32s\" is not known here; known: %s", name,
                          table_formats ? "csv, text, conll, vectors, idx, npy" : "idx, npy");
        return;
    }
    bp_error error = {.status = BP_OK};
    bp_request_hold(request);
    bp_status status =
        bp_upload_begin(&request->upload, request->services->datasets, request->capture[0], column,
                        format, room, done, request, &error);
    if (status != BP_OK) {
        bp_request_release(request);
        bp_answer_error(request, &error);
        return;
    }
    request->upload_open = true;
}

void bp_handle_dataset_put(bp_request *request)
{
    begin(request, NULL, true);
}

void bp_handle_column_put(bp_request *request)
{
    begin(request, request->capture[1], false);
}

/* The outcome is there: the client's fault, ours, or a document. */
static void answer_outcome(bp_request *request)
{
    if (request->result_status == BP_TOO_LARGE) {
        bp_answer_error_as(request, 413, &request->result_error);
    } else if (request->result_status == BP_CORRUPT) { /* of what was sent */
        bp_answer_error_as(request, 422, &request->result_error);
    } else if (request->result_status != BP_OK) {
        bp_answer_error(request, &request->result_error);
    } else {
        json_t *document = request->result_document;
        request->result_document = NULL;
        bp_answer_json(request, request->result_created ? 201 : 200, document);
        if (request->result_created) {
            char location[BP_ERROR_WHERE_SIZE];
            snprintf(location, sizeof location, "/api/v1/datasets/%s", request->capture[0]);
            bp_answer_header(request, "Location", location);
        }
    }
}

enum MHD_Result bp_upload_receive(bp_request *request, const char *bytes, size_t *size)
{
    bp_http *http = request->http;
    for (;;) {
        if (bp_upload_has_failed(request->upload)) {
            bp_upload_end(request->upload);
            request->upload_open = false;
            return MHD_YES;
        }
        pthread_mutex_lock(&http->mutex);
        request->upload_room = false;
        pthread_mutex_unlock(&http->mutex);
        if (bp_upload_feed(request->upload, bytes, *size)) {
            *size = 0;
            return MHD_YES;
        }
        pthread_mutex_lock(&http->mutex);
        bool go_on = request->upload_room, forced = http->forced;
        if (!go_on && !forced)
            bp_request_suspend_locked(request);
        pthread_mutex_unlock(&http->mutex);
        if (!go_on)
            return forced ? MHD_NO : MHD_YES;
    }
}

bool bp_upload_answer_if_done(bp_request *request)
{
    pthread_mutex_lock(&request->http->mutex);
    bool finished = request->upload_done;
    pthread_mutex_unlock(&request->http->mutex);
    if (finished)
        answer_outcome(request);
    return finished;
}

void bp_upload_finish(bp_request *request)
{
    bp_http *http = request->http;
    if (request->upload_open) {
        request->upload_open = false;
        bp_upload_end(request->upload);
    }
    request->step = bp_upload_finish;
    pthread_mutex_lock(&http->mutex);
    bool finished = request->upload_done, forced = http->forced;
    if (!finished && !forced)
        bp_request_suspend_locked(request);
    pthread_mutex_unlock(&http->mutex);
    if (finished)
        answer_outcome(request);
    else if (forced)
        bp_answer_problem(request, 503, "the daemon is stopping");
}
