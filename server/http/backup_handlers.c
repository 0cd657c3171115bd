/* Backups of the data directory. */
#include "server/http/handlers.h"
#include "server/http/problem.h"

enum { LIST_DEFAULT = 100, LIST_LIMIT = 10000 };

static void answer_made(bp_request *request)
{
    if (request->result_status != BP_OK) {
        bp_answer_error(request, &request->result_error);
        return;
    }
    bp_answer_json(request, 201, request->result_document);
    request->result_document = NULL;
}

static void made(void *context, json_t *document, bp_status status, const bp_error *error)
{
    bp_request *request = context;
    request->result_document = document;
    bp_request_reply(request, 0, status, error);
}

void bp_handle_backup(bp_request *request)
{
    bp_error error = {.status = BP_OK};
    bp_request_await(request, answer_made, false);
    const bp_status status = bp_backups_start(request->services->backups, made, request, &error);
    if (status != BP_OK)
        bp_request_reply(request, 0, status, &error);
}

/* Reads a file of each, so not on an HTTP thread. */
static void list_backups(bp_request *request)
{
    uint64_t limit;
    if (!bp_request_count(&limit, request, "limit", 1, LIST_LIMIT, LIST_DEFAULT))
        return;
    json_t *document = NULL;
    bp_error error = {.status = BP_OK};
    const bp_status status = bp_backups_list_json(
        &document, request->services->backups, bp_request_query(request, "after"), limit, &error);
    bp_answer_read(request, status, document, &error);
}

void bp_handle_backup_list(bp_request *request)
{
    bp_request_run_aside(request, list_backups);
}

/* Waits for the disk, so not on an HTTP thread. */
static void delete_backup(bp_request *request)
{
    bp_error error = {.status = BP_OK};
    if (bp_backups_delete(request->services->backups, request->capture[0], &error) == BP_OK)
        bp_answer_empty(request, 204);
    else
        bp_answer_error(request, &error);
}

void bp_handle_backup_delete(bp_request *request)
{
    bp_request_run_aside(request, delete_backup);
}
