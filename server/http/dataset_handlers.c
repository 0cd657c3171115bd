#include "server/http/handlers.h"
#include "server/http/problem.h"

#include "server/http/url_text.h"

enum { LIST_DEFAULT = 100, LIST_LIMIT = 10000, ROWS_DEFAULT = 10 };

void bp_handle_dataset_list(bp_request *request)
{
    uint64_t limit;
    if (!bp_request_count(&limit, request, "limit", 1, LIST_LIMIT, LIST_DEFAULT))
        return;
    json_t *document = NULL;
    bp_error error = {.status = BP_OK};
    bp_status status = bp_datasets_list_json(&document, request->services->datasets,
                                             bp_request_query(request, "after"), limit, &error);
    bp_answer_read(request, status, document, &error);
}

void bp_handle_dataset(bp_request *request)
{
    json_t *document = NULL;
    bp_error error = {.status = BP_OK};
    bp_status status = bp_datasets_document_json(&document, request->services->datasets,
                                                 request->capture[0], &error);
    bp_answer_read(request, status, document, &error);
}

/* Reads files, so not on an HTTP thread. */
static void read_rows(bp_request *request)
{
    uint64_t limit, offset;
    if (!bp_request_count(&limit, request, "limit", 1, LIST_LIMIT, ROWS_DEFAULT) ||
        !bp_request_count(&offset, request, "offset", 0, (UINT64_C(1) << 53) - 1, 0))
        return;
    json_t *document = NULL;
    bp_error error = {.status = BP_OK};
    bp_status status = bp_datasets_rows_json(&document, request->services->datasets,
                                             request->capture[0], offset, limit, &error);
    bp_answer_read(request, status, document, &error);
}

void bp_handle_dataset_rows(bp_request *request)
{
    bp_request_run_aside(request, read_rows);
}

static void deleted(void *context, bp_status status, const bp_error *error)
{
    bp_request_reply(context, 0, status, error);
}

static void answer_deleted(bp_request *request)
{
    if (request->result_status == BP_OK)
        bp_answer_empty(request, 204);
    else
        bp_answer_error(request, &request->result_error);
}

void bp_handle_dataset_delete(bp_request *request)
{
    bp_request_await(request, answer_deleted, false);
    bp_datasets_delete(request->services->datasets, request->capture[0], deleted, request);
}
