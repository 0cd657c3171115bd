#include <stdio.h>
#include <string.h>

#include "server/http/handlers.h"
#include "server/http/problem.h"
#include "server/http/server_state.h"

enum { LIST_DEFAULT = 100, LIST_LIMIT = 10000 };

/* ---- documents ---- */

void bp_handle_model_list(bp_request *request)
{
    uint64_t limit;
    if (!bp_request_count(&limit, request, "limit", 1, LIST_LIMIT, LIST_DEFAULT))
        return;
    json_t *document = NULL;
    bp_error error = {.status = BP_OK};
    bp_status status = bp_models_list_json(&document, request->services->models,
                                           bp_request_query(request, "after"), limit, &error);
    bp_answer_read(request, status, document, &error);
}

void bp_handle_model(bp_request *request)
{
    json_t *document = NULL;
    bp_error error = {.status = BP_OK};
    bp_status status =
        bp_models_document_json(&document, request->services->models, request->capture[0], &error);
    bp_answer_read(request, status, document, &error);
}

void bp_handle_model_version(bp_request *request)
{
    json_t *document = NULL;
    bp_error error = {.status = BP_OK};
    bp_status status =
        bp_models_version_json(&document, request->services->models, request->capture[0],
                               bp_request_number(request, 1), &error);
    bp_answer_read(request, status, document, &error);
}

/* ---- weights ---- */

static void export_weights(bp_request *request)
{
    void *bytes = NULL;
    size_t size = 0;
    bp_error error = {.status = BP_OK};
    if (bp_models_safetensors(&bytes, &size, request->services->models, request->capture[0],
                              bp_request_number(request, 1), &error) != BP_OK) {
        bp_answer_error(request, &error);
        return;
    }
    bp_answer_bytes(request, 200, bytes, size, "application/octet-stream");
    char disposition[256];
    snprintf(disposition, sizeof disposition, "attachment; filename=\"%s-%s.safetensors\"",
             request->capture[0], request->capture[1]);
    bp_answer_header(request, "Content-Disposition", disposition);
}

void bp_handle_model_weights(bp_request *request)
{
    const char *format = bp_request_query(request, "format");
    if (format && strcmp(format, "safetensors") != 0) {
        bp_answer_problem(request, 400, "format \"%.32s\" is not known here; known: safetensors",
                          format);
        return;
    }
    bp_request_run_aside(request, export_weights);
}
